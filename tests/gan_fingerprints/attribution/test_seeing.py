"""What networks see, the whole image resized or tiles of it, and verdicts on several images."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan_fingerprints import images, scores
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.seeing import Tiles, Whole
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.domain import Domain


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_the_whole_image_is_resized():
    image = picture(40, 30)
    expected = images.resize(np.asarray(image), 16)
    np.testing.assert_array_equal(Whole(16)(image), expected[None])


@pytest.mark.parametrize(
    ("size", "starts"),
    [((64, 64), {(0, 0)}), ((128, 64), {(0, 0), (64, 0)}), ((71, 64), {(0, 0)}),
     ((72, 64), {(0, 0), (8, 0)}),
     ((160, 130), {(x, y) for x in (0, 48, 96) for y in (0, 32, 64)})],
)  # fmt: skip
def test_tiles_cover_the_image_on_the_grid(size, starts):
    image = picture(*size)
    tiles = Tiles(64, 32)
    places = tiles.places(size, 64)
    assert set(places) == starts
    pixels = np.asarray(image)
    for tile, (left, top) in zip(tiles(image), places, strict=True):
        np.testing.assert_array_equal(tile, pixels[top : top + 64, left : left + 64])
    covered = np.zeros(size[::-1], bool)
    for left, top in places:
        covered[top : top + 64, left : left + 64] = True
    # All but the last pixels of a side that is no multiple of 8.
    assert covered[: size[1] // 8 * 8, : size[0] // 8 * 8].all()


def test_fewer_tiles_are_spread_over_the_image():
    tiles = Tiles(64, 32, most=16)
    places = np.array(tiles.places((64 * 12, 64 * 9), 64))
    assert len(places) == 16
    assert len({tuple(x) for x in places.tolist()}) == 16
    assert len(set(places[:, 0])) >= 8  # of 12 columns
    assert len(set(places[:, 1])) >= 8  # of 9 rows
    assert tiles(picture(64 * 12, 64 * 9)).shape == (16, 64, 64, 3)
    assert len(tiles.places((64 * 4, 64 * 4), 64)) == 16


@pytest.mark.parametrize(
    ("size", "shape"),
    [((48, 48), (1, 48, 48, 3)), ((47, 200), (5, 40, 40, 3)), ((20, 20), (1, 32, 32, 3)),
     ((16, 64), (4, 32, 32, 3))],
)  # fmt: skip
def test_small_images_are_seen_in_smaller_tiles_and_enlarged_below_the_least(size, shape):
    assert Tiles(64, 32)(picture(*size)).shape == shape


class Mean(tf.Module):
    """Logits: the mean of each channel; features: the same."""

    least_side = 8

    def answers(self, x):
        features = tf.reduce_mean(x, [1, 2])
        return 4 * features, features

    def __call__(self, x, training=False):
        return self.answers(x)[0]


RGB = ["red", "green", "blue"]


def colour(share, side=64):
    """An image whose left share is red, the rest blue."""
    pixels = np.zeros((side, side, 3), np.uint8)
    edge = round(share * side)
    pixels[:, :edge, 0] = pixels[:, edge:, 2] = 255
    return pixels


def attributor(**more):
    return Attributor(Mean(), RGB, 16, batch=4, rules=Rules(0.0), **more)


def test_answers_are_the_means_of_those_of_the_tiles():
    (one,) = attributor().examine(colour(0.75))
    assert (one.row.tiles, one.row.agreement) == (16, 0.75)
    logits = 4 * np.array([0.5, -1, -0.5])
    np.testing.assert_allclose(one.logits, logits, atol=1e-5)
    expected = scores.softmax(logits[None])[0]
    np.testing.assert_allclose(list(one.row.probabilities.values()), expected, atol=1e-6)
    red, blue = (scores.softmax(4.0 * np.array([x]))[0, 0] for x in ([1, -1, -1], [-1, -1, 1]))
    assert one.row.spread == pytest.approx((0.75 * 0.25) ** 0.5 * (red - blue), rel=1e-4)
    # Tiles are of the middle of the image, too, and of other sides beside it.
    mixed = [colour(1), colour(0, 12), colour(0.5), colour(0, 100)]
    found = [row.most_probable for row in attributor(tiles=None).attribute(mixed)]
    assert found == ["red", "blue", "red", "blue"]
    sizes = [row.tiles for row in attributor(tiles=None).attribute(mixed)]
    assert sizes == [16, 1, 16, 49]


def test_order_and_neighbours_of_many_sizes_change_nothing():
    mixed = [np.asarray(picture(*size, seed=i)) for i, size in enumerate(
        [(64, 64), (12, 12), (16, 16), (33, 70), (8, 9), (80, 16)])]  # fmt: skip
    together = [list(x.probabilities.values()) for x in attributor().attribute(mixed)]
    for image, expected in zip(mixed, together, strict=True):
        (alone,) = attributor().attribute(image)
        np.testing.assert_allclose(list(alone.probabilities.values()), expected, atol=1e-6)


def test_images_unlike_those_of_training_are_inconclusive():
    bounds = np.array([[20.0, -1, -9, -9, -9], [255, 200, 9, 9, 9]], np.float32)
    centres = scores.Centres(np.zeros((3, 3)), np.ones(3))
    scale = Calibration(1.0, "energy", -1e9, 0.05, centres, "x", domain=Domain(bounds))
    dark = np.zeros((32, 32, 3), np.uint8)
    rows = list(attributor(calibration=scale).attribute([colour(1), dark]))
    assert rows[0].predicted == "red"
    assert rows[1].predicted == "inconclusive"
    assert rows[1].reason.startswith("its brightness (mean grey level) is 0, outside of 20 to 255")


def test_pools_average_logits_and_leave_out_what_cannot_be_judged(tmp_path):
    shares = {"a": [1, 1, 0.4], "b": [0.2, 0.3]}
    for folder, parts in shares.items():
        (tmp_path / folder).mkdir()
        for i, share in enumerate(parts):
            Image.fromarray(colour(share)).save(tmp_path / folder / f"{i}.png")
    Image.fromarray(colour(0, 4)).save(tmp_path / "a" / "small.png")  # below the least side
    (tmp_path / "b" / "text.png").write_text("no image")
    (tmp_path / "c").mkdir()
    Image.fromarray(colour(0, 4)).save(tmp_path / "c" / "small.png")
    one = attributor()
    pools = Pools(one)
    for examined in one.examine(tmp_path):
        pools.add(examined)
    a, b, c = pools.rows()
    assert (a.path, a.predicted, a.images) == (tmp_path / "a", "red", 3)
    assert a.agreement == pytest.approx(2 / 3)
    assert a.reason.startswith(
        "3 images, 1 left out, 67% agree: the most probable of the 3 sources"
    )
    red = np.mean([1.0, 1.0, np.round(0.4 * 64) / 64])
    expected = scores.softmax(4 * np.array([[2 * red - 1, -1, 1 - 2 * red]]))[0]
    np.testing.assert_allclose(list(a.probabilities.values()), expected, atol=1e-5)
    assert (b.predicted, b.images, b.agreement) == ("blue", 2, 1.0)
    assert (c.predicted, c.images, c.most_probable) == ("inconclusive", 0, None)
    assert c.reason.startswith("no image of 1 can be judged: its shorter side has 4 pixels")
    assert isinstance(c.path, Path)
