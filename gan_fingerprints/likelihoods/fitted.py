"""Likelihood ratios of a network's answers, fitted on validation images and kept in its file.

The first proposition is always that the source (or, against outside, a source of the collection)
made the image. `likelihood` has the formulas. Logits are float [N, sources], divided by the
network's temperature; labels int [N]; groups int [N], of images that share their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gan_fingerprints.likelihood import elub, fit, log_odds
from gan_fingerprints.likelihoods.bounded import MOST_IMAGES, Fitted
from gan_fingerprints.likelihoods.fusion import Cases, Fusion, fused
from gan_fingerprints.scores import folds

POOLS = (2, 5, 10, 20)  # images of a pool
ROUNDS = 10  # times that images are dealt into pools anew
FEWEST = 10  # pools that a fit is made of
MOST_POOLS = 16  # in a file
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Likelihoods:
    """What a network file keeps of its likelihood ratios.

    Attributes:
        others: of each source against another one that the network was trained on.
        outside: of a source that it was trained on, against one that it was not; of the score that
            "unknown" is decided by. None where that was not fitted.
        pools: number of images → as `others`, of the mean of the logits of so many of one origin.
        fusion: as `others`, of an image's opinions, fitted to degraded images too, which the
            ratios of images then come from. None where that was not fitted.
    """

    others: Fitted
    outside: Fitted | None
    pools: Mapping[int, Fitted]
    fusion: Fusion | None = None

    def of_sources(self, logits: np.ndarray, images: int = 1) -> np.ndarray:
        """log10 LRs float64 [N, sources], each source against the others.

        images: so many of one origin whose logits' means these are. Where pools of that size were
            not fitted, the next smaller size holds.
        """
        fitting = [size for size in self.pools if size <= images]
        one = self.pools[max(fitting)] if fitting else self.others
        return one(log_odds(logits))

    def of_image(self, logits: np.ndarray, opinions: np.ndarray, score: float) -> np.ndarray:
        """log10 LRs float64 [sources] of an image.

        logits [sources], opinions [families, sources], probabilities, and the score of "unknown".
        """
        if self.fusion is None:
            return self.of_sources(logits[None])[0]
        return self.fusion(opinions[None], np.array([score]))[0]

    def of_outside(self, scores: np.ndarray) -> np.ndarray | None:
        """log10 LRs float64 [N], the collection against a source outside."""
        return None if self.outside is None else self.outside(scores)

    def describe(self) -> str:
        """One line for a log."""
        outside = "not fitted"
        if self.outside:
            outside = f"{10**self.outside.low:.2g} to {10**self.outside.high:.2g}"
        one: Fitted | Fusion = self.others
        degraded = ""
        if self.fusion:
            one, degraded = self.fusion, ", of images as they are and degraded,"
        return (
            f"likelihood ratios: against another source {10**one.low:.2g} to {10**one.high:.2g}, "
            f"from {one.same:,} cases{degraded} in {one.groups:,} groups; against a source outside "
            f"{outside}; of pools of {', '.join(map(str, self.pools)) or 'no size'}"
        )

    def header(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "others": asdict(self.others),
            "outside": None if self.outside is None else asdict(self.outside),
            "pools": [{"size": size, **asdict(one)} for size, one in self.pools.items()],
            **({"fusion": self.fusion.header()} if self.fusion else {}),
        }

    @classmethod
    def read(cls, said: Any) -> Likelihoods:
        """From what `header` gave; ValueError for anything else."""
        own = {"others", "outside", "pools"}
        if type(said) is not dict or set(said) not in (own, own | {"fusion"}):
            raise ValueError("likelihoods with more or less than others, outside, pools and fusion")
        outside, pools = said["outside"], said["pools"]
        if type(pools) is not list or len(pools) > MOST_POOLS:
            raise ValueError(f"pools that are no list of at most {MOST_POOLS}")
        read: dict[int, Fitted] = {}
        for pool in pools:
            size = pool.get("size") if type(pool) is dict else None
            if type(size) is not int or not max(read, default=1) < size <= MOST_IMAGES:
                raise ValueError(f"a pool of size {size!r:.40}; expected 2 or more, and rising")
            read[size] = Fitted.read({k: x for k, x in pool.items() if k != "size"})
        others = Fitted.read(said["others"])
        fusion = Fusion.read(said["fusion"]) if "fusion" in said else None
        return cls(others, None if outside is None else Fitted.read(outside), read, fusion)


def fitted(
    logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None,
    known: np.ndarray | None = None, outside: np.ndarray | None = None,
    outside_groups: np.ndarray | None = None, cases: Cases | None = None,
) -> Likelihoods:  # fmt: skip
    """`Likelihoods` of validation images.

    known, outside: float [N] and [M], scores of the validation images, which had no part in what
        they are scored by, and of images of sources outside; None to leave that out.
    outside_groups: int [M], of which those of `groups` are the same groups.
    cases: what `Likelihoods.fusion` is fitted to.
    """
    sources, groups = logits.shape[1], _numbered(groups, len(labels))
    rounds = list(folds(labels, sources, groups))

    def pairs(chosen: np.ndarray) -> Pairs:
        return _pairs(logits[chosen], labels[chosen])

    number = len(set(groups.tolist()))
    others = _fit(pairs, rounds, number)
    against = None
    if known is not None and outside is not None and len(outside):
        against = _against(known, outside, groups, _numbered(outside_groups, len(outside)))
    fusion = None if cases is None else fused(cases)
    return Likelihoods(others, against, _of_pools(logits, labels, groups), fusion)


def _numbered(groups: np.ndarray | None, count: int) -> np.ndarray:
    return np.arange(count) if groups is None else np.asarray(groups)


def _pairs(logits: np.ndarray, labels: np.ndarray) -> Pairs:
    """Scores of each image's own source, and of the other sources."""
    own = np.arange(logits.shape[1]) == labels[:, None]
    scores = log_odds(logits)
    return scores[own], scores[~own]


def _fit(
    pairs: Callable[[np.ndarray], Pairs], rounds: list[tuple[np.ndarray, np.ndarray]], groups: int
) -> Fitted:
    """Of all cases; the bounds are of log LRs that a fit of the other folds' cases gives.

    pairs: chosen images → scores of both kinds; rounds: see `scores.folds`.
    """
    a, b = fit(*pairs(np.ones(len(rounds[0][0]), bool)))
    held: list[list[np.ndarray]] = [[], []]
    for rest, part in rounds:
        theirs = Fitted(*fit(*pairs(rest)), -np.inf, np.inf, 1, 1, 1)
        for kept, scores in zip(held, pairs(part), strict=True):
            kept.append(theirs(scores))
    same, other = map(np.concatenate, held)
    # One misleading case more, which where images are alike is a group of them.
    low, high = elub(same, other, (len(same) / groups, len(other) / groups))
    return Fitted(a, b, low, high, len(same), len(other), groups)


def _against(
    known: np.ndarray, outside: np.ndarray, groups: np.ndarray, outside_groups: np.ndarray
) -> Fitted:
    both = np.concatenate([known, outside]).astype(np.float64)
    of_known = np.arange(len(both)) < len(known)
    each = np.concatenate([groups, outside_groups])

    def pairs(chosen: np.ndarray) -> Pairs:
        return both[chosen & of_known], both[chosen & ~of_known]

    rounds = list(folds(np.where(of_known, 0, 1), 2, each))
    return _fit(pairs, rounds, min(len(set(x.tolist())) for x in (groups, outside_groups)))


def _of_pools(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[int, Fitted]:
    """Of each size of `POOLS` of which there are enough."""
    half_of = np.unique(groups, return_inverse=True)[1] % 2
    found = {}
    for size in POOLS:
        halves = [_pooled(logits, labels, size, half_of == half) for half in range(2)]
        numbers = [len(set(x[1].tolist())) for x in halves]
        disjoint = sum(len(x[1]) for x in halves) // ROUNDS
        if min(numbers) < logits.shape[1] or disjoint < FEWEST:
            break
        means, of_each, half = (
            np.concatenate(x)
            for x in zip(*((*x, np.full(len(x[1]), i)) for i, x in enumerate(halves)), strict=True)
        )

        def pairs(chosen: np.ndarray, x: np.ndarray = means, y: np.ndarray = of_each) -> Pairs:
            return _pairs(x[chosen], y[chosen])

        rounds = [(half != i, half == i) for i in range(2)]
        one = _fit(pairs, rounds, min(disjoint, len(set(groups.tolist()))))
        counts = one.same // ROUNDS, one.other // ROUNDS
        found[size] = replace(one, same=counts[0], other=counts[1])
    return found


def _pooled(
    logits: np.ndarray, labels: np.ndarray, size: int, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean logits [pools, sources] of `size` images of a source, dealt anew in each round."""
    rng, means, of_each = np.random.default_rng(size), [], []
    for label, images in _by_source(labels, chosen):
        for _ in range(ROUNDS):
            dealt = rng.permutation(images)[: len(images) // size * size].reshape(-1, size)
            means += list(logits[dealt].mean(axis=1))
            of_each += [label] * len(dealt)
    return np.array(means).reshape(-1, logits.shape[1]), np.array(of_each, int)


def _by_source(labels: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for label in np.unique(labels):
        yield int(label), np.flatnonzero((labels == label) & chosen)
