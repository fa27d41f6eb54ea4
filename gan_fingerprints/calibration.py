"""Probabilities that mean what they say, and the answer "unknown" for images of no known source.

Both are learned from validation images after training. Logits are float [N, sources], features
(image fingerprints) float [N, D], labels int [N]. A score is higher for images of known sources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_fingerprints.domain import PROPERTIES, Domain
from gan_fingerprints.scores import (
    RANKS,
    SCORES,
    Centres,
    Either,
    centres_of,
    either_of,
    held_out_scores,
    log_sum_exp,
    scores,
    softmax,
)

EITHER = "lower_rank"  # the score of `Either`
TEMPERATURES = (0.01, 100.0)
LIMITS = {"temperature": TEMPERATURES, "threshold": (-1e30, 1e30), "false_alarms": (0.0, 1.0)}
STORED = ("temperature", "score", "threshold", "false_alarms", "checksum")
UNKNOWN = "unknown"  # the answer for images of no known source


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean of -log of the probability of the true source."""
    scaled = np.asarray(logits, np.float64) / temperature
    return float((log_sum_exp(scaled) - scaled[np.arange(len(labels)), labels]).mean())


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
    """The `Calibration` of `calibrated`."""
    how = false_alarms, either, groups, judged
    return calibrated(logits, features, labels, checksum, *how)[0]


def calibrated(
    logits: np.ndarray, features: np.ndarray, labels: np.ndarray, checksum: str,
    false_alarms: float = 0.05, either: bool = False, groups: np.ndarray | None = None,
    judged: slice | None = None,
) -> tuple[Calibration, np.ndarray]:  # fmt: skip
    """Learns temperature, score and threshold from validation images; and the score of each.

    With `either` the score is that of `Either`, which measures distances in the features that are
    `judged`, all by default. Without it, the score is the best by
    `leave_one_out` where there are three sources or more, else the energy. Where it looks at
    centres, the scores that the threshold is set on are of images that had no part in them.
    Raises ValueError when a source has no image.
    """
    sources = logits.shape[1]
    missing = sorted(set(range(sources)).difference(labels.tolist()))
    if missing:
        raise ValueError(f"no validation image of the sources numbered {missing}")
    temperature = fit_temperature(logits, labels)
    centres = Centres(*(x.astype(np.float32) for x in centres_of(features, labels, sources)))
    two = None
    if either:
        score = EITHER
        two, held_out = either_of(logits, features, labels, temperature, groups, judged)
    else:
        # Of two sources, leaving one out leaves nothing to confuse the other with.
        areas = {"energy": 1.0}
        if sources > 2:
            areas = leave_one_out(logits, features, labels, temperature)
        score = max(areas, key=lambda name: areas[name])
        held_out = held_out_scores(logits, features, labels, temperature)[score]
    threshold = threshold_for(held_out, false_alarms)
    made = Calibration(temperature, score, threshold, false_alarms, centres, checksum, two)
    return made, held_out


def risk_and_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of images answered and share of wrong answers among them, most confident first.

    confidence: float [N]; right: bool [N]. Returns coverage and risk, float64 [N] each.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    answered = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~np.asarray(right, bool)[order])
    return answered / len(order), wrong / answered
