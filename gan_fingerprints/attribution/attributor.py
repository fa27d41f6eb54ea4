"""A trained classifier as an object: images or their paths in, a table of probabilities out."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from gan_fingerprints import images, program, workers
from gan_fingerprints.calibration import UNKNOWN, Calibration, softmax

if TYPE_CHECKING:
    from gan_fingerprints.networks.files import Loaded

READ_AHEAD = 3  # batches

Item = TypeVar("Item")
Result = TypeVar("Result")

Change = Callable[[np.ndarray, Path], np.ndarray]
"""What may happen to an image after reading: uint8 [H, W, 3] and its file → uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Attribution:
    """What one image was attributed to, or why it could not be.

    Attributes:
        path: the image file.
        predicted: name of the most probable source, or "unknown" where the image fits none; None
            when there is an `error`.
        probabilities: source name → probability, in label order; None each beside an `error`.
        error: the reason why the image could not be used; None otherwise.
        score: how well the image fits the known sources, where the network is calibrated; see
            `calibration.scores`.
    """

    path: Path
    predicted: str | None
    probabilities: dict[str, float | None]
    error: str | None = None
    score: float | None = None

    @property
    def most_probable(self) -> str | None:
        """The most probable source, also of an unknown image; None beside an error."""
        if self.error is not None:
            return None
        return max(self.probabilities, key=lambda name: self.probabilities[name] or 0.0)


class Answers(NamedTuple):
    """What a network says of N images.

    Attributes:
        probabilities: float32 [N, sources].
        scores: N of them, see `Attribution`; None each where the network is not calibrated.
        logits: float32 [N, sources].
        fingerprints: float32 [N, R, R, 3] in [-2, 2] where they were asked for, else None.
    """

    probabilities: np.ndarray
    scores: Sequence[float] | Sequence[None]
    logits: np.ndarray
    fingerprints: np.ndarray | None


class Attributor:
    """Attributes images to the sources that a network was trained on.

    Args:
        network: images float32 [N, R, R, 3] in [-1, 1], training=False → logits [N, sources].
            With a calibration, its method `answers` takes images → logits and features.
        source_names: the sources in label order.
        resolution: R.
        batch: images at once. The batch always has this shape, so the answer for an image
            depends neither on its neighbours nor on their number.
        calibration: of this network: sets the temperature of the probabilities and which images
            are answered "unknown". None for plain softmax and always a name.
        fingerprints: have `answers` give image fingerprints too. The network's method `outputs`
            makes them, beside logits that are also its features, as visNet's auto-encoder does.

    Raises ValueError when the network's outputs are not one per source.

    Example:
        >>> attributor = Attributor.load("network-final.safetensors")
        >>> [row.predicted for row in attributor.attribute(["a.png", "b.jpg"])]
        ['gan', 'real']
    """

    def __init__(
        self,
        network: Any,
        source_names: Sequence[str],
        resolution: int,
        batch: int = 64,
        calibration: Calibration | None = None,
        fingerprints: bool = False,
    ) -> None:
        import tensorflow as tf  # takes seconds; the functions below do without

        from gan_fingerprints.networks.layers import in_halves

        self.source_names = list(source_names)
        self.resolution = resolution
        self.batch = batch
        self.calibration = calibration
        self.fingerprints = fingerprints

        def with_fingerprints(x: tf.Tensor) -> list[tf.Tensor]:
            found = network.outputs(x)
            return [found.logits, found.logits, found.fingerprints]

        one = network.answers if calibration else lambda x: [network(x, training=False)]
        answers_to = in_halves(with_fingerprints if fingerprints else one)

        @tf.function(input_signature=[tf.TensorSpec([batch, resolution, resolution, 3], tf.uint8)])
        def outputs(pixels: tf.Tensor) -> list[tf.Tensor]:
            found = answers_to(tf.cast(pixels, tf.float32) / 127.5 - 1)
            return [tf.cast(x, tf.float32) for x in found]

        self._outputs = outputs.get_concrete_function()
        shape = self._outputs.structured_outputs[0].shape
        if shape != (batch, len(self.source_names)):
            raise ValueError(f"outputs {shape} for {len(self.source_names)} source names")

    @classmethod
    def load(cls, path: str | Path, batch: int = 64, names: str | None = None) -> Attributor:
        """An Attributor with the network of a file: a classifier or visNet, ours or published.

        names: "a,b,c", the sources of a published network, whose file does not name them.

        Raises:
            UserError: another file, or damaged.
        """
        program.load_tensorflow()
        from gan_fingerprints.networks import files
        from gan_fingerprints.networks.files import constructors

        loaded = files.load(path, constructors(), "network", names)
        if loaded.names_assumed:
            warnings.warn(loaded.names_assumed, stacklevel=2)
        return cls.of(loaded, batch)

    @classmethod
    def of(cls, loaded: Loaded, batch: int = 64, fingerprints: bool = False) -> Attributor:
        """An Attributor with a network that was loaded, and with its calibration."""
        return cls(
            loaded.network,
            loaded.source_names or [],
            loaded.arguments["resolution"],
            batch,
            loaded.calibration,
            fingerprints,
        )

    def attribute_arrays(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, sources] of images uint8 [N, H, W, 3] of any size.

        Raises ValueError for another dtype or shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
            raise ValueError(f"got {pixels.dtype} {pixels.shape}, expected uint8 [N, H, W, 3]")
        parts = [np.zeros([0, len(self.source_names)], np.float32)]
        for start in range(0, len(pixels), self.batch):
            batch = pixels[start : start + self.batch]
            parts.append(self.answers([images.resize(x, self.resolution) for x in batch])[0])
        return np.concatenate(parts)

    def attribute(
        self, paths: Iterable[str | Path], change: Change | None = None
    ) -> Iterator[Attribution]:
        """Yields one Attribution per image file, in the order of `paths`, as results arrive.

        Any size, colour mode and common format will do; the whole image is resized. What is not
        an image yields its reason in `error`. Threads read ahead by a bounded number of images,
        and apply `change`, e.g. an attack, if there is one.
        """
        for chunk in read_batches(paths, self.resolution, self.batch, change):
            usable = [found for _, found in chunk if isinstance(found, np.ndarray)]
            answers = zip(*self.answers(usable)[:2], strict=True) if usable else iter(())
            for path, found in chunk:
                if isinstance(found, str):
                    yield row_of(path, found, self.source_names)
                else:
                    yield self.row(path, *next(answers))

    def row(self, path: Path, probabilities: np.ndarray, score: float | None) -> Attribution:
        """The row of one image: probabilities [sources] and score as `answers` gave them."""
        row = row_of(path, probabilities, self.source_names)
        if self.calibration is None or score is None:
            return row
        return judged(row, score, self.calibration)

    def answers(self, pixels: Sequence[np.ndarray]) -> Answers:
        """What the network says of images uint8 [R, R, 3], one to `batch` of them."""
        outputs = [x.numpy()[: len(pixels)] for x in self._outputs(padded(pixels, self.batch))]
        logits = outputs[0]
        require_finite(logits)
        fingerprints = outputs[2] if self.fingerprints else None
        if self.calibration is None:
            none = [None] * len(pixels)
            return Answers(softmax(logits).astype(np.float32), none, logits, fingerprints)
        probabilities = self.calibration.probabilities(logits).astype(np.float32)
        scores = self.calibration.scores(*outputs[:2]).tolist()
        return Answers(probabilities, scores, logits, fingerprints)


def judged(row: Attribution, score: float, calibration: Calibration) -> Attribution:
    """The row with its score, and "unknown" where that is below the threshold."""
    predicted = row.predicted if score >= calibration.threshold else UNKNOWN
    return replace(row, predicted=predicted, score=float(score))


def read_batches(
    paths: Iterable[str | Path], resolution: int, batch: int, change: Change | None = None
) -> Iterator[list[tuple[Path, np.ndarray | str]]]:
    """Yields up to `batch` files at a time, in order: each with its image or why it has none.

    The image is uint8 [resolution, resolution, 3], changed if there is a `change`, then resized as
    a whole. Threads read ahead by a bounded number of images.
    """
    one = partial(_read, resolution, change)
    yield from chunks_ahead(one, map(Path, paths), batch)


def chunks_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], batch: int
) -> Generator[list[Result], None, None]:
    """Yields `read` of up to `batch` items at a time, in order; threads are three batches ahead."""
    with closing(_ahead(read, items, READ_AHEAD * batch)) as found:
        while chunk := list(islice(found, batch)):
            yield chunk


def _ahead(
    read: Callable[[Item], Result], items: Iterable[Item], most: int
) -> Generator[Result, None, None]:
    pool = ThreadPoolExecutor(min(8, workers.cores()))
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(pending) >= most:
                yield pending.popleft().result()
            pending.append(pool.submit(read, item))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(resolution: int, change: Change | None, path: Path) -> tuple[Path, np.ndarray | str]:
    try:
        image = images.read_image(path)
        return path, images.resize(change(image, path) if change else image, resolution)
    except images.ImageError as error:
        return path, str(error).removeprefix(f"{path}: ")


def padded(pixels: Sequence[np.ndarray], batch: int) -> np.ndarray:
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


def row_of(path: Path, answer: np.ndarray | str, source_names: Sequence[str]) -> Attribution:
    """The row of an image with probabilities [sources], or with the reason why it has none."""
    if isinstance(answer, str):
        return Attribution(path, None, dict.fromkeys(source_names), answer)
    predicted = source_names[int(answer.argmax())]
    return Attribution(path, predicted, dict(zip(source_names, answer.tolist(), strict=True)))


def find_testing_images(
    path: str | Path, flag: str = "--testing_data_path"
) -> tuple[list[Path], list[str] | None]:
    """The images to test, sorted, and the name of the true source of each where it is known.

    A file is tested itself, whatever its name. A folder of images has no known truth. In a folder
    of subfolders the name of a subfolder is the true source of its images. Raises UserError when
    there is nothing to test, or both images and subfolders with images.
    """
    path = Path(path)
    if path.is_file():
        return [path], None
    loose = images.find_images(program.existing_folder(path, flag))
    folders = sorted(x for x in path.iterdir() if x.is_dir() and not x.name.startswith("."))
    found = [(file, folder.name) for folder in folders for file in images.find_images(folder)]
    if not found:
        return images.list_images(path, flag), None
    if loose:
        raise program.UserError(
            f"{flag} {path}: found {len(loose)} images beside subfolders with images, expected "
            "either; move the images into a subfolder named as their source"
        )
    return [file for file, _ in found], [name for _, name in found]
