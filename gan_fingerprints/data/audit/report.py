"""The data audit: which trivial property, rather than a fingerprint, tells the sources apart?

While a data set is written, facts are gathered about a sample of the images, and a digest of each
of them. Afterwards a small decision tree tries to name the source from each property alone, and
images that occur twice are looked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.data.audit.copies import copy_warnings, duplicates
from gan_fingerprints.data.audit.facts import ImageFacts
from gan_fingerprints.data.audit.separability import FEWEST, separability

ADVICE = (
    "a classifier may learn that instead of fingerprints; put every source through the same "
    "processing (file format, size, JPEG quality, value range) before preparing the data"
)


def examine(
    facts: Mapping[str, Sequence[ImageFacts]],
    digests: Mapping[str, bytes],
    against: tuple[str, Mapping[bytes, int]] | None = None,
) -> dict[str, Any]:
    """The whole audit as plain data that JSON can hold: sources, separability, copies, warnings.

    facts: source name → facts of (some of) its images; digests: SOURCE/FILE → digest of every
    image; against: the name of another split and its `digests_of`.
    """
    tested = separability(facts)
    groups = duplicates(digests)
    warnings = [warning for one in tested if (warning := one.warning())]
    if warnings:
        warnings.append(ADVICE)
    warnings += copy_warnings(groups)
    counts = Counter(file.split("/")[0] for file in digests)
    sources = {name: {"images": str(counts[name])} | summary(x) for name, x in facts.items()}
    result = {
        "sources": sources,
        "separability": [one._asdict() for one in tested],
        "copies": groups,
        "warnings": warnings,
    }
    if against:
        other, numbers = against
        shared = {file: numbers[x] for file, x in digests.items() if x in numbers}
        result |= {"against": other, "also_there": shared}
        if shared:
            file, record = next(iter(shared.items()))
            warnings.append(
                f"images that are also in {other}: {len(shared)}, e.g. {file} = record {record}; "
                "what is trained on the one must not be tested on the other"
            )
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


def text(result: Mapping[str, Any]) -> str:
    """The result of `examine` as the user reads it: two tables, then the warnings."""
    sources, tested = result["sources"], result["separability"]
    header = ["source", *next(iter(sources.values()))]
    rows = [[metrics.shorten(name, 28), *cells.values()] for name, cells in sources.items()]
    lines = ["Data audit", _table([header, *rows]), ""]
    too_few = [f"A source has fewer than {FEWEST} images: too few to test what gives it away."]
    lines += [_separability_text(tested), ""] if tested else too_few
    return "\n".join(lines + [f"warning: {warning}" for warning in result["warnings"]])


def _separability_text(tested: Sequence[Mapping[str, Any]]) -> str:
    rows = [["property alone", "accuracy", "95 % interval"]]
    for one in tested:
        low, high = 100 * one["low"], 100 * one["high"]
        rows.append([one["property"], f"{100 * one['accuracy']:.1f} %", f"{low:.1f}–{high:.1f}"])
    return (
        f"Naming the source of held-out images from one property ({tested[0]['images']} images, "
        f"equally many per source; chance {100 * tested[0]['chance']:.1f} %)\n{_table(rows)}"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)
