"""Fréchet distances against closed forms, maps, and features of files."""

import contextlib
import re
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import linalg

from classifier import feature_spaces
from gan_fingerprints.program import UserError


def exact(rng, mean, covariance, number):
    """Samples whose own mean and covariance are exactly those asked for."""
    x = rng.normal(size=(number, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def distance_of(a, b):
    """Of two sets of features."""
    return feature_spaces.frechet_distance(*map(feature_spaces.Gaussian.of, (a, b)))


def test_against_the_closed_form():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(2, 5))
    roots = rng.normal(size=(2, 5, 5))
    covariances = [root @ root.T + 0.1 * np.eye(5) for root in roots]
    a, b = (exact(rng, means[i], covariances[i], 50 + 20 * i) for i in range(2))
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert distance_of(a, b) == pytest.approx(expected, rel=1e-9)


def test_of_one_dimension():
    """(μ₁ - μ₂)² + (σ₁ - σ₂)²."""
    a, b = np.array([[1.0], [3.0]]), np.array([[10.0], [14.0], [12.0]])
    expected = 10.0**2 + (np.sqrt(2) - 2) ** 2
    assert distance_of(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("number", [20, 200])
def test_equal_sets_are_at_no_distance(number):
    x = np.random.default_rng(1).normal(size=(number, 64)) * 10
    assert abs(distance_of(x, x[::-1].copy())) < 1e-6


def test_ratio_is_one_for_one_source_and_large_for_different_ones():
    rng = np.random.default_rng(2)
    same = {name: rng.normal(size=(400, 8)) for name in "abc"}
    found = feature_spaces.fd_ratio(same)
    assert found.images == 200
    assert 0.7 < found.ratio < 1.4
    apart = {name: rng.normal(size=(300, 8)) + 3 * i for i, name in enumerate("abc")}
    found = feature_spaces.fd_ratio(apart)
    assert found.between == pytest.approx(8 * (9 + 9 + 36) / 3, rel=0.1)
    assert found.ratio > 100
    assert found.ratio == pytest.approx(found.between / found.within)


def test_ratio_lists_the_distances_that_it_is_made_of():
    rng = np.random.default_rng(4)
    sources = {name: rng.normal(size=(60 + i, 4)) + 2 * i for i, name in enumerate("abc")}
    found = feature_spaces.fd_ratio(sources, seed=7)
    assert set(found.distances) == {(x, y) for x in "abc" for y in "abc" if x <= y}
    order, halves = np.random.default_rng(7), {}
    for name, x in sources.items():
        chosen = order.permutation(len(x))[:60]
        halves[name] = x[chosen[:30]], x[chosen[30:]]
    for (one, other), distance in found.distances.items():
        pair = halves[one][0], halves[other][int(one == other)]
        assert distance == pytest.approx(distance_of(*pair), rel=1e-9)
    within = [found.distances[x, x] for x in "abc"]
    assert found.within == pytest.approx(np.mean(within))
    assert found.between == pytest.approx((sum(found.distances.values()) - sum(within)) / 3)


def test_bad_features():
    with pytest.raises(ValueError, match="1 sources"):
        feature_spaces.fd_ratio({"a": np.zeros((9, 2))})


@pytest.mark.slow
def test_map_keeps_sources_together(tmp_path):
    rng = np.random.default_rng(3)
    features = {name: rng.normal(size=(40, 16)) + 8 * i for i, name in enumerate(("real", "gan"))}
    places = feature_spaces.map_of(np.concatenate(list(features.values())))
    centres = places[:40].mean(axis=0), places[40:].mean(axis=0)
    nearest = np.linalg.norm(places[:, None] - np.array(centres), axis=2).argmin(axis=1)
    assert (nearest == np.repeat([0, 1], 40)).all()
    feature_spaces.write_map(tmp_path / "map.png", features)
    assert Image.open(tmp_path / "map.png").size == (840, 660)
    feature_spaces.write_map(tmp_path / "map.pdf", features)
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")


def points_of(path):
    """How often a PDF draws each colour's markers; colours in 8 bits."""
    counts = Counter()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", path.read_bytes(), re.DOTALL):
        with contextlib.suppress(zlib.error):
            words = zlib.decompress(stream).decode("latin1").split()
            for i, word in enumerate(words):
                if word == "RG":
                    colour = tuple(round(255 * float(x)) for x in words[i - 3 : i])
                if word == "Do" and words[i - 1].startswith("/M"):
                    counts[colour] += 1
    return counts


def test_map_has_a_point_for_each_image_in_the_colour_of_its_source(tmp_path):
    rng = np.random.default_rng(5)
    features = {name: rng.normal(size=(12 + i, 8)) for i, name in enumerate("abc")}
    feature_spaces.write_map(tmp_path / "map.pdf", features)
    blue, orange, green = (31, 119, 180), (255, 127, 14), (44, 160, 44)
    assert points_of(tmp_path / "map.pdf") == {blue: 12, orange: 13, green: 14}


def means_and_spreads(pixels):
    assert pixels.shape == (4, 16, 16, 3)
    assert pixels.dtype == np.float32
    return np.concatenate([pixels.mean(axis=(1, 2)), pixels.std(axis=(1, 2))], axis=1)


def test_features_of_files_in_their_order(tmp_path, photo_crops):
    paths = sorted(photo_crops(tmp_path, 10, 32).iterdir())
    paths[6].write_text("no image")
    found = list(feature_spaces.extract(means_and_spreads, paths, 16, 4))
    assert [path for path, _ in found] == paths
    assert "found something else than a PNG" in found[6][1]
    for path, features in found[:6] + found[7:]:
        small = np.asarray(Image.open(path).resize((16, 16), Image.Resampling.LANCZOS)) / 127.5 - 1
        expected = np.concatenate([small.mean(axis=(0, 1)), small.std(axis=(0, 1))])
        np.testing.assert_allclose(features, expected, atol=1e-5)
    for path in paths:
        path.write_text("no image")
    found = [answer for _, answer in feature_spaces.extract(means_and_spreads, paths, 16, 4)]
    assert all(isinstance(answer, str) for answer in found)


def test_features_that_are_no_numbers(tmp_path, photo_crops):
    paths = sorted(photo_crops(tmp_path, 2, 16).iterdir())
    with pytest.raises(UserError, match="NaN"):
        list(feature_spaces.extract(lambda x: np.full([len(x), 2], np.nan), paths, 16, 4))
