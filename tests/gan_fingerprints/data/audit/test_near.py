"""Images that are nearly the same are found, whatever was done to them, and no others."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.fft import dctn

from gan_fingerprints.data.audit import looks
from gan_fingerprints.data.audit.copies import Known, digest_of, known
from gan_fingerprints.data.audit.near import LIKE, near
from gan_fingerprints.data.audit.report import Gathered, examine
from tests.gan_fingerprints.data.audit.pictures import clouds, through_jpeg
from tests.gan_fingerprints.data.audit.test_report import many


def shapes_of(pictures):
    return looks.shapes(looks.small(np.asarray(pictures)))


def changed(pictures, change):
    return np.stack([np.asarray(change(Image.fromarray(picture))) for picture in pictures])


@pytest.mark.parametrize("side", [16, 32, 128])
def test_an_image_in_little_is_the_mean_of_squares(side):
    pictures = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    factor = side // 16
    squares = pictures.reshape(3, 16, factor, 16, factor, 3).mean(axis=(2, 4))
    assert np.abs(looks.small(pictures) - squares).max() <= 0.501
    assert looks.small(pictures[:, :8, :8]).tolist() == pictures[:, :8, :8].tolist()


def test_shapes_are_low_frequencies_of_the_cosine_transform():
    smalls = looks.small(clouds(4, 0))
    brightness = smalls @ np.array([0.299, 0.587, 0.114])
    expected = dctn(brightness, axes=(1, 2), norm="ortho")
    found = looks.shapes(smalls)
    assert found.shape == (4, 64)
    for place, (down, across) in enumerate(looks.frequencies()):
        np.testing.assert_allclose(found[:, place], expected[:, down, across], atol=0.01)
    assert looks.frequencies()[:3].tolist() == [[0, 1], [1, 0], [0, 2]]
    assert not looks.shapes(np.full((1, 16, 16, 3), 200, np.uint8)).any()


CHANGES = {
    "JPEG of quality 90": lambda x: Image.fromarray(through_jpeg(np.asarray(x), 90)),
    "JPEG of quality 40": lambda x: Image.fromarray(through_jpeg(np.asarray(x), 40, (3, 5))),
    "half the size": lambda x: x.resize((32, 32), Image.Resampling.BILINEAR).resize((64, 64)),
    "1.5 times the size": lambda x: x.resize((96, 96)).resize((64, 64), Image.Resampling.BOX),
    "brighter": lambda x: ImageEnhance.Brightness(x).enhance(1.1),
    "more contrast": lambda x: ImageEnhance.Contrast(x).enhance(1.15),
    "grey": lambda x: x.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "both, and a JPEG": lambda x: Image.fromarray(
        through_jpeg(np.asarray(x.transpose(Image.Transpose.ROTATE_180)), 75)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changed_images_are_found_and_no_others(change):
    pictures = clouds(600, 0)
    others = np.concatenate([clouds(300, 1), changed(pictures[:300], change)])
    found = near(shapes_of(pictures), shapes_of(others))
    right = found[:300] == np.arange(300, 600)
    assert right.mean() >= 0.99
    assert (found[300:] == -1).all()
    assert (found[:300][~right] == -1).all()


@pytest.mark.parametrize("number", [1, 2, 30])
def test_few_images_are_compared_too(number):
    pictures, others = clouds(number, 2), clouds(5, 3)
    copies = changed(pictures, CHANGES["JPEG of quality 90"])
    found = near(shapes_of(pictures), shapes_of(np.concatenate([others, copies])))
    np.testing.assert_array_equal(found, 5 + np.arange(number))
    assert (near(shapes_of(pictures), shapes_of(others)) == -1).all()


def test_what_all_images_have_in_common_does_not_make_them_alike():
    """As the oval of a face in the middle; without the medians nearly all would be found."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    oval = 110 * np.exp(-3 * (x**2 + 1.5 * y**2))[..., None]
    faces = np.clip(clouds(800, 4, contrast=15) / 1.5 + oval, 0, 255).astype(np.uint8)
    shapes = shapes_of(faces)
    directions = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
    assert ((directions[:400] @ directions[400:].T) > LIKE).any(axis=1).mean() > 0.9
    assert (near(shapes[:400], shapes[400:]) == -1).all()
    again = changed(faces[:400], CHANGES["JPEG of quality 40"])
    assert (near(shapes[:400], shapes_of(again)) == np.arange(400)).mean() > 0.97


def test_flat_images_are_not_alike():
    flat = np.random.default_rng(0).integers(99, 102, (5, 64, 64, 3)).astype(np.uint8)
    assert (near(shapes_of(flat), shapes_of(flat)) == -1).all()
    assert near(shapes_of(flat[:0]), shapes_of(flat)).shape == (0,)
    mixed = np.concatenate([flat, clouds(3, 0)])
    assert near(shapes_of(mixed), shapes_of(mixed)).tolist() == [-1] * 5 + [5, 6, 7]


@pytest.mark.slow
def test_a_hundred_thousand_images_are_searched_in_seconds():
    rng = np.random.default_rng(0)
    spread = 200 / (1 + looks.frequencies().sum(axis=1))
    mean = rng.normal(0, 1, 64) * spread
    shapes = (mean + rng.normal(0, 1, (200_000, 64)) * spread).astype(np.float32)
    ours, others = shapes[:100_000], shapes[100_000:]
    noise = rng.normal(0, 0.03, (2000, 64)) * spread
    ours[:2000] = others[5000:7000] + noise
    start = time.process_time()
    found = near(ours, others)
    assert time.process_time() - start < 40
    assert (found[:2000] == np.arange(5000, 7000)).mean() > 0.98
    assert (found[2000:] == -1).all()


def test_an_image_that_is_everywhere_takes_no_longer():
    """All in one place of the table: the search must not compare each with each."""
    shapes = np.repeat(shapes_of(clouds(4, 0)), 10_000, axis=0)
    start = time.process_time()
    found = near(shapes, shapes)
    assert time.process_time() - start < 10
    assert (found // 10_000 == np.arange(40_000) // 10_000).all()


def test_the_audit_names_images_that_are_nearly_in_another_split():
    pictures = clouds(40, 0)
    altered = changed(pictures[:3], ImageOps.mirror)
    theirs = np.concatenate([clouds(30, 1), altered, pictures[3:5]])
    data = SimpleNamespace(
        count=35, resolution=64, folder="datasets/validation", images=lambda i: theirs[i]
    )
    other = known(data)
    digests = {f"gan/{i:02d}.png": digest_of(x) for i, x in enumerate(pictures)}
    facts = {"gan": many(20, 0), "real": many(20, 1)}
    gathered = Gathered(facts, digests, shapes=shapes_of(pictures))
    result = examine(gathered, other)
    assert result["also_there"] == {"gan/03.png": 33, "gan/04.png": 34}
    assert result["nearly_there"] == {"gan/00.png": 30, "gan/01.png": 31, "gan/02.png": 32}
    exact, nearly, advice = result["warnings"]
    assert "also in datasets/validation: 2, e.g. gan/03.png = record 33; what is" in exact
    assert "nearly the same as one in datasets/validation: 3, e.g. gan/00.png ≈ record 30" in nearly
    assert "split --group_by" in advice
    apart = Known("x", {}, shapes_of(clouds(50, 9)))
    assert examine(gathered, apart)["nearly_there"] == {}
    assert examine(gathered, Known("x", {}))["warnings"] == []
