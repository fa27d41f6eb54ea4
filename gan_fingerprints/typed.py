"""What the words of a command line may be: how each kind is read, and its name in `--help`.

`program.option` declares with them: `option(typed.non_negative.of("SECONDS"), 5.0, "time for …")`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """What a flag takes.

    Attributes:
        read: makes the value of a word, or raises ArgumentTypeError, "found …, expected …".
        unit: what `--help` shows in the word's place.
        how: further arguments of `add_argument`.
    """

    read: Callable[[str], Any]
    unit: str
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, text: str) -> Any:
        return self.read(text)

    def of(self, unit: str) -> Kind:
        """The same with another unit: `non_negative.of("SECONDS")`."""
        return dataclasses.replace(self, unit=unit)


def number(kind: type, allowed: Callable[[Any], bool], expected: str, unit: str = "X", /) -> Kind:
    """Numbers, whole or not, that are allowed; `expected` says which are."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not allowed(value):  # as every comparison with NaN
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
        return value

    return Kind(read, unit)


def between(low: float, high: float, unit: str) -> Kind:
    """Numbers from `low` to `high`, both included."""
    return number(float, lambda x: low <= x <= high, f"a number from {low:g} to {high:g}", unit)


def one_of(*values: Any) -> Kind:
    """One of a few words or whole numbers."""
    known = {str(value): value for value in values}
    *most, last = known
    listed = f"{', '.join(most)} or {last}" if most else last

    def read(text: str) -> Any:
        if text not in known:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {listed}")
        return known[text]

    return Kind(read, f"{{{','.join(known)}}}")


def number_or(word: str, kind: Kind) -> Kind:
    """Numbers of a kind, or a word."""

    def read(text: str) -> Any:
        try:
            return word if text == word else kind(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, or {word}") from None

    return Kind(read, f"{kind.unit}|{word}")


def several(kind: Kind, how_many: str = "+") -> Kind:
    """A list of words: "+" one or more, "*" any number; or "?", one word or none."""
    return dataclasses.replace(kind, how={"nargs": how_many})


def new_file(*endings: str) -> Kind:
    """A file to write, whose name has one of these endings, or none: what is in it shows."""

    def read(text: str) -> str:
        if PurePath(text).suffix.lower() not in ("", *endings):
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected a name that ends in {' or '.join(endings)}"
            )
        return text

    return Kind(read, f"FILE{'|'.join(endings)}")


def _read_switch(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 1 or 0")
    return known[text.lower()]


def ladder(kind: type) -> Kind:
    """`4:512,8:256` (from 4×4 up 512, from 8×8 up 256), or one value for all."""

    def parse(text: str) -> dict[int, Any]:
        steps = [step.rpartition(":") for step in text.split(",")]
        try:
            values = {int(side or 4): kind(value) for side, _, value in steps}
        except ValueError:
            values = {}
        if not values or min(values.values()) <= 0 or 4 not in values:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected RESOLUTION:VALUE,… from 4 up, or one VALUE above 0"
            )
        return dict(sorted(values.items()))

    return Kind(parse, f"RES:{'N' if kind is int else 'X'},…")


text = Kind(str, "TEXT")
file, folder, path = text.of("FILE"), text.of("DIR"), text.of("PATH")
name, names = text.of("NAME"), text.of("A,B,C")
positive_int = number(int, lambda x: x >= 1, "a whole number of 1 or more", "N")
count = number(int, lambda x: x >= 0, "a whole number of 0 or more", "N")
seed = number(int, lambda x: 0 <= x < 2**32, "a seed from 0 to 4294967295", "SEED")
power_of_two = number(
    int, lambda x: x >= 4 and not x & (x - 1), "a power of two from 4 up (4, 8, 16, …)", "PIXELS"
)
non_negative = number(float, lambda x: 0 <= x < math.inf, "a number of 0 or more")
kimg = non_negative.of("KIMG")  # thousand images
share = number(float, lambda x: 0 <= x < 1, "a number from 0 to below 1", "SHARE")
part = number(float, lambda x: 0 < x <= 1, "a number above 0 and up to 1")
percentage = number(float, lambda x: 0 < x <= 100, "a percentage above 0 and up to 100", "PERCENT")
switch = Kind(_read_switch, "0|1")
toggle = Kind(_read_switch, "True|False", {"nargs": "?", "const": True})  # also --flag, --noflag
given = Kind(bool, "", {"action": "store_true"})  # takes no word
