"""The one place where a verdict is made: a source's name, "unknown", "inconclusive", or none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.attribution.stability import CHANGES, KEPT
from gan_fingerprints.calibration import UNKNOWN, Calibration
from gan_fingerprints.data.places import Place

INCONCLUSIVE = "inconclusive"
MIXED = "mixed"
VERDICTS = (UNKNOWN, INCONCLUSIVE, MIXED)  # beside the names of sources


@dataclass(frozen=True)
class Rules:
    """When an image is not given a name.

    Attributes:
        least_probability: the most probable source must have this much.
        least_size: the shorter side of the image must have this share of the network's.
        most_size: and not more than so many times as much, as shrinking blurs fingerprints away.
            Both are about networks that see whole images, resized to their own size.
        conflict: two families of evidence that name different sources, each with this much,
            contradict each other.
    """

    least_probability: float = 0.9
    least_size: float = 0.5
    most_size: float = 4.0
    conflict: float = 0.8

    @classmethod
    def none(cls) -> Rules:
        """Every image is given the name of its most probable source."""
        return cls(0.0, 0.0, math.inf, math.inf)


RULES = Rules()


@dataclass(frozen=True)
class Attribution:
    """What one image was attributed to, or why it could not be.

    Attributes:
        path: the image file, or where else it lies; None where the image came from memory.
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
        mixed: two sources that show in different parts of the image; see `mapping.mixed`.
        stable: whether the named source survives the changes of `changes`; None where it was not
            asked again, as where no source was named.
        turned_by: the change that it does not survive; else None.
        opinions: of a network that has several families of evidence: family → source →
            probability, of each family alone, of the sources that it was trained on.
        log10_lr: source → log10 likelihood ratio: how much more probable the image is if that
            source made it than if another one did that the network was trained on. Enrolled
            sources have none. None where the network has none, cannot judge the image (`unfit`) or
            scores it below the threshold: like none of its sources.
        log10_outside: how much more probable it is if one of the sources that the network was
            trained on made it than if a source outside did, as a log10 likelihood ratio too.
        precision: in which the network computed, where that was not float32; else None.
    """

    path: Place | None
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
    mixed: tuple[str, ...] = ()
    stable: bool | None = None
    turned_by: str | None = None
    opinions: dict[str, dict[str, float]] | None = None
    log10_lr: dict[str, float] | None = None
    log10_outside: float | None = None
    precision: str | None = None

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
    def log10_of_likely(self) -> float | None:
        """`log10_lr` of the most probable source."""
        return (self.log10_lr or {}).get(str(self.most_probable))

    @property
    def named(self) -> bool:
        """Whether the verdict is a source."""
        return self.predicted in self.probabilities


def is_of_photographs(name: str) -> bool:
    """Whether a source is of photographs, by its name: there is "real" in it."""
    return "real" in name.lower()


def worded(verdict: object) -> str:
    """A verdict as it is said to people: of photographs what they are like, as no more is known."""
    name = str(verdict)
    return f"like {called(name)}" if is_of_photographs(name) else name


def called(name: str) -> str:
    """A source within a sentence: of photographs, that they are those of the training."""
    return f"the photographs it was trained on ({name})" if is_of_photographs(name) else name


def verdict_of(
    row: Attribution, rules: Rules, calibration: Calibration | None = None
) -> tuple[str | None, str]:
    """The verdict on an image, and its reason: unfit, like no known source, unclear, a name.

    row: what the network says. What lies on a bound passes.
    """
    if row.error is not None:
        return None, row.error
    # In this order, as each rule is about images that passed the one before: of a tiny image the
    # score means nothing, and of one that is like no source the probabilities mean nothing. What
    # is put together of two sources is like neither, so that is looked for first; tiny images have
    # no tiles to be found in.
    likely, probability = str(row.most_probable), row.probability or 0.0
    if row.mixed:
        both = " and ".join(map(called, row.mixed))
        return MIXED, f"different parts of it are like different sources: {both}"
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
    if conflict := conflict_of(row, rules):
        return INCONCLUSIVE, conflict
    if probability < rules.least_probability:
        shown, least = apart(probability, rules.least_probability)
        known = f" (enrolled from {row.enrolled} images)" if row.enrolled else ""
        return INCONCLUSIVE, (
            f"its most probable source, {called(likely)}{known}, has probability {shown}, less "
            f"than {least}"
        )
    if row.turned_by:
        change = CHANGES[row.turned_by]
        return INCONCLUSIVE, (
            f"its most probable source, {called(likely)}, does not survive {change}: after it, its "
            f"probability is less than {KEPT:g}"
        )
    number = len(row.probabilities)
    # There are more cameras, and ways of scaling their images down, than a model can know.
    like = f"{worded(likely)}, " if is_of_photographs(likely) else ""
    return likely, f"{like}the most probable of the {number} sources the model knows{passed}"


def conflict_of(row: Attribution, rules: Rules) -> str:
    """Two families of evidence that contradict each other strongly, in a sentence; else empty.

    Of an enrolled source there is no opinion of each.
    """
    if row.opinions is None or row.enrolled:
        return ""
    said = {}
    for family, shares in row.opinions.items():
        name = max(shares, key=lambda x: shares[x])
        if shares[name] >= rules.conflict:
            said[family] = name, shares[name]
    if len({name for name, _ in said.values()}) < 2:
        return ""
    opinions = (
        f"{family} say {called(name)} ({share:.2f})" for family, (name, share) in said.items()
    )
    return f"two kinds of evidence contradict each other: {', '.join(opinions)}"


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
