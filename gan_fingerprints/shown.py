"""Which names a source may have; names as they are printed, written in tables and drawn.

What is shown has no effect on what shows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

LONGEST_NAME = 100  # characters of a source's
SOURCE_NAMES = (
    f"1 to {LONGEST_NAME} printable characters, without / and \\ and not beginning with a dot"
)
"""What `is_source_name` allows, for messages."""


def is_source_name(name: object) -> bool:
    """Whether a source may be called so: names get into file names, tables and figures."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and name.isprintable()
        and not re.search(r"^\.|[/\\]", name)
    )


def are_source_names(names: Collection[object]) -> bool:
    """Whether the sources of one data set or network may be called so: each by another name."""
    return all(map(is_source_name, names)) and len(set(names)) == len(names)


def shown(text: object) -> str:
    """Text, a file's name say, with escapes for what would do something to a terminal or a page.

    These are control characters, marks that turn the direction of writing, and bytes that are no
    UTF-8: all that is not printable.
    """
    text = str(text)
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def shown_lines(text: str) -> str:
    """As `shown`, of text whose lines are kept."""
    return "\n".join(map(shown, text.split("\n")))


def listed(counts: Mapping[str, int]) -> str:
    """Counts in words: ".txt 3, hidden 1"."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def cell(text: object) -> str:
    """A name for a cell of CSV: after an apostrophe where a spreadsheet would calculate it."""
    text = shown(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def drawn(text: object) -> str:
    """A name for a figure of Matplotlib, whose dollars are no mathematics."""
    return shown(text).replace("$", r"\$")


def differences(was: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> list[str]:
    """What differs, each in words: "flags tiles: was 16, is 4"."""
    found = []
    for name in dict.fromkeys([*was, *now]):
        one, other = was.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, f"{of}{name} ")
        elif one != other:
            found.append(shown(f"{of}{name}: was {one}, is {other}"))
    return found
