"""How long a training will take, in one line, when it has taken a few steps."""

from __future__ import annotations

import time

from gan_fingerprints.workers import cores

SMALL = "small"  # the preset that takes minutes
MEASURED = 3, 5.0  # steps and seconds after the first step, from which the time left is estimated
LONG = 3600.0  # seconds: a run that takes longer is told of the small preset


class TimeLeft:
    """Measures the rate of a run's first steps.

    Attributes:
        rate_holds: what that rate holds for, where it does not stay the same.
    """

    def __init__(self, small: bool = False) -> None:
        self.rate_holds = ""
        self._small = small
        self._steps: list[tuple[float, int]] | None = []

    def after(self, shown: int, total: float) -> str:
        """Called before the first step and after each, with the images shown, of a total.

        Returns the line to print, once; an empty one otherwise.
        """
        if self._steps is None:
            return ""
        self._steps.append((time.monotonic(), shown))
        steps, seconds = MEASURED
        # Not from the start: the first step takes the time of tracing the networks, too.
        (since, before), (now, shown) = self._steps[min(1, len(self._steps) - 1)], self._steps[-1]
        if len(self._steps) <= 1 + steps or now - since < seconds or shown == before:
            return ""
        self._steps = None
        left = (total - shown) * (now - since) / (shown - before)
        return told(left, processors(), self.rate_holds, self._small)


def told(seconds: float, processors: str, rate_holds: str = "", small: bool = False) -> str:
    """How long a run will take, in words, and what takes less."""
    least, advice = ("at least ", f" ({rate_holds})") if rate_holds else ("about ", "")
    if seconds > LONG and not small:
        advice += f"; --preset {SMALL} takes minutes"
    return f"{least}{in_words(seconds)} to go at this rate on {processors}{advice}"


def in_words(seconds: float) -> str:
    """A time in the largest unit that it has two of: "52 days", "90 minutes"."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def processors() -> str:
    """What this process trains on: "2 cores", "1 GPU"."""
    import tensorflow as tf

    gpus = len(tf.config.get_visible_devices("GPU"))
    number, name = (gpus, "GPU") if gpus else (cores(), "core")
    return f"{number} {name}{'s' if number > 1 else ''}"
