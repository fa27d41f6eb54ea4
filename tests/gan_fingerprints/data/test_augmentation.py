"""Crops and mild changes: each happens, as often and as strongly as asked, and nothing else."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.data import pipeline
from gan_fingerprints.data.augmentation import Augmentation

SIDE, CROP = 64, 32


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def places():
    """An image whose pixels say where they are: row, column, and 0."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(photo_crops, tmp_path_factory):
    files = sorted(photo_crops(tmp_path_factory.mktemp("photos"), 60, 64).iterdir())
    return np.stack([np.asarray(Image.open(file)) for file in files])


def levels(crops):
    return np.rint((crops + 1) * 127.5).astype(int)


def test_whole_images_are_only_scaled(places):
    (same,) = Augmentation(SIDE)(places[None], generator())
    np.testing.assert_array_equal(same, places / np.float32(127.5) - np.float32(1))
    assert same.dtype == np.float32


@pytest.mark.parametrize(("aligned", "residues"), [(1.0, {0}), (0.0, set(range(8)))])
def test_crops_begin_where_they_should(places, aligned, residues):
    crops = levels(Augmentation(CROP, aligned=aligned)(np.stack([places] * 300), generator()))
    corners = crops[:, 0, 0, :2]
    assert set((corners % 8).ravel().tolist()) == residues
    assert corners.min() == 0
    assert corners.max() == SIDE - CROP
    for crop, (top, left) in zip(crops, corners, strict=True):
        np.testing.assert_array_equal(crop, places[top : top + CROP, left : left + CROP])


def test_colours_change_as_much_as_asked():
    grey = np.full((4000, 32, 32, 3), 100, np.uint8)
    grey[:, :, 16:] = 156  # mean 128
    how = Augmentation(32, contrast=0.2, tint=0.1, brightness=0.3)
    changed = how(grey, generator())
    shift = changed.mean(axis=(1, 2))
    assert np.ptp(shift, axis=1).max() < 1e-4  # the same in every channel
    assert shift[:, 0].std() == pytest.approx(0.3, rel=0.05)
    gain = np.log((changed[:, 0, 20] - changed[:, 0, 4]) / (56 / 127.5))
    assert gain.mean() == pytest.approx(0, abs=0.01)
    assert np.diff(gain, axis=1).std() == pytest.approx(0.1 * 2**0.5, rel=0.05)
    assert gain.std() == pytest.approx((0.2**2 + 0.1**2) ** 0.5, rel=0.05)


def test_shading_is_slow_and_noise_is_white():
    flat = np.full((2000, 32, 32, 3), 128, np.uint8)
    shaded = Augmentation(32, shading=0.1)(flat, generator()) - np.float32(128 / 127.5 - 1)
    assert shaded[:, 0, 0].std() == pytest.approx(0.1, rel=0.1)  # a corner is one drawn value
    bend = np.diff(shaded, 2, axis=1)
    assert np.abs(bend).max() < 0.1  # straight but where two pieces meet
    assert np.median(np.abs(bend)) < 1e-6
    noisy = (Augmentation(32, noise=3.0)(flat, generator()) - flat[0, 0, 0, 0] / 127.5 + 1) * 127.5
    deviations = noisy.std(axis=(1, 2, 3))
    assert deviations.mean() == pytest.approx(1.5, rel=0.05)  # uniform from 0 to 3
    assert 2.8 < deviations.max() < 3.2
    neighbours = (noisy[:, :, 1:] * noisy[:, :, :-1]).mean() / (noisy**2).mean()
    assert abs(neighbours) < 0.01


def blockiness(crop):
    """How much stronger, at each of eight offsets, steps between columns are than elsewhere."""
    steps = np.abs(np.diff(crop.astype(float), axis=1)).mean(axis=(0, 2))
    return [steps[i::8].mean() / steps.mean() for i in range(8)]


def test_recompression_moves_the_grid(photos):
    crops = levels(Augmentation(64, recompress=1.0)(photos, generator()))
    assert (crops != photos).any(axis=(1, 2, 3)).all()
    assert np.abs(crops - photos).mean() < 12
    found = {int(np.argmax(blockiness(crop))) for crop in crops}
    assert len(found) >= 6  # of eight offsets
    share = np.mean([(x != y).any() for x, y in zip(
        levels(Augmentation(64, recompress=0.25)(np.repeat(photos, 10, axis=0), generator())),
        np.repeat(photos, 10, axis=0), strict=True)])  # fmt: skip
    assert share == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("most", [1.1, 1.33])
def test_resizing_is_by_a_factor_at_most(places, most):
    crops = Augmentation(CROP, resize=1.0, most=most)(np.stack([places] * 200), generator())
    rows = levels(crops)[:, :, 0, 0]
    scale = (rows[:, 24] - rows[:, 8]) / 16  # pixels of the image to one of the crop
    within = (most - 1) / 2
    assert 1 / most - 0.07 <= scale.min() < 1 - within
    assert 1 + within < scale.max() <= most + 0.07


def test_the_stream_repeats_from_any_position():
    class Photos:
        name, count, resolution, labels, source_names = "photos", 40, SIDE, None, None
        pixels = generator(5).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)

        def images(self, indices, resolution=None):
            return self.pixels[indices]

    how = Augmentation(CROP, 0.5, 0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 1.0)

    def stream(start, steps, seed=1):
        batches = pipeline.minibatches(
            Photos(), 8, seed=seed, start=start, mirror=True, augmentation=how
        )
        return [images.numpy() for images, _ in batches.take(steps)]

    whole, late = stream(0, 7), stream(24, 4)
    np.testing.assert_array_equal(whole[3:], late)
    assert whole[0].shape == (8, CROP, CROP, 3)
    assert whole[0].dtype == np.float32
    assert not np.array_equal(whole[0], whole[5])  # the next epoch draws anew
    assert not np.array_equal(whole[0], stream(0, 1, seed=2)[0])


def test_a_default_changes_nothing_else():
    assert replace(Augmentation(16), crop=32) == Augmentation(32)


def test_what_jpeg_does_is_jpeg(photos):
    """With one quality and no shift, what comes out is what Pillow makes."""

    class Fixed:
        def random(self, n):
            return np.array([1.0, 0.0, 0.0])  # not resized, recompressed, aligned

        def integers(self, low, high=None, size=None):
            return np.zeros(size, int) if size else (80 if low == 50 else 0)

        def normal(self, mean, deviation, shape):
            return np.zeros(shape)

    photo = photos[0]
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=80, subsampling="4:4:4")
    (found,) = Augmentation(64, recompress=0.5, resize=0.5)(photo[None], Fixed())
    np.testing.assert_array_equal(levels(found), np.asarray(Image.open(file)))
