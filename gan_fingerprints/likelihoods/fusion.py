"""Likelihood ratios of several opinions on an image, worth less where the image is less typical."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints.likelihood import LN10, STEEPEST, elub, log_odds, logistic
from gan_fingerprints.likelihoods.bounded import Fitted
from gan_fingerprints.scores import folds

LEAST_SHARE = 1e-12  # of a probability whose logarithm is taken
MOST_FAMILIES = 8  # in a file
RIDGE = 1e-4  # slopes together could be anything where images are all as typical
KNOTS = (0.0, 0.1, 0.3)  # of the score of "unknown"; above the last, images are all as typical
PARTS = 1 + len(KNOTS)


@dataclass(frozen=True)
class Fusion:
    """log LR = a + Σ over families of b(u) · log-odds of their opinion, in bounds.

    Logistic fusion of opinions, as in Brümmer and others (2007), "Fusion of heterogeneous speaker
    recognition systems", with slopes that depend on a measure of the image's quality: what is
    said of an image that is less typical is worth less. u is the score of "unknown", a rank among
    validation images and below 0 beyond them. b(u) is linear between `least` and `KNOTS`, constant
    beyond, and never below 0: better odds of a source are no evidence against it.

    Attributes:
        a: see above.
        slopes: of each family b(0), and how steep b is from `least` to 0 and between the knots.
        least: below which u says no more.
        low, high, same, other, groups: see `Fitted`.
    """

    a: float
    slopes: tuple[tuple[float, ...], ...]
    least: float
    low: float
    high: float
    same: int
    other: int
    groups: int

    def __call__(self, opinions: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """log10 LRs float64 [N, K] of opinions [N, families, K] and scores [N]."""
        slopes = np.array(self.slopes) @ _quality(scores, self.least)  # [families, N]
        summed = np.einsum("fn,nfk->nk", np.maximum(slopes, 0), _odds_of(opinions))
        return np.clip((self.a + summed) / LN10, self.low, self.high)

    def header(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"slopes": [[*x] for x in self.slopes]}

    @classmethod
    def read(cls, said: Any) -> Fusion:
        """From JSON; ValueError for anything else."""
        if type(said) is not dict or set(said) != {field.name for field in fields(cls)}:
            raise ValueError("a fusion with more or less than its fields")
        slopes, least = said["slopes"], said["least"]
        if type(slopes) is not list or not 1 <= len(slopes) <= MOST_FAMILIES:
            raise ValueError(f"slopes of a fusion that are no list of at most {MOST_FAMILIES}")
        numbers = [least]
        for of_family in slopes:
            if type(of_family) is not list or len(of_family) != PARTS:
                raise ValueError(f"slopes of a fusion; expected {PARTS} numbers of each family")
            numbers += of_family
        if not all(type(x) in (int, float) and -STEEPEST <= x <= STEEPEST for x in numbers):
            raise ValueError(
                f"slopes of a fusion; expected numbers from {-STEEPEST:g} to {STEEPEST:g}"
            )
        if least > 0:
            raise ValueError(f"a fusion with least {least:g}; expected 0 or less")
        rest = {k: x for k, x in said.items() if k not in ("slopes", "least")}
        bounds = Fitted.read({**rest, "b": 0.0})
        kept = {k: x for k, x in asdict(bounds).items() if k != "b"}
        return cls(slopes=tuple(tuple(map(float, x)) for x in slopes), least=float(least), **kept)


class Cases(NamedTuple):
    """What was said of images, as they are and degraded.

    Attributes:
        opinions: float [N, families, K], probabilities.
        scores: float [N], by which "unknown" is decided.
        labels, groups: int [N].
    """

    opinions: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def _odds_of(opinions: np.ndarray) -> np.ndarray:
    """log-odds float64 [N, families, K] of probabilities."""
    logarithms = np.log(np.maximum(np.asarray(opinions, np.float64), LEAST_SHARE))
    return log_odds(logarithms.reshape(-1, opinions.shape[-1])).reshape(opinions.shape)


def _quality(scores: np.ndarray, least: float) -> np.ndarray:
    """float64 [PARTS, N]: 1, and how far u is in each interval of `Fusion`, from 0 on."""
    scores = np.asarray(scores, np.float64)
    within = [np.clip(scores, low, high) - low for low, high in pairwise(KNOTS)]
    return np.stack([np.ones_like(scores), np.clip(scores, least, 0), *within])


def fused(cases: Cases) -> Fusion:
    """Fitted to all cases; the bounds are of log LRs that a fit of the other folds' gives.

    A fit steeper than `STEEPEST` is none: opinions that differ by rounding are no evidence.
    """
    sources, groups = cases.opinions.shape[2], len(set(cases.groups.tolist()))
    least = min(0.0, max(-STEEPEST, float(np.quantile(cases.scores, 0.01))))
    inputs = _inputs(cases, least)  # [N, K, F]
    own = np.arange(sources) == cases.labels[:, None]

    def trained(chosen: np.ndarray) -> Fusion:
        x, mine = inputs[chosen], own[chosen]
        found = logistic(x[mine], x[~mine], RIDGE)
        steep = not np.abs(found[1:]).max() <= STEEPEST  # also where it is no number
        a, *slopes = (np.zeros_like(found) if steep else found).tolist()
        parts = tuple(tuple(slopes[i : i + PARTS]) for i in range(0, len(slopes), PARTS))
        return Fusion(a, parts, least, -np.inf, np.inf, 1, 1, 1)

    same, other = [], []
    for rest, part in folds(cases.labels, sources, cases.groups):
        ratios = trained(rest)(cases.opinions[part], cases.scores[part])
        same.append(ratios[own[part]])
        other.append(ratios[~own[part]])
    held = np.concatenate(same), np.concatenate(other)
    low, high = elub(*held, (len(held[0]) / groups, len(held[1]) / groups))
    whole = trained(np.ones(len(cases.labels), bool))
    whole = replace(whole, low=low, high=high, groups=groups)
    return replace(whole, same=len(held[0]), other=len(held[1]))


def _inputs(cases: Cases, least: float) -> np.ndarray:
    """What is weighted: float64 [N, K, families · PARTS]."""
    quality = _quality(cases.scores, least)
    products = np.einsum("nfk,qn->nkfq", _odds_of(cases.opinions), quality)
    return products.reshape(*products.shape[:2], -1)
