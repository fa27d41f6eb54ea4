"""Networks and arrays that are still in their file: described, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints.calibration import Calibration
from gan_fingerprints.likelihoods.fitted import Likelihoods
from gan_fingerprints.networks.enrolment import Enrolment

NUMBERS = frozenset(
    {"f2", "f4", "f8", "b1", *(f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8))}
)
MAX_DIMENSIONS = 8


class Refused(ValueError):
    """What a file holds is not admitted; the message says what it was."""


@dataclass(frozen=True)
class StoredArray:
    """An array of numbers in a file; `np.asarray` reads it.

    Attributes:
        shape, dtype: as they will be in memory.
        read: reads the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        array = self.read()
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Refused("holds values that are not numbers")
        return array if dtype is None else array.astype(dtype)


@dataclass(frozen=True)
class StoredNetwork:
    """A network in a file, of which nothing has been built yet.

    Attributes:
        kind: its name here, e.g. "generator".
        arguments: of the constructor of that kind.
        arrays: under our names, for `files.fill`; each is read when it is used.
        source_names: in label order; None where there are none.
        provenance: where it comes from.
        published_as: how its file calls it, e.g. "Gs (G_paper)"; empty for files of ours.
        calibration: of a classifier, where its training added one.
        enrolment: of a classifier, where sources were enrolled, or may be without further data.
        likelihoods: of a classifier, where they were fitted.
        card: what it was made of and what was measured of it; see `gan_fingerprints.card`.
        bfloat16: of a classifier, of how many validation `images` how many have an `equal` name in
            bfloat16; None where that was not measured.
    """

    kind: str
    arguments: dict[str, Any]
    arrays: Mapping[str, Any]
    source_names: list[str] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    published_as: str = ""
    calibration: Calibration | None = None
    enrolment: Enrolment | None = None
    likelihoods: Likelihoods | None = None
    card: dict[str, Any] | None = None
    bfloat16: dict[str, int] | None = None


def in_file(
    path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype, fortran: bool = False
) -> StoredArray:
    """An array whose bytes lie in a file without compression, from `offset` on."""

    def read() -> np.ndarray:
        flat = np.fromfile(path, dtype, math.prod(shape), offset=offset)
        return flat.reshape(shape, order="F" if fortran else "C")

    return StoredArray(shape, dtype, read)


def plain_dtype(text: object) -> np.dtype:
    """The type for a code such as `f4` or `<i8`; Refused unless it is a plain number."""
    if not isinstance(text, str) or text.lstrip("<>|=") not in NUMBERS or len(text) > 3:
        raise Refused(f"an array of type {clipped(text)}; only plain numbers are admitted")
    return np.dtype(text)


def plain_shape(shape: object) -> tuple[int, ...]:
    """A shape as stored; Refused unless it is a tuple of a few sizes."""
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise Refused("an array whose shape is not a short tuple")
    for size in shape:
        if type(size) is not int or not 1 <= size < 2**48:
            raise Refused("an array whose shape is not made of sizes")
    return shape


def clipped(value: object) -> str:
    """A foreign value for a message: printable, on one line, at most 80 characters."""
    if not isinstance(value, str | int | float | bytes | None):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) >= 2**64:
        return "a very large number"
    text = (
        value if isinstance(value, str) else repr(value[:80] if isinstance(value, bytes) else value)
    )
    text = text.encode("unicode_escape").decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
