"""Probabilities that mean what they say, and the answer "unknown" for images of no known source.

Both are learned from validation images after training. Logits are float [N, sources], features
(image fingerprints) float [N, D], labels int [N]. A score is higher for images of known sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints.domain import PROPERTIES, Domain

SCORES = ("energy", "max_softmax", "feature_distance")
EITHER = "lower_rank"  # the score of `Either`
TEMPERATURES = (0.01, 100.0)
LIMITS = {"temperature": TEMPERATURES, "threshold": (-1e30, 1e30), "false_alarms": (0.0, 1.0)}
STORED = ("temperature", "score", "threshold", "false_alarms", "checksum")
FOLDS = 5
SHRINKAGE = 0.05  # of a covariance towards its diagonal
RANKS = 101  # quantiles that are kept of a score
ENOUGH = 50  # validation images that a source's own quantiles are taken from
UNKNOWN = "unknown"  # the answer for images of no known source


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities float64 [N, sources] of logits / temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean of -log of the probability of the true source."""
    scaled = np.asarray(logits, np.float64) / temperature
    return float((_log_sum_exp(scaled) - scaled[np.arange(len(labels)), labels]).mean())


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    most = values.max(axis=1)  # taken out, as the exponential of 1,000 is infinite
    return most + np.log(np.exp(values - most[:, None]).sum(axis=1))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the highest likelihood, between 0.01 and 100.

    Dividing logits by it changes no answer. Guo et al. (2017), section 4.2.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, labels, math.exp(log_temperature))

    # Searched on the logarithm, as 0.5 is to 1 what 1 is to 2; without bounds, a network that is
    # right on every validation image would be told that it is always certain.
    bounds = tuple(math.log(t) for t in TEMPERATURES)
    return float(math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


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
        "energy": temperature * _log_sum_exp(scaled),
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
    return np.stack([temperature * _log_sum_exp(logits / temperature), -distances])


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
    for rest, part in _folds(labels, sources, groups):
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


def area_under_roc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Probability that a known image scores above an unknown one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(known), len(unknown)])
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def true_negatives_at(known: np.ndarray, unknown: np.ndarray, kept: float = 0.95) -> float:
    """Share of unknown images below the score that `kept` of the known ones reach."""
    return float(np.mean(unknown < threshold_for(known, 1 - kept)))


def threshold_for(known: np.ndarray, false_alarms: float) -> float:
    """The highest threshold below which lie at most that share of the known images' scores."""
    ordered = np.sort(known)
    # 1e-9, as 0.07 · 100 is a little more than 7 in binary, and 0.29 · 100 a little less than 29.
    return float(ordered[min(int(false_alarms * len(ordered) + 1e-9), len(ordered) - 1)])


def leave_one_out(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, temperature: float
) -> dict[str, float]:
    """Mean area under the ROC curve of each score, each source in turn playing the unknown one.

    Its logit and its mean are left out. The network has seen the source, so this is good for
    comparing scores, not for saying how well unknown sources are found.
    """
    sources = logits.shape[1]
    areas: dict[str, list[float]] = {name: [] for name in SCORES}
    for left_out in range(sources):
        others = [i for i in range(sources) if i != left_out]
        known = labels != left_out
        renumbered = np.searchsorted(others, labels[known])
        centres = centres_of(features[known], renumbered, len(others))
        for name, values in scores(logits[:, others], features, temperature, centres).items():
            areas[name].append(area_under_roc(values[known], values[~known]))
    return {name: float(np.mean(values)) for name, values in areas.items()}


@dataclass(frozen=True)
class Calibration:
    """What a network file keeps of its calibration.

    Attributes:
        temperature: divides the logits.
        score: the one of `SCORES` that the verdict looks at.
        threshold: images that score less are of an unknown source.
        false_alarms: share of known images that the threshold was set to reject.
        centres: of the validation images' features.
        checksum: of the data that all this was learned from.
        either: where that is the score.
        domain: what the training images looked like, where images that look otherwise are to be
            answered "inconclusive".
    """

    temperature: float
    score: str
    threshold: float
    false_alarms: float
    centres: Centres
    checksum: str
    either: Either | None = None
    domain: Domain | None = None

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 [N, sources]."""
        return softmax(logits, self.temperature)

    def scores(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """float64 [N]: the chosen score, at least `threshold` for images of known sources."""
        if self.either:
            return self.either.score(logits, features, self.temperature, self.centres)
        return scores(logits, features, self.temperature, self.centres)[self.score]

    def describe(self) -> str:
        """One line for a log."""
        return (
            f"calibrated: temperature {self.temperature:.3f}, unknown below {self.score} "
            f"{self.threshold:.4g}, which rejects {self.false_alarms:.1%} of known images"
        )

    def header(self) -> dict[str, Any]:
        """All but the centres, as JSON can hold it."""
        said = {name: getattr(self, name) for name in STORED}
        return said | ({"domain": list(PROPERTIES)} if self.domain else {})

    def arrays(self) -> dict[str, np.ndarray]:
        parts = self.centres._asdict() | (self.either._asdict() if self.either else {})
        parts |= {"domain": self.domain.bounds} if self.domain else {}
        return {name: np.asarray(x, np.float32) for name, x in parts.items()}

    @classmethod
    def of(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration:
        """From what `header` and `arrays` gave; ValueError for anything else."""
        header, arrays = dict(header), dict(arrays)
        named, bounds = header.pop("domain", None), arrays.pop("domain", None)
        if (named is not None and named != list(PROPERTIES)) or (named is None) != (bounds is None):
            raise ValueError(f"domain {named!r:.80}; expected {', '.join(PROPERTIES)}, or none")
        either = header.get("score") == EITHER
        fields = Centres._fields + (Either._fields if either else ())
        if set(header) != set(STORED) or set(arrays) != set(fields):
            raise ValueError(f"a calibration with more or less than {', '.join(STORED)}")
        for name, (low, high) in LIMITS.items():
            if type(header[name]) not in (int, float) or not low <= header[name] <= high:
                shown = repr(header[name])[:80]
                raise ValueError(f"{name} {shown}; expected a number from {low:g} to {high:g}")
        if header["score"] not in (*SCORES, EITHER):
            raise ValueError(f"score {header['score']!r:.40}; expected one of {(*SCORES, EITHER)}")
        checksum = header["checksum"]
        if type(checksum) is not str or len(checksum) > 200 or not checksum.isprintable():
            raise ValueError("a checksum that is no short text")
        means, deviations = centres = Centres(*(arrays[name] for name in Centres._fields))
        if means.ndim != 2 or deviations.shape != means.shape[1:]:
            raise ValueError(f"a calibration with means {means.shape}")
        if not (np.isfinite(means).all() and (deviations > 0).all() and (deviations < 1e30).all()):
            raise ValueError("a calibration with centres that are out of range")
        domain = None if bounds is None else Domain.read(bounds)
        if not either:
            return cls(centres=centres, domain=domain, **header)
        two = Either(*(arrays[name] for name in Either._fields))
        sources, features = means.shape
        shapes = two.whitening.shape, two.ranks.shape
        judged = two.whitening.shape[0] if two.whitening.ndim else 0
        if shapes != ((judged, features), (2, sources, RANKS)) or not 1 <= judged <= features:
            raise ValueError(f"a calibration with arrays {shapes}")
        if not np.isfinite(two.whitening).all() or not (np.diff(two.ranks) >= 0).all():
            raise ValueError("a calibration with ranks that are out of order")
        return cls(centres=centres, either=two, domain=domain, **header)


def calibrate(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, checksum: str,
    false_alarms: float = 0.05, either: bool = False, groups: np.ndarray | None = None,
    judged: slice | None = None,
) -> Calibration:  # fmt: skip
    """Learns temperature, score and threshold from validation images.

    With `either` the score is that of `Either`, which measures distances in the features that are
    `judged`, all by default. Without it, the score is the best by
    `leave_one_out` where there are three sources or more, else the energy. Where it looks at
    centres, the threshold is set on images that had no part in them.
    Raises ValueError when a source has no image.
    """
    sources = logits.shape[1]
    missing = sorted(set(range(sources)).difference(labels.tolist()))
    if missing:
        raise ValueError(f"no validation image of the sources numbered {missing}")
    temperature = fit_temperature(logits, labels)
    centres = Centres(*(x.astype(np.float32) for x in centres_of(features, labels, sources)))
    if either:
        two, held_out = either_of(logits, features, labels, temperature, groups, judged)
        threshold = threshold_for(held_out, false_alarms)
        return Calibration(temperature, EITHER, threshold, false_alarms, centres, checksum, two)
    # Of two sources, leaving one out leaves nothing to confuse the other with.
    areas = leave_one_out(logits, features, labels, temperature) if sources > 2 else {"energy": 1.0}
    score = max(areas, key=lambda name: areas[name])
    held_out = held_out_scores(logits, features, labels, temperature)[score]
    threshold = threshold_for(held_out, false_alarms)
    return Calibration(temperature, score, threshold, false_alarms, centres, checksum)


def held_out_scores(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, temperature: float
) -> dict[str, np.ndarray]:
    """`scores` of each image with the centres of the other folds' images, of five.

    Images lie closer to centres that they are part of than new images of the same sources do.
    With one image of a source only, its centre is of that image.
    """
    sources = logits.shape[1]
    held_out = {name: np.empty(len(labels)) for name in SCORES}
    for rest, part in _folds(labels, sources):
        centres = centres_of(features[rest], labels[rest], sources)
        for name, values in scores(logits[part], features[part], temperature, centres).items():
            held_out[name][part] = values
    return held_out


def _folds(
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
    folds = min(FOLDS, int(np.bincount(labels, minlength=sources).min()))
    for fold in range(folds):
        part = places % folds == fold
        yield (~part if folds > 1 else part), part


def risk_and_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of images answered and share of wrong answers among them, most confident first.

    confidence: float [N]; right: bool [N]. Returns coverage and risk, float64 [N] each.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    answered = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~np.asarray(right, bool)[order])
    return answered / len(order), wrong / answered
