"""Crops in an image's own pixels: on the grid of 8, apart while there is room, always the same."""

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.data.crops import Crops, corners
from gan_fingerprints.images import ImageError

SIZES = [(64, 64, 32), (300, 300, 64), (65, 200, 64), (1024, 333, 128), (40, 40, 4), (72, 64, 64)]


def overlaps(places, side):
    """Pixels that each two crops share."""
    places = np.array(places)
    shared = np.maximum(side - np.abs(places[:, None] - places), 0).prod(axis=2)
    return shared[np.triu_indices(len(places), 1)]


@pytest.mark.parametrize(("width", "height", "side"), SIZES)
@pytest.mark.parametrize("number", [1, 2, 5, 30])
def test_corners_are_inside_on_the_grid_and_different(width, height, side, number):
    for seed in range(5):
        places = corners(width, height, side, number, np.random.default_rng(seed))
        room = ((width - side) // 8 + 1) * ((height - side) // 8 + 1)
        assert len(places) == len(set(places)) == min(number, room)
        for x, y in places:
            assert x % 8 == y % 8 == 0
            assert 0 <= x <= width - side
            assert 0 <= y <= height - side
        tiles = (width // max(side, 8)) * (height // max(side, 8))
        if number <= tiles:
            assert not overlaps(places, side).any()


def test_where_there_is_no_room_crops_overlap_as_little_as_can_be():
    """Of 96×64 pixels, the third crop of 64 lies in the middle of two that are 32 apart."""
    places = corners(96, 64, 64, 3, np.random.default_rng(0))
    assert sorted(places)[0] == (0, 0)
    assert sorted(places)[-1] == (32, 0)
    assert sorted(places)[1] in [(8, 0), (16, 0), (24, 0)]
    five = corners(96, 96, 64, 4, np.random.default_rng(0))
    assert sorted(five) == [(0, 0), (0, 32), (32, 0), (32, 32)]


def test_crops_come_from_everywhere():
    """Of 512 images of 256×256, two crops of 64: hardly a corner is missed."""
    seen = np.zeros((256, 256), int)
    places = set()
    for seed in range(512):
        for x, y in corners(256, 256, 64, 2, np.random.default_rng(seed)):
            seen[y : y + 64, x : x + 64] += 1
            places.add((x, y))
    assert (seen > 0).mean() > 0.99
    assert len(places) > 300  # of 25 · 25


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels), pixels


def test_crops_are_the_pixels_at_their_corners():
    image, pixels = picture(200, 150)
    taken = Crops(4, 0).of(image, 64, "a.png")
    assert len(taken) == 4
    for (x, y), crop in taken:
        np.testing.assert_array_equal(crop, pixels[y : y + 64, x : x + 64])


def test_the_pixels_and_the_seed_decide():
    image, pixels = picture(500, 700)

    def places(image, seed=0):
        return [corner for corner, _ in Crops(3, seed).of(image, 64, "a.png")]

    assert places(image) == places(Image.fromarray(pixels.copy()))
    assert places(image) != places(image, seed=1)
    pixels[699, 499, 2] ^= 1  # in the last of several bands
    assert places(Image.fromarray(pixels)) != places(image)


def test_an_image_of_the_side_gives_one():
    image, pixels = picture(64, 64)
    ((corner, crop),) = Crops(7, 0).of(image, 64, "a.png")
    assert corner == (0, 0)
    np.testing.assert_array_equal(crop, pixels)


@pytest.mark.parametrize("size", [(63, 64), (300, 40), (1, 1)])
def test_smaller_images_are_errors(size):
    said = rf"a\.png: found {size[0]}x{size[1]} pixels, expected 64x64 or more to crop from; give a"
    with pytest.raises(ImageError, match=said):
        Crops(2, 0).of(picture(*size)[0], 64, "a.png")


@pytest.mark.slow
def test_many_crops_of_a_large_image_take_no_time():
    places = corners(6000, 4000, 64, 6000, np.random.default_rng(0))
    assert len(places) == 6000
    assert (overlaps(places[:5000], 64) == 0).mean() > 0.999
