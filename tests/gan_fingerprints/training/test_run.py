"""Runs: optimizer, skipped steps, several devices, checkpoints, reports."""

import shutil
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints import program
from gan_fingerprints.program import UserError
from gan_fingerprints.training import run as runs
from gan_fingerprints.training.losses import Losses
from gan_fingerprints.training.optimizer import adam, apply_if_finite
from gan_fingerprints.training.run import PRECISIONS, Run, passed
from gan_fingerprints.training.time_left import in_words, told
from gan_fingerprints.version import versions

STRATEGY = tf.distribute.get_strategy()


def variables(*values):
    return [keras.Variable(np.array(value, np.float32)) for value in values]


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.0, 0.99), (0.5, 0.9)])
def test_fused_adam_equals_that_of_keras(beta_1, beta_2):
    rng = np.random.RandomState(0)
    start = [rng.randn(3, 4), rng.randn(5)]
    ours, theirs = variables(*start), variables(*start)
    fused = adam(beta_1, beta_2, 1e-8)
    plain = keras.optimizers.Adam(0.01, beta_1=beta_1, beta_2=beta_2, epsilon=1e-8)
    fused.build(ours)
    fused.learning_rate.assign(0.01)
    for _ in range(20):
        gradients = [tf.constant(rng.randn(*x.shape), tf.float32) for x in start]
        fused.apply(gradients, ours)
        plain.apply(gradients, theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_steps_are_skipped_and_counted(bad):
    weights = variables([1.0, 2.0], [3.0])
    optimizer = adam(0.0, 0.99, 1e-8)
    optimizer.build(weights)
    optimizer.learning_rate.assign(0.1)
    skipped = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def step(first):
        gradients = [first, tf.ones([1])]
        apply_if_finite(STRATEGY, optimizer, gradients, weights, skipped)

    step(tf.constant([1.0, bad]))
    np.testing.assert_array_equal(weights[0].numpy(), [1, 2])
    np.testing.assert_array_equal(weights[1].numpy(), [3])
    assert int(skipped) == 1
    assert int(optimizer.iterations) == 0
    step(tf.constant([1.0, 1.0]))
    np.testing.assert_allclose(weights[0].numpy(), [0.9, 1.9], rtol=1e-5)
    assert int(skipped) == 1


def opened(folder, begun=False):
    folder.mkdir(exist_ok=True)
    return Run(folder, (folder / ".lock").open("w"), ORIGIN, 5.0, begun)


ORIGIN = {"command": "test", "seed": 1, "data": {"count": 3}}


def test_a_checkpoint_restores_everything(tmp_path):
    def state():
        counter = tf.Variable(0, dtype=tf.int64)
        weights = variables([1.0, 2.0])
        optimizer = adam(0.0, 0.99, 1e-8)
        optimizer.build(weights)
        return counter, weights, optimizer

    def start(run, counter, weights, optimizer):
        parts = {"weights": weights, "adam": optimizer.variables, "counters": [counter]}
        run.start(parts, 10.0, counter)

    counter, weights, optimizer = state()
    run = opened(tmp_path / "run")
    start(run, counter, weights, optimizer)
    optimizer.learning_rate.assign(0.1)
    optimizer.apply([tf.ones([2])], weights)
    counter.assign(3000)
    run.save()
    run.close()

    fresh = state()
    again = opened(tmp_path / "run")
    start(again, *fresh)
    again.close()
    assert int(fresh[0]) == 3000
    np.testing.assert_array_equal(fresh[1][0].numpy(), weights[0].numpy())
    for a, b in zip(fresh[2].variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert "continuing at 3.0 kimg" in (tmp_path / "run" / "log.txt").read_text()
    assert again.provenance() == {**ORIGIN, "images_shown": 3000, "versions": versions()}


def begin(folder, begun=True):
    """A run, and the variable that counts its images."""
    shown = tf.Variable(0, dtype=tf.int64)
    run = opened(folder, begun)
    run.start({"counters": [shown]}, 10.0, shown)
    return run, shown


def steps(run, shown, losses, until):
    """Of 10 images each, with reports at every 50."""
    while int(shown) < until:
        losses.add((tf.constant(np.float32(0.1 * int(shown))), tf.constant(1.0)))
        shown.assign_add(10)
        if int(shown) % 50 == 0:
            means, _ = losses.report(int(shown))
            run.log(f"tick {int(shown)} {means[0]!r} {means[1]!r}")
            losses.restart(int(shown))


def test_a_continued_run_reports_as_if_it_had_never_stopped(tmp_path):
    run, shown = begin(tmp_path / "once", False)
    steps(run, shown, run.losses(0), 200)
    run.close()
    run, shown = begin(tmp_path / "killed", False)
    for last_checkpoint, killed in ((30, 120), (80, 130), (200, 200)):
        losses = run.losses(int(shown))
        steps(run, shown, losses, last_checkpoint)
        run.save()
        steps(run, shown, losses, killed)
        run.close()
        run, shown = begin(tmp_path / "killed")
        assert int(shown) == last_checkpoint
    run.close()
    once, again = ((tmp_path / x / "log.txt").read_text().splitlines() for x in ("once", "killed"))
    assert [line for line in again if "continuing" not in line] == once
    assert len(once) == len(set(once)) == 4
    assert again.count("continuing at 0.1 kimg") == 1


def test_a_damaged_checkpoint_is_named_and_the_one_before_continued(tmp_path):
    run, shown = begin(tmp_path, False)
    for number in (1000, 2000):
        shown.assign(number)
        run.save()
    run.close()
    (tmp_path / "checkpoints" / "ckpt-2000" / "state.index").write_bytes(b"")
    run, shown = begin(tmp_path)
    run.close()
    assert int(shown) == 1000
    assert (tmp_path / "log.txt").read_text() == (
        "checkpoint 2000 is damaged (state.index is not as it was written); continuing from "
        "checkpoint 1000\ncontinuing at 1.0 kimg\n"
    )


def test_a_run_that_made_progress_never_begins_anew_by_itself(tmp_path):
    run, _ = begin(tmp_path, False)
    run.log("tick 1")
    run.close()
    begin(tmp_path)[0].close()  # from the checkpoint of its beginning
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(UserError, match=r"^--resume .*log.txt shows that this run had begun, and"):
        begin(tmp_path)
    (tmp_path / "log.txt").unlink()
    begin(tmp_path)[0].close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, program.Terminated)],
)
def test_a_signal_saves_and_ends(tmp_path, number, kind):
    before = {x: signal.getsignal(x) for x in (signal.SIGINT, signal.SIGTERM)}
    run, shown = begin(tmp_path, False)
    signal.raise_signal(number)
    shown.assign(700)
    with pytest.raises(KeyboardInterrupt) as stop:
        run.advance()
    assert stop.type is kind
    with pytest.raises(kind):
        signal.raise_signal(number)  # at once
    for each, handler in before.items():
        signal.signal(each, handler)
    run.close()
    assert int(begin(tmp_path)[1]) == 700


def test_a_line_that_is_wanted_once(tmp_path):
    run = opened(tmp_path)
    for _ in range(2):
        run.log("a warning", once=True)
        run.log("warning")
    run.close()
    assert (tmp_path / "log.txt").read_text() == "a warning\nwarning\nwarning\n"


def test_a_full_disk_names_the_file(tmp_path):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    run = opened(tmp_path)
    with pytest.raises(UserError, match=r"^.*/log.txt: the disk is full: .* with --resume$"):
        run.log("a line")
    run.close()


def test_losses_are_averaged_over_what_was_added_since_the_last_report(monkeypatch):
    clock = iter([10.0, 14.0, 20.0, 23.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    losses = Losses(100)  # at 10
    losses.add((tf.constant(1.0), tf.constant(-2.0)))
    losses.add((tf.constant(2.0), tf.constant(-5.0)))
    means, seconds = losses.report(116)  # at 14
    np.testing.assert_array_equal(means, [1.5, -3.5])
    assert seconds == 4 / 16
    losses.restart(116)  # at 20, when the files are written
    losses.add(tf.constant(7.0))
    assert losses.report(122) == (7.0, 3 / 6)


def test_intervals_that_pass():
    assert [passed(n, n + 8, 20) for n in range(0, 48, 8)] == [0, 0, 1, 0, 1, 0]
    assert [passed(n, n + 1, 2.5) for n in range(5)] == [0, 0, 1, 0, 1]
    assert not passed(0, 10**9, float("inf"))
    assert passed(0, 8, 3)  # several at once are one


def test_precision_flag():
    assert PRECISIONS("bfloat16") == "bfloat16"
    with pytest.raises(Exception, match="found 'float16', expected float32 or bfloat16"):
        PRECISIONS("float16")


def test_a_time_is_said_in_the_largest_unit_that_it_has_two_of():
    times = {52 * 86400: "52 days", 47 * 3600: "47 hours", 7100: "118 minutes", 119: "119 seconds"}
    assert {seconds: in_words(seconds) for seconds in times} == times


def test_a_long_run_is_told_of_a_short_one():
    days = 52 * 86400.0
    said = told(days, "1 core")
    assert said == "about 52 days to go at this rate on 1 core; --preset small takes minutes"
    assert told(days, "2 cores", small=True) == "about 52 days to go at this rate on 2 cores"
    assert told(600, "1 GPU") == "about 10 minutes to go at this rate on 1 GPU"
    assert told(600, "1 GPU", "4x4; larger ones take longer") == (
        "at least 10 minutes to go at this rate on 1 GPU (4x4; larger ones take longer)"
    )


def test_the_time_left_is_said_once_without_the_first_step(tmp_path, monkeypatch, capsys):
    """10 images a second after a first step of a minute, of 10,000: 996 s after 40 and 100."""
    now = 0.0
    monkeypatch.setattr(runs.time, "monotonic", lambda: now)
    run, shown = begin(tmp_path / "run", False)
    capsys.readouterr()
    for seconds in (60, *20 * [1]):
        run.advance()
        shown.assign_add(10)
        now += seconds
    run.close()
    said = [line for line in capsys.readouterr().out.splitlines() if "to go" in line]
    assert len(said) == 1
    assert said[0].startswith("about 17 minutes to go at this rate on ")
    assert "to go" not in (tmp_path / "run" / "log.txt").read_text()
