"""What was measured, as a page and as a table of one line for each condition."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints.pictures.html_page import Page
from gan_fingerprints.shown import cell

SHARES = {
    "accuracy": "right: the most probable source",
    "named": "a source is named",
    "named_wrongly": "… a wrong one",
    "named_wrongly_with_strong_support": "… a wrong one, with LR 1,000 or more",
    "unknown": "answered unknown",
    "inconclusive": "inconclusive",
    "unfit": "… as the network cannot judge it",
    "with_ratios": "has likelihood ratios",
    "generated_called_photographs": "of generated images: called photographs",
    "photographs_called_generated": "of photographs: named a generator",
}
COSTS = {
    "cllr": "Cllr",
    "cllr_min": "Cllr min",
    "calibration_loss": "calibration loss",
    "misleading_same": "misleading: LR below 1 for the true source",
    "misleading_other": "misleading: LR above 1 for another source",
    "highest_misleading": "highest log10 LR of a wrong source",
    "lowest_misleading": "lowest log10 LR of the true source",
}
OUTSIDE = {
    "unknown": "answered unknown",
    "named": "a source is named",
    "named_a_generator": "… a generator",
    "named_photographs": "… photographs",
    "named_with_strong_support": "… with LR 1,000 or more",
    "cllr": "Cllr",
    "cllr_min": "Cllr min",
    "misleading_other": "misleading: LR above 1 for the collection",
}
NUMBERS = (
    "cllr", "cllr_min", "calibration_loss", "highest_misleading", "lowest_misleading",
)  # fmt: skip
"""What is no share."""
READING = (
    "Cllr is 0 for perfect likelihood ratios and 1 for ratios that say nothing; Cllr min is what "
    "is left of it after the best calibration that keeps their order, and the calibration loss is "
    "the difference. Likelihood ratios compare a source with the other sources of this collection, "
    "nothing else. Each number holds for images like these under the condition named, and for no "
    "others."
)


class Plots(NamedTuple):
    """Of a condition, PNG; empty where there are no likelihood ratios."""

    tippett: bytes = b""
    ece: bytes = b""


def csv_of(conditions: Sequence[Mapping[str, Any]]) -> bytes:
    """One line for each condition; shares and Cllr with the ends of their intervals."""
    rows = [_flat(condition) for condition in conditions]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.") if name != "verdicts" else {}
        elif isinstance(value, list | tuple):
            flat |= {f"{before}{name}{end}": _number(x)
                     for end, x in zip(("", "_low", "_high"), value, strict=False)}  # fmt: skip
        elif name != "about":
            flat[before + name] = _number(value)
    return flat


def _number(value: Any) -> object:
    if isinstance(value, str):
        return cell(value)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def page_of(result: Mapping[str, Any], plots: Sequence[Plots]) -> Page:
    """The page; `plots` are of the conditions, in order."""
    conditions = result["conditions"]
    page = Page("How reliable a model is", f"{result['model']['file']}, measured on images of "
                f"known source under {len(conditions)} condition"
                f"{'s' if len(conditions) > 1 else ''}.")  # fmt: skip
    page.facts({
        "images": f"{result['images']:,}",
        "sources": ", ".join(result["sources"]),
        "groups": "–" if result["groups"] is None else f"{result['groups']:,}",
        "images of sources outside": f"{result['outside_images']:,}",
    })  # fmt: skip
    for warning in result["warnings"]:
        page.warning(warning)
    page.section("Likelihood ratios")
    page.text(READING)
    _table(page, conditions, COSTS)
    page.section("Verdicts")
    _table(page, conditions, SHARES)
    _opinions(page, conditions)
    if result["outside_images"]:
        page.section("Sources outside")
        page.text("Images of sources that the model does not know; the ratios compare a source of "
                  "the collection with one outside.")  # fmt: skip
        _table(page, [{"name": x["name"], **x["outside"]} for x in conditions], OUTSIDE)
    page.section("Plots")
    for condition, drawn in zip(conditions, plots, strict=True):
        page.heading(f"{condition['name']}: {condition['about']}")
        if drawn.tippett:
            page.picture(drawn.tippett, "Tippett plot", f"Tippett plot, {condition['name']}")
            page.picture(drawn.ece, "ECE plot", f"ECE plot, {condition['name']}")
    page.section("Identity")
    page.code(f"model SHA-256: {result['model']['sha256']}\nprogram: {result['program']}")
    return page


def _table(page: Page, conditions: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    rows = [[x["name"], *(said(name, x.get(name)) for name in columns)] for x in conditions]
    page.table(["condition", *columns.values()], rows, range(1, len(columns) + 1))


def _opinions(page: Page, conditions: Sequence[Mapping[str, Any]]) -> None:
    having = [x for x in conditions if x["opinions"]]
    if not having:
        return
    page.section("Opinions alone and together")
    families, names = list(having[0]["opinions"]), ("accuracy", "cllr_min")
    rows = [
        [x["name"], *(said(n, x["opinions"][f][n]) for f in families for n in names)]
        for x in having
    ]
    heads = [f"{family}: {name}" for family in families for name in ("right", "Cllr min")]
    page.table(["condition", *heads], rows, range(1, len(heads) + 1))


def said(name: str, value: Any) -> str:
    """A share in per cent, or a number; with its interval; – for what could not be measured."""
    if value is None:
        return "–"
    times, end = (1, ":.3f") if name in NUMBERS else (100, ":.1f")
    unit = "" if name in NUMBERS else " %"
    values = [f"{{{end}}}".format(times * x) for x in np.atleast_1d(value).tolist()]
    return f"{values[0]}{unit}" + (f" ({values[1]}–{values[2]})" if values[1:] else "")
