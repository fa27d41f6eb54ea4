"""Where in an image the evidence is: tiles over it, red for a source and blue against it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

MOST = 3.0  # log10 that has the full colour: a factor of 1,000
OPAQUE = 0.65  # of the full colour, so that the picture stays to be seen
FOR, AGAINST = np.array([200.0, 30.0, 20.0]), np.array([20.0, 60.0, 210.0])
LEAST_SIDE = 512  # pixels of the longer side, as of small images nothing could be seen


def drawn(
    picture: bytes, size: tuple[int, int], places: Sequence[tuple[int, int, int]],
    values: Sequence[float],
) -> np.ndarray:  # fmt: skip
    """A map uint8 [H, W, 3] of log10 ratios; where tiles overlap, of their mean.

    picture: a file of the image, most often smaller; size: of the image, width and height, in
    whose pixels the `places` of tiles are: left, top, side.
    """
    with Image.open(io.BytesIO(picture)) as small:
        times = max(1, -(-LEAST_SIDE // max(small.size)))
        grey = small.convert("L").resize([times * x for x in small.size], Image.Resampling.NEAREST)
    pixels = np.asarray(grey, np.float64)
    height, width = pixels.shape
    total, number = np.zeros([height, width]), np.zeros([height, width])
    for (left, top, side), value in zip(places, values, strict=True):
        columns = slice(*(round(x * width / size[0]) for x in (left, left + side)))
        rows = slice(*(round(y * height / size[1]) for y in (top, top + side)))
        total[rows, columns] += value
        number[rows, columns] += 1
    mean = total / np.maximum(number, 1)
    share = OPAQUE * np.minimum(np.abs(mean) / MOST, 1)[..., None]
    colour = np.where(mean[..., None] > 0, FOR, AGAINST)
    return ((1 - share) * pixels[..., None] + share * colour).round().astype(np.uint8)
