"""A likelihood ratio as a function of one score, within the bounds that its cases support."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from gan_fingerprints.likelihood import LN10, STEEPEST, STEP

MOST_IMAGES = 2**40  # in a file
WIDEST = 1e6  # of `a` in a file


@dataclass(frozen=True)
class Fitted:
    """log LR = a + b · score, within bounds.

    Attributes:
        a, b: see `likelihood.fit`.
        low, high: log10 LRs; beyond them the validation images support none.
        same, other: cases in which the first, and the second, proposition is true.
        groups: how many of them are independent: groups of images, images or pools.
    """

    a: float
    b: float
    low: float
    high: float
    same: int
    other: int
    groups: int

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """log10 LRs float64, as many as scores."""
        return np.clip((self.a + self.b * np.asarray(scores)) / LN10, self.low, self.high)

    @classmethod
    def read(cls, said: Any) -> Fitted:
        """From JSON; ValueError for anything else."""
        names = [field.name for field in fields(cls)]
        if type(said) is not dict or set(said) != set(names):
            raise ValueError(f"a likelihood with more or less than {', '.join(names)}")
        for name, value in said.items():
            counted = name in ("same", "other", "groups")
            fine = type(value) is int if counted else type(value) in (int, float)
            low, high = (1, MOST_IMAGES) if counted else (-WIDEST, WIDEST)
            if not fine or not low <= value <= high:
                shown = repr(value)[:40]
                raise ValueError(f"{name} {shown}; expected a number from {low:g} to {high:g}")
        one = cls(**said)
        # A file that claims more than its images can support is no evidence.
        most = np.log10(one.groups + 1) + STEP
        counted = one.groups <= min(one.same, one.other)
        if not (counted and 0 <= one.b <= STEEPEST and -most <= one.low <= 0 <= one.high <= most):
            raise ValueError(
                f"a likelihood of slope {one.b:g}, from {one.low:g} to {one.high:g}; expected one "
                f"that {one.groups:,} groups of {one.same:,} and {one.other:,} cases support"
            )
        return one
