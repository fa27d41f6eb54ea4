"""A trained classifier as an object: images or their paths in, a table of probabilities out."""

from __future__ import annotations

import csv
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints import commands, images, metrics

READ_AHEAD = 3  # batches

Change = Callable[[np.ndarray, Path], np.ndarray]
"""What may happen to an image after reading: uint8 [H, W, 3] and its file → uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Attribution:
    """What one image was attributed to, or why it could not be.

    Attributes:
        path: the image file.
        predicted: name of the most probable source; None when there is an `error`.
        probabilities: source name → probability, in label order; None each beside an `error`.
        error: the reason why the image could not be used; None otherwise.
    """

    path: Path
    predicted: str | None
    probabilities: dict[str, float | None]
    error: str | None = None


class Attributor:
    """Attributes images to the sources that a network was trained on.

    Args:
        network: images float32 [N, R, R, 3] in [-1, 1], training=False → logits [N, sources].
        source_names: the sources in label order.
        resolution: R.
        batch: images at once. The batch always has this shape, so the answer for an image
            depends neither on its neighbours nor on their number.

    Raises ValueError when the network's outputs are not one per source.

    Example:
        >>> attributor = Attributor(network, ["real", "gan"], resolution=128)
        >>> [row.predicted for row in attributor.attribute(["a.png", "b.jpg"])]
        ['gan', 'real']
    """

    def __init__(
        self,
        network: Callable[..., Any],
        source_names: Sequence[str],
        resolution: int,
        batch: int = 64,
    ) -> None:
        import tensorflow as tf  # takes seconds; the functions below do without

        from gan_fingerprints.steps import in_halves

        self.source_names = list(source_names)
        self.resolution = resolution
        self.batch = batch

        logits_of = in_halves(lambda pictures: network(pictures, training=False))

        @tf.function(input_signature=[tf.TensorSpec([batch, resolution, resolution, 3], tf.uint8)])
        def softmax(pixels: tf.Tensor) -> tf.Tensor:
            logits = logits_of(tf.cast(pixels, tf.float32) / 127.5 - 1)
            return tf.nn.softmax(tf.cast(logits, tf.float32))

        self._softmax = softmax.get_concrete_function()
        outputs = self._softmax.structured_outputs.shape
        if outputs != (batch, len(self.source_names)):
            raise ValueError(f"outputs {outputs} for {len(self.source_names)} source names")

    def attribute_arrays(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, sources] of images uint8 [N, H, W, 3] of any size.

        Raises ValueError for another dtype or shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
            raise ValueError(f"got {pixels.dtype} {pixels.shape}, expected uint8 [N, H, W, 3]")
        parts = [np.zeros([0, len(self.source_names)], np.float32)]
        for start in range(0, len(pixels), self.batch):
            batch = pixels[start : start + self.batch]
            parts.append(self._infer([images.resize(x, self.resolution) for x in batch]))
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
            answers = iter(self._infer(usable) if usable else ())
            for path, found in chunk:
                answer = found if isinstance(found, str) else next(answers)
                yield row_of(path, answer, self.source_names)

    def _infer(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        probabilities = self._softmax(padded(pixels, self.batch)).numpy()[: len(pixels)]
        require_finite(probabilities)
        return probabilities


def read_batches(
    paths: Iterable[str | Path], resolution: int, batch: int, change: Change | None = None
) -> Iterator[list[tuple[Path, np.ndarray | str]]]:
    """Yields up to `batch` files at a time, in order: each with its image or why it has none.

    The image is uint8 [resolution, resolution, 3], changed if there is a `change`, then resized as
    a whole. Threads read ahead by a bounded number of images.
    """
    one = partial(_read, resolution, change)
    read = _read_ahead(one, map(Path, paths), READ_AHEAD * batch)
    while chunk := list(islice(read, batch)):
        yield chunk


def _read_ahead(
    read: Callable[[Path], tuple[Path, np.ndarray | str]], paths: Iterable[Path], most: int
) -> Iterator[tuple[Path, np.ndarray | str]]:
    pool = ThreadPoolExecutor(min(8, images.cores()))
    pending: deque[Future[tuple[Path, np.ndarray | str]]] = deque()
    try:
        for path in paths:
            if len(pending) >= most:
                yield pending.popleft().result()
            pending.append(pool.submit(read, path))
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
        raise commands.UserError(
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
    loose = images.find_images(commands.existing_folder(path, flag))
    folders = sorted(x for x in path.iterdir() if x.is_dir() and not x.name.startswith("."))
    found = [(file, folder.name) for folder in folders for file in images.find_images(folder)]
    if not found:
        return images.list_images(path, flag), None
    if loose:
        raise commands.UserError(
            f"{flag} {path}: found {len(loose)} images beside subfolders with images, expected "
            "either; move the images into a subfolder named as their source"
        )
    return [file for file, _ in found], [name for _, name in found]


def line(i: int, n: int, row: Attribution) -> str:
    """One image's line of the log; `i` counts from 0 to `n` - 1."""
    if row.error is not None:
        return f"Classifying {i}/{n} images: {row.path.name}: skipped: {row.error}"
    return (
        f"Classifying {i}/{n} images: {row.path.name}: "
        f"predicted as being sampled from {row.predicted}"
    )


def write_csv(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a table `path,predicted,probability,<one column per source>,error`."""
    names = list(rows[0].probabilities) if rows else []
    with commands.whole_file(path) as partial, open(partial, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "predicted", "probability", *names, "error"])
        for row in rows:
            cells = ["" if p is None else f"{p:.8g}" for p in row.probabilities.values()]
            probability = "" if row.predicted is None else cells[names.index(row.predicted)]
            table.writerow([row.path, row.predicted, probability, *cells, row.error])


def write_json(path: str | Path, rows: Sequence[Attribution]) -> None:
    """Writes a list of objects {path, predicted, probabilities: {source: p}, error}."""
    table = [asdict(row) | {"path": str(row.path)} for row in rows]
    with commands.whole_file(path) as partial:
        partial.write_text(json.dumps(table, indent=1) + "\n")


def report(
    rows: Sequence[Attribution], truth: Sequence[str] | None, source_names: Sequence[str]
) -> str:
    """The share of each source among the images and, where truth is known, how right that is.

    rows, truth: [N]. Images whose true source the network was not trained on are listed and left
    out of the accuracy; so are images that could not be read.
    """
    lines = _shares(rows, source_names)
    if truth is not None:
        lines += _against_truth(rows, truth, source_names)
    return "\n".join(lines)


def _shares(rows: Sequence[Attribution], source_names: Sequence[str]) -> list[str]:
    counts = Counter(row.predicted for row in rows)
    skipped = counts.pop(None, 0)
    total = len(rows) - skipped
    lines = [
        f"The percentage of images sampled from {name} is "
        f"{counts[name]}/{total} = {100 * counts[name] / max(total, 1):.2f}%"
        for name in source_names
    ]
    if skipped:
        lines.append(f"Skipped: {skipped} of {len(rows)} images could not be used")
    return lines


def write_confusion_png(
    path: str | Path,
    rows: Sequence[Attribution],
    truth: Sequence[str],
    source_names: Sequence[str],
) -> bool:
    """Writes the confusion matrix as a picture; False, without one, if no true source is known."""
    probabilities, labels = _known(rows, truth, source_names)
    if not len(labels):
        return False
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, len(source_names))
    metrics.confusion_png(path, matrix, source_names)
    return True


def _known(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, sources] and labels [n] of the images whose true source is in `names`."""
    labels = {name: label for label, name in enumerate(names)}
    pairs = [
        (list(row.probabilities.values()), labels[name])
        for row, name in zip(rows, truth, strict=True)
        if row.error is None and name in labels
    ]
    probabilities = np.array([p for p, _ in pairs], np.float64).reshape(-1, len(labels))
    return probabilities, np.array([label for _, label in pairs], np.int64)


def _against_truth(
    rows: Sequence[Attribution], truth: Sequence[str], names: Sequence[str]
) -> list[str]:
    lines = []
    tested = (name for row, name in zip(rows, truth, strict=True) if row.error is None)
    if strangers := Counter(name for name in tested if name not in names):
        listed = ", ".join(
            f"{name} ({count} of {len(rows)} images)" for name, count in strangers.items()
        )
        lines.append(f"Left out of the accuracy, as no source of this network: {listed}")
    probabilities, labels = _known(rows, truth, names)
    if not len(labels):
        return [*lines, f"No accuracy: no folder is named as one of {', '.join(names)}"]
    return lines + _scores(probabilities, labels, names)


def _scores(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[str]:
    predicted = probabilities.argmax(axis=1)
    correct, total = int((predicted == labels).sum()), len(labels)
    low, high = metrics.wilson_interval(correct, total)
    lines = [
        f"Accuracy: {correct}/{total} = {100 * correct / total:.2f}% "
        f"(95% interval {100 * low:.2f}% to {100 * high:.2f}%)",
        "Expected calibration error: "
        f"{metrics.expected_calibration_error(probabilities, labels):.4f}",
    ]
    is_real = np.array(["real" in name.lower() for name in names])
    precision, area = metrics.real_or_generated(
        is_real[labels], 1 - probabilities[:, is_real].sum(axis=1)
    )
    if not np.isnan(area):
        real = ", ".join(np.array(names)[is_real])
        lines.append(f"Real ({real}) or generated: AP {precision:.4f}, AUC {area:.4f}")
    matrix = metrics.confusion_matrix(labels, predicted, len(names))
    return [*lines, "", metrics.confusion_text(matrix, names)]
