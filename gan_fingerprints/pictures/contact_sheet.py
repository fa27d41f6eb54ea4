"""One picture with a row of samples per source, each row with its name."""

from __future__ import annotations

import argparse
from collections.abc import Container, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import drawn, shown

DESCRIPTION = """\
Draws one picture with a row of samples per source, each row with its name.

  gan-fingerprints contact_sheet sources/ sheet.png --num 12"""

OPTIONS = {
    "folder": option(typed.text.of("FOLDER"), REQUIRED, "one subfolder of images per source"),
    "out": option(typed.new_file(".png").of("OUT.png"), REQUIRED, "the picture to write"),
    **program.OVERWRITE,
    "--num": option(typed.positive_int, 12, "samples per source"),
    "--size": option(typed.positive_int.of("PIXELS"), 64, "side of each sample"),
    "--without": option(typed.several(typed.name), [], "sources to leave out, e.g. private photos"),
}


def contact_sheet(path: str | Path, samples: Mapping[str, np.ndarray]) -> None:
    """Writes a PNG: a row of samples uint8 [N, H, W, 3] per source, its name above it."""
    from matplotlib.figure import Figure

    widest = max(len(batch) for batch in samples.values())
    figure = Figure(figsize=(0.9 * widest + 0.2, 1.25 * len(samples) + 0.1), dpi=120)
    rows = figure.subplots(len(samples), 1, squeeze=False)[:, 0]
    for axes, (name, batch) in zip(rows, samples.items(), strict=True):
        axes.imshow(np.concatenate(list(batch), axis=1), interpolation="nearest")
        axes.set_title(f"{drawn(name)} ({len(batch)} samples)", loc="left", fontsize=9)
        axes.set_xlim(-0.5, widest * batch.shape[2] - 0.5)
        axes.axis("off")
    figure.tight_layout(pad=0.4)
    with program.whole_file(path) as partial:
        figure.savefig(partial, format="png")


def samples_of(
    folder: Path, num: int, size: int, without: Container[str] = ()
) -> dict[str, np.ndarray]:
    """Evenly spread images of each subfolder but those of some names, resized to a common size."""
    sources = images.list_sources(folder, "FOLDER")
    kept = {name: paths for name, paths in sources.items() if name not in without}
    if not kept:
        raise UserError(f"--without leaves none of {folder}'s sources: {', '.join(sources)}")
    resize = partial(images.resize, resolution=size)
    return {
        name: np.stack([images.read_changed(path, resize) for path in _spread(paths, num)])
        for name, paths in kept.items()
    }


def _spread(paths: list[Path], num: int) -> list[Path]:
    chosen = np.linspace(0, len(paths) - 1, min(num, len(paths))).round().astype(int)
    return [paths[i] for i in chosen]


def main(arguments: argparse.Namespace) -> None:
    """Draws the picture."""
    program.new_file(arguments.out, "OUT.png", arguments.overwrite)
    folder, without = Path(arguments.folder), arguments.without
    contact_sheet(arguments.out, samples_of(folder, arguments.num, arguments.size, without))
    print(shown(f"wrote {arguments.out}"))
