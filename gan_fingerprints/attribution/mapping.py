"""Where in an image its sources show: a map of tiles, and images that are put together of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_fingerprints.likelihood import log_odds
from gan_fingerprints.scores import softmax

MAPPED = 64  # tiles of a map at most
SURE = 0.9  # probability of a tile's source, for the tile to count
LEAST_SHARE, FEWEST = 0.2, 2  # of the tiles, which either source must have
TOGETHER = 0.75  # of the nearest sure tiles are of the same source


class Tile(NamedTuple):
    """What is said of a part of an image.

    Attributes:
        left, top, side: where it is, in pixels of the image.
        log10: log10 LR of the image's most probable source against the others of the collection,
            or, where the network has none or the source was enrolled, `uncalibrated` odds.
        source: the tile's own most probable source.
        probability: of that.
    """

    left: int
    top: int
    side: int
    log10: float
    source: str
    probability: float


class Places(NamedTuple):
    """Where tiles are: left and top of each, and their side; see `seeing.Tiles.map`."""

    corners: list[tuple[int, int]]
    side: int


def map_of(
    places: Places, logits: np.ndarray, log10: np.ndarray, names: Sequence[str]
) -> tuple[Tile, ...]:
    """The tiles of a map.

    Args:
        logits: float [tiles, sources], divided by the temperature.
        log10: float [tiles], see `Tile`.
    """
    of_each = softmax(logits)
    return tuple(
        Tile(left, top, places.side, float(value), names[int(shares.argmax())], float(shares.max()))
        for (left, top), value, shares in zip(places.corners, log10, of_each, strict=True)
    )


def uncalibrated(logits: np.ndarray) -> np.ndarray:
    """log10 odds of each source at equal priors, float64 [N, sources], of logits [N, sources].

    What the likelihood ratio of a network without fitted ones comes nearest to.
    """
    return (log_odds(logits) + math.log(max(1, logits.shape[1] - 1))) / math.log(10)


def candidates(tiles: Sequence[Tile]) -> np.ndarray:
    """Whether each tile's own source is sure: bool [tiles]."""
    return np.array([tile.probability >= SURE for tile in tiles])


def mixed(tiles: Sequence[Tile], sure: np.ndarray) -> tuple[str, ...]:
    """The two sources of an image whose sure tiles fall apart into two parts; else nothing.

    Either source has a fifth of the tiles or more, and tiles of one source lie together: a
    single picture that the network is in doubt about has its tiles at random.

    sure: bool [tiles], which tiles count.
    """
    counted = [tile for tile, is_sure in zip(tiles, sure, strict=True) if is_sure]
    sources = [tile.source for tile in counted]
    numbers = sorted(((sources.count(x), x) for x in sorted(set(sources))), reverse=True)[:2]
    if len(numbers) < 2 or numbers[1][0] < max(FEWEST, LEAST_SHARE * len(tiles)):
        return ()
    two = [tile for tile in counted if tile.source in (numbers[0][1], numbers[1][1])]
    return tuple(name for _, name in numbers) if _together(two) >= TOGETHER else ()


def _together(tiles: Sequence[Tile]) -> float:
    """Share of the nearest neighbours of tiles that have the same source."""
    at = np.array([[tile.left, tile.top] for tile in tiles], float)
    apart = np.hypot(*(at[:, None] - at).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    nearest = apart <= apart.min(axis=1, keepdims=True) + 1e-6
    names = np.array([tile.source for tile in tiles])
    same = names[:, None] == names
    return float(np.mean((nearest & same).sum(axis=1) / nearest.sum(axis=1)))
