"""What the images of a training set look like, plainly, and images that look otherwise.

A network answers every image, also one of a kind that it has never seen. What is measured here
needs no network: where it lies outside of what training images had, no answer should be given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

PROPERTIES = ("brightness", "contrast", "detail", "treble", "blocks")
MEANING = {
    "brightness": "mean grey level",
    "contrast": "standard deviation of grey levels",
    "detail": "mean difference from a 3×3 blur, in grey levels, as a power of two",
    "treble": "power of the highest spatial frequencies to that of middle ones, as a power of ten",
    "blocks": "steps across the lines of an 8-pixel grid to those elsewhere, as a power of two",
}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
RARE = 0.002  # share of training images that lie outside on either side
MARGIN = 0.25  # of the range between, by which either bound is moved outwards
BANDS = ((0.125, 0.25), (0.375, 0.5))  # cycles per pixel, along either direction


def properties(tiles: np.ndarray) -> np.ndarray:
    """Of an image that is seen as uint8 [tiles, S, S, 3]: float64 [5], means over the tiles."""
    grey = tiles.astype(np.float32) @ LUMA
    smooth = sum(weight * part for weight, part in _neighbours(grey)) / 16
    detail = np.abs(grey[:, 1:-1, 1:-1] - smooth).mean(axis=(1, 2))
    return np.array([
        grey.mean(),
        grey.std(axis=(1, 2)).mean(),
        np.log2(detail + 0.01).mean(),
        _treble(grey).mean(),
        np.mean([_blocks(grey), _blocks(grey.transpose(0, 2, 1))]),
    ])  # fmt: skip


def _neighbours(grey: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
    """The weights of a binomial 3×3 blur, and the image as each of them meets it."""
    height, width = grey.shape[1] - 2, grey.shape[2] - 2
    for i, down in enumerate((1, 2, 1)):
        for j, right in enumerate((1, 2, 1)):
            yield down * right, grey[:, i : i + height, j : j + width]


def _treble(grey: np.ndarray) -> np.ndarray:
    """float64 [tiles]: enlarged images have next to nothing where others end."""
    side = grey.shape[1]
    window = np.hanning(side + 2)[1:-1]  # else the edges of a tile are the strongest treble
    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centred * window * window[:, None])) ** 2
    frequency = np.maximum(
        np.abs(np.fft.fftfreq(side))[:, None], np.fft.rfftfreq(side)[None]
    )  # the larger of both directions
    middle, highest = (
        power[:, (low <= frequency) & (frequency <= high)].mean(axis=1) for low, high in BANDS
    )
    return np.log10((highest + 1) / (middle + 1))


def _blocks(grey: np.ndarray) -> float:
    """JPEG's blocks, where they begin with the image; of steps between columns."""
    steps = np.abs(np.diff(grey, axis=2)).mean(axis=(0, 1))
    at_lines = np.arange(1, len(steps) + 1) % 8 == 0
    return float(np.log2((steps[at_lines].mean() + 0.1) / (steps[~at_lines].mean() + 0.1)))


@dataclass(frozen=True)
class Domain:
    """The range of each property among training images.

    Attributes:
        bounds: float32 [2, 5], lowest and highest, in the order of `PROPERTIES`.
    """

    bounds: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Domain:
        """From `properties` of training images: float [N, 5]."""
        low, high = np.quantile(rows, [RARE, 1 - RARE], axis=0)
        margin = MARGIN * (high - low)
        return cls(np.stack([low - margin, high + margin]).astype(np.float32))

    @classmethod
    def read(cls, bounds: np.ndarray) -> Domain:
        """From what a file holds; ValueError for anything else."""
        if bounds.shape != (2, len(PROPERTIES)) or not (bounds[0] <= bounds[1]).all():
            raise ValueError(f"a domain of {bounds.shape} bounds, or out of order")
        return cls(bounds)

    def outside(self, row: np.ndarray) -> str:
        """What lies outside, with its value and range, for a sentence; empty if nothing does."""
        low, high = self.bounds
        for i, name in enumerate(PROPERTIES):
            if not low[i] <= row[i] <= high[i]:
                return (
                    f"its {name} ({MEANING[name]}) is {row[i]:.3g}, outside of {low[i]:.3g} to "
                    f"{high[i]:.3g}, the range of the training images"
                )
        return ""
