"""What is said of very many images together: totals in text, and a page of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gan_fingerprints.attribution.verdict import VERDICTS, worded
from gan_fingerprints.examiner import meaning
from gan_fingerprints.examiner.examination import UNREADABLE, Model
from gan_fingerprints.examiner.page import facts_of
from gan_fingerprints.pictures.html_page import Link, Page
from gan_fingerprints.shown import listed, shown

MOST_SHOWN = 10_000  # images of a page that shows them one by one; more would open slowly

Counts = Counter[str | None]
"""How often which verdict; None for what could not be read."""


@dataclass(frozen=True)
class Tally:
    """Rows, counted.

    Attributes:
        verdicts: how often which.
        beyond: how many are of images unlike those that the model was measured on.
    """

    verdicts: Counts = field(default_factory=Counter)
    beyond: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.verdicts + other.verdicts, self.beyond + other.beyond)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Tally:
        """Of some `examination.record`s."""
        verdicts, beyond = Counter[str | None](), 0
        for record in records:
            verdicts[record["verdict"]] += 1
            beyond += bool(record.get("not_measured"))
        return cls(verdicts, beyond)


class File(NamedTuple):
    """A file of rows, and how often which verdict is in it."""

    name: str
    counts: Counts


def counted(file: Path) -> File:
    """A file of rows that is complete."""
    with file.open("rb") as rows:
        return File(str(file), Tally.of(map(json.loads, rows)).verdicts)


def said(tally: Tally, left_out: Counter[str], model: Model) -> str:
    """How many images there were, of each verdict, what was left out, and what that is worth."""
    counts = tally.verdicts
    verdicts = [
        f"{count} {worded(name)}" for name, count in counts.most_common() if name is not None
    ]
    total = sum(counts.values())
    lines = ["", f"{total} file{'s' if total != 1 else ''}: {', '.join(verdicts) or 'none named'}"]
    if counts[None]:
        lines.append(f"{counts[None]} could not be read; their rows say why")
    if left_out:
        lines.append(f"other files left out: {listed(left_out)}")
    return "\n".join(map(shown, [*lines, *meaning.last_lines(model, tally.beyond)]))


def page(
    model: Model, counts: Counts, files: Sequence[File], path: str, origin: Mapping[str, object]
) -> Page:
    """A page of totals, with links to the files of rows.

    path: where it will be; origin: how it was made.
    """
    number = sum(counts.values())
    made = Page(
        f"The sources of {number:,} images",
        f"What the model {model.file} says of where they come from, in numbers. What it says of "
        "each image is in the files of rows.",
    )
    made.box("Before anything is made of this", {
        "How reliable it is": [*meaning.reliability(model)],
        "What a verdict does not mean": [*meaning.NOT_MEANT],
    })  # fmt: skip
    made.section("Result")
    verdicts = [*model.source_names, *VERDICTS, None]
    header = ["verdict", "images", "share"]
    table = [[_named(x), f"{counts[x]:,}", f"{counts[x] / number:.2%}"] for x in verdicts if number]
    made.table(header, table, (1, 2))
    if files:
        made.section("Files of rows")
        _files(made, files, verdicts, path)
    made.section("The model")
    made.table(["what", "value"], facts_of(model).items())
    made.section("How this page was made")
    made.table(["what", "value"], origin.items())
    return made


def _named(verdict: str | None) -> str:
    return UNREADABLE if verdict is None else worded(verdict)


def _files(made: Page, files: Sequence[File], verdicts: Sequence[str | None], path: str) -> None:
    """A table of the files, whose names are links that hold for the page's own place."""
    made.text("A row for each image, in JSON; gan-fingerprints merge makes one table of them.")
    folder = os.path.dirname(os.path.abspath(path))
    links = [os.path.relpath(file.name, folder) for file in files]
    table = [
        [Link(link, link), f"{sum(of.counts.values()):,}", *(f"{of.counts[x]:,}" for x in verdicts)]
        for link, of in zip(links, files, strict=True)
    ]
    header = ["file", "images", *map(_named, verdicts)]
    made.table(header, table, range(1, len(header)))
