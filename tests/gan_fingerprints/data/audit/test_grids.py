"""Grids that JPEGs left: found where they are, not where they are not, compared by source."""

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from gan_fingerprints.data import sample_photos
from gan_fingerprints.data.audit import grids
from gan_fingerprints.data.audit.grids import Grids, Shares, grids_of
from gan_fingerprints.data.audit.looks import Look, middle
from tests.gan_fingerprints.data.audit.pictures import through_jpeg


@pytest.fixture(scope="module")
def photos():
    """150 crops of photographs that were made smaller, so that no JPEG's grid is left."""
    return [np.asarray(crop) for crop in sample_photos.crops(150, 64)]


def look(picture, in_blocks=False):
    return Look(picture[:16, :16], middle(Image.fromarray(picture)), in_blocks)


def found(pictures, in_blocks=False):
    return [grids_of(look(picture, in_blocks)) for picture in pictures]


def test_the_middle_begins_at_a_multiple_of_8():
    for size, corner in (((64, 64), (0, 0)), ((150, 100), (40, 16)), ((65, 30), (0, 0))):
        image = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
        left, top = corner
        expected = Image.fromarray(image[top : top + 64, left : left + 64]).convert("L")
        np.testing.assert_array_equal(middle(Image.fromarray(image)), np.asarray(expected))


def test_small_coefficients_block_by_block():
    patch = np.random.default_rng(0).integers(0, 9, (40, 32), np.uint8)
    plain, blurred = grids._small_coefficients(patch)
    for x, y in ((0, 0), (3, 5), (7, 1)):
        corners = [(y + 8 * i, x + 8 * j) for i in range(4) for j in range(3)]
        blocks = np.array([patch[r : r + 8, c : c + 8] for r, c in corners], float)
        sizes = np.abs(dctn(blocks, axes=(1, 2), norm="ortho"))
        assert plain[x, y] == pytest.approx((sizes < 1).mean(), abs=2e-3)
        assert blurred[x, y] == pytest.approx((sizes < 4).mean(), abs=2e-3)


def test_pictures_that_were_no_jpeg_have_no_grid(photos):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (100, 64, 64, 3), np.uint8)
    flat = [np.full((64, 64, 3), value, np.uint8) for value in range(0, 256, 5)]
    larger = [np.asarray(Image.fromarray(x).resize((128, 128))) for x in photos]
    for pictures in (photos, noise, flat, larger):
        assert sum(x != Grids(None, None) for x in found(pictures)) <= 0.02 * len(pictures)


def test_shares_that_rise_across_an_image_are_no_grid():
    """Where there is more in one corner than in the other, as places 0 and 7 are 7 pixels apart."""
    x, y = np.mgrid[:8, :8]
    rising = 0.02 * x + 0.03 * y + np.random.default_rng(0).normal(0, 0.002, (8, 8))
    assert grids._outstanding(rising, 5.0) is None
    rising[5, 2] += 0.05
    assert grids._outstanding(rising, 5.0) == (5, 2)
    assert grids._outstanding(rising, 5.0, beside=(5, 6)) is None
    assert grids._outstanding(rising, 5.0, beside=(3, 0)) == (5, 2)


@pytest.mark.parametrize("quality", [50, 75, 90, 95])
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (4, 4)])
def test_the_grid_of_a_jpeg_is_found_where_it_lies(photos, quality, place):
    result = found([through_jpeg(x, quality, place) for x in photos])
    # Of a sky, or what was out of focus, there is too little in a small picture.
    assert np.mean([x.last == place for x in result]) >= 0.88
    assert np.mean([x.earlier is not None for x in result]) <= 0.1


@pytest.mark.parametrize(("later", "least"), [(95, 0.82), (90, 0.85), (85, 0.65)])
def test_an_earlier_grid_outlives_a_later_jpeg(photos, later, least):
    """Quality 75 and blocks from 3, 6, then a JPEG as it is: by the format and by the pixels."""
    twice = [through_jpeg(through_jpeg(x, 75, (3, 6)), later) for x in photos]
    once = [through_jpeg(x, later) for x in photos]
    for in_blocks in (True, False):
        result = found(twice, in_blocks)
        assert np.mean([x == Grids((0, 0), (3, 6)) for x in result]) >= least
        result = found(once, in_blocks)
        assert np.mean([x.last == (0, 0) for x in result]) >= 0.9
        assert np.mean([x.earlier is not None for x in result]) <= 0.06


def test_images_too_small_have_none():
    tiny = np.zeros((22, 64, 3), np.uint8)
    assert grids_of(look(tiny)) == Grids(None, None)
    assert grids.shares({"a": [look(tiny)] * 20})["a"].images == 0


def counted(images, last=None, earlier=None):
    counts = np.zeros((2, 8, 8), int)
    for kind, numbers in zip(counts, (last, earlier), strict=True):
        for place, number in (numbers or {}).items():
            kind[place] = number
    return Shares(images, *counts)


def test_shares_count_places(photos):
    old = [look(through_jpeg(x, 80, (2, 5))) for x in photos[:100]]
    result = grids.shares({"real": old, "gan": [look(x) for x in photos]})
    assert result["real"].last[2, 5] >= 92
    assert (result["real"].images, result["gan"].images) == (100, 150)
    assert result["gan"].last.sum() <= 3
    assert result["gan"].texts() == ["", ""]
    share, place = result["real"].texts()[0].split(" % ")
    assert (int(share) >= 92, place) == (True, "2,5")
    many = {"a": [look(photos[0])] * 500}
    assert grids.shares(many)["a"].images == grids.SAMPLE


def test_a_grid_that_one_source_has_is_warned_about():
    found = {"gan": counted(200), "real": counted(200, {(4, 4): 199})}
    (warning,) = grids.warnings(found)
    said = (
        "the 8-pixel grid of a JPEG with blocks from 4, 4 is in 100 % of the images of real, 0 % "
    )
    assert warning.startswith(said + "of gan: ")
    assert "it outlives a later JPEG" in warning
    both = {
        "gan": counted(200, {(0, 0): 200}),
        "real": counted(200, {(0, 0): 200}, {(4, 4): 130}),
    }
    (warning,) = grids.warnings(both)
    assert warning.startswith(
        "the 8-pixel grid of an earlier JPEG with blocks from 4, 4 is in 65 % of the images of real"
    )


def test_grids_anywhere_are_compared_too():
    """Crops at random places have grids at all 64."""
    everywhere = dict.fromkeys(np.ndindex(8, 8), 3)
    (warning,) = grids.warnings({"gan": counted(200), "real": counted(200, everywhere)})
    assert warning.startswith("the 8-pixel grid of a JPEG is in 96 % of the images of real, 0 % of")


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"a": counted(200), "b": counted(200)},
        {"a": counted(200, {(4, 4): 190}), "b": counted(200, {(4, 4): 180})},
        {"a": counted(200, None, {(2, 4): 9}), "b": counted(200, None, {(5, 5): 8})},  # chance
        {"a": counted(9), "b": counted(200, {(4, 4): 200})},  # too few
    ],
)
def test_like_histories_are_not_warned_about(found):
    assert grids.warnings(found) == []


def test_the_history_of_real_photos_is_noticed(reference):
    """Photographs that were JPEGs, cropped and kept as PNG, and again after a second JPEG."""
    pictures = {}
    for source in ("celeba64", "gan64/mmdgan"):
        paths = sorted(reference(source, "data").glob("*.png"))[:100]
        pictures[source] = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    result = grids.shares({s: [look(x) for x in some] for s, some in pictures.items()})
    assert result["celeba64"].last[4, 4] >= 98
    assert result["gan64/mmdgan"].last.sum() <= 2
    rng = np.random.default_rng(0)
    again = {
        source: [look(through_jpeg(x, int(rng.integers(75, 96))), True) for x in some]
        for source, some in pictures.items()
    }
    result = grids.shares(again)
    assert result["celeba64"].earlier[4, 4] >= 60
    assert result["gan64/mmdgan"].earlier.sum() <= 4
    assert len(grids.warnings(result)) == 1
