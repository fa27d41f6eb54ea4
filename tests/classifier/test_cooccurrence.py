"""Co-occurrences against plain loops and symmetries; their discriminant against scikit-learn's."""

import itertools

import numpy as np
import pytest
from scipy.signal import correlate2d
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from classifier import cooccurrence
from classifier.baseline_methods import Cooccurrence, Images
from tests.classifier.test_baseline_methods import marked


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(96, 160, (3, 12, 10, 3), np.uint8)


def test_classes_are_triples_up_to_mirrors():
    classes = cooccurrence.classes_of_triples()
    triples = list(itertools.product(range(-2, 3), repeat=3))

    def alike(t):
        return frozenset([t, t[::-1], tuple(-x for x in t), tuple(-x for x in t[::-1])])

    groups = {}
    for triple, number in zip(triples, classes, strict=True):
        groups.setdefault(number, set()).add(triple)
    assert {frozenset(group) for group in groups.values()} == {alike(t) for t in triples}
    assert len(groups) == 39


def plain(image, weights, step, kernels):
    """Shares of one group of filters on one plane, triple by triple."""
    plane = image.astype(float) @ weights
    total = np.zeros(39)
    classes = cooccurrence.classes_of_triples()
    for kernel in kernels:
        levels = np.clip(np.rint(correlate2d(plane, kernel / step, "valid")), -2, 2).astype(int) + 2
        counts = np.zeros(39)
        for grid in (levels, levels.T):
            for line in grid:
                for a, b, c in zip(line, line[1:], line[2:], strict=False):
                    counts[classes[(a * 5 + b) * 5 + c]] += 1
        total += counts / counts.sum()
    return total / len(kernels)


def test_counts_are_those_of_plain_loops(noise):
    described = cooccurrence.describe(noise)
    assert described.shape == (3, 4 * 5 * 39)
    assert described.dtype == np.float32
    luminance = np.array([0.299, 0.587, 0.114])
    weights = {
        "Y": luminance,
        "Cb": (np.array([0, 0, 1]) - luminance) / 1.772,
        "Cr": (np.array([1, 0, 0]) - luminance) / 1.402,
    }
    line = [np.array([-1, 1]), np.array([1, -2, 1]) / 2, np.array([-1, 3, -3, 1]) / 3]
    groups = [[k[None], k[:, None]] for k in line] + [[cooccurrence.SQUARE], [cooccurrence.KV]]
    expected = [
        plain(noise[1], weights[name], step, group)
        for name, step in (("Y", 1), ("Y", 2), ("Cb", 1), ("Cr", 1))
        for group in groups
    ]
    # A residual that lies on .5 but for rounding may count as its neighbour.
    np.testing.assert_allclose(described[1], np.concatenate(expected), atol=0.02)
    assert np.abs(described[1] - np.concatenate(expected)).mean() < 1e-3


def test_mirrors_and_turns_change_nothing(noise):
    described = cooccurrence.describe(noise)
    even = noise // 4 * 4  # no residual of these lies near a bound of rounding
    for changed in (even[:, ::-1], even[:, :, ::-1], even.swapaxes(1, 2)):
        other = cooccurrence.describe(np.ascontiguousarray(changed))
        np.testing.assert_allclose(other, cooccurrence.describe(even), atol=5e-3)
    assert np.abs(described - cooccurrence.describe(noise // 2)).max() > 0.1  # it sees contrast


def test_a_plane_of_one_colour_is_all_in_the_middle():
    flat = np.full((1, 9, 9, 3), 77, np.uint8)
    parts = cooccurrence.describe(flat).reshape(20, 39)
    middle = cooccurrence.classes_of_triples()[2 * 25 + 2 * 5 + 2]
    np.testing.assert_array_equal(parts[:, middle], np.ones(20, np.float32))
    assert parts.sum() == 20


def test_the_discriminant_is_that_of_scikit_learn():
    train, validation, test = marked(0, 150), marked(1, 60), marked(2, 90)
    ours = Cooccurrence()
    trials = ours.fit(train, validation)
    assert [trial.parameters["shrinkage"] for trial in trials] == [0.01, 0.03, 0.1, 0.3]

    def described(images: Images):
        x = cooccurrence.describe(images.pixels).astype(float)
        return (x - ours.mean) / ours.deviation

    for trial in trials:
        # scikit-learn shrinks each feature's variance separately unless the priors are equal.
        plain = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=trial.parameters["shrinkage"], priors=[1 / 3] * 3
        ).fit(described(train), train.labels)
        share = np.mean(plain.predict(described(validation)) == validation.labels)
        assert trial.accuracy == pytest.approx(share, abs=0.05)
    assert np.mean(ours.scores(test.pixels).argmax(1) == test.labels) > 0.8
    shuffled = Images(
        train.pixels, np.random.default_rng(3).permutation(train.labels), train.sources
    )
    ours.fit(shuffled, validation)
    assert 0.15 < np.mean(ours.scores(test.pixels).argmax(1) == test.labels) < 0.52
