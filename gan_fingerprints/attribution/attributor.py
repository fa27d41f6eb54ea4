"""A trained classifier as an object: images or their files in, a verdict on each out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import program
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.answering import Change, Item, Picture, Read
from gan_fingerprints.attribution.finding import Given, each, stack_of
from gan_fingerprints.attribution.seeing import TILES, Tiles, Whole
from gan_fingerprints.attribution.verdict import (
    RULES,
    Attribution,
    Rules,
    against_size,
    row_of,
    verdict_of,
)
from gan_fingerprints.calibration import Calibration, softmax
from gan_fingerprints.domain import properties

if TYPE_CHECKING:
    from gan_fingerprints.networks.enrolment import Enrolment
    from gan_fingerprints.networks.files import Loaded


class Answer(NamedTuple):
    """What a network says of one image.

    Attributes:
        probabilities: float32 [sources].
        score: see `Attribution`; None where the network is not calibrated.
        logits: float32 [sources], of several views their mean; of enrolled sources, see
            `Enrolment.extended`. Of visNet they are the correlations
            of the image fingerprint with the model fingerprints.
        fingerprint: float32 [R, R, 3] in [-2, 2] where it was asked for, else None.
        views: float32 [views, sources], the logits of each.
        strange: what makes the picture unlike the training images; see `domain.Domain.outside`.
    """

    probabilities: np.ndarray
    score: float | None
    logits: np.ndarray
    fingerprint: np.ndarray | None
    views: np.ndarray
    strange: str = ""


@dataclass(frozen=True)
class Examined(Generic[Read]):
    """All about one image.

    Attributes:
        picture: as it was read.
        row: what it is attributed to.
        logits, fingerprint, views: see `Answer`; None where there is an error.
    """

    picture: Read
    row: Attribution
    logits: np.ndarray | None = None
    fingerprint: np.ndarray | None = None
    views: np.ndarray | None = None


class Attributor:
    """Attributes images to the sources that a network was trained on.

    Args:
        network: images float32 [N, R, R, 3] in [-1, 1], training=False → logits [N, sources].
            With a calibration, its method `answers` takes images → logits and features.
        source_names: the sources in label order.
        resolution: R.
        batch: images at once. The batch always has this shape, so the answer for an image does not
            depend on how many others there are. It may depend on its place among them by rounding:
            on some processors not at all, on others by up to 5e-7 of a logit.
        calibration: of this network: sets the temperature of the probabilities and which images
            are answered "unknown". None for plain softmax and never "unknown".
        fingerprints: have `answers` give image fingerprints too. The network's method `outputs`
            makes them, beside logits that are also its features, as visNet's auto-encoder does.
        rules: which images are answered "inconclusive"; `Rules.none()` for none.
        tiles: of a network that takes images of any size (which has `least_side`): views of an
            image at most, None for as many as cover it. Memory grows with it.
        enrolment: of sources that the network was not trained on.

    Attributes: the arguments, the names of enrolled sources being with the others, and
        enrolled: name of each enrolled source → images that it is known from.
        least_side: the smallest image's side that the network takes; None where all are resized.
        seeing: what the network sees of an image.
        model_fingerprints: float32 [R, R, 3, sources] with `fingerprints`, else None.

    Raises ValueError when the network's outputs are not one per source.

    Example:
        >>> attributor = Attributor.load("network-final.safetensors")
        >>> [row.predicted for row in attributor.attribute(["a.png", "b.jpg", "small.png"])]
        ['gan', 'real', 'inconclusive']
    """

    def __init__(
        self, network: Any, source_names: Sequence[str], resolution: int, batch: int = 64,
        calibration: Calibration | None = None, fingerprints: bool = False, rules: Rules = RULES,
        tiles: int | None = TILES, enrolment: Enrolment | None = None,
    ) -> None:  # fmt: skip
        self.network, self.enrolment = network, enrolment
        self.enrolled = {x.name: x.images for x in (enrolment.newcomers if enrolment else ())}
        self.source_names = [*source_names, *self.enrolled]
        self.resolution, self.batch = resolution, batch
        self.calibration, self.rules = calibration, rules
        self.fingerprints = fingerprints
        self.model_fingerprints = (
            np.asarray(network.model_fingerprints.weight) if fingerprints else None
        )
        self.least_side: int | None = getattr(network, "least_side", None)
        self.seeing: answering.Seeing = Whole(resolution)
        # Pictures at once: about a batch of views.
        self._pictures = batch
        if self.least_side:
            self.seeing = Tiles(resolution, self.least_side, tiles)
            self._pictures = max(1, batch // tiles) if tiles else 1
        self._traced: dict[int, Any] = {}
        shape = self._outputs(resolution).structured_outputs[0].shape
        if shape != (batch, len(source_names)):
            raise ValueError(f"outputs {shape} for {len(source_names)} source names")

    def _outputs(self, side: int) -> Any:
        """uint8 [batch, side, side, 3] → float32 logits and, if needed, features, fingerprints."""
        if side not in self._traced:
            self._traced[side] = self._trace(side)
        return self._traced[side]

    def _trace(self, side: int) -> Any:
        import tensorflow as tf  # takes seconds; whoever only asks for --help does without

        from gan_fingerprints.networks.layers import in_halves

        def with_fingerprints(x: tf.Tensor) -> list[tf.Tensor]:
            shown = self.network.outputs(x)
            return [shown.logits, shown.logits, shown.fingerprints]

        def logits(x: tf.Tensor) -> list[tf.Tensor]:
            return [self.network(x, training=False)]

        plain = self.network.answers if self.calibration or self.enrolment else logits
        answers_to = in_halves(with_fingerprints if self.fingerprints else plain)
        # The batch is part of the shape, as sums over other shapes may be rounded otherwise: then
        # the last images of a folder would get other digits than alone.
        shape = [self.batch, side, side, 3]

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def outputs(pixels: tf.Tensor) -> list[tf.Tensor]:
            answers = answers_to(tf.cast(pixels, tf.float32) / 127.5 - 1)
            return [tf.cast(x, tf.float32) for x in answers]

        return outputs.get_concrete_function()

    @classmethod
    def load(
        cls, path: str | Path, batch: int = 64, names: str | None = None, rules: Rules = RULES,
        tiles: int | None = TILES,
    ) -> Attributor:  # fmt: skip
        """An Attributor with the network of a file: a classifier or visNet, ours or published.

        names: "a,b,c", the sources of a published network, whose file does not name them.

        Raises:
            UserError: another file, or damaged.
        """
        program.load_tensorflow()
        from gan_fingerprints.networks import files

        loaded = files.load(path, files.constructors(), "network", names, batch)
        if loaded.names_assumed:
            warnings.warn(loaded.names_assumed, stacklevel=2)
        return cls.of(loaded, batch, rules=rules, tiles=tiles)

    @classmethod
    def of(
        cls, loaded: Loaded, batch: int = 64, fingerprints: bool = False, rules: Rules = RULES,
        tiles: int | None = TILES,
    ) -> Attributor:  # fmt: skip
        """An Attributor with a network that was loaded, and with its calibration."""
        names, side = loaded.source_names or [], loaded.arguments["resolution"]
        how = batch, loaded.calibration, fingerprints, rules, tiles, loaded.enrolment
        return cls(loaded.network, names, side, *how)

    def attribute(self, images: Given, change: Change | None = None) -> Iterator[Attribution]:
        """Yields one Attribution per image, in order, as results arrive.

        Any size, colour mode and common format will do; see `seeing`. What is not an image yields
        its reason in `error`. Threads read ahead by a bounded number of images.

        Args:
            images: a file, a folder, which is searched with its subfolders, an image of Pillow's,
                an array uint8 [H, W, 3] or [N, H, W, 3], or many of all these, even without end.
            change: what happens to the image of each file before it is resized, e.g. an attack.

        Raises:
            UserError: a folder without images.
            ValueError: an array of another dtype or shape.
        """
        return (examined.row for examined in self.examine(images, change))

    def examine(
        self, images: Given, change: Change | None = None
    ) -> Generator[Examined[Picture], None, None]:
        """As `attribute`, with all that the network says of each image."""
        read = partial(answering.read, seeing=self.seeing, change=change)
        return self.examine_read(read, each(images))

    def examine_read(
        self, read: Callable[[Item], Read], items: Iterable[Item]
    ) -> Generator[Examined[Read], None, None]:
        """As `examine`, of items of any kind that `read` makes pictures of, in threads."""
        for picture, answer in answering.answered(read, items, self.answers, self._pictures):
            if answer is None:
                yield Examined(picture, row_of(picture, None, self.source_names))
                continue
            row = row_of(picture, answer.probabilities, self.source_names, answer.score)
            how = self.resolution, self.rules, self.least_side
            unfit = against_size(picture.size, *how) or answer.strange
            enrolled = self.enrolled.get(str(row.most_probable))
            row = replace(row, unfit=unfit, enrolled=enrolled, **self._views(answer))
            name, reason = verdict_of(row, self.rules, self.calibration)
            row = replace(row, predicted=name, reason=reason)
            yield Examined(picture, row, answer.logits, answer.fingerprint, answer.views)

    def attribute_arrays(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, sources] of images uint8 [N, H, W, 3] of any size.

        Raises ValueError for another dtype or shape.
        """
        seen = (self.seeing(Image.fromarray(x)) for x in stack_of(pixels))
        rows = [answer.probabilities for answer in self.answers(seen)]
        return np.array(rows, np.float32).reshape(-1, len(self.source_names))

    def answers(self, pictures: Iterable[np.ndarray]) -> Iterator[Answer]:
        """Yields what the network says of each picture uint8 [views, S, S, 3], of any number.

        The logits and features of a picture are the means over its views: those of the whole
        image where the network averages over all places.
        """
        waiting = iter(pictures)
        while part := list(islice(waiting, self._pictures)):
            yield from self._answers(part)

    def _answers(self, part: Sequence[np.ndarray]) -> Iterator[Answer]:
        views, *more = self._answers_to_views(part)
        known, *others = (np.stack([x.mean(axis=0) for x in of_each]) for of_each in (views, *more))
        require_finite(known)
        scores = [None] * len(known)
        if self.calibration:
            scores = self.calibration.scores(known, others[0]).tolist()
        shown = others[1] if self.fingerprints else [None] * len(known)
        if self.enrolled:
            views = [self._extended(*of_one) for of_one in zip(part, views, more[0], strict=True)]
        logits = np.stack([x.mean(axis=0) for x in views])
        strange = map(self._strange, part)
        return map(Answer, self.probabilities(logits), scores, logits, shown, views, strange)

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
        waiting, found = iter(pictures), []
        while part := list(islice(waiting, self._pictures)):
            views, features, *_ = self._answers_to_views(part)
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

    def _answers_to_views(self, part: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Each output of the network for each picture: float32 [views, …]."""
        answers: list[list[np.ndarray]] = [[] for _ in part]
        for side in {x.shape[1] for x in part}:  # most often one: of smaller images another
            chosen = [i for i, x in enumerate(part) if x.shape[1] == side]
            together = np.concatenate([part[i] for i in chosen])
            outputs = self._in_batches(together, self._outputs(side))
            ends = np.cumsum([len(part[i]) for i in chosen])[:-1]
            split = [np.split(x, ends) for x in outputs]
            for i, *of_picture in zip(chosen, *split, strict=True):
                answers[i] = of_picture
        return list(map(list, zip(*answers, strict=True)))

    def _in_batches(self, views: np.ndarray, outputs: Any) -> list[np.ndarray]:
        parts = []
        for start in range(0, len(views), self.batch):
            one = views[start : start + self.batch]
            parts.append([x.numpy()[: len(one)] for x in outputs(padded(one, self.batch))])
        return [np.concatenate(x) for x in zip(*parts, strict=True)]

    def _views(self, answer: Answer) -> dict[str, Any]:
        """What a row says of tiles; nothing of networks that see whole images."""
        if not self.least_side:
            return {}
        likely = int(answer.logits.argmax())
        of_each = softmax(answer.views, self.temperature)
        return {
            "tiles": len(answer.views),
            "spread": float(of_each[:, likely].std()),
            "agreement": float(np.mean(answer.views.argmax(axis=1) == likely)),
        }


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
