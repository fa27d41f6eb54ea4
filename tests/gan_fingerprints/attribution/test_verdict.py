"""Verdicts at their borders, with their reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_fingerprints.attribution import verdict
from gan_fingerprints.attribution.verdict import Attribution, Rules, against_size, verdict_of
from gan_fingerprints.calibration import Calibration, Centres

RULES = Rules(least_probability=0.75, least_size=0.5)
SCALE = Calibration(1.0, "energy", 2.0, 0.05, Centres(np.zeros([2, 1]), np.ones(1)), "sum")
LARGE = (100, 100)


def row(probability, score=None, error=None):
    probabilities = {"real": 1 - probability, "gan": probability}
    return Attribution(Path("a.png"), "gan", probabilities, error, score)


def judged(row, size, side, rules, scale=None, least_side=None):
    row = replace(row, unfit=against_size(size, side, rules, least_side))
    return verdict_of(row, rules, scale)


@pytest.mark.parametrize(
    ("probability", "name"),
    [(1.0, "gan"), (0.75, "gan"), (np.nextafter(0.75, 0), "inconclusive"), (0.25, "real")],
)
def test_a_source_is_named_from_the_least_probability_on(probability, name):
    assert judged(row(probability), LARGE, 32, RULES)[0] == name


@pytest.mark.parametrize(
    ("score", "name"), [(2.0, "gan"), (np.nextafter(2.0, 0), "unknown"), (-9.0, "unknown")]
)
def test_an_image_is_unknown_below_the_threshold(score, name):
    assert judged(row(0.9, score), LARGE, 32, RULES, SCALE)[0] == name


@pytest.mark.parametrize(
    ("size", "name"),
    [((16, 16), "gan"), ((16, 500), "gan"), ((15, 500), "inconclusive"),
     ((500, 15), "inconclusive")],
)  # fmt: skip
def test_an_image_is_inconclusive_when_it_is_too_small(size, name):
    assert judged(row(0.9), size, 32, RULES)[0] == name


def test_too_small_comes_before_unknown_and_unknown_before_improbable():
    assert judged(row(0.5, 0.0), (4, 4), 32, RULES, SCALE)[1].startswith("its shorter side")
    assert judged(row(0.5, 0.0), LARGE, 32, RULES, SCALE)[0] == "unknown"
    assert judged(row(0.5, 3.0), LARGE, 32, RULES, SCALE)[0] == "inconclusive"


def test_reasons_say_the_numbers():
    small = judged(row(0.9), (15, 20), 32, RULES)
    assert small[1] == "its shorter side has 15 pixels, less than 0.5 of the network's 32"
    unsure = judged(row(0.7), LARGE, 32, RULES)
    assert unsure[1] == "its most probable source, gan, has probability 0.7, less than 0.75"
    unknown = judged(row(0.9, 1.25), LARGE, 32, RULES, SCALE)
    assert unknown[1] == ("its score (energy 1.25) is below the threshold 2: it is like none "
                              "of the sources the model knows")  # fmt: skip
    named = judged(row(0.9, 2.5), LARGE, 32, RULES, SCALE)
    assert named[1] == ("the most probable of the 2 sources the model knows; its score "
                            "(energy 2.5) is not below the threshold 2")  # fmt: skip
    assert judged(row(0.9, error="no image"), LARGE, 32, RULES) == (None, "no image")


def test_photographs_are_never_more_than_like_those_of_a_source():
    photo = Attribution(None, "a", {"CelebA_real_data": 0.95, "gan": 0.05})
    assert judged(photo, LARGE, 32, RULES) == (
        "CelebA_real_data",
        "like the photographs it was trained on (CelebA_real_data), the most probable of the 2 "
        "sources the model knows",
    )


def test_numbers_are_written_so_that_they_differ():
    assert verdict.apart(0.7499996, 0.75) == ("0.7499996", "0.75")
    assert verdict.apart(0.5, 0.75) == ("0.5", "0.75")
    assert verdict.apart(2.0, 2.0) == ("2", "2")


def test_far_larger_images_than_a_network_of_one_size():
    for size, name in (((128, 500), "gan"), ((129, 129), "inconclusive"), ((500, 500), "gan")):
        least = 32 if size == (500, 500) else None  # seen in tiles
        assert judged(row(0.9), size, 32, RULES, least_side=least)[0] == name
    reason = judged(row(0.9), (300, 200), 32, RULES)[1]
    assert reason == (
        "its shorter side has 200 pixels, more than 4 times the network's 32: shrinking it blurs "
        "fingerprints away"
    )
    few = judged(row(0.9), (31, 200), 64, RULES, least_side=32)
    assert few == (
        "inconclusive", "its shorter side has 31 pixels, less than the 32 that the network needs"
    )  # fmt: skip


def test_what_is_unfit_gets_no_name():
    strange = replace(row(0.9, 9.0), unfit="its brightness is 300")
    assert verdict_of(strange, RULES, SCALE) == ("inconclusive", "its brightness is 300")


def opinions(first, second):
    return {
        "convolutions": {"real": 1 - first, "gan": first},
        "descriptors": {"real": 1 - second, "gan": second},
    }


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [(0.99, 0.9, "gan"), (0.99, 0.3, "gan"), (0.99, 0.2, "inconclusive"), (0.79, 0.1, "gan"),
     (0.05, 0.85, "inconclusive")],
)  # fmt: skip
def test_opinions_that_contradict_each_other_are_no_verdict(first, second, name):
    one = replace(row(0.95, 3.0), opinions=opinions(first, second))
    found, reason = judged(one, LARGE, 32, RULES, SCALE)
    assert found == name
    assert ("contradict each other: convolutions say" in reason) == (name == "inconclusive")
    # What is like no source is not contradicted; an enrolled source has no opinions of its own.
    assert judged(replace(one, score=0.0), LARGE, 32, RULES, SCALE)[0] == "unknown"
    assert judged(replace(one, enrolled=9), LARGE, 32, RULES, SCALE)[0] == "gan"
    assert judged(one, LARGE, 32, Rules.none(), SCALE)[0] == "gan"


def test_mixed_comes_first_and_unstable_last():
    one = replace(row(0.95, 3.0), mixed=("real", "gan"), turned_by="shift", stable=False)
    assert verdict_of(replace(one, unfit="its blocks"), RULES, SCALE)[0] == "mixed"
    assert verdict_of(replace(one, score=0.0), RULES, SCALE)[0] == "mixed"
    assert verdict_of(replace(one, error="cut"), RULES, SCALE)[0] is None
    name, reason = verdict_of(replace(one, mixed=()), RULES, SCALE)
    assert name == "inconclusive"
    assert reason.startswith("its most probable source, gan, does not survive a shift of the crop")
    assert verdict_of(replace(one, mixed=(), score=0.0), RULES, SCALE)[0] == "unknown"
