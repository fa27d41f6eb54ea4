"""Figures of fingerprints: images against model fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints import metrics, program
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.shown import drawn, shown

LEGEND = "red pixels speak for a source,\nblue ones against it;\nframed: the strongest"
GREEN, RED, PLAIN = "#1a7f37", "#c9252d", "#444444"


class Example(NamedTuple):
    """An image uint8 [R, R, 3], its fingerprint float32 [R, R, 3] and its logits [sources]."""

    pixels: np.ndarray
    fingerprint: np.ndarray
    logits: np.ndarray


def wrapped(name: str, width: int = 14, lines: int = 3) -> str:
    """A source's name on up to `lines` lines of `width` characters, broken after underscores."""
    rows = [""]
    for part in shown(name).replace("_", "_\0").split("\0"):
        if rows[-1] and len(rows[-1]) + len(part) > width:
            rows.append("")
        rows[-1] += part
    rows = [metrics.shorten(row, width) for row in rows]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], metrics.shorten("".join(rows[lines - 1 :]), width)]
    return "\n".join(map(drawn, rows))


def grid_of(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, np.ndarray]:
    """A figure of so many inches, and its axes [rows, columns] without ticks, for pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure, grid


def label_row(axes: Any, name: str) -> None:
    """Writes a source's name left of a row's first picture."""
    axes.set_ylabel(wrapped(name), fontsize=8, rotation=0, ha="right", va="center")


def write(path: Path, figure: Any) -> None:
    """Writes a figure as PNG or PDF, by the path's ending."""
    with program.whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix[1:])


def confusion(
    path: Path,
    examples: Mapping[str, Sequence[Example]],
    names: Sequence[str],
    model_fingerprints: np.ndarray,
) -> None:
    """Writes the fingerprints' confusion matrix as PATH.png and PATH.pdf.

    Rows: example images, by true source, with their fingerprints. Columns: model fingerprints,
    float32 [R, R, 3, sources], of the sources' names.
    Cells: what each pixel says for or against the source, and the logit; the highest is framed,
    green when it is the true source's and red when not.
    """
    rows = [(name, one) for name in _ordered(examples, names) for one in examples[name]]
    columns = 2 + len(names)
    size = 1.25 * columns + 1.2, 1.45 * (len(rows) + 1) + 0.3
    figure, grid = grid_of(len(rows) + 1, columns, size)
    for axes in grid[0, :2]:
        axes.axis("off")
    grid[0, 0].text(0, 0.5, LEGEND, fontsize=8, va="center").set_in_layout(False)
    models = fingerprint_pictures.of_models(model_fingerprints)
    for axes, name, model in zip(grid[0, 2:], names, models, strict=True):
        axes.imshow(model)
        axes.set_title(wrapped(name), fontsize=8)
    for line, (name, example) in zip(grid[1:], rows, strict=True):
        _row(line, name, example, names, model_fingerprints)
    grid[1, 0].set_title("image", fontsize=8)
    grid[1, 1].set_title("fingerprint", fontsize=8)
    figure.tight_layout(pad=0.5, w_pad=0.3, h_pad=0.5)
    for suffix in (".png", ".pdf"):
        write(path.with_suffix(suffix), figure)


def _ordered(examples: Mapping[str, Sequence[Example]], names: Sequence[str]) -> list[str]:
    """The network's sources in label order, then strangers."""
    return [name for name in names if name in examples] + sorted(set(examples) - set(names))


def _row(
    line: Any, name: str, example: Example, names: Sequence[str], model_fingerprints: np.ndarray
) -> None:
    line[0].imshow(example.pixels)
    label_row(line[0], name)
    line[1].imshow(fingerprint_pictures.of_image(example.fingerprint))
    best = int(example.logits.argmax())
    responses = fingerprint_pictures.contributions(example.fingerprint, model_fingerprints)
    for k, (axes, response) in enumerate(zip(line[2:], responses, strict=True)):
        axes.imshow(response)
        axes.set_xlabel(f"{example.logits[k]:.2f}", fontsize=8, labelpad=2)
        if k == best:
            colour = GREEN if names[k] == name else RED
            for spine in axes.spines.values():
                spine.set(color=colour, linewidth=2.5)
            axes.xaxis.label.set(color=colour, weight="bold")
