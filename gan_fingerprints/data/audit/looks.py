"""What an image looks like, in little: a blurred copy of a few pixels, and its coarse shape."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 16  # of the small copy
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
COEFFICIENTS = 64  # of the shape
LEAST_CONTRAST = 3.0  # of 255 levels: standard deviation
PATCH = 64  # pixels of the middle that are searched for grids


class Look(NamedTuple):
    """What is kept of a sampled image.

    Attributes:
        small: the prepared image in little, uint8 [S, S, 3], S = 16 or the side if that is less.
        patch: the brightness of the middle of the image in the file's own size, uint8 [h, w]; its
            corner is at a multiple of 8 pixels from the image's.
        in_blocks: whether the file is a JPEG, whose 8-pixel blocks begin at the image's corner.
    """

    small: np.ndarray
    patch: np.ndarray
    in_blocks: bool


def small(pictures: np.ndarray) -> np.ndarray:
    """Images in little, by the mean of squares: uint8 [N, R, R, 3] → uint8 [N, S, S, 3].

    R: a power of two.
    """
    number, resolution = pictures.shape[:2]
    side = min(SIDE, resolution)
    # Whole rows are added first: long runs of memory are several times as fast.
    rows = pictures.reshape(number, side, resolution // side, 3 * resolution)
    rows = rows.sum(axis=2, dtype=np.uint32).astype(np.float32)
    means = rows.reshape(number * side, 3 * resolution) @ _means(side, resolution // side)
    return np.rint(means).astype(np.uint8).reshape(number, side, side, 3)


@lru_cache
def _means(side: int, factor: int) -> np.ndarray:
    """What rows of sums [3 · side · factor] are multiplied with for means [3 · side]."""
    squares = np.kron(np.eye(side), np.full((factor, 1), factor**-2))
    return np.kron(squares, np.eye(3)).astype(np.float32)


def middle(image: Image.Image) -> np.ndarray:
    """The brightness of the middle of Pillow's RGB image, uint8 [h, w], h and w at most 64."""
    left, top = (max(0, side - PATCH) // 16 * 8 for side in image.size)
    right, bottom = (
        min(side, start + PATCH) for side, start in zip(image.size, (left, top), strict=True)
    )
    return np.asarray(image.crop((left, top, right, bottom)).convert("L"))


def shapes(smalls: np.ndarray) -> np.ndarray:
    """The coarse shape of images uint8 [N, 16, 16, 3]: 64 low frequencies, float32 [N, 64].

    Those of the discrete cosine transform of their brightness, without the mean. All are 0 where
    there is too little contrast to tell images apart.
    """
    brightness = smalls @ LUMA
    cosines = cosine_transform(SIDE)
    down, across = frequencies().T
    found = (cosines @ brightness @ cosines.T)[:, down, across]
    return np.where(brightness.std(axis=(1, 2))[:, None] < LEAST_CONTRAST, 0, found)


@lru_cache
def cosine_transform(side: int) -> np.ndarray:
    """The orthonormal DCT-II as a matrix, float32 [side, side]; row k is frequency k."""
    k, n = np.mgrid[:side, :side]
    matrix = np.cos(np.pi * (2 * n + 1) * k / (2 * side)) * np.sqrt(2 / side)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


@lru_cache
def frequencies() -> np.ndarray:
    """The 64 lowest frequencies (down, across) but (0, 0), int [64, 2]."""
    every = [(u, v) for u in range(SIDE) for v in range(SIDE) if u + v]
    return np.array(sorted(every, key=lambda f: (sum(f), f))[:COEFFICIENTS])
