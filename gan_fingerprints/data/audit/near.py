"""Images that are nearly the same: recompressed, resized, a little brighter, mirrored.

Each image is known by the signs of 64 low frequencies, compared with the median of all images: what
all have in common, as the oval of a face in the middle, then does not count. Images of which one of
five parts of these 64 bits is the same are looked at more closely.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from gan_fingerprints.data.audit.looks import frequencies

BANDS = 5  # of 12 or 13 bits: found for sure is what differs in at most 4
MOST_BITS = 16  # in which near images may differ
LIKE = 0.95  # cosine of shapes from which images are nearly the same
MOST_ROUNDS = 1000  # images with the same part that one is compared with
MANY = 200  # images from which it is known what all have in common
FLIPS = list(product((1, -1), repeat=2))
"""As it is, left and right exchanged, up and down, both."""


class Shapes:
    """Shapes of many images, float32 [N, 64], made comparable with those of others."""

    def __init__(self, shapes: np.ndarray, median: np.ndarray, spread: np.ndarray) -> None:
        difference = (shapes - median) / spread
        self.bits = _as_numbers(difference > 0)
        self.directions = difference / np.linalg.norm(difference, axis=1, keepdims=True)


def near(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each image one of the others that is nearly the same: its number, int [N]; -1 for none.

    shapes: float32 [N, 64] of `looks.shapes`; others: of M images, [M, 64].
    """
    found = np.full(len(shapes), -1)
    ours, theirs = (np.flatnonzero(x.any(axis=1)) for x in (shapes, others))
    if not ours.size or not theirs.size:
        return found
    both = np.concatenate([shapes[ours], others[theirs]])
    median = np.median(both, axis=0) * (len(both) >= MANY)
    spread = np.median(np.abs(both - median), axis=0) + 1e-3
    known = Shapes(others[theirs], median, spread)
    tables = [_Table(key) for key in _bands(known.bits)]
    for down, across in FLIPS:
        odd = frequencies() % 2 == 1  # these change their sign when the image is mirrored
        signs = np.where(odd[:, 0], down, 1) * np.where(odd[:, 1], across, 1)
        missing = np.flatnonzero(found[ours] < 0)
        asked = Shapes(shapes[ours[missing]] * signs, median, spread)
        place = _look_up(asked, known, tables)
        found[ours[missing]] = np.where(place < 0, -1, theirs[place])
    return found


def _as_numbers(bits: np.ndarray) -> np.ndarray:
    """Bits, bool [N, 64], as numbers: uint64 [N]."""
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _bands(bits: np.ndarray) -> list[np.ndarray]:
    """Five parts of each number, every fifth bit: coarse and fine frequencies in each."""
    masks = [sum(1 << i for i in range(first, 64, BANDS)) for first in range(BANDS)]
    return [bits & np.uint64(mask) for mask in masks]


class _Table:
    """Finds the places of a number among many."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.order = np.argsort(numbers, kind="stable")
        self._sorted = numbers[self.order]

    def spans(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each number begins and ends in `order`."""
        return (
            np.searchsorted(self._sorted, numbers, "left"),
            np.searchsorted(self._sorted, numbers, "right"),
        )


def _look_up(asked: Shapes, known: Shapes, tables: list[_Table]) -> np.ndarray:
    """The number of a known image that is like each one that is asked for, or -1."""
    found = np.full(len(asked.bits), -1)
    for numbers, table in zip(_bands(asked.bits), tables, strict=True):
        start, end = table.spans(numbers)
        open_ = np.flatnonzero((found < 0) & (start < end))
        for step in range(MOST_ROUNDS):  # all that are open with one candidate each at a time
            candidates = table.order[start[open_] + step]
            like = _are_like(asked, open_, known, candidates)
            found[open_[like]] = candidates[like]
            open_ = open_[~like & (start[open_] + step + 1 < end[open_])]
            if not open_.size:
                break
    return found


def _are_like(asked: Shapes, ours: np.ndarray, known: Shapes, theirs: np.ndarray) -> np.ndarray:
    """Whether pairs of images, by their numbers, are nearly the same: bool [pairs]."""
    like = np.bitwise_count(asked.bits[ours] ^ known.bits[theirs]) <= MOST_BITS
    pairs = asked.directions[ours[like]], known.directions[theirs[like]]
    like[like] = np.einsum("ij,ij->i", *pairs) >= LIKE
    return like
