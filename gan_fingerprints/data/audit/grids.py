"""Grids of 8×8 pixels that an earlier JPEG left in the pixels, and where they lie.

JPEG rounds the cosine transform of each block, so that where a grid lies, and nowhere else, many
coefficients are nearly 0 (the idea of ZERO: Nikoukhah and others, Image Processing On Line 11,
2021). A photograph that was a JPEG keeps that when it is cropped and saved as a PNG, and, weaker,
when it is saved as a JPEG again. Images of a GAN have no such grid, so it gives them away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.data.audit.looks import Look, cosine_transform
from gan_fingerprints.data.audit.separability import FEWEST, MARGIN, SURE

SAMPLE = 200  # images per source
LEAST = 23  # pixels of a side: two blocks wherever the grid lies
PLAIN, BLURRED = 1.0, 4.0  # coefficients below are nearly 0: in a grid, in one that JPEG went over
CLEAR, FAINT = 5.0, 2.5  # by how many deviations of other places a grid stands out, and the latter
CONFIDENCE = 1 - (1 - SURE) / 130  # 64 places, or any, of the last and of an earlier grid
ADVICE = (
    "it outlives a later JPEG, and a network learns it; give all images the same history before "
    "that: put the others through a JPEG whose blocks begin there, or all through one "
    "(`gan-fingerprints harmonize --jpeg_quality Q`)"
)
KINDS = {"a JPEG": "last", "an earlier JPEG": "earlier"}
BEGIN = "the 8-pixel grid of "
Place = tuple[int, int]
"""Where blocks begin, from the left and from the top, 0 to 7."""


class Grids(NamedTuple):
    """The grid of the last JPEG that an image went through, and of an earlier one, if any."""

    last: Place | None
    earlier: Place | None


def grids_of(look: Look) -> Grids:
    """The grids in the middle of an image; none are found in images below 23×23 pixels."""
    if min(look.patch.shape) < LEAST:
        return Grids(None, None)
    plain, blurred = _small_coefficients(look.patch)
    last = (0, 0) if look.in_blocks else _outstanding(plain, CLEAR) or _outstanding(blurred, CLEAR)
    return Grids(last, _outstanding(blurred, FAINT, last) if last else None)


def _small_coefficients(patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of coefficients below 1 and below 4 for each place of a grid: float [8, 8] each.

    patch: uint8 [H, W].
    """
    down, across = (_blocks_everywhere(side) for side in patch.shape)
    sizes = np.abs(down @ patch.astype(np.float32) @ across.T)  # [8 · n, 8 · m], 8 places each
    height, width = (len(x) // 8 for x in (down, across))
    rows = np.kron(np.eye(8), np.full((1, height), 1 / height)).astype(np.float32)
    columns = np.kron(np.eye(8), np.full((width, 1), 1 / width)).astype(np.float32)
    plain, blurred = (
        (rows @ (sizes < limit).astype(np.float32) @ columns).T for limit in (PLAIN, BLURRED)
    )
    return plain, blurred


@lru_cache
def _blocks_everywhere(side: int) -> np.ndarray:
    """The cosine transforms of all blocks along a side: float32 [8 · 8 · blocks, side].

    In the order of places of the grid, then frequencies, then blocks.
    """
    blocks = (side - 7) // 8
    rows = np.zeros((8, 8, blocks, side), np.float32)
    for place in range(8):
        for block in range(blocks):
            start = place + 8 * block
            rows[place, :, block, start : start + 8] = cosine_transform(8)
    return rows.reshape(-1, side)


def _outstanding(shares: np.ndarray, least: float, beside: Place | None = None) -> Place | None:
    """The place that stands out from its four neighbours by so much, and as no other does.

    shares: float [8, 8], by place. A grid shows in the rows and columns beside it, too: with one
    at `beside`, others are looked for further away.
    """
    shares = shares - _slope(shares)[:, None] - _slope(shares.T)
    around = sum(np.roll(shares, step, axis) for step in (1, -1) for axis in (0, 1)) / 4
    excess = shares - around
    excess -= np.median(excess)
    # The last term is what single coefficients make of it in flat images.
    excess /= 1.4826 * np.median(np.abs(excess)) + 0.0016
    if beside:
        for step in (-1, 0, 1):
            excess[(beside[0] + step) % 8] = excess[:, (beside[1] + step) % 8] = -np.inf
    x, y = divmod(int(excess.argmax()), 8)
    return (x, y) if excess[x, y] > least else None


def _slope(shares: np.ndarray) -> np.ndarray:
    """How shares [8, 8] rise from row to row, as the content of an image may: [8]."""
    # The blocks from place 7 lie 7 pixels further than those from place 0, which is beside it.
    places = np.arange(8) - 3.5
    return places * (places @ np.median(shares, axis=1)) / (places @ places)


class Shares(NamedTuple):
    """How many of a source's images have which grid.

    Attributes:
        images: number of images looked at.
        last, earlier: int [8, 8], images by the place of the grid.
    """

    images: int
    last: np.ndarray
    earlier: np.ndarray

    def texts(self) -> list[str]:
        """The share and the most frequent place of each in a few characters: "74 % 4,4"."""
        return [self._text(self.last), self._text(self.earlier)]

    def _text(self, counts: np.ndarray) -> str:
        x, y = divmod(int(counts.argmax()), 8)
        share = counts.sum() / max(self.images, 1)
        return f"{100 * share:.0f} % {x},{y}" if share >= MARGIN else ""  # below is chance


def shares(looks: Mapping[str, Sequence[Look]]) -> dict[str, Shares]:
    """The grids of up to 200 images of each source, from 23×23 pixels on."""
    result = {}
    for source, some in looks.items():
        large = [look for look in some if min(look.patch.shape) >= LEAST]
        chosen = np.linspace(0, len(large) - 1, min(SAMPLE, len(large))).astype(int)
        counts = np.zeros((2, 8, 8), int)
        for i in chosen:
            for kind, place in zip(counts, grids_of(large[i]), strict=True):
                if place:
                    kind[place] += 1
        result[source] = Shares(len(chosen), *counts)
    return result


def warnings(found: Mapping[str, Shares]) -> list[str]:
    """What to tell the user: the grids that are surely 5 points more frequent in some source."""
    if min((one.images for one in found.values()), default=0) < FEWEST:
        return []
    said = []
    for what, kind in KINDS.items():
        counts = {source: getattr(one, kind) for source, one in found.items()}
        gaps = [_gap("", {source: int(x.sum()) for source, x in counts.items()}, found)]
        for x, y in np.ndindex(8, 8):
            numbers = {source: int(x_y[x, y]) for source, x_y in counts.items()}
            gaps.append(_gap(f" with blocks from {x}, {y}", numbers, found))
        gap = max(gaps, key=lambda gap: (gap.surely, gap.where))
        if gap.surely > MARGIN:
            said.append(f"{BEGIN}{what}{gap.where} is in {gap.text}: {ADVICE}")
    return said


def is_of(warning: str, what: str) -> bool:
    """Whether a warning is one of `warnings`, of this of `KINDS`."""
    return warning.startswith(f"{BEGIN}{what}")


class Gap(NamedTuple):
    """Between the sources that have a grid most and least often.

    Attributes:
        surely: by how much the shares of images differ at least.
        where: the place of the grid, in words; empty for any.
        text: both shares, in words.
    """

    surely: float
    where: str
    text: str


def _gap(where: str, numbers: Mapping[str, int], found: Mapping[str, Shares]) -> Gap:
    shares = {source: number / found[source].images for source, number in numbers.items()}
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    (low, _), (_, high) = (
        metrics.wilson_interval(numbers[x], found[x].images, CONFIDENCE) for x in (most, least)
    )
    percent = {source: f"{100 * share:.0f} %" for source, share in shares.items()}
    text = f"{percent[most]} of the images of {most}, {percent[least]} of {least}"
    return Gap(low - high, where, text)
