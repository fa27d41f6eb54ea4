"""Descriptors against plain loops and symmetries; their discriminant against scikit-learn's."""

import itertools

import numpy as np
import pytest
from scipy.signal import correlate2d
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from gan_fingerprints.networks import descriptors as module
from gan_fingerprints.networks.descriptors import classes_of_triples, descriptors, length
from gan_fingerprints.networks.discriminant import Discriminant, discriminants


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(90, 110, (3, 18, 21, 3), np.uint8)


def test_classes_are_triples_up_to_mirrors():
    triples = list(itertools.product(range(-2, 3), repeat=3))

    def alike(t):
        return frozenset([t, t[::-1], tuple(-x for x in t), tuple(-x for x in t[::-1])])

    groups = {}
    for triple, number in zip(triples, classes_of_triples(), strict=True):
        groups.setdefault(number, set()).add(triple)
    assert {frozenset(group) for group in groups.values()} == {alike(t) for t in triples}
    assert len(groups) == 39


def levels_of(plane, kernel, step):
    """Residuals over the step, halves rounded away from 0, cut off at ±2."""
    left = correlate2d(plane, kernel, "valid") / step
    return np.clip(np.sign(left) * np.floor(np.abs(left) + 0.5), -2, 2).astype(int) + 2


def counts(levels, apart, ways):
    """Of the 39 classes, triple by triple."""
    height, width = levels.shape
    found = np.zeros(39)
    for (down, right), i, j in itertools.product(ways, range(height), range(width)):
        places = [(i + k * apart * down, j + k * apart * right) for k in range(3)]
        if all(0 <= y < height and 0 <= x < width for y, x in places):
            a, b, c = (levels[place] for place in places)
            found[classes_of_triples()[(a * 5 + b) * 5 + c]] += 1
    return found


def shares(*arguments):
    return counts(*arguments) / counts(*arguments).sum()


def plain(image):
    r, g, b = (image[..., i].astype(np.int64) for i in range(3))
    y = (19595 * r + 38470 * g + 7471 * b + 32768) // 65536
    cb = (-11059 * r - 21709 * g + 32768 * b + 32768) // 65536
    cr = (32768 * r - 27439 * g - 5329 * b + 32768) // 65536
    luminance = image @ [0.299, 0.587, 0.114]
    assert np.abs(y - luminance).max() < 0.501
    assert np.abs(cb - (b - luminance) / 1.772).max() < 0.501
    assert np.abs(cr - (r - luminance) / 1.402).max() < 0.501
    halved = correlate2d(y, np.ones((2, 2)), "valid") / 4
    straight, diagonal = [[(0, 1)], [(1, 0)]], [[(1, 1), (1, -1)]]
    parts = []
    for plane, steps, apart, lines in (
        (y, (2, 6), 1, straight), (y, (6,), 1, diagonal), (halved, (2,), 2, straight),
    ):  # fmt: skip
        for kernel in ([[-1, 1]], [[1, -2, 1]], [[-1, 3, -3, 1]]):
            for turned in (np.array(kernel), np.array(kernel).T):
                for step in steps:
                    levels = levels_of(plane, turned, step * (np.size(kernel) - 1))
                    parts += [shares(levels, apart, ways) for ways in lines]
    for plane in (cb, cr):
        for kernel in ([[-1, 1]], [[1, -2, 1]], [[-1, 3, -3, 1]]):
            both = np.array(kernel), np.array(kernel).T
            levels = [levels_of(plane, turned, np.size(kernel) - 1) for turned in both]
            counted = [counts(one, 1, [(0, 1), (1, 0)]) for one in levels]
            parts.append(sum(counted) / np.sum(counted))
    return np.sqrt(np.concatenate(parts))


def test_counts_are_those_of_plain_loops(noise):
    described = descriptors(noise)
    assert described.shape == (3, length()) == (3, 1872)
    assert described.dtype == np.float32
    np.testing.assert_allclose(described[1], plain(noise[1]), atol=1e-6)
    np.testing.assert_allclose(described[2], plain(noise[2]), atol=1e-6)


def test_an_image_is_described_as_in_any_company(noise, monkeypatch):
    described = descriptors(noise)
    monkeypatch.setattr(module, "PIXELS", 1)  # one by one
    np.testing.assert_array_equal(descriptors(noise), described)
    np.testing.assert_array_equal(descriptors(noise[1:2]), described[1:2])
    assert descriptors(noise[:0]).shape == (0, length())
    with pytest.raises(ValueError, match="11×21 pixels, expected 12 or more"):
        descriptors(noise[:, :11])


def test_mirrors_change_nothing_and_turns_exchange_rows_and_columns(noise):
    described = descriptors(noise).reshape(3, -1, 39)
    for mirrored in (noise[:, ::-1], noise[:, :, ::-1]):
        np.testing.assert_array_equal(descriptors(mirrored).reshape(3, -1, 39), described)
    turned = descriptors(noise.swapaxes(1, 2)).reshape(3, -1, 39)
    of_first = described[:, :4], turned[:, :4]  # differences along rows, steps 2 and 6, two lines
    of_second = described[:, 4:8], turned[:, 4:8]  # differences along columns
    for ours, other in ((of_first[0], of_second[1]), (of_second[0], of_first[1])):
        np.testing.assert_array_equal(other[:, [1, 0, 3, 2]], ours)
    assert np.abs(turned - described).max() > 0.01
    assert np.abs(descriptors(noise // 2).reshape(3, -1, 39) - described).max() > 0.1  # contrast


def test_a_plane_of_one_colour_is_all_in_the_middle():
    parts = descriptors(np.full((1, 20, 16, 3), 77, np.uint8)).reshape(-1, 39)
    middle = classes_of_triples()[2 * 25 + 2 * 5 + 2]
    np.testing.assert_array_equal(parts[:, middle], np.ones(48, np.float32))
    assert parts.sum() == 48


def test_the_discriminant_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(240) % 3)
    mixing = rng.normal(size=(30, 30))
    x = rng.normal(size=(240, 30)) @ mixing + rng.normal(size=(3, 30))[labels] + 5
    tested = rng.normal(size=(60, 30)) @ mixing + 5
    for shrinkage, ours in zip((0.1, 0.5), discriminants(x, labels, 3, (0.1, 0.5)), strict=True):
        standardised = (x - x.mean(0)) / x.std(0)
        means = np.stack([standardised[labels == i].mean(0) for i in range(3)])
        within = standardised - means[labels]
        covariance = within.T @ within / 240
        shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 30 * np.eye(30)
        machine = LinearDiscriminantAnalysis(
            solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=Given(shrunk)
        )
        machine.fit(standardised, labels)
        expected = machine.decision_function((tested - x.mean(0)) / x.std(0))
        found, features = ours.answers(tested.astype(np.float32))
        expected -= expected.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(found - found.mean(axis=1, keepdims=True), expected, atol=2e-3)
        components = PCA(whiten=True).fit(standardised)
        expected = components.transform((tested - x.mean(0)) / x.std(0)) * np.sqrt(240 / 239)
        np.testing.assert_allclose(np.abs(features), np.abs(expected), atol=2e-3)
        assert Discriminant.shapes(30, 3, 30) == {k: a.shape for k, a in ours._asdict().items()}
        assert {a.dtype for a in ours} == {np.dtype(np.float32)}


class Given:
    """A covariance for scikit-learn, which otherwise shrinks that of each class by itself."""

    def __init__(self, covariance):
        self.covariance_ = covariance

    def fit(self, x):
        return self


def test_a_feature_that_never_changes_does_no_harm():
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    x = np.concatenate([rng.normal(size=(40, 3)) + 4 * labels[:, None], np.ones((40, 2))], axis=1)
    (machine,) = discriminants(x, labels, 2, [0.1])
    logits, features = machine.answers(x)
    assert np.isfinite(features).all()
    assert np.mean(logits.argmax(1) == labels) > 0.95
