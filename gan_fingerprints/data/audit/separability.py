"""Which property alone names the source of an image? A small decision tree tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.data.audit.facts import ImageFacts

FEWEST = 10  # images per source below which no accuracy is worth printing
MARGIN = 0.05  # how far above chance the interval must lie before it is worth a warning
SURE = 1 - 0.05 / 14  # confidence of that interval: 5 % false alarms over all 14 tests together:
# of 11 properties, all of them together, blurred content, and grids

PROPERTIES = {
    "file format": ("format",),
    "image size": ("width", "height"),
    "colour mode": ("mode",),
    "file size per pixel": ("bytes_per_pixel",),
    "JPEG quality": ("jpeg_quality",),
    "value range": ("low", "high"),
    "mean brightness": ("mean",),
    "contrast": ("contrast",),
    "saturation": ("saturation",),
    "fine colour detail": ("colour_detail",),
    "8-pixel block pattern": ("blocks",),
}
TOGETHER = "all together"


class Separability(NamedTuple):
    """How well one property tells the sources apart.

    Attributes:
        property: the property, or all of them together.
        accuracy: share of images named rightly, each by a tree that was not trained on it.
        low, high: 95 % Wilson interval of the accuracy.
        chance: accuracy of guessing, 1 / sources.
        images: number of images, equally many from each source.
    """

    property: str
    accuracy: float
    low: float
    high: float
    chance: float
    images: int

    def warning(self) -> str | None:
        """What to tell the user; None unless surely 5 points above chance."""
        correct = round(self.accuracy * self.images)
        if metrics.wilson_interval(correct, self.images, SURE)[0] <= self.chance + MARGIN:
            return None
        together = self.property == TOGETHER
        subject = "all these properties together" if together else f"{self.property} alone"
        verb = "can tell" if self.accuracy > (1 + self.chance) / 2 else "can partly tell"
        return (
            f"{subject} {verb} the sources apart (accuracy {100 * self.accuracy:.1f} % "
            f"[{100 * self.low:.1f}, {100 * self.high:.1f}], chance {100 * self.chance:.1f} %)"
        )


def separability(facts: Mapping[str, Sequence[ImageFacts]], seed: int = 0) -> list[Separability]:
    """Held-out accuracy of naming the source from each property, and from all of them together.

    facts: source name → facts of its images. A decision tree of depth 6 is trained and tested in
    five-fold cross-validation on equally many images per source, drawn by `seed`. Empty when a
    source has fewer than 10 images.
    """
    count = min(map(len, facts.values()))
    if count < FEWEST:
        return []
    rng = np.random.default_rng(seed)
    drawn = [source[i] for source in facts.values() for i in rng.permutation(len(source))[:count]]
    truth = np.repeat(np.arange(len(facts)), count)
    columns = dict(zip(ImageFacts._fields, map(_as_numbers, zip(*drawn, strict=True)), strict=True))
    results = []
    for name, group in [*PROPERTIES.items(), (TOGETHER, ImageFacts._fields)]:
        correct = _held_out(np.stack([columns[field] for field in group], axis=1), truth, seed)
        interval = metrics.wilson_interval(correct, len(truth))
        share = correct / len(truth)
        results.append(Separability(name, share, *interval, 1 / len(facts), len(truth)))
    return results


def _as_numbers(values: Sequence[Any]) -> np.ndarray:
    if isinstance(values[0], str):
        return np.unique(values, return_inverse=True)[1].astype(float)
    return np.asarray(values, float)


def _held_out(features: np.ndarray, truth: np.ndarray, seed: int) -> int:
    """Number of images whose source a tree that was not trained on them names rightly."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    if (features == features[0]).all():
        return len(truth) // (int(truth.max()) + 1)  # nothing to go by: exactly chance
    # A tree takes any scale and finds thresholds: 256 pixels or not, brighter than 130 or not. A
    # deeper one, or one with smaller leaves, would learn single images by heart.
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return int((cross_val_predict(tree, features, truth, cv=folds) == truth).sum())
