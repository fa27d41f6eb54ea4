"""How much of an image a network sees: the whole of it, resized, or tiles of it as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.mapping import Places

TILES = 16  # of an image, unless more are asked for
GRID = 8  # pixels: tiles begin where JPEG's blocks do, as the crops of training may
GOLDEN = 0.6180339887  # steps of this share of a circle spread evenly, however many there are


@dataclass(frozen=True)
class Whole:
    """The whole image resized to `side`, whatever its shape: for networks of one size."""

    side: int

    def map(self, size: tuple[int, int]) -> Places:
        """The tiles of an image's map: there are none."""
        return Places([], self.side)

    def number(self, size: tuple[int, int]) -> int:
        """Views of an image of this width and height."""
        return 1

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An RGB image → uint8 [1, side, side, 3]."""
        return np.asarray(images.resize_image(image, self.side))[None]


@dataclass(frozen=True)
class Tiles:
    """Tiles that cover the image at its own resolution: for networks that take any size.

    Attributes:
        side: of the tiles; of smaller images the tile is the largest one with a side that is a
            multiple of 8.
        least: the smallest tile's side; only images smaller than this are resized, to it.
        most: tiles of an image; where more would be needed, as many spread over it. None for all.
        mapped: tiles of an image's map, at most, 0 without a map. They are those from which it is
            judged, which come first, and others beside and between them.
    """

    side: int
    least: int
    most: int | None = None
    mapped: int = 0

    def number(self, size: tuple[int, int]) -> int:
        """Tiles from which an image of this width and height is judged."""
        return len(self.places(self._enlarged(size), self._side(size)))

    def map(self, size: tuple[int, int]) -> Places:
        """The tiles of an image's map; none where one tile holds all of it, or it is enlarged."""
        side = self._side(size)
        places = self.places(size, side) if min(size) >= self.least else []
        if len(places) < 2 or not self.mapped:
            return Places([], side)
        dense = [(x, y) for y in _halves(size[1], side) for x in _halves(size[0], side)]
        if len(dense) > self.mapped:
            dense = replace(self, most=self.mapped).places(size, side)
        others = [place for place in dense if place not in set(places)]
        return Places(places + others[: max(0, self.mapped - len(places))], side)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An RGB image → uint8 [tiles, S, S, 3]."""
        places, side = self.map(image.size)
        if min(image.size) < self.least:
            image = image.resize(self._enlarged(image.size), Image.Resampling.LANCZOS)
        places = places or self.places(image.size, side)
        tiles = [image.crop((left, top, left + side, top + side)) for left, top in places]
        return np.stack([np.asarray(tile) for tile in tiles])

    def _enlarged(self, size: tuple[int, int]) -> tuple[int, int]:
        share = max(1.0, self.least / min(size))
        width, height = (max(self.least, round(x * share)) for x in size)
        return width, height

    def _side(self, size: tuple[int, int]) -> int:
        return min(self.side, max(self.least, min(size)) // GRID * GRID)

    def places(self, size: tuple[int, int], side: int) -> list[tuple[int, int]]:
        """Left and top of each tile of `side` in an image of this width and height."""
        lefts, tops = (_starts(length, side) for length in size)
        all_of_them = [(left, top) for top in tops for left in lefts]
        number = len(all_of_them)
        if self.most is None or number <= self.most:
            return all_of_them
        # Not every fifth one, which could be a column.
        order = np.argsort((GOLDEN * np.arange(number)) % 1, kind="stable")
        return [all_of_them[i] for i in sorted(order[: self.most].tolist())]


def _halves(length: int, side: int) -> list[int]:
    """Where tiles begin that overlap by half, or a little more, on the grid."""
    step = max(GRID, side // 2 // GRID * GRID)
    last = (length - side) // GRID * GRID
    return sorted({*range(0, last, step), last})


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one direction: no fewer than cover it, evenly, on the grid."""
    number = -(-length // side)
    if number == 1:
        return [0]
    last = (length - side) // GRID * GRID
    return sorted({round(i * last / (number - 1) / GRID) * GRID for i in range(number)})
