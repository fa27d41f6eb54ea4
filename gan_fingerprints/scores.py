"""How well images fit the sources that a network knows: scores, and which of them are compared.

Logits are float [N, sources], features (image fingerprints) float [N, D], labels int [N]. A score
is higher for images of known sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SCORES = ("energy", "max_softmax", "feature_distance")
FOLDS = 5
SHRINKAGE = 0.05  # of a covariance towards its diagonal
RANKS = 101  # quantiles that are kept of a score
ENOUGH = 50  # validation images that a source's own quantiles are taken from


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities float64 [N, sources] of logits / temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_sum_exp(values: np.ndarray) -> np.ndarray:
    most = values.max(axis=1)  # taken out, as the exponential of 1,000 is infinite
    return most + np.log(np.exp(values - most[:, None]).sum(axis=1))


class Centres(NamedTuple):
    """Where the sources lie among the features: means [sources, D], common deviations [D]."""

    means: np.ndarray
    deviations: np.ndarray


def centres_of(features: np.ndarray, labels: np.ndarray, sources: int) -> Centres:
    """Means of each source, and the deviation of each feature within sources."""
    means = np.stack([features[labels == i].mean(axis=0) for i in range(sources)])
    return Centres(means, np.maximum((features - means[labels]).std(axis=0), 1e-6))


def scores(
    logits: np.ndarray, features: np.ndarray, temperature: float, centres: Centres
) -> dict[str, np.ndarray]:
    """Every score of `SCORES`, float64 [N].

    energy: temperature · log Σ exp(logit / temperature), Liu et al. (2020); max_softmax: the
    highest probability, Hendrycks and Gimpel (2017); feature_distance: minus the distance of the
    features from the nearest source's mean, in deviations, per root of D.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    # Source by source, as [N, sources, D] of thousands of features would fill the memory.
    apart = [((features - mean) / centres.deviations) ** 2 for mean in centres.means]
    distances = np.sqrt([x.mean(axis=1) for x in apart]).T  # [N, sources]
    return {
        "energy": temperature * log_sum_exp(scaled),
        "max_softmax": softmax(logits, temperature).max(axis=1),
        "feature_distance": -distances.min(axis=1),
    }


class Either(NamedTuple):
    """Two scores that fail differently as one, which is low where either of them is.

    Energy misses images that look more typical than those of the known sources, the distance of
    features those that are like none in the logits only. Each score is turned into its rank among
    validation images with the same most probable source, 0 to 1, so that every source's own images
    are rejected alike; the lower rank is the score.

    Attributes:
        whitening: float32 [D, D], inverse Cholesky factor of the features' covariance within
            sources, shrunk by 5 % towards its diagonal: lengths of whitened differences are
            Mahalanobis distances (Lee et al. 2018). Where only K features are judged, [K, D],
            with zeros for the others.
        ranks: float32 [2, sources, 101], quantiles of energy and minus the distance.
    """

    whitening: np.ndarray
    ranks: np.ndarray

    def score(
        self, logits: np.ndarray, features: np.ndarray, temperature: float, centres: Centres
    ) -> np.ndarray:
        """float64 [N]."""
        both = _two(logits, features, temperature, centres, self.whitening)
        likely = logits.argmax(axis=1)
        ranks = [
            [_rank(value, self.ranks[i, source]) for value, source in zip(x, likely, strict=True)]
            for i, x in enumerate(both)
        ]
        return np.min(np.array(ranks, np.float64).reshape(2, -1), axis=0)


def _two(
    logits: np.ndarray, features: np.ndarray, temperature: float, centres: Centres,
    whitening: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Energy, and minus the nearest source's whitened distance per root of K: float64 [2, N]."""
    apart = (features[:, None] - centres.means) @ whitening.T.astype(np.float64)
    distances = np.sqrt((apart**2).mean(axis=2)).min(axis=1)
    return np.stack([temperature * log_sum_exp(logits / temperature), -distances])


def _rank(value: float, quantiles: np.ndarray) -> float:
    """0 at the lowest quantile and 1 at the highest; below and above it goes on in proportion."""
    lowest, highest = float(quantiles[0]), float(quantiles[-1])
    if lowest <= value <= highest:
        return float(np.interp(value, quantiles, np.linspace(0, 1, len(quantiles))))
    over = (value - lowest if value < lowest else value - highest) / max(highest - lowest, 1e-6)
    return over if value < lowest else 1 + over


def whitening_of(
    features: np.ndarray, labels: np.ndarray, means: np.ndarray, judged: slice | None = None
) -> np.ndarray:
    """float64 [K, D], see `Either`."""
    apart = features.astype(np.float64) - means[labels]
    if judged:
        inner = whitening_of(features[:, judged], labels, means[:, judged])
        whole = np.zeros((len(inner), features.shape[1]))
        whole[:, judged] = inner
        return whole
    covariance = apart.T @ apart / len(apart)
    diagonal = np.diag(np.maximum(np.diag(covariance), 1e-12))
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal
    return np.linalg.inv(np.linalg.cholesky(shrunk))


def either_of(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, temperature: float,
    groups: np.ndarray | None = None, judged: slice | None = None,
) -> tuple[Either, np.ndarray]:  # fmt: skip
    """`Either` of validation images, and its score of each, in folds as `held_out_scores`.

    judged: the features that distances are measured in; all by default.
    groups: int [N], where some images share their content; a group is then in one fold.
    """
    sources, two = logits.shape[1], np.empty((2, len(labels)))
    for rest, part in folds(labels, sources, groups):
        centres = centres_of(features[rest], labels[rest], sources)
        whitening = whitening_of(features[rest], labels[rest], centres.means, judged)
        two[:, part] = _two(logits[part], features[part], temperature, centres, whitening)
    likely, at = logits.argmax(axis=1), np.linspace(0, 1, RANKS)
    ranks = np.stack([np.quantile(two, at, axis=1).T] * sources, axis=1)
    for source in range(sources):
        if (likely == source).sum() >= ENOUGH:
            ranks[:, source] = np.quantile(two[:, likely == source], at, axis=1).T
    ranks = np.maximum.accumulate(ranks, axis=2)  # interpolation may round a step downwards
    means = centres_of(features, labels, sources).means
    whitening = whitening_of(features, labels, means, judged)
    either = Either(whitening.astype(np.float32), ranks.astype(np.float32))
    each = [
        min(_rank(value, either.ranks[i, source]) for i, value in enumerate(pair))
        for pair, source in zip(two.T, likely, strict=True)
    ]
    return either, np.array(each)


def held_out_scores(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, temperature: float
) -> dict[str, np.ndarray]:
    """`scores` of each image with the centres of the other folds' images, of five.

    Images lie closer to centres that they are part of than new images of the same sources do.
    With one image of a source only, its centre is of that image.
    """
    sources = logits.shape[1]
    held_out = {name: np.empty(len(labels)) for name in SCORES}
    for rest, part in folds(labels, sources):
        centres = centres_of(features[rest], labels[rest], sources)
        for name, values in scores(logits[part], features[part], temperature, centres).items():
            held_out[name][part] = values
    return held_out


def folds(
    labels: np.ndarray, sources: int, groups: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which images the centres come from, and which are scored, in each of five rounds.

    Groups stay together, unless a source would then have no centre in one of the rounds.
    """
    if groups is not None:
        fold_of = np.unique(groups, return_inverse=True)[1] % FOLDS
        rests = [(fold_of != fold, fold_of == fold) for fold in range(FOLDS)]
        if all(len(set(labels[rest].tolist())) == sources for rest, _ in rests):
            yield from rests
            return
    places = np.empty(len(labels), int)  # of each image among those of its source
    for i in range(sources):
        places[labels == i] = np.arange((labels == i).sum())
    number = min(FOLDS, int(np.bincount(labels, minlength=sources).min()))
    for fold in range(number):
        part = places % number == fold
        yield (~part if number > 1 else part), part
