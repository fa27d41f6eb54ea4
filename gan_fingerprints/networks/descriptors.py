"""Which small steps of grey stand side by side: descriptors of images, in a millisecond each.

Generators differ in how their last convolutions let neighbouring pixels vary, and rich models of
steganalysis count just that: filters take away the content, and what is left is counted in triples
(Fridrich and Kodovsky 2012; Pevny, Bas and Fridrich 2010). Integers alone are computed with until
the counts are there, so that every machine counts the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

HIGHEST = 2  # residuals are cut off at ± this, after rounding
LEVELS = 2 * HIGHEST + 1
NONE = LEVELS**3  # the code of no triple
DIFFERENCES = ((-1, 1), (1, -2, 1), (-1, 3, -3, 1))  # of neighbours; divided by 1, 2 and 3
LEAST_SIDE = 12
PIXELS = 2**16  # at once, so that what is at work fits into a processor's cache


class View(NamedTuple):
    """What is counted of a plane of the images.

    Attributes:
        plane: Y, Cb or Cr.
        side: each number is the mean of side × side pixels, 1 or 2; such squares overlap.
        steps: what residuals are divided by before rounding.
        apart: pixels from one level of a triple to the next.
        lines: where triples run, as steps down and to the right. Each tuple of such lines is
            counted by itself.
        joined: whether differences along rows and along columns are counted together.
    """

    plane: str
    side: int
    steps: tuple[int, ...]
    apart: int
    lines: tuple[tuple[tuple[int, int], ...], ...]
    joined: bool = False


ROWS, COLUMNS, DIAGONALS = (0, 1), (1, 0), ((1, 1), (1, -1))
VIEWS = (
    View("Y", 1, (2, 6), 1, ((ROWS,), (COLUMNS,))),
    View("Y", 1, (6,), 1, (DIAGONALS,)),
    View("Y", 2, (2,), 2, ((ROWS,), (COLUMNS,))),
    View("Cb", 1, (1,), 1, ((ROWS, COLUMNS),), joined=True),
    View("Cr", 1, (1,), 1, ((ROWS, COLUMNS),), joined=True),
)
PLANES = {"Y": (19595, 38470, 7471), "Cb": (-11059, -21709, 32768), "Cr": (32768, -27439, -5329)}
"""Of R, G and B, 65536 times too large, as libjpeg computes them in integers."""


class Flat(NamedTuple):
    """A number for each pixel of several images, one row after the other, one image after another.

    Work along flat arrays runs over the ends of rows and images; what comes of that has no meaning
    and is not counted. It is much faster than work on thousands of short rows.

    Attributes:
        values: int16 or uint8 [N·H·W].
        unit: how many times too large they are.
        ends: how many rows and columns at the end of each image have no meaning.
    """

    values: np.ndarray
    unit: int
    ends: tuple[int, int]


@functools.cache
def classes_of_triples() -> np.ndarray:
    """The class of each triple of levels, int [LEVELS³]: those that mirrors exchange share one.

    Read backwards, or with every sign turned, a triple says the same of the generator.
    """
    shape = (LEVELS,) * 3
    levels = np.stack(np.unravel_index(np.arange(NONE), shape))
    turned = LEVELS - 1 - levels
    alike = [np.ravel_multi_index(x, shape) for x in (levels, levels[::-1], turned, turned[::-1])]
    return np.unique(np.min(alike, axis=0), return_inverse=True)[1]


def descriptors(images: np.ndarray) -> np.ndarray:
    """Roots of shares of triples in residuals: uint8 [N, H, W, 3] → float32 [N, length()].

    Of each view: of differences of order 1 to 3, along rows and along columns, by each step, in
    each of the lines. Roots, as distances of them weigh rare and frequent triples alike, see
    Hellinger. Images of all sizes from 12 pixels up can be compared; ValueError for smaller ones.
    """
    height, width = images.shape[1:3]
    if min(height, width) < LEAST_SIDE:
        raise ValueError(f"images of {height}×{width} pixels, expected {LEAST_SIDE} or more")
    number = max(1, PIXELS // (height * width))
    parts = [_described(images[i : i + number]) for i in range(0, len(images), number)]
    return np.concatenate(parts) if parts else np.zeros([0, length()], np.float32)


@functools.cache
def length() -> int:
    """How many numbers describe an image."""
    histograms = sum(len(v.steps) * len(v.lines) * (1 if v.joined else 2) for v in VIEWS)
    return len(DIFFERENCES) * histograms * (int(classes_of_triples().max()) + 1)


def _described(images: np.ndarray) -> np.ndarray:
    counts = [histogram for view in VIEWS for histogram in _histograms(images, view)]
    classes = classes_of_triples()
    to_classes = np.zeros([NONE, classes.max() + 1])
    to_classes[np.arange(NONE), classes] = 1
    shares = np.stack(counts, axis=1) @ to_classes  # [N, histograms, classes]
    shares /= shares.sum(axis=2, keepdims=True)
    return np.sqrt(shares).astype(np.float32).reshape(len(images), -1)


def _histograms(images: np.ndarray, view: View) -> Iterator[np.ndarray]:
    """Counts of triples, float64 [N, LEVELS³] each."""
    shape = images.shape[:3]
    plane = _plane(images, view.plane, view.side)
    for taps in DIFFERENCES:
        counts = [
            [
                _counts(levels, line, view.apart, shape)
                for levels in (_levels(residual, step) for step in view.steps)
                for line in view.lines
            ]
            for residual in (_residual(plane, taps, down, shape[2]) for down in (False, True))
        ]
        yield from map(sum, zip(*counts, strict=True)) if view.joined else chain(*counts)


def _plane(images: np.ndarray, name: str, side: int) -> Flat:
    """A plane of JPEG, or sums of 2×2 of it."""
    values = np.full(images[..., 0].size, 2**15, np.int32)  # a half, to round
    for i, weight in enumerate(PLANES[name]):
        values += weight * images[..., i].ravel().astype(np.int32)
    values = (values >> 16).astype(np.int16)
    if side == 2:
        for stride in (1, images.shape[2]):
            values[:-stride] += values[stride:]
    return Flat(values, side * side, (side - 1, side - 1))


def _residual(plane: Flat, taps: tuple[int, ...], down: bool, width: int) -> Flat:
    """Differences along rows, or down the columns."""
    order, stride = len(taps) - 1, width if down else 1
    left = np.zeros_like(plane.values)
    whole = len(left) - order * stride
    for place, tap in enumerate(taps):
        left[:whole] += np.int16(tap) * plane.values[place * stride :][:whole]
    rows, columns = plane.ends
    ends = (rows + order, columns) if down else (rows, columns + order)
    return Flat(left, plane.unit * order, ends)


def _levels(residual: Flat, step: int) -> Flat:
    """Residuals over the step, rounded and cut off: 0 to LEVELS - 1."""
    levels = np.full(len(residual.values), HIGHEST, np.uint8)
    unit = residual.unit * step
    for level in range(HIGHEST):
        bound = np.int16(unit * level + (unit + 1) // 2)  # halves are rounded away from 0
        levels += (residual.values >= bound).view(np.uint8)
        levels -= (residual.values <= -bound).view(np.uint8)
    return Flat(levels, 1, residual.ends)


def _counts(
    levels: Flat, line: tuple[tuple[int, int], ...], apart: int, shape: tuple[int, ...]
) -> np.ndarray:
    """How often each triple is there: float64 [N, LEVELS³]."""
    number, _, width = shape
    first = levels.values * np.uint8(LEVELS**2)
    second = levels.values * np.uint8(LEVELS)
    counts = np.zeros([number, NONE])
    for down, right in line:
        stride = apart * (down * width + right)
        start = 2 * apart if right < 0 else 0  # a line to the left begins further right
        codes = np.full(len(first), NONE, np.uint8)
        whole = len(first) - start - 2 * stride
        codes[:whole] = first[start:][:whole]
        codes[:whole] += second[start + stride :][:whole]
        codes[:whole] += levels.values[start + 2 * stride :][:whole]
        grid = codes.reshape(shape)
        rows, columns = (
            size - end - 2 * apart * abs(way)
            for size, end, way in zip(shape[1:], levels.ends, (down, right), strict=True)
        )
        grid[:, rows:] = NONE
        grid[:, :, columns:] = NONE
        for one, own in zip(counts, codes.reshape(number, -1), strict=True):
            one += np.bincount(own, minlength=NONE + 1)[:NONE]
    return counts
