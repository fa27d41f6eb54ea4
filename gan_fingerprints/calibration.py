"""Probabilities that mean what they say, and the answer "unknown" for images of no known source.

Both are learned from validation images after training. Logits are float [N, sources], features
(image fingerprints) float [N, D], labels int [N]. A score is higher for images of known sources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SCORES = ("energy", "max_softmax", "feature_distance")
TEMPERATURES = (0.01, 100.0)
LIMITS = {"temperature": TEMPERATURES, "threshold": (-1e30, 1e30), "false_alarms": (0.0, 1.0)}
STORED = ("temperature", "score", "threshold", "false_alarms", "checksum")
FOLDS = 5
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
    """

    temperature: float
    score: str
    threshold: float
    false_alarms: float
    centres: Centres
    checksum: str

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 [N, sources]."""
        return softmax(logits, self.temperature)

    def scores(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """float64 [N]: the chosen score, at least `threshold` for images of known sources."""
        return scores(logits, features, self.temperature, self.centres)[self.score]

    def describe(self) -> str:
        """One line for a log."""
        return (
            f"calibrated: temperature {self.temperature:.3f}, unknown below {self.score} "
            f"{self.threshold:.4g}, which rejects {self.false_alarms:.1%} of known images"
        )

    def header(self) -> dict[str, Any]:
        """All but the centres, as JSON can hold it."""
        return {name: getattr(self, name) for name in STORED}

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(x, np.float32) for name, x in self.centres._asdict().items()}

    @classmethod
    def of(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration:
        """From what `header` and `arrays` gave; ValueError for anything else."""
        if set(header) != set(STORED) or set(arrays) != set(Centres._fields):
            raise ValueError(f"a calibration with more or less than {', '.join(STORED)}")
        for name, (low, high) in LIMITS.items():
            if type(header[name]) not in (int, float) or not low <= header[name] <= high:
                shown = repr(header[name])[:80]
                raise ValueError(f"{name} {shown}; expected a number from {low:g} to {high:g}")
        if header["score"] not in SCORES:
            raise ValueError(f"score {header['score']!r:.40}; expected one of {SCORES}")
        checksum = header["checksum"]
        if type(checksum) is not str or len(checksum) > 200 or not checksum.isprintable():
            raise ValueError("a checksum that is no short text")
        means, deviations = centres = Centres(**arrays)
        if means.ndim != 2 or deviations.shape != means.shape[1:]:
            raise ValueError(f"a calibration with means {means.shape}")
        if not (np.isfinite(means).all() and (deviations > 0).all() and (deviations < 1e30).all()):
            raise ValueError("a calibration with centres that are out of range")
        return cls(centres=centres, **header)


def calibrate(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, checksum: str,
    false_alarms: float = 0.05,
) -> Calibration:  # fmt: skip
    """Learns temperature, score and threshold from validation images.

    The score is the best by `leave_one_out` where there are three sources or more, else the
    energy. Where it looks at centres, the threshold is set on images that had no part in them.
    Raises ValueError when a source has no image.
    """
    sources = logits.shape[1]
    missing = sorted(set(range(sources)).difference(labels.tolist()))
    if missing:
        raise ValueError(f"no validation image of the sources numbered {missing}")
    temperature = fit_temperature(logits, labels)
    # Of two sources, leaving one out leaves nothing to confuse the other with.
    areas = leave_one_out(logits, features, labels, temperature) if sources > 2 else {"energy": 1.0}
    score = max(areas, key=lambda name: areas[name])
    centres = Centres(*(x.astype(np.float32) for x in centres_of(features, labels, sources)))
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
    places = np.empty(len(labels), int)  # of each image among those of its source
    for i in range(sources):
        places[labels == i] = np.arange((labels == i).sum())
    folds = min(FOLDS, int(np.bincount(labels, minlength=sources).min()))
    held_out = {name: np.empty(len(labels)) for name in SCORES}
    for fold in range(folds):
        part = places % folds == fold
        rest = ~part if folds > 1 else part
        centres = centres_of(features[rest], labels[rest], sources)
        for name, values in scores(logits[part], features[part], temperature, centres).items():
            held_out[name][part] = values
    return held_out


def risk_and_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of images answered and share of wrong answers among them, most confident first.

    confidence: float [N]; right: bool [N]. Returns coverage and risk, float64 [N] each.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    answered = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~np.asarray(right, bool)[order])
    return answered / len(order), wrong / answered
