"""The data audit: what, rather than a fingerprint, tells the sources apart?

While a data set is written, facts and small copies of a sample of the images are gathered, and a
digest of each of them. Afterwards small machines try to name the source from plain properties and
from blurred content, grids of an earlier JPEG are compared, and images that occur twice are looked
for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.data.audit import copies, grids
from gan_fingerprints.data.audit.content import Content, content
from gan_fingerprints.data.audit.facts import ImageFacts
from gan_fingerprints.data.audit.looks import Look
from gan_fingerprints.data.audit.separability import FEWEST, Separability, separability

ADVICE = (
    "a classifier may learn that instead of fingerprints; put every source through the same "
    "processing (file format, size, JPEG quality, value range) before preparing the data: "
    "`gan-fingerprints harmonize` does that"
)

CONTENT = "blurred content"


class Gathered(NamedTuple):
    """What the audit goes by.

    Attributes:
        facts: source name → facts of a sample of its images.
        digests: SOURCE/FILE → digest of every image.
        looks: source name → looks of the images in the sample.
        groups: source name → the group of each of these.
        shapes: float32 [digests, 64] of every image, in the order of the digests, or None.
    """

    facts: Mapping[str, Sequence[ImageFacts]]
    digests: Mapping[str, bytes]
    looks: Mapping[str, Sequence[Look]] = {}
    groups: Mapping[str, Sequence[str]] = {}
    shapes: np.ndarray | None = None


def examine(gathered: Gathered, other: copies.Known | None = None) -> dict[str, Any]:
    """The whole audit as plain data that JSON can hold: sources, what was tested, warnings.

    other: another split, whose images these are compared with.
    """
    facts, digests, looks = gathered.facts, gathered.digests, gathered.looks
    tested = separability(facts)
    smalls = {source: np.stack([look.small for look in some]) for source, some in looks.items()}
    by_content = content(smalls, gathered.groups) if looks else None
    left = grids.shares(looks)
    twice = copies.duplicates(digests)
    warnings = [warning for one in tested if (warning := one.warning())]
    warnings += [ADVICE] if warnings else []
    warnings += grids.warnings(left)
    if by_content and (warning := by_content.warning()):
        warnings.append(warning)
    warnings += copies.copy_warnings(twice)
    counts = Counter(file.split("/")[0] for file in digests)
    sources = {name: {"images": str(counts[name])} | summary(x) for name, x in facts.items()}
    result: dict[str, Any] = {
        "sources": sources,
        "separability": [one._asdict() for one in tested],
        "content": by_content._asdict() if by_content else None,
        "grids": {source: one.texts() for source, one in left.items()},
        "copies": twice,
        "warnings": warnings,
    }
    if other:
        exact = copies.also_there(digests, other)
        nearly = copies.nearly_there(list(digests), gathered.shapes, other, exact)
        warnings += copies.warnings_of(other, exact, nearly)
        result |= {"against": other.name, "also_there": exact, "nearly_there": nearly}
    return result


def summary(facts: Sequence[ImageFacts]) -> dict[str, str]:
    """One source in words: column → the spread of a property."""
    column = dict(zip(ImageFacts._fields, zip(*facts, strict=True), strict=True))

    def extremes(low: Any, high: Any) -> str:
        return f"{low}" if low == high else f"{low}–{high}"

    def spread(field: str, digits: int = 1) -> str:
        return f"{np.mean(column[field]):.{digits}f} ± {np.std(column[field]):.{digits}f}"

    qualities = [quality for quality in column["jpeg_quality"] if quality]
    sides = (extremes(min(column[side]), max(column[side])) for side in ("width", "height"))
    return {
        "format": "+".join(sorted(set(column["format"]))),
        "size": "×".join(sides),
        "mode": "+".join(sorted(set(column["mode"]))),
        "quality": extremes(min(qualities), max(qualities)) if qualities else "-",
        "range": extremes(min(column["low"]), max(column["high"])),
        "mean": spread("mean"),
        "contrast": spread("contrast"),
        "saturation": spread("saturation"),
        "detail": spread("colour_detail", 2),
        "blocks": spread("blocks", 2),
    }


def grid_topic(which: str) -> str:
    """How `topics` calls a grid of `grids.KINDS`."""
    return f"grid of {which}"


def topics(result: Mapping[str, Any]) -> list[str]:
    """What surely tells the sources apart by the result of `examine`, a word or two for each."""
    found = [one["property"] for one in result["separability"] if Separability(**one).warning()]
    if result["content"] and Content(**result["content"]).warning():
        found.append(CONTENT)
    kinds = [x for x in grids.KINDS if any(grids.is_of(w, x) for w in result["warnings"])]
    return found + [grid_topic(x) for x in kinds]


def text(result: Mapping[str, Any], warnings: bool = True) -> str:
    """The result of `examine` as the user reads it: two tables, then the warnings."""
    sources, tested = result["sources"], result["separability"]
    header = ["source", *next(iter(sources.values()))]
    rows = [[metrics.shorten(name, 28), *cells.values()] for name, cells in sources.items()]
    lines = ["Data audit", _table([header, *rows]), ""]
    too_few = [f"A source has fewer than {FEWEST} images: too few to test what gives it away."]
    lines += [_separability_text(tested), ""] if tested else too_few
    lines += [_content_text(result["content"]), ""] if result["content"] else []
    lines += [_grids_text(result["grids"]), ""] if any(map(any, result["grids"].values())) else []
    said = result["warnings"] if warnings else []
    return "\n".join(lines + [f"warning: {warning}" for warning in said])


def _separability_text(tested: Sequence[Mapping[str, Any]]) -> str:
    rows = [["property alone", "accuracy", "95 % interval"]]
    for one in tested:
        low, high = 100 * one["low"], 100 * one["high"]
        rows.append([one["property"], f"{100 * one['accuracy']:.1f} %", f"{low:.1f}–{high:.1f}"])
    return (
        f"Naming the source of held-out images from one property ({tested[0]['images']} images, "
        f"equally many per source; chance {100 * tested[0]['chance']:.1f} %)\n{_table(rows)}"
    )


def _content_text(one: Mapping[str, Any]) -> str:
    accuracy, low, high, chance = (100 * one[x] for x in ("accuracy", "low", "high", "chance"))
    return (
        f"Naming it from blurred content, 16×16 pixels: {accuracy:.1f} %, 95 % interval {low:.1f}–"
        f"{high:.1f} ({one['images']} images in {one['groups']} groups, held out group by group; "
        f"chance {chance:.1f} %)"
    )


def _grids_text(found: Mapping[str, Sequence[str]]) -> str:
    rows = [["source", "last JPEG", "earlier JPEG"]]
    rows += [
        [metrics.shorten(source, 28), *(x or "-" for x in two)] for source, two in found.items()
    ]
    return f"Grids of 8×8 pixels: images that have one, and where most begin\n{_table(rows)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)
