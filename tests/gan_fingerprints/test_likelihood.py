"""Likelihood ratios against the package of the Netherlands Forensic Institute and closed forms."""

import lir.metrics
import numpy as np
import pytest
from lir.algorithms.bayeserror import elub as elub_of_lir
from lir.algorithms.isotonic_regression import IsotonicCalibrator
from lir.data.models import LLRData
from lir.plotting.expected_calibration_error import calculate_ece
from sklearn.linear_model import LogisticRegression

from gan_fingerprints import likelihood

CASES = {
    # name → seed, cases on either side, distance of their means in standard deviations
    "alike": (0, 200, 700, 0.5),
    "apart": (1, 500, 2000, 3.0),
    "few": (2, 7, 9, 1.0),
    "reversed": (3, 100, 100, -1.0),
    "separable": (4, 120, 480, 12.0),
}


def of_case(name):
    """log10 LRs of two normal distributions, the true ones for the distance given."""
    seed, n, m, distance = CASES[name]
    rng = np.random.default_rng(seed)
    same, other = rng.normal(distance / 2, 1, n), rng.normal(-distance / 2, 1, m)
    return abs(distance) * same / likelihood.LN10, abs(distance) * other / likelihood.LN10


def together(same, other):
    return np.concatenate([same, other]), np.repeat([1, 0], [len(same), len(other)])


@pytest.mark.parametrize("name", CASES)
class TestOracle:
    def test_costs(self, name):
        same, other = of_case(name)
        values, truth = together(same, other)
        data = LLRData(features=values, labels=truth)
        assert likelihood.cllr(same, other) == pytest.approx(lir.metrics.cllr(data), abs=1e-9)
        expected = lir.metrics.cllr_min(data)
        assert likelihood.cllr_min(same, other) == pytest.approx(expected, abs=1e-9)

    def test_pav(self, name):
        same, other = of_case(name)
        expected = IsotonicCalibrator().fit_transform(*together(same, other))
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(np.concatenate(likelihood.pav(same, other)), expected,
                                       atol=1e-9)  # fmt: skip

    @pytest.mark.parametrize("added", [1, 3])
    def test_bounds(self, name, added):
        same, other = of_case(name)
        expected = elub_of_lir(*together(same, other), add_misleading=added)
        found = likelihood.elub(same, other, (added, added))
        assert found == pytest.approx(expected, abs=1e-6)

    def test_cross_entropy(self, name):
        same, other = of_case(name)
        at = np.linspace(-3, 3, 13)
        values, truth = together(same, other)
        expected = calculate_ece(10**values, truth, 1 / (1 + 10**-at))
        np.testing.assert_allclose(likelihood.ece(same, other, at), expected, atol=1e-9)


def test_true_ratios_are_calibrated_and_shifted_ones_are_not():
    rng = np.random.default_rng(5)
    # Normal with means ±1 and deviation 1: the log LR of x is 2x.
    same, other = (2 * rng.normal(m, 1, 20000) / likelihood.LN10 for m in (1, -1))
    loss = likelihood.cllr(same, other) - likelihood.cllr_min(same, other)
    assert 0 < loss < 0.004
    shifted = likelihood.cllr(same + 1, other + 1) - likelihood.cllr_min(same + 1, other + 1)
    assert shifted > 0.2


def test_infinite_ratios_cost_nothing_where_right_and_all_where_wrong():
    sure, neutral = np.array([np.inf, np.inf]), np.zeros(3)
    assert likelihood.cllr(sure, -sure) == 0
    assert likelihood.cllr(neutral, neutral) == pytest.approx(1, abs=1e-12)
    assert likelihood.cllr(-sure, -sure) == np.inf
    assert likelihood.cllr_min(sure, -sure) == 0


def test_rates():
    same, other = np.array([-1.0, 0.0, 2.0, 3.0]), np.array([-2.0, -1.0, 0.0, 0.5, 0.7])
    assert likelihood.misleading(same, other) == (0.25, 0.4)
    above, false = likelihood.tippett(same, other, np.array([-5.0, 0.0, 0.6, 9.0]))
    np.testing.assert_allclose(above, [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(false, [1, 0.4, 0.2, 0])


def test_no_more_is_supported_than_there_are_images():
    sure = np.full(100, 9.0)
    low, high = likelihood.elub(sure, -np.repeat(sure, 4))
    assert (low, high) == pytest.approx((-np.log10(101), np.log10(401)), abs=0.02)
    # Of 400 cases that are those of 100 images, an image is four.
    low, high = likelihood.elub(sure, -np.repeat(sure, 4), (1, 4))
    assert high == pytest.approx(np.log10(101), abs=0.02)


class TestFit:
    def test_normal_scores_have_the_slope_of_their_distance(self):
        rng = np.random.default_rng(6)
        a, b = likelihood.fit(rng.normal(1.5, 1, 40000), rng.normal(0.5, 1, 160000))
        # log of the densities' ratio: x - 1, of (1.5² - 0.5²) / 2 and 1.5 - 0.5
        assert (a, b) == pytest.approx((-1, 1), abs=0.02)

    def test_is_weighted_logistic_regression_with_targets_of_platt(self):
        rng = np.random.default_rng(7)
        same, other = rng.normal(2, 2, 30), rng.normal(-1, 1, 90)
        scores = np.tile(np.concatenate([same, other]), 2)
        truth = np.repeat([1, 0], 120)  # each case once as true and once as false
        shares = np.repeat([31 / 32, 1 / 92], [30, 90])
        weights = np.repeat([1 / 60, 1 / 180], [30, 90])
        both = np.concatenate([weights * shares, weights * (1 - shares)])
        oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10000)
        oracle.fit(scores[:, None], truth, 1000 * both)
        expected = oracle.intercept_[0], oracle.coef_[0, 0]
        assert likelihood.fit(same, other) == pytest.approx(expected, abs=1e-5)

    def test_scores_that_separate_give_finite_ratios(self):
        a, b = likelihood.fit(np.linspace(10, 20, 50), np.linspace(-20, -10, 200))
        assert 0 < b < 2
        # The nearest of each side are as sure as their numbers allow, not infinitely.
        assert 1 < (a + b * 10) / likelihood.LN10 < 4

    def test_scores_that_mislead_are_no_evidence(self):
        assert likelihood.fit(np.arange(0.0, 9), np.arange(5.0, 20)) == (0, 0)
        assert likelihood.fit(np.ones(5), np.ones(7)) == (0, 0)


def test_log_odds_are_those_of_the_softmax_also_where_it_is_rounded_to_one():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -5.0]])
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    found = likelihood.log_odds(logits)
    np.testing.assert_allclose(found[0], np.log(shares / (1 - shares)), rtol=1e-12)
    assert found[1, 0] == pytest.approx(1000 - np.log(1 + np.exp(-5)), abs=1e-9)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1, "no support"), (1.9, "no support"), (0.6, "no support"), (3, "weak support"),
        (10, "moderate support"), (500, "moderately strong support"), (5000, "strong support"),
        (1e5, "very strong support"), (2e6, "extremely strong support"),
        (1 / 3, "weak support for the other"), (1e-9, "extremely strong support for the other"),
    ],
)  # fmt: skip
def test_words(ratio, words):
    assert likelihood.verbal(np.log10(ratio)) == words
