"""What the attacks draw, number by number, and the light in double precision."""

import hashlib

import numpy as np
import pytest

from gan_fingerprints import perturbations
from gan_fingerprints.perturbations import Perturbation


def generator(name, key):
    digest = hashlib.sha256(f"7 {name} {key}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def drawn(name, rng, strength):
    """The publication's ranges; strength 1 is the publication's."""
    if name == "noise":
        return {"sigma": rng.uniform(5, 20) * strength, "noise_seed": int(rng.integers(2**63))}
    if name == "blur":
        size = int(rng.choice([1, 3, 5, 7, 9]))
        return {"size": size, "sigma": (0.3 * ((size - 1) / 2 - 1) + 0.8) * strength}
    if name == "cropping":
        share, left, top = rng.uniform(0.05, 0.2), rng.random(), rng.random()
        return {"share": min(share * strength, 0.9), "left": left, "top": top}
    if name == "compression":
        quality = 101 - (101 - int(rng.integers(10, 76))) * strength
        return {"quality": max(1, round(quality))}
    light = rng.standard_normal(9) * [0, 0.35, 0.35, 0.35, 0.15, 0.15, 0.15, 0.15, 0.15]
    return {"light": tuple(light.tolist()), "strength": strength}


@pytest.mark.parametrize("strength", [0.5, 1.0, 8.0])
@pytest.mark.parametrize("name", perturbations.SINGLE)
def test_parameters_of_a_seed_and_a_key(name, strength):
    attack = Perturbation(name, seed=7, strength=strength)
    for key in ("a.png", 3, 4, 5):
        expected = drawn(name, generator(name, key), strength)
        (found,) = attack.parameters(key).values()
        assert found.keys() == expected.keys()
        for role, value in expected.items():
            assert found[role] == pytest.approx(value, rel=1e-12), role


def test_noise_by_variance_number_by_number():
    rng = generator("noise", "a.png")
    expected = {"sigma": np.sqrt(rng.uniform(5, 20)) * 2, "noise_seed": int(rng.integers(2**63))}
    found = Perturbation("noise", seed=7, strength=2, noise="variance").parameters("a.png")
    assert found == {"noise": expected}


def test_a_combination_draws_what_it_takes_in_order():
    order = ("relighting", "cropping", "blur", "compression", "noise")
    for key in range(10):
        rng = generator("combination", key)
        wanted = rng.random(5) < 0.5
        expected = [(n, drawn(n, rng, 1.0)) for n, w in zip(order, wanted, strict=True) if w]
        assert list(Perturbation("combination", seed=7).parameters(key).items()) == expected


def harmonics(height, width):
    """Of the normals of a dome, pixel by pixel."""
    found = np.empty((height, width, 9))
    for i in range(height):
        for j in range(width):
            y, x = ((2 * k / (n - 1) - 1) / np.sqrt(2) for k, n in ((i, height), (j, width)))
            z = np.sqrt(max(0, 1 - x**2 - y**2))
            found[i, j] = [1, y, z, x, x * y, y * z, 3 * z**2 - 1, x * z, x**2 - y**2]
    return found


def test_spherical_harmonics_pixel_by_pixel():
    found = perturbations.spherical_harmonics(5, 8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, harmonics(5, 8), atol=1e-6)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_relighting_in_double_precision(strength):
    random = np.random.default_rng(0)
    image = (40 + 60 * random.random((12, 9, 3)) * [1, 0.6, 1.4]).astype(np.uint8)
    light = random.normal(size=9) * 0.2
    basis = harmonics(12, 9).reshape(-1, 9)
    luminance = (image @ [0.299, 0.587, 0.114]).ravel()
    old = np.linalg.pinv(basis) @ np.log(luminance + 16)
    ratio = np.exp(strength * basis @ (light - old))
    ratio *= luminance.sum() / (luminance * ratio).sum()
    expected = np.clip(image * ratio.reshape(12, 9, 1), 0, 255)
    found = perturbations.relight(image, tuple(light), strength)
    np.testing.assert_allclose(found, expected, atol=0.51)
    assert np.abs(found.astype(int) - image).max() > 5


def test_quality_100_compresses_and_more_does_not():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert not np.array_equal(perturbations.compress(image, 100), image)
    np.testing.assert_array_equal(perturbations.compress(image, 101), image)
