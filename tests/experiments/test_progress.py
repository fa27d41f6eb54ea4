"""Time left follows from what steps are expected to take, and from how fast they went."""

import pytest

from experiments import progress, scale
from experiments.progress import Progress, expected


def times(monkeypatch, **scales):
    monkeypatch.setattr(progress, "_recorded", lambda: scales)


def test_steps_that_were_timed_have_their_own_times_and_others_those_of_their_kind(monkeypatch):
    times(monkeypatch, fast={"gans/A": 60, "gans/B": 20, "models/x": 7}, small={"sets/s": 3})
    names = ["gans/A", "gans/C", "sets/t", "unheard/of"]
    assert [*expected("fast", names).values()] == [60, 40, 3, progress.UNHEARD_OF]
    assert expected("another", ["gans/A"]) == {"gans/A": 40}


def test_recorded_times_are_of_scales_that_there_are():
    recorded = progress._recorded()
    assert set(recorded) <= set(scale.names())
    assert all(0 < x < 1e5 for of_one in recorded.values() for x in of_one.values())


def test_time_left_is_what_is_left_at_the_rate_so_far():
    now = [0.0]
    seconds = {"a": 10.0, "b": 30.0, "c": 60.0, "d": 100.0}
    with Progress(seconds, {"d"}, 2, clock=lambda: now[0]) as bar:
        # Of 100 expected seconds none are done, two steps run at a time: a machine as expected.
        assert bar.left({}) == 50
        now[0] = 40.0
        bar.end("a", 20, {})  # took twice as long
        # 10 and 10 of 30 expected seconds in 40: half a second each; 80 are left.
        assert bar.left({"b": 10.0}) == pytest.approx(160)
        # However long a step takes, it counts as nearly done at most.
        assert bar.left({"b": 1e6}) == pytest.approx((100 - 10 - 28.5) / ((10 + 28.5) / 40))


def test_without_a_terminal_there_is_a_line_for_each_step(capsys):
    with Progress({"a": 100.0, "b": 500.0}, set(), 1, clock=lambda: 0.0) as bar:
        bar.show({"a": 1.0})
        bar.end("a", 98.4, {"b": 20.0})
    out, err = capsys.readouterr()
    assert out == "     98 s  a  (1 of 2 steps, 8 minutes left)\n"
    assert err == ""
