"""Likelihood ratios fitted on images that were drawn from known distributions."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from gan_fingerprints import likelihood
from gan_fingerprints.likelihoods.fitted import Fitted, Likelihoods, fitted

SOURCES = 3


def drawn(images, seed, times=1.0, apart=2.0):
    """Logits [N, 3] that are log densities of normal features, times a factor, and the labels.

    Features are normal around `apart` times the unit vector of the source.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(SOURCES, size=images)
    features = rng.normal(apart * np.eye(SOURCES)[labels], 1)
    return times * apart * features, labels


def costs(found, logits, labels):
    own = np.arange(SOURCES) == labels[:, None]
    ratios = found.of_sources(logits)
    both = ratios[own], ratios[~own]
    return likelihood.cllr(*both), likelihood.cllr_min(*both)


def true_ratios(logits):
    """log10 LR of each source against a mixture of the others, by Bayes' rule."""
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.log10((SOURCES - 1) * shares / (1 - shares))


def test_ratios_are_the_true_ones_whatever_the_logits_were_multiplied_by():
    logits, labels = drawn(6000, 1)
    new, _ = drawn(200, 2)
    found = fitted(logits, labels)
    expected = np.clip(true_ratios(new), found.others.low, found.others.high)
    np.testing.assert_allclose(found.of_sources(new), expected, atol=0.12)
    sure = fitted(5 * logits, labels)
    np.testing.assert_allclose(sure.of_sources(5 * new), found.of_sources(new), atol=0.3)


def test_new_images_lose_little_by_calibration():
    found = fitted(*drawn(600, 3, times=4.0))
    cost, least = costs(found, *drawn(4000, 4, times=4.0))
    assert cost - least < 0.03
    assert cost < 0.5


def test_no_ratio_is_beyond_what_the_images_support():
    logits, labels = drawn(300, 5, apart=30.0)  # nothing is ever confused
    found = fitted(logits, labels)
    assert 2 < found.others.high <= np.log10(301) + 0.01
    assert found.of_sources(logits).max() == found.others.high
    groups = np.arange(300) // 10  # 30 of them
    in_groups = fitted(logits, labels, groups)
    assert in_groups.others.high == pytest.approx(np.log10(31), abs=0.03)
    assert in_groups.others.low == pytest.approx(-np.log10(31), abs=0.03)
    assert in_groups.others.groups == 30


def test_images_that_a_group_shares_do_not_judge_themselves():
    # A group's images are of one place; only by group the source cannot be told.
    rng = np.random.default_rng(6)
    labels, groups = np.repeat(np.arange(30) % SOURCES, 20), np.repeat(np.arange(30), 20)
    logits = rng.normal(0, 3, (30, SOURCES))[groups] + rng.normal(0, 0.1, (600, SOURCES))
    found = fitted(logits, labels, groups)
    assert found.others.high < 1


def test_outside_is_of_the_score():
    rng = np.random.default_rng(7)
    logits, labels = drawn(2000, 8)
    known, outside = rng.normal(1, 1, 2000), rng.normal(-1, 1, 1600)
    assert fitted(logits, labels).of_outside(known) is None
    found = fitted(logits, labels, None, known, outside)
    values = found.of_outside(np.array([-0.5, 0.0, 0.5]))
    np.testing.assert_allclose(values, 2 * np.array([-0.5, 0, 0.5]) / np.log(10), atol=0.1)
    assert found.outside.groups == 1600


class TestPools:
    def test_are_more_telling_than_an_image_but_no_product(self):
        logits, labels = drawn(600, 9, apart=1.0)
        found = fitted(logits, labels)
        assert list(found.pools) == [2, 5, 10, 20]
        rng = np.random.default_rng(10)
        for size, one in found.pools.items():
            own = rng.permutation(np.flatnonzero(labels == 0))[:size]
            mean = logits[own].mean(axis=0, keepdims=True)
            pooled = found.of_sources(mean, size)
            # Independent images: the sum of their log LRs, of which `b` makes up for the mean.
            assert size / 3 < one.b < 2 * size
            assert pooled.max() <= one.high <= np.log10(600 / size + 1) + 0.02
            assert one.groups <= 600 / size

    def test_of_other_sizes_take_the_next_smaller(self):
        made = {n: Fitted(0.0, float(n), -2.0, 2.0, 99, 99, 99) for n in (2, 5)}
        found = Likelihoods(Fitted(0.0, 1.0, -2.0, 2.0, 99, 99, 99), None, made)
        logits = np.array([[0.1, 0.0]])
        for images, used in ((1, 1), (2, 2), (4, 2), (5, 5), (1000, 5)):
            value = found.of_sources(logits, images)[0, 0]
            assert value == pytest.approx(used * 0.1 / np.log(10)), images

    def test_are_not_made_of_few_images(self):
        assert fitted(*drawn(40, 11)).pools.keys() <= {2, 5}
        assert not fitted(*drawn(12, 12)).pools


@pytest.fixture(scope="module")
def made():
    logits, labels = drawn(300, 13)
    rng = np.random.default_rng(14)
    return fitted(logits, labels, None, rng.normal(1, 1, 300), rng.normal(-1, 1, 300))


def test_a_header_says_it_all(made):
    assert Likelihoods.read(made.header()) == made
    plain = replace(made, outside=None, pools={})
    assert Likelihoods.read(plain.header()) == plain


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("others", "a"), "x"), (("others", "a"), True), (("others", "a"), 1e7),
        (("others", "b"), -0.1), (("others", "b"), 2000.0), (("others", "low"), 0.5),
        (("others", "high"), 9.0), (("others", "high"), -0.5), (("others", "low"), -9.0),
        (("others", "groups"), 10**6), (("others", "groups"), 0), (("others", "same"), 2.0),
        (("others",), None), (("outside",), []), (("outside", "high"), 3.0),
        (("pools",), {}), (("pools", 0), 3), (("pools", 0, "size"), 1),
        (("pools", 1, "size"), 2), (("pools", 0, "size"), True), (("pools", 0, "more"), 1),
        (("more",), 1), (("others", "more"), 1),
    ],
)  # fmt: skip
def test_what_no_images_support_is_refused(made, place, value):
    said = copy.deepcopy(made.header())
    holder = said
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with pytest.raises(ValueError, match=r"expected|more or less|no list"):
        Likelihoods.read(said)


def test_it_says_what_it_has(made):
    assert "from 300 cases in 300 groups" in made.describe()
    assert "of pools of 2, 5, 10, 20" in made.describe()
