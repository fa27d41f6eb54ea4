"""Figures of one table of the study, drawn from its results alone: PNG, and PDF for print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gan_fingerprints import metrics, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Grid = Literal["both", "x", "y"]

METHODS = {
    "knn": "Nearest neighbours",
    "eigenface": "Eigenfaces",
    "prnu": "PRNU",
    "cooccurrence": "Co-occurrences",
    "classifier": "Classifier",
    "residual": "Residual network",
    "visnet": "visNet",
}
_KINDS = {"low": "low frequencies", "high": "high frequencies", "patch": "patch"}
_SHORT_NOTE = "† as readers remember the figures, not checked; other data, other size"
_OURS, _CHANCE = "#1f5fa8", "#777777"
_LINES = (_OURS, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8a6fb0")
_MARKS = "Ds^vP"  # of the publication's data sets, hollow


class Drawing(NamedTuple):
    """A figure, the name of its files, and the sentence below it."""

    name: str
    caption: str
    figure: Figure


def write(
    results: Mapping[str, Any], folder: str | Path, formats: Sequence[str] = ("png", "pdf")
) -> list[tuple[Path, str]]:
    """Writes FOLDER/NAME.png and .pdf; returns the paths in the first format, with captions.

    What figures there are follows from what the results hold. The same results, the same bytes.
    """
    from matplotlib import rc_context

    folder, written = Path(folder), []
    with rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        for drawing in drawings(results):
            for kind in formats:
                with program.whole_file(folder / f"{drawing.name}.{kind}") as partial:
                    # Without the date, or the same figure would give another file every time.
                    metadata = {"CreationDate": None} if kind == "pdf" else None
                    drawing.figure.savefig(partial, format=kind, metadata=metadata)
            written.append((folder / f"{drawing.name}.{formats[0]}", drawing.caption))
    return written


def drawings(results: Mapping[str, Any]) -> Iterator[Drawing]:
    """Every figure that these results allow."""
    rows = [row for row in results.get("rows") or [] if row.get("accuracy") is not None]
    sides, attacks = list(filter(side_of, rows)), list(filter(attack_of, rows))
    whole = [row for row in rows if row not in sides and row not in attacks]
    interval = "the bars are 95 % intervals."
    if sides:
        text = f"Accuracy from a part of the image, by its side; {interval}"
        yield Drawing("sides", text, by_side(sides, whole))
    if attacks:
        method = attacks[0]["method"]  # others are in the table
        name = METHODS.get(method, method)
        text = f"{name}: accuracy on attacked images before and after immunization; {interval}"
        own = [row for row in attacks if row["method"] == method]
        yield Drawing("attacks", text, before_after(own, whole))
    if whole and not sides and not attacks:
        text = f"Accuracy of each method; {interval}"
        yield Drawing("accuracy", text, accuracy(whole))
    if row := first_with(results, "confusion"):
        matrix = np.array(row["confusion"]["counts"])
        figure = metrics.confusion_figure(matrix, row["confusion"]["names"])
        yield Drawing("confusion", f"{label(row)}: who was taken for whom.", figure)
    if row := first_with(results, "reliability"):
        text = f"{label(row)}: how far its confidence can be trusted. Below the line: too sure."
        yield Drawing("reliability", text, reliability(row["reliability"]))
    for number, curve in enumerate(results.get("curves") or [], 1):
        name = re.sub(r"[^a-z0-9]+", "_", curve["name"].lower()).strip("_")
        text = f"{curve['name'][:1].upper()}{curve['name'][1:]}."
        yield Drawing(f"curve_{number}_{name}", text, curve_of(curve))


def label(row: Row) -> str:
    """What a row is called: its method and variant."""
    name = METHODS.get(row["method"], str(row["method"]))
    return f"{name}, {row['variant']}" if row.get("variant") else name


def side_of(row: Row) -> tuple[str, int] | None:
    """("low", 16) of a row with the variant "low 16"."""
    words = re.fullmatch(r"(low|high|patch) (\d+)", row.get("variant") or "")
    return (words[1], int(words[2])) if words else None


def attack_of(row: Row) -> tuple[str, str] | None:
    """("noise", "before") of a row with the variant "noise before"."""
    words = re.fullmatch(r"(.+) (before|after)", row.get("variant") or "")
    return (words[1], words[2]) if words else None


def first_with(results: Mapping[str, Any], key: str) -> Row | None:
    """The first row that has `key`, the classifier's if it can be."""
    rows = [row for row in results.get("rows") or [] if row.get(key)]
    return min(rows, key=lambda row: row["method"] != "classifier", default=None)


def accuracy(rows: Sequence[Row]) -> Figure:
    """One line per row: accuracy and interval, chance, the publication's figures."""
    figure, axes = _axes(7.2, 1.4 + 0.42 * len(rows))
    places = range(len(rows))
    _points(axes, places, rows, sideways=True, color=_OURS, marker="o", label="this run")
    chance = [row.get("chance") for row in rows]
    starts = np.arange(len(rows)) - 0.5
    axes.vlines(_percent(chance), starts, starts + 1, _CHANCE, "dashed", label="chance here")
    _publications(axes, places, rows, sideways=True)
    beside = {"va": "center", "transform": axes.get_yaxis_transform()}
    for place, row in enumerate(rows):
        axes.text(1.02, place, f"{100 * row['accuracy']:.2f} %", **beside)
    axes.set(xlabel="accuracy (%)", xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(places, [metrics.shorten(label(row), 34) for row in rows])
    return _finished(figure, axes, "x", rows)


def by_side(rows: Sequence[Row], whole: Sequence[Row]) -> Figure:
    """A line per kind of part (low and high frequencies, patches) over its side in pixels."""
    figure, axes = _axes(7.2, 4.4)
    several = len({row["method"] for row in rows}) > 1
    series: dict[str, list[tuple[int, Row]]] = {}
    parts = [(side_of(row) or ("", 0), row) for row in rows]
    for (kind, side), row in sorted(parts, key=lambda part: part[0][1]):
        name = _KINDS[kind]
        if several:
            name = f"{METHODS.get(row['method'], row['method'])}, {name}"
        series.setdefault(name, []).append((side, row))
    for colour, (name, points) in zip(_cycle(len(series)), series.items(), strict=True):
        places, part = zip(*points, strict=True)
        _points(axes, places, part, color=colour, marker="o", label=name, linestyle="-")
        _publications(axes, places, part, name if len(series) > 1 else "", colour, ":")
    _levels(axes, rows, whole, "whole image")
    ticks = sorted({side for points in series.values() for side, _ in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(side) for side in ticks], fontsize=8)
    axes.minorticks_off()
    axes.set(xlabel="side (pixels)", ylabel="accuracy (%)", ylim=(-2, 102))
    return _finished(figure, axes, "y", rows)


def before_after(rows: Sequence[Row], whole: Sequence[Row]) -> Figure:
    """Two points per attack, before and after immunization; whole: on images not attacked."""
    pairs = [attack_of(row) or ("", "") for row in rows]
    names = list(dict.fromkeys(name for name, _ in pairs))
    figure, axes = _axes(7.2, 4.4)
    looks = ("#d55e00", "s", -0.12, "before"), (_OURS, "o", 0.12, "after")
    for colour, marker, shift, moment in looks:
        part = [row for row, pair in zip(rows, pairs, strict=True) if pair[1] == moment]
        places = [names.index(name) + shift for name, when in pairs if when == moment]
        _points(axes, places, part, color=colour, marker=marker, label=moment, markersize=7)
        shifted = [place + 1.2 * shift for place in places]
        _publications(axes, shifted, part, moment, colour)
    _levels(axes, rows, whole, "no attack")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="accuracy (%)", ylim=(-2, 102), xlim=(-0.5, len(names) - 0.5))
    return _finished(figure, axes, "y", rows)


def reliability(bins: Mapping[str, Sequence[float | None]]) -> Figure:
    """Accuracy over confidence in equal-width bins, and how many images each bin holds."""
    figure, (upper, lower) = _axes(5.4, 5.6, rows=2, height_ratios=(3, 1), sharex=True)
    width = 1 / len(bins["number"])
    centres = (np.arange(len(bins["number"])) + 0.5) * width
    sure, right = _numbers(bins["confidence"]), _numbers(bins["accuracy"])
    upper.bar(centres, right, 0.92 * width, color=_OURS, label="accuracy")
    look = {"color": "#d55e00", "markersize": 4, "label": "mean confidence of the bin"}
    upper.plot(sure, right, "o", **look)
    upper.plot([0, 1], [0, 1], "--", color=_CHANCE, label="as sure as right")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    # Above the axes, as bars may be anywhere within.
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "columnspacing": 1.2}
    upper.legend(frameon=False, fontsize=8, borderaxespad=0.2, **above)
    lower.bar(centres, _numbers(bins["number"]), 0.92 * width, color=_CHANCE)
    lower.set(xlabel="confidence", ylabel="images", yscale="symlog")
    return figure


def curve_of(curve: Mapping[str, Any]) -> Figure:
    """The lines of one curve."""
    figure, axes = _axes(7.2, 4.4)
    for colour, line in zip(_cycle(len(curve["lines"])), curve["lines"], strict=True):
        axes.plot(_numbers(line["x"]), _numbers(line["y"]), color=colour, label=line["name"])
    axes.set(xlabel=curve.get("x_label", ""), ylabel=curve.get("y_label", ""))
    axes.margins(x=0.01)
    return _finished(figure, axes, "both", ())


def _axes(
    width: float, height: float, rows: int = 1, columns: int = 1, dpi: int = 150, **layout: Any
) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot, which would look for a screen
    return figure, figure.subplots(rows, columns, **layout)


def _points(
    axes: Axes, places: Sequence[float], rows: Sequence[Row], sideways: bool = False, **look: Any
) -> None:
    """Accuracies with their intervals, along y or, sideways, along x."""
    centre = _percent([row["accuracy"] for row in rows])
    low, high = (_percent([row.get(end) for row in rows]) for end in ("low", "high"))
    ends = np.nan_to_num(np.clip([centre - low, high - centre], 0, None))
    look = {"linestyle": "none", "capsize": 3, **look}
    along = np.asarray(places, float)
    if sideways:
        axes.errorbar(centre, along, xerr=ends, **look)
    else:
        axes.errorbar(along, centre, yerr=ends, **look)


def _levels(axes: Axes, rows: Sequence[Row], whole: Sequence[Row], name: str) -> None:
    """Chance, and the accuracy on whole images, as lines across."""
    for level in sorted({row["chance"] for row in rows if row.get("chance") is not None}):
        axes.axhline(100 * level, color=_CHANCE, linestyle="--", label="chance here")
    for row in whole[:1]:
        axes.axhline(100 * row["accuracy"], color=_CHANCE, linestyle="-.", label=name)


def _publications(
    axes: Axes,
    places: Sequence[float],
    rows: Sequence[Row],
    name: str = "",
    colour: str = "#444444",
    style: str = "none",
    sideways: bool = False,
) -> None:
    """What the publication gives for these rows, a hollow mark for each of its data sets."""
    look: dict[str, Any] = {"color": colour, "fillstyle": "none", "linestyle": style}
    for mark, data in zip(_MARKS, data_sets(rows), strict=False):
        values = _numbers([published(row, data) for row in rows])
        there = np.isfinite(values)
        if there.any():
            along, up = np.asarray(places)[there], values[there]
            x, y = (up, along) if sideways else (along, up)
            text = f"publication †, {data}" + (f", {name}" if name else "")
            axes.plot(x, y, mark, label=text, linewidth=1, **look)


def published(row: Row, data: str) -> float | None:
    """The publication's figure for a row or a measure on one of its data sets."""
    return (row.get("published") or {}).get(data)


def data_sets(rows: Iterable[Row]) -> list[str]:
    """The publication's data sets that these rows or measures name, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row.get("published") or {}))


def _finished(figure: Figure, axes: Axes, grid: Grid, rows: Sequence[Row]) -> Figure:
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    # This run first, then chance, then the publication.
    names = sorted(handles, key=lambda name: (name.startswith("publ"), name == "chance here"))
    if len(names) > 1:
        where: Any = {"loc": "outside lower center", "ncols": 2 if len(names) > 3 else 3}
        figure.legend([handles[x] for x in names], names, frameon=False, fontsize=9, **where)
    if data_sets(rows):
        figure.suptitle(_SHORT_NOTE, fontsize=8, color="#444444", x=0.99, ha="right")
    return figure


def _cycle(number: int) -> list[str]:
    return [_LINES[i % len(_LINES)] for i in range(number)]


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _percent(values: Sequence[float | None]) -> np.ndarray:
    return 100 * _numbers(values)


def training_curves(
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], path: Path
) -> None:
    """Writes a PNG with a plot per network: its losses, or its accuracies where it has any.

    curves: network → name → (progress, value).
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure, grid = _axes(3.4 * columns, 2.6 * rows, rows, columns, dpi=120, squeeze=False)
    for axes in grid.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (network, lines) in zip(grid.flat, curves.items(), strict=False):
        for colour, (name, points) in zip(_cycle(len(lines)), lines.items(), strict=True):
            axes.plot(*zip(*points, strict=True), color=colour, label=name, linewidth=1)
        percent = any(name.endswith("accuracy") for name in lines)
        axes.set(title=network, ylabel="accuracy (%)" if percent else "loss")
        axes.set_xlabel("progress (kimg or iterations)")
        axes.legend(frameon=False, fontsize=8)
    with program.whole_file(path) as partial:
        figure.savefig(partial, format="png")
