"""How much of an image a network sees: the whole of it, resized, or tiles of it as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gan_fingerprints import images

TILES = 16  # of an image, unless more are asked for
GRID = 8  # pixels: tiles begin where JPEG's blocks do, as the crops of training may
GOLDEN = 0.6180339887  # steps of this share of a circle spread evenly, however many there are


@dataclass(frozen=True)
class Whole:
    """The whole image resized to `side`, whatever its shape: for networks of one size."""

    side: int

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
    """

    side: int
    least: int
    most: int | None = None

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An RGB image → uint8 [tiles, S, S, 3]."""
        if min(image.size) < self.least:
            share = self.least / min(image.size)
            width, height = (max(self.least, round(x * share)) for x in image.size)
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        side = min(self.side, min(image.size) // GRID * GRID)
        places = self.places(image.size, side)
        tiles = [image.crop((left, top, left + side, top + side)) for left, top in places]
        return np.stack([np.asarray(tile) for tile in tiles])

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


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one direction: no fewer than cover it, evenly, on the grid."""
    number = -(-length // side)
    if number == 1:
        return [0]
    last = (length - side) // GRID * GRID
    return sorted({round(i * last / (number - 1) / GRID) * GRID for i in range(number)})
