"""Whether blurred content names the source, of images of groups that were not learned."""

import numpy as np
import pytest

from gan_fingerprints.data.audit import content as module
from gan_fingerprints.data.audit.content import Content, content
from gan_fingerprints.data.audit.looks import small
from gan_fingerprints.data.groups import numbers_of, parts_of
from tests.gan_fingerprints.data.audit.pictures import clouds


def each_its_own(smalls):
    return {source: [f"{source}/{i}" for i in range(len(x))] for source, x in smalls.items()}


def test_sources_that_show_the_same_are_not_told_apart():
    for seed in range(3):
        smalls = {name: small(clouds(150, 10 * seed + i)) for i, name in enumerate("abc")}
        one = content(smalls, each_its_own(smalls), seed)
        assert (one.images, one.groups, one.chance) == (450, 450, pytest.approx(1 / 3))
        assert abs(one.accuracy - one.chance) < 0.08
        assert one.low < one.chance < one.high
        assert one.warning() is None


def test_sources_that_show_different_things_are():
    """One of three is framed otherwise: brighter in the middle."""
    smalls = {name: small(clouds(150, i)) for i, name in enumerate("abc")}
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    bright = smalls["c"] + 60 * np.exp(-4 * (x**2 + y**2))[..., None]
    smalls["c"] = np.clip(bright, 0, 255).astype(np.uint8)
    one = content(smalls, each_its_own(smalls))
    assert 0.55 < one.accuracy < 0.75  # a and b stay mixed
    said = f"blurred content alone, 16×16 pixels, names the source of {100 * one.accuracy:.1f} % of"
    assert one.warning().startswith(said)
    assert "chance 33.3 %: the sources show different things" in one.warning()
    assert "only as far as it is above that" in one.warning()


def test_latents_that_come_again_and_again_tell_nothing():
    """Two GANs of ten latents in 20 snapshots each: learned by heart, but only what was seen."""
    smalls, latents = {}, {}
    for i, name in enumerate("ab"):
        ten = np.repeat(clouds(10, i), 20, axis=0)
        again = ten + np.random.default_rng(i).normal(0, 5, ten.shape)
        smalls[name] = small(np.clip(again, 0, 255).astype(np.uint8))
        latents[name] = [f"{name} {latent}" for latent in range(10) for _ in range(20)]
    careless = content(smalls, each_its_own(smalls))
    assert careless.accuracy > 0.98
    assert careless.warning()
    by_latent = content(smalls, latents)
    assert by_latent.groups == 20
    assert by_latent.low < 0.5
    assert by_latent.warning() is None
    assert by_latent.high - by_latent.low > 4 * (careless.high - careless.low)


def test_held_out_answers_are_those_of_machines_trained_without():
    rng = np.random.default_rng(0)
    pixels = np.concatenate([rng.normal(shift, 1, (30, 12)) for shift in (0, 0.4, 0.8)])
    truth = np.repeat(np.arange(3), 30)
    named = [f"{i // 3}" for i in range(90)]
    right, numbers = module._held_out(pixels, truth, named)
    kernel, wanted = module._kernel(pixels), np.eye(3)[truth] - 1 / 3
    counts = np.zeros((30, 3), int)
    np.add.at(counts, (numbers, truth), 1)
    folds = parts_of(counts, numbers_of(named)[1], [0.2] * 5)[numbers]
    assert set(folds) == set(range(5))
    for fold in range(5):
        out, known = folds == fold, folds != fold
        ridge = kernel[np.ix_(known, known)] + module.RIDGE * np.eye(known.sum())
        answers = kernel[np.ix_(out, known)] @ np.linalg.solve(ridge, wanted[known])
        np.testing.assert_array_equal(right[out], answers.argmax(axis=1) == truth[out])
    assert 0.3 < right.mean() < 0.9


def test_the_kernel_is_a_gaussian_as_wide_as_the_median():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8), np.uint8)
    distances = ((pixels[:, None].astype(float) - pixels) ** 2).sum(axis=2)
    expected = np.exp(-distances / np.median(distances))
    np.testing.assert_allclose(module._kernel(pixels), expected, rtol=1e-4)
    assert np.isfinite(module._kernel(np.zeros((5, 8), np.uint8))).all()


def test_few_images_or_groups_say_nothing():
    smalls = {"a": small(clouds(9, 0)), "b": small(clouds(50, 1))}
    assert content(smalls, each_its_own(smalls)) is None
    smalls = {"a": small(clouds(20, 0)), "b": small(clouds(50, 1))}
    assert content(smalls, each_its_own(smalls)).images == 40
    assert content(smalls, {"a": ["z"] * 20, "b": ["z"] * 50}) is None
    two = {"a": ["y", "z"] * 10, "b": ["y", "z"] * 25}
    assert content(smalls, two).groups == 2


def test_many_images_are_enough_of_each(monkeypatch):
    monkeypatch.setattr(module, "MOST", 60)
    smalls = {name: small(clouds(50, i)) for i, name in enumerate("ab")}
    assert content(smalls, each_its_own(smalls)).images == 60
    assert content(smalls, each_its_own(smalls)) == content(smalls, each_its_own(smalls))


def test_warned_is_from_5_points_surely_above_chance():
    one = Content(0.4, 0.3, 0.5, 0.25, 0.2, 500, 50)
    assert one.warning() is None
    assert "40.0 % of images [30.0, 50.0], chance 20.0 %" in one._replace(surely=0.251).warning()


def test_real_and_generated_faces_differ_in_content(reference):
    import re

    from gan_fingerprints import images

    smalls, latents = {}, {}
    for source in ("gan64/mmdgan", "gan64/dcgan"):
        paths = sorted(reference(source, "data").glob("*.png"))[::3]
        smalls[source] = np.concatenate([small(images.read_image(x)[None]) for x in paths])
        latents[source] = [re.search(r"z\d+", x.name)[0] for x in paths]
    careless, by_latent = content(smalls, each_its_own(smalls)), content(smalls, latents)
    assert careless.accuracy > 0.95
    assert by_latent.accuracy < careless.accuracy - 0.1
