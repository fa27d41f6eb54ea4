"""Maps of tiles, and images that are put together of two sources."""

import numpy as np
import pytest

from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.mapping import (
    Places,
    Tile,
    candidates,
    map_of,
    mixed,
    uncalibrated,
)
from gan_fingerprints.attribution.seeing import Tiles
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.domain import Domain
from gan_fingerprints.scores import softmax
from tests.gan_fingerprints.attribution.test_seeing import RGB, Mean, colour, picture

NAMES = ["a", "b", "c"]


def test_a_tile_has_the_odds_of_the_named_source_at_equal_priors():
    logits = np.array([[1.0, 0.5, -2], [-3, 4, 0], [60, 0, 0]])
    log10 = uncalibrated(logits)[:, 0]
    tiles = map_of(Places([(0, 0), (8, 0), (0, 8)], 32), logits, log10, NAMES)
    assert [x[:3] for x in tiles] == [(0, 0, 32), (8, 0, 32), (0, 8, 32)]
    assert [x.source for x in tiles] == ["a", "b", "a"]
    shares = softmax(logits)
    np.testing.assert_allclose([x.probability for x in tiles], shares.max(axis=1))
    odds = np.log10(2 * shares[:2, 0] / (1 - shares[:2, 0]))
    np.testing.assert_allclose([x.log10 for x in tiles[:2]], odds, rtol=1e-9)
    assert tiles[2].log10 == pytest.approx(60 / np.log(10), rel=1e-9)  # where 1 - P is 0


def tiles_of(rows, probability=0.95):
    """Tiles of 32 pixels from lines of letters; "." is not sure, and like the first source."""
    return [
        Tile(32 * i, 32 * j, 32, 0.0, "a" if x == "." else x, 0.5 if x == "." else probability)
        for j, row in enumerate(rows) for i, x in enumerate(row)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "found"),
    [(["aabb", "aabb", "aabb"], {"a", "b"}), (["aaaa", "aaaa", "bbbb", "bbbb"], {"a", "b"}),
     (["a.b.", "aab.", ".abb", "a..b"], {"a", "b"}), (["abab", "baba", "abab"], set()),
     (["abba", "babb", "aaba", "bbab"], set()), (["aaaa", "aaab", "aaab"], set()),
     (["aaaa", "aaaa", "aabb"], set()), (["aaaa", "aaab", "aabb"], {"a", "b"}),
     (["ab"], set()), (["aabb"], {"a", "b"}), (["....", "...."], set()),
     (["aaaa"] * 4, set()),
     (["aaaacccc", "aaaacccc", "aaaaccbb"], {"a", "c"})],
)  # fmt: skip
def test_two_sources_are_told_where_their_tiles_lie_together(rows, found):
    tiles = tiles_of(rows)
    assert set(mixed(tiles, candidates(tiles))) == found
    assert not mixed(tiles, np.zeros(len(tiles), bool))
    unsure = tiles_of(rows, 0.89)
    assert not mixed(unsure, candidates(unsure))


@pytest.mark.parametrize(
    ("size", "tiles", "in_map"),
    [((64, 64), 1, 0), ((71, 64), 1, 0), ((128, 64), 2, 3), ((192, 128), 6, 15),
     ((512, 256), 16, 32), ((4000, 3000), 16, 64), ((20, 100), 5, 0)],
)  # fmt: skip
def test_a_map_has_more_tiles_than_the_answer_rests_on(size, tiles, in_map):
    plain, mapped = Tiles(64, 32, 16), Tiles(64, 32, 16, mapped=64)
    places = mapped.map(size)
    assert mapped.number(size) == plain.number(size) == tiles
    assert len(places.corners) == len(set(places.corners)) == in_map
    image = picture(*size)
    judged, seen = plain(image), mapped(image)
    assert len(judged) == tiles
    np.testing.assert_array_equal(seen[:tiles], judged)
    pixels = np.asarray(image)
    for (left, top), view in zip(places.corners, seen, strict=False):
        side = places.side
        np.testing.assert_array_equal(view, pixels[top : top + side, left : left + side])
        assert left % 8 == top % 8 == 0


def attributor(**more):
    return Attributor(Mean(), RGB, 16, batch=4, **{"rules": Rules(0.5), **more})


def test_an_image_of_two_halves_is_mixed_whatever_its_score():
    centres = Centres(np.zeros((3, 3)), np.ones(3))
    # All of the image is too dark, and its energy too low, but no tile is.
    bounds = np.array([[29.0, -1, -9, -9, -9], [255, 255, 9, 9, 9]], np.float32)
    scale = Calibration(1.0, "energy", 2.0, 0.05, centres, "x", domain=Domain(bounds))
    halves = colour(0.5, side=64)
    for calibration in (None, scale):
        (one,) = attributor(mapped=True, calibration=calibration).examine(halves)
        assert (one.row.predicted, set(one.row.mixed)) == ("mixed", {"red", "blue"})
        assert one.row.reason in (
            f"different parts of it are like different sources: {x} and {y}"
            for x, y in (("red", "blue"), ("blue", "red"))
        )
        assert len(one.tiles) == 49
        named = one.row.most_probable
        for tile in one.tiles:
            inside = tile.left + 16 <= 32, tile.left >= 32
            if any(inside):
                assert tile.source == ("red" if inside[0] else "blue")
                assert (tile.log10 > 0) == (tile.source == named)
        assert one.views.shape == (16, 3)
        assert one.picture.pixels.shape == (16, 16, 16, 3)
    (plain,) = attributor(mapped=False).examine(halves)
    assert (plain.tiles, plain.row.mixed) == (None, ())
    assert plain.row.probabilities == one.row.probabilities
    assert plain.row.tiles == one.row.tiles == 16
    (same,) = attributor(mapped=True).examine(colour(1.0))
    assert same.row.predicted == "red"
    # Tiles that are no image of a known source's say nothing.
    strict = Calibration(1.0, "energy", 9.0, 0.05, centres, "x")
    (row,) = attributor(mapped=True, calibration=strict).attribute(halves)
    assert row.predicted == "unknown"


def test_arrays_of_a_mapped_network_are_answered_alike():
    halves = colour(0.7, side=64)[None]
    plain, mapped = (attributor(mapped=x).attribute_arrays(halves) for x in (False, True))
    np.testing.assert_allclose(plain, mapped, atol=1e-7)
