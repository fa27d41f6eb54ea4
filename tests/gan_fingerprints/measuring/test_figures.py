"""Numbers of a condition, from rows that were made by hand."""

import csv
import io

import numpy as np
import pytest

from gan_fingerprints import likelihood
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.degradations import DEGRADATIONS
from gan_fingerprints.measuring import page
from gan_fingerprints.measuring.figures import Shown, interval_of_cllr, of_condition
from gan_fingerprints.measuring.plots import ece_png, tippett_png
from gan_fingerprints.perturbations import NAMES, Perturbation, compress

SOURCES = ("real", "a", "b")


def row(likely, verdict=None, strength=1.0, **more):
    """An image with an LR of 10^strength for one source, and 10^-strength for the others."""
    shares = {name: 0.8 if name == likely else 0.1 for name in SOURCES}
    ratios = {name: strength if name == likely else -strength for name in SOURCES}
    return Attribution(None, verdict or likely, shares, **{"log10_lr": ratios, **more})


UNCLEAR = row("real", "inconclusive")
KNOWN = Shown(
    [
        row("real"),
        row("a"),
        row("a", strength=3.5),
        row("b", "unknown"),
        row("real", "inconclusive"),
    ],
    ["real", "a", "b", "b", "a"],
)


def test_verdicts_are_counted():
    found = of_condition(KNOWN, None)
    assert found["images"] == 5
    shares = {name: found[name][0] for name in page.SHARES}
    assert shares == {
        "accuracy": 0.6, "named": 0.6, "named_wrongly": 0.2,
        "named_wrongly_with_strong_support": 0.2, "unknown": 0.2, "inconclusive": 0.2,
        "unfit": 0.0, "with_ratios": 1.0, "generated_called_photographs": 0.0,
        "photographs_called_generated": 0.0,
    }  # fmt: skip
    mistaken = Shown([row("a"), row("real")], ["real", "b"])
    found = of_condition(mistaken, None)
    assert found["generated_called_photographs"][0] == 1
    assert found["photographs_called_generated"][0] == 1


def test_costs_are_those_of_all_pairs():
    found = of_condition(KNOWN, None)
    same = np.array([1, 1, -3.5, 1, -1.0])
    other = np.array([-1, -1, -1, -1, 3.5, -3.5, -1, -1, 1, -1.0])
    assert found["cllr"][0] == pytest.approx(likelihood.cllr(same, other))
    assert found["cllr_min"] == pytest.approx(likelihood.cllr_min(same, other))
    assert found["calibration_loss"] == pytest.approx(found["cllr"][0] - found["cllr_min"])
    assert (found["misleading_same"], found["misleading_other"]) == (0.4, 0.2)
    assert (found["highest_misleading"], found["lowest_misleading"]) == (3.5, -3.5)


def test_without_ratios_there_are_no_costs():
    found = of_condition(Shown([row("a", log10_lr=None)], ["a"]), None)
    assert found["accuracy"][0] == 1
    assert found["cllr"] is found["misleading_other"] is found["opinions"] is None


def test_the_interval_of_the_cost_is_wider_by_group():
    rng = np.random.default_rng(0)
    truth = ["a"] * 100 + ["b"] * 100
    groups = [f"{name}{i // 20}" for i, name in enumerate(truth)]
    of_group = {group: rng.normal(1, 1) for group in set(groups)}
    rows = [row(x, strength=of_group[g]) for x, g in zip(truth, groups, strict=True)]
    alone, grouped = (Shown(rows, truth, x) for x in (None, groups))
    cost = likelihood.cllr(*alone.ratios)
    widths = []
    for shown in (alone, grouped):
        low, high = interval_of_cllr(shown)
        assert low < cost < high
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]
    assert interval_of_cllr(Shown(rows, truth, ["one"] * 200)) == []


def test_sources_outside():
    known = Shown([row("a", log10_outside=1.0)] * 3, ["a"] * 3)
    outside = Shown(
        [row("a", log10_outside=0.5), row("real", strength=3.5, log10_outside=-1.0),
         row("b", "unknown", log10_outside=-2.0), row("b", "unknown", log10_outside=-2.0)],
        ["x"] * 4,
    )  # fmt: skip
    found = of_condition(known, outside)["outside"]
    shares = {name: found[name][0] for name in list(page.OUTSIDE)[:5]}
    assert shares == {
        "unknown": 0.5, "named": 0.5, "named_a_generator": 0.25, "named_photographs": 0.25,
        "named_with_strong_support": 0.25,
    }  # fmt: skip
    assert found["verdicts"] == {"unknown": 2, "a": 1, "real": 1}
    expected = likelihood.cllr(np.ones(3), np.array([0.5, -1, -2, -2]))
    assert found["cllr"] == pytest.approx(expected)
    assert found["misleading_other"] == 0.25


def test_opinions_alone_and_together():
    def with_opinions(likely, first):
        said = {name: 0.9 if name == first else 0.05 for name in SOURCES}
        return row(likely, opinions={"convolutions": said})

    shown = Shown([with_opinions("a", "b"), with_opinions("b", "b")], ["a", "b"])
    found = of_condition(shown, None)["opinions"]
    assert found["convolutions"]["accuracy"][0] == 0.5
    assert found["together"]["accuracy"][0] == 1
    assert found["together"]["cllr_min"] == 0 < found["convolutions"]["cllr_min"]


def test_a_table_has_numbers_and_names_that_do_nothing():
    found = {"name": "=x", "about": "", "quality": 75, **of_condition(KNOWN, KNOWN)}
    (line,) = csv.DictReader(io.StringIO(page.csv_of([found]).decode()))
    assert line["name"] == "'=x"
    assert float(line["accuracy"]) == 0.6
    assert float(line["lowest_misleading"]) == -3.5
    assert float(line["cllr_low"]) < float(line["cllr"]) < float(line["cllr_high"])
    assert float(line["outside.unknown"]) == 0.2


def test_plots_are_pictures():
    for draw in (tippett_png, ece_png):
        assert draw(*KNOWN.ratios).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_degradation_is_the_same_each_time_and_does_something(name):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (5, 40, 48, 3), np.uint8)
    one = DEGRADATIONS[name]
    made = [one.apply(image, f"x/{i}.png") for i, image in enumerate(images)]
    for i, image in enumerate(images):
        np.testing.assert_array_equal(one.apply(image, f"x/{i}.png"), made[i])
    assert any(not np.array_equal(x, y) for x, y in zip(images, made, strict=True))
    if one.scale != 1 and one.quality is None:
        assert made[0].shape[:2] == (round(40 * one.scale), round(48 * one.scale))


def test_degradations_are_what_they_say():
    image = np.random.default_rng(2).integers(0, 256, (40, 48, 3), np.uint8)
    found = DEGRADATIONS["jpeg75"].apply(image, "a")
    np.testing.assert_array_equal(found, compress(image, 75))
    for name in NAMES:
        expected = Perturbation(name)(image, "a")[0]
        np.testing.assert_array_equal(DEGRADATIONS[name].apply(image, "a"), expected)
    cut = DEGRADATIONS["screenshot"].apply(image, "a").shape
    assert 43 <= cut[0] <= 50
    assert 53 <= cut[1] <= 60
