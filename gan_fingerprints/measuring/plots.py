"""Tippett and ECE plots of log10 likelihood ratios, as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints import likelihood

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAME, OTHER, GREY = "#1f5fa8", "#d55e00", "#777777"
ODDS = np.linspace(-3, 3, 121)  # log10 of prior odds


def tippett_png(same: np.ndarray, other: np.ndarray) -> bytes:
    """Shares of either kind with an LR above each value."""
    figure, axes = _figure()
    both = np.concatenate([same, other])
    at = np.linspace(min(-1.0, both.min()) - 0.2, max(1.0, both.max()) + 0.2, 400)
    above, false = likelihood.tippett(same, other, at)
    axes.plot(at, 100 * above, color=SAME, label="the source made it")
    axes.plot(at, 100 * false, color=OTHER, linestyle="--", label="another source made it")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="log10 likelihood ratio above", ylabel="share of cases (%)", ylim=(-2, 102))
    return _png(figure)


def ece_png(same: np.ndarray, other: np.ndarray) -> bytes:
    """Cross-entropy over the prior odds, with the lines of no evidence and after PAV."""
    figure, axes = _figure()
    nothing = np.zeros(1)
    lines = {
        "no evidence": ((nothing, nothing), GREY, ":"),
        "as stated": ((same, other), SAME, "-"),
        "after the best calibration (PAV)": (likelihood.pav(same, other), OTHER, "--"),
    }
    for label, ((of_same, of_other), color, style) in lines.items():
        bits = likelihood.ece(of_same, of_other, ODDS)
        axes.plot(ODDS, bits, color=color, linestyle=style, label=label)
    axes.set(xlabel="log10 prior odds", ylabel="empirical cross-entropy (bits)", ylim=(0, None))
    return _png(figure)


def _figure() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
