"""What images were attributed to, in numbers: shares, accuracy, unknown sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, MIXED, Attribution, is_of_photographs
from gan_fingerprints.calibration import UNKNOWN, area_under_roc, true_negatives_at


def summarize(
    rows: Sequence[Attribution], truth: Sequence[str] | None, source_names: Sequence[str],
    groups: Sequence[str] | None = None,
) -> str:  # fmt: skip
    """The share of each source among the images and, where truth is known, how right that is.

    Images whose true source the network was not trained on are listed and left out of the
    accuracy; so are images that could not be read.

    rows, truth, groups: [N]; groups are of images that share their content, see
    `metrics.interval_by_group`.
    """
    lines = _shares(rows, source_names)
    if truth is not None:
        lines += _against_truth(rows, truth, source_names, groups)
    return "\n".join(lines)


def _shares(rows: Sequence[Attribution], source_names: Sequence[str]) -> list[str]:
    counts = Counter(row.predicted for row in rows)
    skipped = counts.pop(None, 0)
    total = len(rows) - skipped

    def share(what: str, number: int) -> str:
        return f"The percentage of {what} is {number}/{total} = {100 * number / max(total, 1):.2f}%"

    lines = [share(f"images sampled from {name}", counts[name]) for name in source_names]
    if any(row.score is not None for row in rows):
        lines.append(share("images of unknown sources", counts[UNKNOWN]))
    for verdict in (INCONCLUSIVE, MIXED):
        if counts[verdict]:
            lines.append(share(f"{verdict} images", counts[verdict]))
    if skipped:
        lines.append(f"Skipped: {skipped} of {len(rows)} images could not be used")
    return lines


def with_known_truth(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, sources] and labels [n] of the images whose true source is in `names`."""
    known = _known(rows, truth, names)
    probabilities = np.array([list(rows[i].probabilities.values()) for i in known], np.float64)
    labels = [list(names).index(truth[i]) for i in known]
    return probabilities.reshape(-1, len(names)), np.array(labels, np.int64)


def _known(rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]) -> list[int]:
    """Which images have an answer and a true source in `names`."""
    return [i for i, row in enumerate(rows) if row.error is None and truth[i] in names]


def _against_truth(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str],
    groups: Sequence[str] | None,
) -> list[str]:  # fmt: skip
    lines = []
    tested = (name for row, name in zip(rows, truth, strict=True) if row.error is None)
    if strangers := Counter(name for name in tested if name not in names):
        listed = (f"{name} ({count} of {len(rows)} images)" for name, count in strangers.items())
        lines.append(f"Left out of the accuracy, as no source of this network: {', '.join(listed)}")
    lines += _open_set(rows, truth, names)
    probabilities, labels = with_known_truth(rows, truth, names)
    if not len(labels):
        return [*lines, f"No accuracy: no folder is named as one of {', '.join(names)}"]
    of_known = [groups[i] for i in _known(rows, truth, names)] if groups else None
    return lines + _scores(probabilities, labels, names, of_known)


def _open_set(rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]) -> list[str]:
    """What the answer "unknown" did to images of known and of other sources."""
    scored = [(row, name) for row, name in zip(rows, truth, strict=True) if row.score is not None]
    known = [row for row, name in scored if name in names]
    strange = [row for row, name in scored if name not in names]
    lines = []
    for group, what in ((known, "known"), (strange, "other")):
        if group:
            rejected = sum(row.predicted == UNKNOWN for row in group)
            lines.append(
                f"Answered unknown, of images of {what} sources: {_share(rejected, len(group))}"
            )
    if known:
        lines.append(f"  of each: {_unknown_of_each(scored, names)}")
    if known and strange:
        inside, outside = (np.array([row.score for row in group]) for group in (known, strange))
        lines.append(
            f"Known or other source: AUROC {area_under_roc(inside, outside):.4f}, others found "
            f"where 95% of the known pass {100 * true_negatives_at(inside, outside):.2f}%"
        )
    return lines


def _unknown_of_each(scored: Sequence[tuple[Attribution, str]], names: Sequence[str]) -> str:
    """How many images of each known source were answered "unknown": "real 2/50, ProGAN 0/50"."""
    tested = Counter(name for _, name in scored)
    rejected = Counter(name for row, name in scored if row.predicted == UNKNOWN)
    return ", ".join(f"{name} {rejected[name]}/{tested[name]}" for name in names if tested[name])


def _scores(
    probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str],
    groups: Sequence[str] | None,
) -> list[str]:  # fmt: skip
    predicted = probabilities.argmax(axis=1)
    lines = [
        # Of the most probable names, whatever the verdict: the rules are judged above.
        f"Accuracy: {_share_right(predicted == labels, groups)}",
        "Expected calibration error: "
        f"{metrics.expected_calibration_error(probabilities, labels):.4f}",
    ]
    is_real = np.array([is_of_photographs(name) for name in names])
    precision, area = metrics.real_or_generated(
        is_real[labels], 1 - probabilities[:, is_real].sum(axis=1)
    )
    if not np.isnan(area):
        real = ", ".join(np.array(names)[is_real])
        lines.append(f"Real ({real}) or generated: AP {precision:.4f}, AUC {area:.4f}")
    matrix = metrics.confusion_matrix(labels, predicted, len(names))
    return [*lines, "", metrics.confusion_text(matrix, names)]


def _share(number: int, total: int) -> str:
    return _share_right(np.arange(total) < number, None)


def _share_right(right: np.ndarray, groups: Sequence[str] | None) -> str:
    """Of right answers, bool [N], with an interval by group where groups are known."""
    low, high = metrics.interval_by_group(right, groups)
    how = f" by group, of {len(set(groups))} groups" if groups else ""
    return (
        f"{right.sum()}/{len(right)} = {100 * right.mean():.2f}% "
        f"(95% interval {100 * low:.2f}% to {100 * high:.2f}%{how})"
    )
