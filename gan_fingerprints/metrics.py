"""How well sources were told apart: intervals, confusion matrices, calibration, real or generated.

Nothing here imports TensorFlow; scikit-learn and Matplotlib are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints import program
from gan_fingerprints.shown import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Labels = Sequence[int] | np.ndarray


def wilson_interval(correct: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of the proportion `correct` / `total`; (0, 1) when total is 0.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    Raises ValueError unless 0 <= correct <= total and 0 < confidence < 1.
    """
    if not 0 <= correct <= total:
        raise ValueError(f"expected 0 <= correct <= total, got {correct} of {total}")
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, scale = correct / total, 1 + z**2 / total
    centre = (p + z**2 / (2 * total)) / scale
    half = z / scale * (p * (1 - p) / total + z**2 / (4 * total**2)) ** 0.5
    # At 0 of n and n of n one end is exactly 0 or 1; rounding must not move it.
    low = 0.0 if correct == 0 else centre - half
    return low, 1.0 if correct == total else centre + half


def interval_by_group(
    right: Sequence[bool] | np.ndarray,
    groups: Sequence[int] | Sequence[str] | np.ndarray | None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the share of right answers where images of a group are right or wrong together.

    Wilson's interval, of as many images as would say as much if they were independent (Kish,
    "Survey Sampling", 1965; for Wilson's interval: Korn and Graubard, Survey Methodology 24, 1998,
    with their correction for few groups). Of n images in k groups, n_g of which, with r_g right,
    are in group g, and p = Σ r_g / n:

        V  = k / (k - 1) · Σ (r_g - p · n_g)² / n²      between groups
        V0 = p · (1 - p) / (n - 1)                      if images were independent
        n* = n / max(1, V / V0) · (t(n - 1) / t(k - 1))²

    with t the quantiles of Student's distribution. Where all are right, or all wrong, V / V0 is
    taken for n · Σ n_g² / n², as if a group were right or wrong as a whole. With one image in each
    group this is `wilson_interval`; one group says nothing: (0, 1).

    Args:
        right: bool [N], whether each image's answer is right.
        groups: [N], the group of each image; None where each is its own.
    """
    right = np.asarray(right, bool)
    if groups is None:
        return wilson_interval(int(right.sum()), right.size, confidence)
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    if numbers.shape != right.shape:
        raise ValueError(f"got {right.size} answers and groups for {numbers.size}")
    sizes, n = np.bincount(numbers), right.size
    if len(sizes) < 2:
        return 0.0, 1.0
    effective = n / _design_effect(np.bincount(numbers, right), sizes)
    effective *= (_student(n - 1, confidence) / _student(len(sizes) - 1, confidence)) ** 2
    return wilson_interval(float(right.mean()) * effective, effective, confidence)


def _design_effect(hits: np.ndarray, sizes: np.ndarray) -> float:
    """V / V0 of `interval_by_group`, 1 or more, from right answers and images of each group."""
    n, k = sizes.sum(), len(sizes)
    p = hits.sum() / n
    if p in (0, 1):
        return float((sizes**2).sum() / n)
    between = k / (k - 1) * ((hits - p * sizes) ** 2).sum() / n**2
    return max(1.0, float(between / (p * (1 - p) / (n - 1))))


def _student(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def confusion_matrix(truth: Labels, predicted: Labels, n: int) -> np.ndarray:
    """Counts int64 [n, n]: row = true source, column = predicted source.

    truth, predicted: [N] label numbers. Raises ValueError when their lengths differ or a
    label is outside 0..n-1.
    """
    rows, columns = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if rows.shape != columns.shape:
        raise ValueError(f"got {rows.size} true and {columns.size} predicted labels")
    for labels in (rows, columns):
        if labels.size and not 0 <= labels.min() <= labels.max() < n:
            raise ValueError(f"labels {labels.min()}..{labels.max()}, expected 0..{n - 1}")
    return np.bincount(rows * n + columns, minlength=n * n).reshape(n, n)


def precision_recall(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall, float64 [n] each, of a confusion matrix [n, n].

    NaN where undefined: precision of a source never predicted, recall of one without images.
    """
    hits = np.diagonal(matrix)
    return _ratio(hits, matrix.sum(axis=0)), _ratio(hits, matrix.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    # Not 0: a source that was never predicted is not a source predicted wrongly.
    undefined = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)


def reliability(
    probabilities: np.ndarray, truth: Labels, bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, mean confidence and accuracy in equal-width bins of the confidence, [bins] each.

    probabilities: float [N, sources]; truth: [N] label numbers. NaN in empty bins.
    """
    probabilities = np.asarray(probabilities, np.float64)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == np.asarray(truth)
    # Bins are open below and closed above, as in the publication: 1/15 is in the first.
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    number, sum_of_confidence, hits = (
        np.bincount(which, weights=x, minlength=bins) for x in (None, confidence, correct)
    )
    return number, _ratio(sum_of_confidence, number), _ratio(hits, number)


def expected_calibration_error(probabilities: np.ndarray, truth: Labels, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy, over equal-width bins of the confidence.

    probabilities: float [N, sources]; truth: [N] label numbers. NaN when N is 0.
    Guo et al. (2017), "On calibration of modern neural networks", equation 3.
    """
    if not len(probabilities):
        return float("nan")
    number, confidence, accuracy = reliability(probabilities, truth, bins)
    filled = number > 0
    gaps = np.abs(accuracy - confidence)[filled]
    return float((number[filled] * gaps).sum() / number.sum())


def brier_score(probabilities: np.ndarray, truth: Labels) -> float:
    """Mean squared distance of the probabilities and the one-hot truth, summed over the sources.

    probabilities: float [N, sources]; truth: [N] label numbers. From 0, the best, to 2.
    Brier (1950), "Verification of forecasts expressed in terms of probability", equation 2.
    """
    probabilities = np.asarray(probabilities, np.float64)
    one_hot = np.eye(probabilities.shape[1])[np.asarray(truth)]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def real_or_generated(
    is_real: Sequence[bool] | np.ndarray, score: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """Average precision and area under the ROC curve of finding the generated images.

    is_real: bool [N]; score: float [N], higher for generated. NaN for both when all images
    are real or all are generated.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    generated = ~np.asarray(is_real, bool)
    if generated.all() or not generated.any():
        return float("nan"), float("nan")
    precision = average_precision_score(generated, score)
    return float(precision), float(roc_auc_score(generated, score))


def shorten(name: str, width: int) -> str:
    """`name` cut in its middle to at most `width` characters, so that both ends still tell."""
    if len(name) <= width:
        return name
    front = width // 2
    return f"{name[:front]}…{name[len(name) - (width - front - 1) :]}"


def confusion_text(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix [n, n] as a table, with recall by row and precision by column.

    Columns carry the numbers that stand before the names of the rows.
    """
    precision, recall = precision_recall(matrix)
    numbers = [f"{number:>2}" for number in range(1, len(names) + 1)]
    labels = [f"{number} {shorten(name, 32)}" for number, name in zip(numbers, names, strict=True)]
    left = max(len("truth \\ predicted"), *map(len, labels))
    wide = max(6, len(str(int(matrix.max(initial=0)))) + 1)

    def row(label: str, cells: Sequence[object], last: str) -> str:
        return label.ljust(left) + "".join(f"{cell:>{wide}}" for cell in cells) + f"{last:>9}"

    lines = [row("truth \\ predicted", numbers, "recall")]
    for label, counts, part in zip(labels, matrix, recall, strict=True):
        lines.append(row(label, counts.tolist(), _percent(part)))
    lines.append(row("precision (%)", [_percent(part, "") for part in precision], "").rstrip())
    return "\n".join(lines)


def _percent(part: float, unit: str = " %") -> str:
    return "-" if np.isnan(part) else f"{100 * part:.1f}{unit}"


def confusion_png(path: str | Path, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Writes the confusion matrix [n, n] as a picture: counts, and percent of each row."""
    with program.whole_file(path) as partial:
        confusion_figure(matrix, names).savefig(partial, format="png")


def confusion_figure(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """The figure that `confusion_png` writes."""
    from matplotlib.figure import Figure

    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    n, side = len(names), 1.5 + 0.85 * len(names)
    figure = Figure(figsize=(side + 2.6, side + 1.6), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    short = [drawn(shorten(name, 30)) for name in names]
    axes.set_xticks(range(n), short, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), short)
    axes.set(xlabel="predicted source", ylabel="true source")
    for (row, column), part in np.ndenumerate(share):
        text = f"{matrix[row, column]}\n{100 * part:.1f} %"
        colour = "white" if part > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    return figure
