"""What rows of images of known source say of the network that made them, as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_fingerprints import likelihood, metrics
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, Attribution, is_of_photographs
from gan_fingerprints.calibration import UNKNOWN

STRONG = 3.0  # log10 LR that words call "strong support"
ROUNDS = 1000  # of a bootstrap
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Shown:
    """Images of known source, or of sources outside, as a network answered them.

    Attributes:
        rows: without those that could not be read.
        truth: the source of each.
        groups: the group of each, or None where each is its own.
    """

    rows: Sequence[Attribution]
    truth: Sequence[str]
    groups: Sequence[str] | None = None

    @property
    def ratios(self) -> Pairs:
        """log10 LRs of each image's own source, and of the other sources; of those that have."""
        own: list[float] = []
        others: list[float] = []
        for row, name in zip(self.rows, self.truth, strict=True):
            for source, ratio in (row.log10_lr or {}).items():
                (own if source == name else others).append(ratio)
        return np.array(own, np.float64), np.array(others, np.float64)


def of_condition(known: Shown, outside: Shown | None) -> dict[str, Any]:
    """Everything that is measured under one condition, as JSON can hold it.

    Shares are of the images that could be read; likelihood ratios of those that have some, see
    `Attribution`. Numbers of which there are no images, or no likelihood ratios, are None.
    """
    found: dict[str, Any] = {"images": len(known.rows), **_verdicts(known), **_ratios(known)}
    found["opinions"] = _opinions(known)
    found["outside"] = None
    if outside:
        found["outside"] = {"images": len(outside.rows), **_of_outside(known, outside)}
    return found


def _verdicts(known: Shown) -> dict[str, Any]:
    rows, truth, groups = known.rows, known.truth, known.groups
    both = list(zip(rows, truth, strict=True))
    named = np.array([row.named for row in rows], bool)
    wrong = np.array([row.named and row.predicted != name for row, name in both], bool)
    generated = np.array([not is_of_photographs(name) for name in truth], bool)
    called = _called_photographs(rows)
    strong = np.array([(row.log10_of_likely or 0) >= STRONG for row in rows], bool)
    return {
        "accuracy": share([row.most_probable == name for row, name in both], groups),
        "named": share(named, groups),
        "named_wrongly": share(wrong, groups),
        "named_wrongly_with_strong_support": share(wrong & strong, groups),
        "unknown": share([row.predicted == UNKNOWN for row in rows], groups),
        "inconclusive": share([row.predicted == INCONCLUSIVE for row in rows], groups),
        "unfit": share([bool(row.unfit) for row in rows], groups),
        "with_ratios": share([row.log10_lr is not None for row in rows], groups),
        "generated_called_photographs": share(called[generated]),
        "photographs_called_generated": share((named & ~called)[~generated]),
    }


def _called_photographs(rows: Sequence[Attribution]) -> np.ndarray:
    called = [row.named and is_of_photographs(str(row.predicted)) for row in rows]
    return np.array(called, bool)


def share(
    hits: Sequence[bool] | np.ndarray, groups: Sequence[str] | None = None
) -> list[float] | None:
    """A share with its 95 % interval, by group where groups are known; None of nothing."""
    if not len(hits):
        return None
    return [float(np.mean(hits)), *metrics.interval_by_group(np.array(hits, bool), groups)]


def _ratios(known: Shown) -> dict[str, Any]:
    names = ("cllr", "cllr_min", "calibration_loss", "misleading_same", "misleading_other",
             "highest_misleading", "lowest_misleading")  # fmt: skip
    same, other = known.ratios
    if not len(same) or not len(other):
        return dict.fromkeys(names)
    cost, least = likelihood.cllr(same, other), likelihood.cllr_min(same, other)
    wrong = likelihood.misleading(same, other)
    extremes = float(other.max()), float(same.min())
    values = [cost, *interval_of_cllr(known)], least, cost - least, *wrong, *extremes
    return dict(zip(names, values, strict=True))


def interval_of_cllr(known: Shown) -> list[float]:
    """Ends of the 95 % interval of Cllr by a bootstrap of groups, or of images without.

    Of one group, which says nothing of others, none.
    """
    costs = []
    for i, (row, name) in enumerate(zip(known.rows, known.truth, strict=True)):
        if row.log10_lr:
            own = _bits(-row.log10_lr[name]) if name in row.log10_lr else 0.0
            others = [_bits(x) for source, x in row.log10_lr.items() if source != name]
            costs.append((known.groups[i] if known.groups else i, own, sum(others), len(others)))
    groups = np.unique([str(x[0]) for x in costs], return_inverse=True)[1]
    sums = [np.bincount(groups, [x[i] for x in costs]) for i in (1, 2, 3)]
    sums.append(np.bincount(groups).astype(float))
    if len(sums[0]) < 2:
        return []
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(sums[0]), size=(ROUNDS, len(sums[0])))
    own_sum, other_sum, pairs, images = (x[drawn].sum(axis=1) for x in sums)
    low, high = np.quantile(0.5 * (own_sum / images + other_sum / pairs), [0.025, 0.975])
    return [float(low), float(high)]


def _bits(log10_odds: float) -> float:
    return float(np.logaddexp(0, likelihood.LN10 * log10_odds) / np.log(2))


def _opinions(known: Shown) -> dict[str, Any] | None:
    """Accuracy and Cllr_min of each family of evidence alone, and of all together.

    Cllr_min, as it needs no calibration: families have none of their own.
    """
    answers: dict[str, list[tuple[dict[str, float], str]]] = {}
    groups: list[str] = []
    for i, (row, name) in enumerate(zip(known.rows, known.truth, strict=True)):
        if row.opinions:
            groups += [known.groups[i]] if known.groups else []
            sources = next(iter(row.opinions.values()))
            together = {source: row.probabilities[source] or 0.0 for source in sources}
            for family, said in {**row.opinions, "together": together}.items():
                answers.setdefault(family, []).append((said, name))
    return {family: _of_family(said, groups) for family, said in answers.items()} or None


def _of_family(
    answers: Sequence[tuple[dict[str, float], str]], groups: Sequence[str]
) -> dict[str, Any]:
    own: list[float] = []
    others: list[float] = []
    for said, name in answers:
        for source, probability in said.items():
            (own if source == name else others).append(probability)
    right = [max(said, key=lambda x: said[x]) == name for said, name in answers]
    least = likelihood.cllr_min(np.array(own), np.array(others)) if own and others else None
    return {"accuracy": share(right, groups or None), "cllr_min": least}


def _of_outside(known: Shown, outside: Shown) -> dict[str, Any]:
    """How images of sources outside were answered, and what ratios against outside are worth."""
    rows = outside.rows
    named = np.array([row.named for row in rows], bool)
    called = _called_photographs(rows)
    strong = np.array([(row.log10_of_likely or 0) >= STRONG for row in rows], bool)
    same, other = (
        np.array([row.log10_outside for row in x if row.log10_outside is not None], np.float64)
        for x in (known.rows, rows)
    )
    several = len(same) and len(other)
    return {
        "unknown": share([row.predicted == UNKNOWN for row in rows]),
        "named": share(named),
        "named_a_generator": share(named & ~called),
        "named_photographs": share(called),
        "named_with_strong_support": share(named & strong),
        "verdicts": dict(Counter(str(row.predicted) for row in rows).most_common()),
        "cllr": likelihood.cllr(same, other) if several else None,
        "cllr_min": likelihood.cllr_min(same, other) if several else None,
        "misleading_other": likelihood.misleading(same, other)[1] if several else None,
    }
