"""A trained visNet at work: what it says of images, and everything it shows as files."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from classifier_visNet import figures
from classifier_visNet.networks import AutoEncoder, Outputs
from gan_fingerprints import images, program, workers
from gan_fingerprints.attribution.attributor import (
    Attribution,
    judged,
    padded,
    read_batches,
    require_finite,
    row_of,
)
from gan_fingerprints.calibration import Calibration, softmax
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures

EXAMPLES = 1  # images per source in the figure
NUMBERS = "fingerprints.npz"


@dataclass(frozen=True)
class Examined:
    """What the network says of one image.

    Attributes:
        row: names and probabilities, or the reason why there are none.
        pixels: the image as the network saw it, uint8 [R, R, 3].
        fingerprint: float32 [R, R, 3] in [-2, 2].
        logits: float32 [sources].
    All but the row are None when the image could not be used.
    """

    row: Attribution
    pixels: np.ndarray | None = None
    fingerprint: np.ndarray | None = None
    logits: np.ndarray | None = None


class Examiner:
    """Attributes images and keeps their fingerprints.

    Args:
        EG: the auto-encoder.
        source_names: the sources in label order.
        batch: images at once; the batch always has this shape, so the answer for an image depends
            neither on its neighbours nor on their number.
        calibration: see `Attributor`.

    Attributes: the arguments, and
        model_fingerprints: float32 [R, R, 3, sources].
        correlation, scale: the logit of a source is the sum of image fingerprint times model
            fingerprint, times scale; with "normalized" each has mean 0 and norm 1 first.

    Example:
        >>> for found in Examiner(EG, ["real", "gan"]).examine(["a.png", "b.jpg"]):
        ...     print(found.row.predicted, found.fingerprint.shape)
    """

    def __init__(
        self,
        EG: AutoEncoder,
        source_names: Sequence[str],
        batch: int = 64,
        calibration: Calibration | None = None,
    ) -> None:
        self.source_names = list(source_names)
        self.resolution = EG.arguments["resolution"]
        self.batch = batch
        self.calibration = calibration
        self.correlation = EG.arguments["correlation"]
        self.scale = EG.model_fingerprints.scale
        self.model_fingerprints = np.asarray(EG.model_fingerprints.weight)

        @tf.function
        def outputs(pixels: tf.Tensor) -> Outputs:
            return EG.outputs(tf.cast(pixels, tf.float32) / 127.5 - 1)

        self._outputs = outputs

    def examine(self, paths: Iterable[str | Path]) -> Iterator[Examined]:
        """Yields one Examined per image file, in the order of `paths`, as results arrive."""
        for chunk in read_batches(paths, self.resolution, self.batch):
            usable = [found for _, found in chunk if isinstance(found, np.ndarray)]
            answers = self.examine_arrays(usable)
            for path, found in chunk:
                if isinstance(found, str):
                    yield Examined(row_of(path, found, self.source_names))
                    continue
                fingerprint, logits = next(answers)
                yield Examined(self._row(path, logits), found, fingerprint, logits)

    def _row(self, path: Path, logits: np.ndarray) -> Attribution:
        one, scale = logits[None], self.calibration
        probabilities = scale.probabilities(one) if scale else softmax(one)
        row = row_of(path, probabilities[0].astype(np.float32), self.source_names)
        return judged(row, scale.scores(one, one)[0], scale) if scale else row

    def examine_arrays(
        self, pixels: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Fingerprint and logits of each image uint8 [R, R, 3]."""
        for start in range(0, len(pixels), self.batch):
            part = pixels[start : start + self.batch]
            found = self._outputs(padded(part, self.batch))
            fingerprints, logits = (
                x.numpy()[: len(part)] for x in (found.fingerprints, found.logits)
            )
            require_finite(logits)
            yield from zip(fingerprints, logits, strict=True)


def stems(paths: Sequence[Path], truth: Sequence[str] | None) -> list[Path]:
    """Where the pictures of each image go, without their endings; all different.

    Images of subfolders go into subfolders of the same names. Files that differ in their suffix
    alone, like a.png and a.jpg, keep it.
    """
    folders = [Path(name) for name in truth] if truth else [Path()] * len(paths)
    plain = [folder / path.stem for folder, path in zip(folders, paths, strict=True)]
    times = Counter(plain)
    return [
        stem if times[stem] == 1 else stem.with_name(path.name.replace(".", "_"))
        for stem, path in zip(plain, paths, strict=True)
    ]


@contextmanager
def fingerprint_folder(
    path: str | Path, examiner: Examiner, paths: Sequence[Path], truth: Sequence[str] | None
) -> Iterator[FingerprintFolder]:
    """The folder of `--out_fingerprint_dir`, which appears when all is in it.

    Files: `model_fingerprint_SOURCE.png`; for each image `IMAGE_image_fingerprint.png` and
    `IMAGE_image_fingerprint_responding_to_model_fingerprint_SOURCE.png`; `fingerprints.npz` with
    the raw numbers; and, where true sources are known, a figure of one image of each.

    Args:
        path: new or empty.
        examiner: whose findings come.
        paths: the images that will be added, in this order.
        truth: their true sources, or None.
    """
    with (
        program.whole_folder(path) as partial,
        ThreadPoolExecutor(workers.cores()) as writers,
    ):
        folder = FingerprintFolder(partial, writers, examiner, paths, truth)
        yield folder
        folder.finish()


class FingerprintFolder:
    """What `fingerprint_folder` gives: writes the model fingerprints, then what is added."""

    def __init__(
        self,
        folder: Path,
        writers: ThreadPoolExecutor,
        examiner: Examiner,
        paths: Sequence[Path],
        truth: Sequence[str] | None,
    ) -> None:
        self.folder = folder
        self.examiner = examiner
        self.paths = paths
        self.truth = truth
        self.stems = stems(paths, truth)
        self._writers = writers
        self._examples: dict[str, list[figures.Example]] = {}
        self._added = 0
        names, models = examiner.source_names, examiner.model_fingerprints
        for name, picture in zip(names, fingerprint_pictures.of_models(models), strict=True):
            images.write_png(folder / f"model_fingerprint_{name}.png", picture)
        # On disk, as the fingerprints of a large folder do not fit in memory.
        self._numbers = np.lib.format.open_memmap(
            folder / "image_fingerprints.npy", "w+", np.float32, (len(paths), *models.shape[:3])
        )
        self._logits = np.full([len(paths), len(names)], np.nan, np.float32)

    def add(self, found: Examined) -> Attribution:
        """Writes what there is of the next image; returns its row."""
        i, stem = self._added, self.folder / self.stems[self._added]
        self._added += 1
        if found.fingerprint is None:
            self._numbers[i] = np.nan
            return found.row
        self._numbers[i] = found.fingerprint
        self._logits[i] = found.logits
        stem.parent.mkdir(exist_ok=True)
        list(self._writers.map(images.write_png, *zip(*self._pictures(stem, found), strict=True)))
        if self.truth:
            known = self._examples.setdefault(self.truth[i], [])
            if len(known) < EXAMPLES:
                known.append(figures.Example(found.pixels, found.fingerprint, found.logits))
        return found.row

    def _pictures(self, stem: Path, found: Examined) -> Iterator[tuple[Path, np.ndarray]]:
        name = f"{stem.name}_image_fingerprint"
        yield stem.with_name(f"{name}.png"), fingerprint_pictures.of_image(found.fingerprint)
        for k, source in enumerate(self.examiner.source_names):
            model = self.examiner.model_fingerprints[..., k]
            file = f"{name}_responding_to_model_fingerprint_{source}.png"
            yield stem.with_name(file), fingerprint_pictures.response(found.fingerprint, model)

    def finish(self) -> None:
        """Writes what is about all images."""
        self._write_numbers()
        if self._examples:
            figures.confusion(
                self.folder / "fingerprint_confusion_matrix",
                self._examples,
                self.examiner.source_names,
                self.examiner.model_fingerprints,
            )

    def _write_numbers(self) -> None:
        """`fingerprints.npz`: the small arrays, then the file of image fingerprints."""
        self._numbers.flush()
        arrays = {
            "paths": np.array([str(path) for path in self.paths]),
            "source_names": np.array(self.examiner.source_names),
            "model_fingerprints": np.moveaxis(self.examiner.model_fingerprints, 3, 0),
            "correlation": np.array(self.examiner.correlation),
            "scale": np.float32(self.examiner.scale),
            "logits": self._logits,
        }
        np.savez(self.folder / NUMBERS, **arrays)
        fingerprints = self.folder / "image_fingerprints.npy"
        with zipfile.ZipFile(self.folder / NUMBERS, "a", zipfile.ZIP_STORED) as archive:
            archive.write(fingerprints, fingerprints.name)
        os.remove(fingerprints)
