"""Fréchet distances against closed forms."""

import numpy as np
import pytest
from PIL import Image
from scipy import linalg

from gan_fingerprints import feature_spaces


def exact(rng, mean, covariance, number):
    """Samples whose own mean and covariance are exactly those asked for."""
    x = rng.normal(size=(number, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_against_the_closed_form():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(2, 5))
    roots = rng.normal(size=(2, 5, 5))
    covariances = [root @ root.T + 0.1 * np.eye(5) for root in roots]
    a, b = (exact(rng, means[i], covariances[i], 50 + 20 * i) for i in range(2))
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert feature_spaces.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_of_one_dimension():
    """(μ₁ - μ₂)² + (σ₁ - σ₂)²."""
    a, b = np.array([[1.0], [3.0]]), np.array([[10.0], [14.0], [12.0]])
    expected = 10.0**2 + (np.sqrt(2) - 2) ** 2
    assert feature_spaces.frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("number", [20, 200])
def test_equal_sets_are_at_no_distance(number):
    x = np.random.default_rng(1).normal(size=(number, 64)) * 10
    assert abs(feature_spaces.frechet_distance(x, x[::-1].copy())) < 1e-6


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


def test_bad_features():
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        feature_spaces.frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="1 sources"):
        feature_spaces.fd_ratio({"a": np.zeros((9, 2))})


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
