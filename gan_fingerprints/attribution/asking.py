"""A network that is asked about views of images, in batches of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gan_fingerprints import program
from gan_fingerprints.attribution.answering import filled
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.domain import properties
from gan_fingerprints.scores import softmax

if TYPE_CHECKING:
    from gan_fingerprints.networks.enrolment import Enrolment


class Answer(NamedTuple):
    """What a network says of one image.

    Attributes:
        probabilities: float32 [sources].
        score: see `Attribution`; None where the network is not calibrated.
        logits: float32 [sources], of several views their mean; of enrolled sources, see
            `Enrolment.extended`. Of visNet they are the correlations
            of the image fingerprint with the model fingerprints.
        fingerprint: float32 [R, R, 3] in [-2, 2] where it was asked for, else None.
        views, features: float32 [views, sources] and [views, F], of each view, also of those that
            are only for the map; no features where the network is not calibrated.
        strange: what makes the picture unlike the training images; see `domain.Domain.outside`.
        opinions: float64 [families, known sources], probabilities of each family of evidence
            alone; None where the network has not several.
    """

    probabilities: np.ndarray
    score: float | None
    logits: np.ndarray
    fingerprint: np.ndarray | None
    views: np.ndarray
    features: np.ndarray | None = None
    strange: str = ""
    opinions: np.ndarray | None = None


class Asked:
    """What a network answers to views of pictures.

    Args:
        network, batch: see `attributor.Attributor`.
        features: ask for features too.
        fingerprints: ask for image fingerprints, of which logits are the features.

    Attributes:
        families: what the network has opinions of, beside its answer; they come last.
    """

    def __init__(
        self, network: Any, batch: int, features: bool = False, fingerprints: bool = False
    ) -> None:
        self.network, self.batch = network, min(batch, getattr(network, "at_once", batch))
        self._features, self._fingerprints = features, fingerprints
        self.families: tuple[str, ...] = getattr(network, "families", ())
        self._traced: dict[int, Any] = {}

    def __call__(self, part: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Each output of the network for each picture: float32 [views, …].

        part: pictures uint8 [views, S, S, 3], one or more; S may differ among them.
        """
        answers: list[list[np.ndarray]] = [[] for _ in part]
        for side in {x.shape[1] for x in part}:  # most often one: of smaller images another
            chosen = [i for i, x in enumerate(part) if x.shape[1] == side]
            together = np.concatenate([part[i] for i in chosen])
            outputs = self._in_batches(together, self.outputs(side))
            ends = np.cumsum([len(part[i]) for i in chosen])[:-1]
            split = [np.split(x, ends) for x in outputs]
            for i, *of_picture in zip(chosen, *split, strict=True):
                answers[i] = of_picture
        return list(map(list, zip(*answers, strict=True)))

    def _in_batches(self, views: np.ndarray, outputs: Any) -> list[np.ndarray]:
        parts = []
        for start in range(0, len(views), self.batch):
            one = views[start : start + self.batch]
            parts.append([np.asarray(x)[: len(one)] for x in outputs(padded(one, self.batch))])
        return [np.concatenate(x) for x in zip(*parts, strict=True)]

    def outputs(self, side: int) -> Any:
        """uint8 [batch, side, side, 3] → float32 logits and, if needed, features and others."""
        if side not in self._traced:
            self._traced[side] = self._trace(side)
        return self._traced[side]

    def number(self, side: int) -> int:
        """Of logits, for images of a side."""
        if sources := getattr(self.network, "sources", None):
            return int(sources)
        return int(self.outputs(side).structured_outputs[0].shape[1])

    def _trace(self, side: int) -> Any:
        if made := getattr(self.network, "outputs_for", None):  # without TensorFlow
            return made(side, self._features, self._fingerprints)
        import tensorflow as tf  # takes seconds; whoever only asks for --help does without

        from gan_fingerprints.networks.layers import in_halves

        def with_fingerprints(x: tf.Tensor) -> list[tf.Tensor]:
            shown = self.network.outputs(x)
            return [shown.logits, shown.logits, shown.fingerprints]

        def logits(x: tf.Tensor) -> list[tf.Tensor]:
            return [self.network(x, training=False)]

        plain = self.network.answers if self._features else logits
        if self.families:
            plain = self.network.opinions
        answers_to = in_halves(with_fingerprints if self._fingerprints else plain)
        # The batch is part of the shape, as sums over other shapes may be rounded otherwise: then
        # the last images of a folder would get other digits than alone.
        shape = [self.batch, side, side, 3]

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def outputs(pixels: tf.Tensor) -> list[tf.Tensor]:
            answers = answers_to(tf.cast(pixels, tf.float32) / 127.5 - 1)
            return [tf.cast(x, tf.float32) for x in answers]

        return outputs.get_concrete_function()


class Answers:
    """What a network answers to pictures; the arguments are those of `attributor.Attributor`."""

    def __init__(
        self, network: Any, source_names: Sequence[str], batch: int,
        calibration: Calibration | None, fingerprints: bool, enrolment: Enrolment | None,
    ) -> None:  # fmt: skip
        self.network, self.batch = network, batch
        self.calibration, self.enrolment = calibration, enrolment
        self.enrolled = {x.name: x.images for x in (enrolment.newcomers if enrolment else ())}
        self.source_names = [*source_names, *self.enrolled]
        self.fingerprints = fingerprints
        features = calibration is not None or enrolment is not None
        self.asked = Asked(network, batch, features, fingerprints)

    def answers(self, pictures: Iterable[np.ndarray]) -> Iterator[Answer]:
        """Yields what the network says of each picture uint8 [views, S, S, 3], of any number.

        The logits and features of a picture are the means over its views: those of the whole
        image where the network averages over all places.
        """
        for part in filled(pictures, len, self.batch):
            yield from self._answers(part, list(map(len, part)))

    def _answers(self, part: Sequence[np.ndarray], numbers: Sequence[int]) -> Iterator[Answer]:
        """numbers: how many views of each picture are averaged, from the first on."""
        views, (own, *more) = self._logits(part)
        known, *others = (means(of_each, numbers) for of_each in (own, *more))
        require_finite(known)
        scores = [None] * len(known)
        if self.calibration:
            scores = self.calibration.scores(known, others[0]).tolist()
        shown = others[1] if self.fingerprints else [None] * len(known)
        opinions = self._opinions(others[1:])
        logits = means(views, numbers)
        features = more[0] if self.calibration else repeat(None)
        strange = (self._strange(x[:number]) for x, number in zip(part, numbers, strict=True))
        answers = self.probabilities(logits), scores, logits, shown, views, features
        return map(Answer, *answers, strange, opinions)

    def _logits(self, part: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[Any]]:
        """Logits of each picture's views, with enrolled sources, and what the network answers."""
        views, *more = self.asked(part)
        extended = views
        if self.enrolled:
            extended = [self._extended(*x) for x in zip(part, views, more[0], strict=True)]
        return extended, [views, *more]

    def _opinions(self, others: Sequence[np.ndarray]) -> Iterable[np.ndarray | None]:
        """Of each picture: float64 [families, sources] of the families' log probabilities."""
        if not self.asked.families:
            return repeat(None)
        return np.stack([softmax(x) for x in others], axis=1)

    def _extended(self, pixels: np.ndarray, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Logits of an image's views with those of enrolled sources."""
        assert self.enrolment is not None
        places = self.enrolment.space.places(features, pixels)
        return self.enrolment.extended(logits, places, self.temperature)

    def placed(self, pictures: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of each picture, the network's logits [N, sources] and `Space.places` [N, F].

        Means over a picture's views; only with an enrolment.
        """
        assert self.enrolment is not None
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for part in filled(pictures, len, self.batch):
            views, features, *_ = self.asked(part)
            places = map(self.enrolment.space.places, features, part)
            found += [(x.mean(axis=0), y.mean(axis=0)) for x, y in zip(views, places, strict=True)]
        return np.stack([x for x, _ in found]), np.stack([y for _, y in found])

    @property
    def temperature(self) -> float:
        """What divides the logits."""
        return self.calibration.temperature if self.calibration else 1.0

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float32 [N, sources] of logits [N, sources]."""
        return softmax(logits, self.temperature).astype(np.float32)

    def _strange(self, picture: np.ndarray) -> str:
        domain = self.calibration.domain if self.calibration else None
        return domain.outside(properties(picture)) if domain else ""

    def typical(self, views: np.ndarray, answer: Answer) -> np.ndarray:
        """Of each view of a picture, whether it fits the known sources: bool [views]."""
        if not (scale := self.calibration):
            return np.ones(len(views), bool)
        assert answer.features is not None
        known = answer.views[:, : len(self.source_names) - len(self.enrolled)]
        fits = scale.scores(known, answer.features) >= scale.threshold
        return fits & [not self._strange(view[None]) for view in views]


def means(of_each: Sequence[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """[N, …]: of arrays [views, …], the mean of the first so many."""
    return np.stack([x[:number].mean(axis=0) for x, number in zip(of_each, numbers, strict=True)])


def padded(pixels: Sequence[np.ndarray] | np.ndarray, batch: int) -> np.ndarray:
    """Images uint8 [R, R, 3], one or more, as [batch, R, R, 3] with black ones at the end."""
    whole = np.zeros([batch, *pixels[0].shape], np.uint8)
    whole[: len(pixels)] = pixels
    return whole


def require_finite(answers: np.ndarray) -> None:
    """UserError when a network's answers are not numbers."""
    if not np.isfinite(answers).all():
        raise program.UserError(
            "the network answers with NaN: its weights are damaged, use another network file"
        )
