"""How far a run of steps is, by the time that each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType

import yaml
from tqdm import tqdm

from gan_fingerprints.training.time_left import in_words

RECORDED = Path(__file__).resolve().parent / "scales" / "seconds.yml"
UNHEARD_OF = 5.0  # seconds, of steps of no kind that was ever timed
EARLY = 10.0  # seconds in which no rate can be told


def expected(scale: str, names: Iterable[str]) -> dict[str, float]:
    """Step → seconds that it took at this scale; of others, what their kind took there or anywhere.

    A step's kind is what its name begins with: gans/ProGAN is of the kind gans.
    """
    of_scales = _recorded()
    own = of_scales.get(scale, {})
    return {name: own.get(name) or _of_kind(name, [own, *of_scales.values()]) for name in names}


@cache
def _recorded() -> dict[str, dict[str, float]]:
    return yaml.safe_load(RECORDED.read_text())


def _of_kind(name: str, timed: Iterable[Mapping[str, float]]) -> float:
    kind = name.partition("/")[0]
    for seconds in timed:
        alike = [x for other, x in seconds.items() if other.partition("/")[0] == kind]
        if alike:
            return sum(alike) / len(alike)
    return UNHEARD_OF


class Progress:
    """A bar whose time left follows from what the steps are expected to take.

    A fast or slow machine shows soon: what is left is divided by the rate so far. Without a
    terminal there is a line for each step instead.

    Args:
        seconds: step → what it is expected to take, of all steps.
        done: those that are complete.
        jobs: steps at the same time.
    """

    def __init__(
        self, seconds: Mapping[str, float], done: Iterable[str], jobs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.seconds, self.jobs, self.clock = seconds, jobs, clock
        self.done = set(done)
        self.first = self._reached({})
        self.started = clock()
        self.bar = tqdm(
            total=round(sum(seconds.values()), 1), initial=round(self.first, 1), disable=None,
            bar_format="{percentage:3.0f} %|{bar}| {postfix}", dynamic_ncols=True,
        )  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.bar.close()

    def _reached(self, running: Mapping[str, float]) -> float:
        """Expected seconds of what is done, and of what runs, step → seconds so far."""
        # A step that takes longer than expected is nearly done for as long as it takes.
        part = sum(min(x, 0.95 * self.seconds[name]) for name, x in running.items())
        return sum(self.seconds[name] for name in self.done) + part

    def left(self, running: Mapping[str, float]) -> float:
        """Seconds until the end."""
        reached, elapsed = self._reached(running), self.clock() - self.started
        rate = (reached - self.first) / elapsed if elapsed > EARLY else 0.0
        return (sum(self.seconds.values()) - reached) / (rate or self.jobs)

    def show(self, running: Mapping[str, float]) -> None:
        """Moves the bar. running: step → seconds so far."""
        self.bar.n = round(self._reached(running), 1)
        names = ", ".join(running)
        self.bar.set_postfix_str(f"{in_words(self.left(running))} left: {names}", refresh=True)

    def end(self, name: str, seconds: float, running: Mapping[str, float]) -> None:
        """A step is complete."""
        self.done.add(name)
        line = f"{seconds:7.0f} s  {name}"
        if self.bar.disable:
            number = f"{len(self.done)} of {len(self.seconds)} steps"
            print(f"{line}  ({number}, {in_words(self.left(running))} left)", flush=True)
        else:
            tqdm.write(line)
