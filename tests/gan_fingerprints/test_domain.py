"""Plain properties of images, against closed forms, and what lies outside of them."""

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import domain
from gan_fingerprints.domain import PROPERTIES, Domain, properties


def of(image):
    image = np.asarray(image, np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return dict(zip(PROPERTIES, properties(image[None]), strict=True))


def test_a_chessboard():
    board = 100 + 20 * (np.indices((64, 64)).sum(axis=0) % 2)
    found = of(board)
    assert found["brightness"] == pytest.approx(110, abs=1e-3)
    assert found["contrast"] == pytest.approx(10, abs=1e-3)
    assert found["detail"] == pytest.approx(np.log2(10 + 0.01), abs=1e-3)  # the blur has 110
    assert found["blocks"] == pytest.approx(0, abs=1e-3)
    assert found["treble"] > 4


def test_blocks_are_steps_on_the_grid():
    ramp = np.repeat(np.arange(8) * 16, 8)
    both = ramp[:, None] + ramp
    assert of(both)["blocks"] == pytest.approx(np.log2(16.1 / 0.1), abs=1e-3)
    moved = np.roll(both, (3, 3), axis=(0, 1))
    assert of(moved[8:56, 8:56])["blocks"] < 0


@pytest.mark.parametrize(("factor", "fall"), [(1.5, 0.5), (2, 1)])
def test_enlarging_takes_the_treble(factor, fall, photo_crops, tmp_path):
    for file in sorted(photo_crops(tmp_path, 6, 64).iterdir()):
        photo = Image.open(file)
        side = round(64 * factor)
        larger = photo.resize((side, side), Image.Resampling.BICUBIC).crop((0, 0, 64, 64))
        assert of(larger)["treble"] < of(photo)["treble"] - fall


def test_bounds_are_rare_values_and_a_margin():
    rows = np.linspace(0, 1000, 1001)[:, None] * np.arange(1, 6)
    bounds = Domain.of(rows).bounds
    np.testing.assert_allclose(bounds[0], (2 - 0.25 * 996) * np.arange(1, 6), rtol=1e-6)
    np.testing.assert_allclose(bounds[1], (998 + 0.25 * 996) * np.arange(1, 6), rtol=1e-6)


def test_what_lies_outside_is_named_with_its_range():
    bounds = Domain(np.array([[0.0, 1, 2, 3, 4], [10, 11, 12, 13, 14]], np.float32))
    assert bounds.outside(np.array([0, 11, 5, 5, 5])) == ""
    assert bounds.outside(np.array([5, 5, 1.9, 5, 99])) == (
        "its detail (mean difference from a 3×3 blur, in grey levels, as a power of two) is 1.9, "
        "outside of 2 to 12, the range of the training images"
    )
    assert bounds.outside(np.full(5, np.nan)).startswith("its brightness")


@pytest.mark.parametrize("wrong", [np.zeros((2, 4)), np.array([np.ones(5), np.zeros(5)])])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="a domain of"):
        Domain.read(wrong)


def test_tiles_are_averaged():
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    found = properties(noise)
    one_by_one = [properties(tile[None]) for tile in noise]
    np.testing.assert_allclose(found[:4], np.mean(one_by_one, axis=0)[:4], rtol=1e-5)
    assert len(domain.MEANING) == len(found)
