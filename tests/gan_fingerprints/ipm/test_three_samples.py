"""The three-sample test: against reference numbers, its level, its power; the tested rate."""

import numpy as np
import pytest

from gan_fingerprints.ipm import three_samples
from gan_fingerprints.ipm.config import Config
from gan_fingerprints.ipm.three_samples import TestedRate


def mmd2(x, y):
    """Ten lines of NumPy: the unbiased estimator with the same kernel."""
    m = len(x)

    def within(z):
        pairs = ((z @ z.T) / z.shape[1] + 1) ** 3
        return (pairs.sum() - np.trace(pairs)) / (m * (m - 1))

    return within(x) + within(y) - 2 * np.mean(((x @ y.T) / x.shape[1] + 1) ** 3)


def compare(reference, new, old):
    sums = [three_samples.kernel_sums(reference, sample) for sample in (new, old)]
    return three_samples.relative_test(*sums)


def test_against_reference_numbers(reference):
    """The published estimate of the variance has other terms of second order: 0.3 % apart."""
    numbers = np.load(reference("gan/mmd_functions.npz"))
    X, Y, Z = (numbers[name].astype(np.float64) for name in "XYZ")
    difference, ratio = compare(X, Z, Y)
    assert difference == pytest.approx(float(numbers["np3sample/diff"]), rel=1e-6)
    assert difference == pytest.approx(mmd2(X, Z) - mmd2(X, Y), rel=1e-9)
    assert ratio == pytest.approx(float(numbers["np3sample/ratio"]), rel=3e-3)
    assert compare(X, Y, Z)[1] == pytest.approx(-ratio, rel=1e-9)


def test_probability_of_known_ratios():
    assert three_samples.probability(0.0) == 0.5
    assert three_samples.probability(-1.959964) == pytest.approx(0.025, rel=1e-5)
    assert three_samples.probability(1.959964) == pytest.approx(0.975, rel=1e-5)


def test_samples_without_variance():
    """All images alike: k(s, s) - 2 k(r, s) is exact, and the deviation no less than 1e-6."""
    real, near, far = (np.full((5, 1), value) for value in (0.0, 1.0, 2.0))
    difference, ratio = compare(real, near, far)
    assert difference == (8 - 2) - (125 - 2)
    assert ratio == pytest.approx(difference / 1e-6, rel=1e-9)


def test_variance_is_that_of_repeated_draws():
    random = np.random.RandomState(0)
    differences, estimates = [], []
    for _ in range(300):
        x, y, z = (random.randn(40, 4) + shift for shift in (0, 0.3, 0.5))
        difference, ratio = compare(x, y, z)
        differences.append(difference)
        estimates.append((difference / ratio) ** 2)
    # The spread of a variance from 300 draws is about 8 %, more for heavy tails.
    assert np.mean(estimates) == pytest.approx(np.var(differences), rel=0.35)


def test_level_on_equal_samples():
    """A p up to 0.1 comes up in about a tenth of the draws, within binomial bounds."""
    random = np.random.RandomState(1)
    draws, level = 400, 0.1
    rejected = 0
    for _ in range(draws):
        x, y, z = random.randn(3, 60, 8)
        rejected += three_samples.probability(compare(x, y, z)[1]) <= level
    bound = 3 * np.sqrt(level * (1 - level) / draws)
    assert rejected / draws < level + bound
    assert rejected / draws > level / 4  # and it does reject: the test is not idle


def test_power_on_a_better_sample():
    random = np.random.RandomState(2)
    x, new, old = (random.randn(200, 8) + shift for shift in (0, 0.1, 0.6))
    assert three_samples.probability(compare(x, new, old)[1]) < 1e-3
    assert three_samples.probability(compare(x, old, new)[1]) > 0.99


def test_the_rate_falls_after_failures_in_a_row_only():
    config = Config(model="mmd", MMD_sdlr_past_sample=4, MMD_sdlr_num_test=3)
    random = np.random.RandomState(3)
    real = random.randn(100, 8)
    rate = TestedRate(config, real)
    lines, found = [], [1e-4]
    # Four evaluations fill the memory; two get better, then nothing does.
    for shift in (2.0, 1.8, 1.6, 1.4, 1.0, 0.8, 1.6, 1.6, 1.6, 1.6):
        found.append(rate.evaluate(random.randn(100, 8) + shift, found[-1], lines.append))
    tests = [line for line in lines if line.startswith("three-sample")]
    assert len(tests) == 5  # two passed, three failed; then only three samples are kept
    assert [line.split("row ")[1][0] for line in tests] == ["0", "0", "1", "2", "3"]
    assert found == [1e-4] * 9 + [5e-5] * 2
    assert "learning rate 5e-05" in lines[-1]


def test_the_rate_has_a_floor():
    config = Config(model="mmd", MMD_sdlr_past_sample=1, MMD_sdlr_num_test=1)
    real = np.random.RandomState(0).randn(20, 4)
    rate, value = TestedRate(config, real), 1.5e-6
    for shift in (1.0, 3.0, 5.0):
        value = rate.evaluate(real + shift, value, lambda line: None)
    assert value == 1e-6
