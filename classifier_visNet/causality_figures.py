"""Figures of what adding and taking away fingerprints does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifier_visNet.figures import GREEN, RED, wrapped
from gan_fingerprints import commands, images

if TYPE_CHECKING:
    from classifier_visNet.causality import Effect, Predict


def curves(path: Path, effects: Sequence[Effect]) -> None:
    """Writes a PNG: shares of images that follow, by strength and PSNR."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [effect.psnr for effect in effects]
    panels = (
        ("added", "attributed to B", "model fingerprint of B added to images of others"),
        ("removed", "no longer attributed to A", "model fingerprint of A taken away from its own"),
    )
    for axes, (name, label, title) in zip(figure.subplots(1, 2), panels, strict=True):
        for kind, text, style in (("", "fingerprint", "o-"), ("_random", "random pattern", "s--")):
            shares = [100 * getattr(effect, name + kind) for effect in effects]
            axes.plot(ratios, shares, style, label=text, color=RED if kind else GREEN)
        axes.set(xlabel="PSNR of the changed image (dB)", ylabel=f"{label} (%)", ylim=(-4, 104))
        axes.set_title(title, fontsize=9)
        axes.invert_xaxis()  # further right: stronger
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=9)
    with commands.whole_file(path) as partial:
        figure.savefig(partial, format="png")


def examples(
    path: Path, predict: Predict, names: Sequence[str], pixels: np.ndarray, labels: np.ndarray,
    changes: np.ndarray,
) -> None:  # fmt: skip
    """Writes a PNG: an image of each source, and the same with each change, and its attribution.

    pixels: uint8 [N, R, R, 3], attributed rightly to labels [N]; changes: float [sources, R, R, 3]
    on the scale [-1, 1], what makes it a source's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [k for k in range(len(names)) if (labels == k).any()]
    columns = 1 + len(names)
    figure = Figure(figsize=(1.45 * columns + 0.9, 1.6 * len(shown) + 0.5), dpi=120)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for line, k in zip(grid, shown, strict=True):
        original = pixels[labels == k][:1]
        others = images.to_uint8(images.from_uint8(original) + changes)
        batch = np.concatenate([original, others])
        for j, (axes, found) in enumerate(zip(line, predict(batch), strict=True)):
            axes.imshow(batch[j], interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            wanted = k if j == 0 else j - 1
            axes.set_xlabel(wrapped(names[found]), fontsize=7, labelpad=2,
                            color=GREEN if found == wanted else RED)  # fmt: skip
        line[0].set_ylabel(wrapped(names[k]), fontsize=8, rotation=0, ha="right", va="center")
    for axes, text in zip(grid[0], ("unchanged", *(f"+ {name}" for name in names)), strict=True):
        axes.set_title(wrapped(text, 18), fontsize=8)
    figure.tight_layout(pad=0.5, w_pad=0.3, h_pad=1.2)
    with commands.whole_file(path) as partial:
        figure.savefig(partial, format="png")
