"""The losses of steps between two reports of a run, through interruptions too."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np


class Losses:
    """Losses of steps since the last report, and how long these took.

    Args:
        done: images or iterations before the first of them; later counts are of the same.
        before: `state` of an earlier session, whose losses belong to the same report.
    """

    def __init__(self, done: int, before: Mapping[str, Any] | None = None) -> None:
        self.restart(done)
        if before and before["steps"]:
            self._values.append(before["sum"])
            self._steps, self._done = before["steps"], before["done"]
            self._since -= before["seconds"]

    def restart(self, done: int) -> None:
        """Begins anew, after a report."""
        self._values: list[Any] = []
        self._steps, self._done, self._since = 0, done, time.monotonic()

    def add(self, losses: Any) -> None:
        """Losses of one step: tensors, which are not read before the report."""
        self._values.append(losses)
        self._steps += 1

    @property
    def state(self) -> dict[str, Any]:
        """What a later session needs to report the same means."""
        return {
            "done": self._done,
            "seconds": time.monotonic() - self._since,
            "steps": self._steps,
            "sum": self._sum().tolist() if self._steps else None,
        }

    def _sum(self) -> np.ndarray:
        # One after the other, so that it does not depend on where a session ended.
        return np.cumsum(np.array(self._values, np.float64), axis=0)[-1]

    def report(self, done: int) -> tuple[np.ndarray, float]:
        """Mean losses, and seconds per image or iteration."""
        means = self._sum() / self._steps
        return means, (time.monotonic() - self._since) / (done - self._done)
