"""A trained classifier as an object: images or their files in, a verdict on each out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import numpy as np
from PIL import Image

from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.answering import Change, Item, Picture, Read
from gan_fingerprints.attribution.asking import Answer, Answers
from gan_fingerprints.attribution.finding import Given, each, stack_of
from gan_fingerprints.attribution.mapping import (
    MAPPED,
    Tile,
    candidates,
    map_of,
    mixed,
    uncalibrated,
)
from gan_fingerprints.attribution.seeing import TILES, Tiles, Whole
from gan_fingerprints.attribution.stability import again
from gan_fingerprints.attribution.verdict import (
    RULES,
    Attribution,
    Rules,
    against_size,
    row_of,
    verdict_of,
)
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.networks import precision as precisions
from gan_fingerprints.networks.precision import FLOAT32, Choice
from gan_fingerprints.scores import softmax

if TYPE_CHECKING:
    from gan_fingerprints.likelihoods.fitted import Likelihoods
    from gan_fingerprints.networks.enrolment import Enrolment
    from gan_fingerprints.networks.files import Loaded


@dataclass(frozen=True)
class Examined(Generic[Read]):
    """All about one image.

    Attributes:
        picture: as it was read.
        row: what it is attributed to.
        logits, fingerprint, views: see `Answer`; None where there is an error.
        tiles: the map of an image larger than a tile, where one was asked for; else None.
    """

    picture: Read
    row: Attribution
    logits: np.ndarray | None = None
    fingerprint: np.ndarray | None = None
    views: np.ndarray | None = None
    tiles: tuple[Tile, ...] | None = None


class Attributor(Answers):
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
        likelihoods: of this network with its calibration.
        mapped: whether images larger than a tile get a map, and may be answered "mixed".
        stability: whether a source that is named is asked for again after mild changes; None for
            networks that take images of any size. See `stability`.

    Attributes: the arguments, the names of enrolled sources being with the others, and
        enrolled: name of each enrolled source → images that it is known from.
        least_side: the smallest image's side that the network takes; None where all are resized.
        seeing: what the network sees of an image.
        precision: in which the network's layers compute; chosen: the same with the reason.
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
        likelihoods: Likelihoods | None = None, mapped: bool = True,
        stability: bool | None = None, chosen: Choice | None = None,
    ) -> None:  # fmt: skip
        super().__init__(network, source_names, batch, calibration, fingerprints, enrolment)
        self.resolution, self.rules = resolution, rules
        self.precision = precisions.of(network)
        self.chosen = chosen or Choice(self.precision, "as the network is")
        self.likelihoods = likelihoods if calibration else None
        self.model_fingerprints = (
            np.asarray(network.model_fingerprints.weight) if fingerprints else None
        )
        self.least_side: int | None = getattr(network, "least_side", None)
        self.stability = bool(self.least_side) if stability is None else stability
        self.seeing: Whole | Tiles = Whole(resolution)
        self._widest: int | None = 1  # most views of an image
        if self.least_side:
            most = MAPPED if mapped else 0
            self.seeing = Tiles(resolution, self.least_side, tiles, most)
            self._widest = tiles and max(tiles, most)
        if (number := self.asked.number(resolution)) != len(source_names):
            raise ValueError(f"{number} outputs for {len(source_names)} source names")

    @classmethod
    def load(
        cls, path: str | Path, batch: int = 64, names: str | None = None, rules: Rules = RULES,
        **looks: Any,
    ) -> Attributor:  # fmt: skip
        """An Attributor with the network of a file: a classifier or visNet, ours or published.

        names: "a,b,c", the sources of a published network, whose file does not name them.
        looks: the arguments tiles, mapped and stability, and precision: "float32", "bfloat16" or
            "auto", see `networks.precision.chosen`.

        Raises:
            UserError: another file, or damaged.
        """
        from gan_fingerprints.networks import files

        loaded = files.attributing(path, "network", names, batch, looks.get("precision", FLOAT32))
        if loaded.names_assumed:
            warnings.warn(loaded.names_assumed, stacklevel=2)
        return cls.of(loaded, batch, rules=rules, **looks)

    @classmethod
    def of(
        cls, loaded: Loaded, batch: int = 64, fingerprints: bool = False, rules: Rules = RULES,
        precision: str = FLOAT32, **looks: Any,
    ) -> Attributor:  # fmt: skip
        """An Attributor with a network that was loaded, and with its calibration."""
        names, side = loaded.source_names or [], loaded.arguments["resolution"]
        how = batch, loaded.calibration, fingerprints, rules
        looks |= {"enrolment": loaded.enrolment, "likelihoods": loaded.likelihoods}
        enrolled = bool(loaded.enrolment and loaded.enrolment.newcomers)
        choice = precisions.chosen(precision, loaded.bfloat16, enrolled)
        network = loaded.network
        if choice.precision != precisions.of(network):
            from gan_fingerprints.networks.recasting import recast

            network = recast(network, choice.precision)
        return cls(network, names, side, *how, chosen=choice, **looks)

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
        with closing(self.examine_parts(read, items)) as parts:
            for part in parts:
                yield from part

    def examine_parts(
        self, read: Callable[[Item], Read], items: Iterable[Item],
        once: Callable[[Read], Read] | None = None,
    ) -> Generator[list[Examined[Read]], None, None]:  # fmt: skip
        """As `examine_read`, in the parts that the network is asked about; see `in_parts`."""
        how = self.batch, self._widest, once
        for part in answering.in_parts(read, items, self._examined, *how):
            yield [x or Examined(of, row_of(of, None, self.source_names)) for of, x in part]

    def _examined(self, pictures: Sequence[Read]) -> list[Examined[Read]]:
        """All about pictures without error."""
        numbers = [self.seeing.number(picture.size) for picture in pictures]
        answers = self._answers([x.pixels for x in pictures if x.pixels is not None], numbers)
        done = list(map(self._judged, pictures, answers, numbers))
        return self._asked_again(done) if self.stability else done

    def _judged(self, picture: Read, answer: Answer, number: int) -> Examined[Read]:
        """number: of the views that the answer rests on; the others are for the map only."""
        assert picture.pixels is not None
        row = row_of(picture, answer.probabilities, self.source_names, answer.score)
        bounds = self.resolution, self.rules, self.least_side
        unfit = against_size(picture.size, *bounds) or answer.strange
        enrolled = self.enrolled.get(str(row.most_probable))
        tiles = self._map(picture, answer)
        said = self._views(answer, number) | self._said(answer)
        row = replace(row, unfit=unfit, enrolled=enrolled, precision=self.said_precision, **said)
        row = replace(row, mixed=self._mixed(picture, answer, tiles))
        row = self._with_verdict(self.with_ratios(row, answer.logits))
        picture = replace(picture, pixels=picture.pixels[:number])
        views = answer.views[:number]
        return Examined(picture, row, answer.logits, answer.fingerprint, views, tiles or None)

    @property
    def said_precision(self) -> str | None:
        """What rows say of it: nothing where it is the usual one."""
        return None if self.precision == FLOAT32 else self.precision

    def _with_verdict(self, row: Attribution) -> Attribution:
        name, reason = verdict_of(row, self.rules, self.calibration)
        return replace(row, predicted=name, reason=reason)

    def _asked_again(self, examined: Sequence[Examined[Read]]) -> list[Examined[Read]]:
        """The same, where a source is named with whether that is stable, and the verdict then."""
        named = [i for i, one in enumerate(examined) if one.row.named]
        pixels = [x for i in named if (x := examined[i].picture.pixels) is not None]
        likely = [self.source_names.index(str(examined[i].row.predicted)) for i in named]
        done = list(examined)
        how = self.seeing, self._probabilities_of, self.least_side or 0
        found = again(pixels, likely, *how)
        for i, turned_by in zip(named, found, strict=True):
            row = replace(done[i].row, stable=turned_by is None, turned_by=turned_by)
            done[i] = replace(done[i], row=self._with_verdict(row))
        return done

    def _probabilities_of(self, part: Sequence[np.ndarray]) -> np.ndarray:
        views, _ = self._logits(part)
        return self.probabilities(np.stack([x.mean(axis=0) for x in views]))

    def _map(self, picture: Read, answer: Answer) -> tuple[Tile, ...]:
        places = self.seeing.map(picture.size)
        if not places.corners:
            return ()
        logits, likely = answer.views / self.temperature, int(answer.logits.argmax())
        known = len(self.source_names) - len(self.enrolled)
        if self.likelihoods and likely < known:
            log10 = self.likelihoods.of_sources(logits[:, :known])
        else:
            log10 = uncalibrated(logits)
        return map_of(places, logits, log10[:, likely], self.source_names)

    def _mixed(self, picture: Read, answer: Answer, tiles: Sequence[Tile]) -> tuple[str, ...]:
        """Two sources that show in different parts of an image; most often none."""
        if not tiles or not mixed(tiles, sure := candidates(tiles)):
            return ()
        assert picture.pixels is not None
        # A tile counts where it would be given its name if it were the whole image.
        return mixed(tiles, sure & self.typical(picture.pixels, answer))

    def with_ratios(self, row: Attribution, logits: np.ndarray) -> Attribution:
        """The row with its likelihood ratios, where the network has some and can judge the image.

        logits: float [sources], enrolled ones last, of the image or the mean over a pool's.
        """
        if not self.likelihoods or row.unfit:
            return row
        outside = None
        if row.score is not None and row.images is None:  # of pools that was not fitted
            against = self.likelihoods.of_outside(np.array([row.score]))
            outside = None if against is None else float(against[0])
        row = replace(row, log10_outside=outside)
        if row.score is not None and self.calibration and row.score < self.calibration.threshold:
            return row  # which of the sources it was says nothing where it is like none of them
        known = self.source_names[: len(self.source_names) - len(self.enrolled)]
        scaled = np.asarray(logits[: len(known)], np.float64) / self.temperature
        if row.images is None and row.score is not None:
            opinions = self.opinions_of(row, logits)
            ratios = self.likelihoods.of_image(scaled, opinions, row.score)
        else:
            ratios = self.likelihoods.of_sources(scaled[None], row.images or 1)[0]
        return replace(row, log10_lr=dict(zip(known, ratios.tolist(), strict=True)))

    def opinions_of(self, row: Attribution, logits: np.ndarray) -> np.ndarray:
        """Probabilities float64 [families, known sources] of an image: of one where none are told.

        logits: float [sources], enrolled ones last.
        """
        if row.opinions:
            return np.array([[*x.values()] for x in row.opinions.values()])
        known = len(self.source_names) - len(self.enrolled)
        return softmax(logits[None, :known], self.temperature)

    def attribute_arrays(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, sources] of images uint8 [N, H, W, 3] of any size.

        Raises ValueError for another dtype or shape.
        """
        number = self.seeing.number(stack_of(pixels).shape[2:0:-1])
        seen = (self.seeing(Image.fromarray(x))[:number] for x in pixels)
        rows = [answer.probabilities for answer in self.answers(seen)]
        return np.array(rows, np.float32).reshape(-1, len(self.source_names))

    def _said(self, answer: Answer) -> dict[str, Any]:
        """What a row says of opinions; nothing of networks that have but one."""
        if answer.opinions is None:
            return {}
        of_each = zip(self.asked.families, answer.opinions.tolist(), strict=True)
        known = self.source_names[: answer.opinions.shape[1]]
        return {"opinions": {family: dict(zip(known, x, strict=True)) for family, x in of_each}}

    def _views(self, answer: Answer, number: int) -> dict[str, Any]:
        """What a row says of tiles; nothing of networks that see whole images."""
        if not self.least_side:
            return {}
        likely = int(answer.logits.argmax())
        views = answer.views[:number]
        return {
            "tiles": number,
            "spread": float(softmax(views, self.temperature)[:, likely].std()),
            "agreement": float(np.mean(views.argmax(axis=1) == likely)),
        }
