"""Crops of large images in their own pixels: resizing would take their fingerprints away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np
from PIL import Image

from gan_fingerprints.images import BAND, ImageError

STEP = 8  # pixels: crops keep the grid of a JPEG's blocks, counted from the image's corner
MOST_PLACES = 4096  # that are tried where crops must overlap
Corner = tuple[int, int]
"""Left and top of a crop."""


class Crops(NamedTuple):
    """How many crops of an image are taken, and the seed that says where."""

    per_image: int
    seed: int

    def of(self, image: Image.Image, side: int, path: object) -> list[tuple[Corner, np.ndarray]]:
        """Crops uint8 [side, side, 3] of Pillow's RGB image, and where they lie.

        They follow from the image's pixels, whatever its file is called. Fewer where the image has
        fewer places. Raises ImageError, which names `path`, where it is too small for one.
        """
        width, height = image.size
        if min(width, height) < side:
            raise ImageError(
                f"{path}: found {width}x{height} pixels, expected {side}x{side} or more to crop "
                "from; give a smaller --resolution, or remove it"
            )
        if (width, height) == (side, side):
            return [((0, 0), np.asarray(image))]
        rng = np.random.default_rng([self.seed, _checksum(image)])
        return [
            ((x, y), np.asarray(image.crop((x, y, x + side, y + side))))
            for x, y in corners(width, height, side, self.per_image, rng)
        ]


def _checksum(image: Image.Image) -> int:
    """CRC-32C of the pixels, some rows at a time, as all at once would take much memory."""
    value = 0
    for top in range(0, image.height, BAND):
        rows = image.crop((0, top, image.width, min(top + BAND, image.height)))
        value = google_crc32c.extend(value, rows.tobytes())
    return value


def corners(
    width: int, height: int, side: int, number: int, rng: np.random.Generator
) -> list[Corner]:
    """Where crops lie, at multiples of 8: apart from each other as long as there is room.

    Where there is none left, each further one overlaps as little as can be with any before it.
    """
    tiles = _tiles(width, height, side, number, rng)
    chosen = tiles[rng.permutation(len(tiles))[:number]]
    missing = number - len(chosen)
    return list(
        map(tuple, [*chosen.tolist(), *_between(width, height, side, missing, chosen, rng)])
    )


def _tiles(width: int, height: int, side: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """Corners of tiles side by side, int [N, 2]: from a random one on if those are enough."""
    pitch = -(-side // STEP) * STEP
    starts = [
        STEP * int(rng.integers(min(pitch, length - side + STEP) // STEP))
        for length in (width, height)
    ]
    for first in (starts, [0, 0]):
        across, down = (
            np.arange(start, length - side + 1, pitch)
            for start, length in zip(first, (width, height), strict=True)
        )
        tiles = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        if len(tiles) >= number:
            break
    return tiles


def _between(
    width: int, height: int, side: int, number: int, chosen: np.ndarray, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Corners of further crops, one after the other."""
    if number <= 0:
        return
    across, down = (np.arange(0, length - side + 1, STEP) for length in (width, height))
    places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    places = places[rng.permutation(len(places))[:MOST_PLACES]]
    overlap = np.zeros(len(places), int)  # the largest with any that is chosen, in pixels

    for corner in chosen:
        overlap = np.maximum(overlap, _shared(places, corner, side))
    for _ in range(min(number, len(places))):
        best = int(overlap.argmin())
        if overlap[best] == side**2:
            return  # every place is taken
        yield places[best].tolist()
        overlap = np.maximum(overlap, _shared(places, places[best], side))


def _shared(places: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
    """Pixels that squares at places [N, 2] share with the one at a corner: int [N]."""
    return np.prod(np.maximum(side - np.abs(places - corner), 0), axis=1)
