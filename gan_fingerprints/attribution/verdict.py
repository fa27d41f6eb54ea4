"""The one place where a verdict is made: a source's name, "unknown", "inconclusive", or none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.calibration import UNKNOWN, Calibration

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Rules:
    """When an image is not given a name.

    Attributes:
        least_probability: the most probable source must have this much.
        least_size: the shorter side of the image must have this share of the network's.
        most_size: and not more than so many times as much, as shrinking blurs fingerprints away.
            Both are about networks that see whole images, resized to their own size.
    """

    least_probability: float = 0.9
    least_size: float = 0.5
    most_size: float = 4.0

    @classmethod
    def none(cls) -> Rules:
        """Every image is given the name of its most probable source."""
        return cls(0.0, 0.0, math.inf)


RULES = Rules()


@dataclass(frozen=True)
class Attribution:
    """What one image was attributed to, or why it could not be.

    Attributes:
        path: the image file; None where the image came from memory.
        predicted: the verdict: name of the most probable source, "unknown" where the image fits
            none, or "inconclusive"; None where there is an `error`.
        probabilities: source name → probability, in label order; None each where there is an
            `error`.
        error: the reason why the image could not be used; None otherwise.
        score: how well the image fits the known sources, where the network is calibrated; see
            `calibration.scores`.
        reason: of the verdict, in a sentence.
        tiles: how many the image was seen in, where the network takes images of any size.
        spread: standard deviation over the tiles of the most probable source's probability.
        agreement: share of the tiles, or of a pool's images, whose most probable source is that of
            the whole.
        unfit: why the network cannot judge the image: its size, or what makes it unlike the
            training images (`domain.Domain.outside`); empty where it can.
        images: how many the answer is the mean of, where it is of a pool; `path` is their folder.
        enrolled: from how many images the most probable source is known, where the network was not
            trained on it; else None.
    """

    path: Path | None
    predicted: str | None
    probabilities: dict[str, float | None]
    error: str | None = None
    score: float | None = None
    reason: str = ""
    tiles: int | None = None
    spread: float | None = None
    agreement: float | None = None
    unfit: str = ""
    images: int | None = None
    enrolled: int | None = None

    @property
    def most_probable(self) -> str | None:
        """The most probable source, whatever the verdict; None where there is no answer."""
        if self.error is not None or None in self.probabilities.values():
            return None
        return max(self.probabilities, key=lambda name: self.probabilities[name] or 0.0)

    @property
    def probability(self) -> float | None:
        """That of the most probable source."""
        likely = self.most_probable
        return None if likely is None else self.probabilities[likely]

    @property
    def named(self) -> bool:
        """Whether the verdict is a source."""
        return self.predicted in self.probabilities


def is_of_photographs(name: str) -> bool:
    """Whether a source is of photographs, by its name: there is "real" in it."""
    return "real" in name.lower()


def verdict_of(
    row: Attribution, rules: Rules, calibration: Calibration | None = None
) -> tuple[str | None, str]:
    """The verdict on an image, and its reason: unfit, like no known source, unclear, a name.

    row: what the network says. What lies on a bound passes.
    """
    if row.error is not None:
        return None, row.error
    # In this order, as each rule is about images that passed the one before: of a tiny image the
    # score means nothing, and of one that is like no source the probabilities mean nothing.
    likely, probability = str(row.most_probable), row.probability or 0.0
    if row.unfit:
        return INCONCLUSIVE, row.unfit
    passed = ""
    if row.enrolled:  # the score says only how well an image fits what the network was trained on
        passed = f"; it was enrolled, without training, from {row.enrolled} images"
    elif calibration is not None and row.score is not None:
        score, threshold = apart(row.score, calibration.threshold)
        reached = f"its score ({calibration.score} {score})"
        if row.score < calibration.threshold:
            return UNKNOWN, (
                f"{reached} is below the threshold {threshold}: it is like none of the sources the "
                "model knows"
            )
        passed = f"; {reached} is not below the threshold {threshold}"
    if probability < rules.least_probability:
        shown, least = apart(probability, rules.least_probability)
        known = f" (enrolled from {row.enrolled} images)" if row.enrolled else ""
        return INCONCLUSIVE, (
            f"its most probable source, {likely}{known}, has probability {shown}, less than {least}"
        )
    number = len(row.probabilities)
    # There are more cameras, and ways of scaling their images down, than a model can know.
    like = f"like the photographs of {likely}, " if is_of_photographs(likely) else ""
    return likely, f"{like}the most probable of the {number} sources the model knows{passed}"


def against_size(
    size: tuple[int, int], side: int, rules: Rules, least_side: int | None = None
) -> str:
    """Why an image of this width and height cannot be judged; empty where it can.

    side: of the network; least_side: see `attributor.Attributor`. What lies on a bound passes.
    """
    shorter, why = min(size), ""
    if least_side:
        if shorter < least_side:
            why = f"less than the {least_side} that the network needs"
    elif shorter < rules.least_size * side:
        why = f"less than {rules.least_size:g} of the network's {side}"
    elif shorter > rules.most_size * side:
        why = (
            f"more than {rules.most_size:g} times the network's {side}: shrinking it blurs "
            "fingerprints away"
        )
    return why and f"its shorter side has {shorter} pixels, {why}"


def apart(value: float, bound: float) -> tuple[str, str]:
    """Two numbers as texts, with as many digits as it takes to see that they differ."""
    # "0.9, less than 0.9" would be no reason.
    for digits in (4, 6, 9, 17):
        texts = f"{value:.{digits}g}", f"{bound:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def row_of(
    picture: Picture, probabilities: np.ndarray | None, names: Sequence[str],
    score: float | None = None,
) -> Attribution:  # fmt: skip
    """An image's row with the most probable name, no rule being asked.

    probabilities: [sources], of the `names`; None where the picture has an error.
    """
    if probabilities is None:
        error = picture.error or ""
        return Attribution(picture.path, None, dict.fromkeys(names), error, reason=error)
    named = dict(zip(names, probabilities.tolist(), strict=True))
    return Attribution(picture.path, names[int(probabilities.argmax())], named, score=score)
