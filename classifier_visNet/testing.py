"""Everything that a trained visNet shows of images, as files."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from classifier_visNet import figures
from gan_fingerprints import images, program, workers
from gan_fingerprints.attribution.attributor import Attributor, Examined
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.program import UserError

EXAMPLES = 1  # images per source in the figure
NUMBERS = "fingerprints.npz"
# Bytes of the names of image and source in one file's name, which is longer while it is written.
LONGEST = 255 - len("_image_fingerprint_responding_to_model_fingerprint_.png") - 40


def safe_names(names: Sequence[str], most: int = 100) -> list[str]:
    """What files may be called after each name, all different; harmless names stay as they are.

    Where a name had to be changed, or two are the same, its index comes first. most: of a name's
    bytes in UTF-8.
    """
    safe = [_safe(name, most) for name in names]
    times = Counter(safe)
    found = [
        new if new == name and times[new] == 1 else f"{i}_{new}"
        for i, (name, new) in enumerate(zip(names, safe, strict=True))
    ]
    different = len(set(found)) == len(found)
    return found if different else [f"{i}_{new}" for i, new in enumerate(safe)]


def _safe(name: str, most: int) -> str:
    printable = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
    cut = printable.encode()[:most].decode(errors="ignore")
    return re.sub(r"^\.", "_", cut) or "_"


def within(folder: Path, name: str | Path) -> Path:
    """The path of a file in a folder; UserError when it would lead out of it."""
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise UserError(f"{str(name)!r}: leads out of {folder}; expected a name without ..")
    return path


def stems(paths: Sequence[Path], truth: Sequence[str] | None, most: int = 100) -> list[Path]:
    """Where the pictures of each image go, without their endings; all different.

    Images of subfolders go into subfolders of the same names. Files that differ in their suffix
    alone, like a.png and a.jpg, keep it. Names are as `safe_names` makes them.
    """
    plain = [(truth[i] if truth else "", path.stem) for i, path in enumerate(paths)]
    times = Counter(plain)
    inside: dict[str, list[int]] = {}
    for i, (source, _) in enumerate(plain):
        inside.setdefault(source, []).append(i)
    found = [Path()] * len(paths)
    for folder, numbers in zip(safe_names(list(inside)), inside.values(), strict=True):
        names = [
            plain[i][1] if times[plain[i]] == 1 else paths[i].name.replace(".", "_")
            for i in numbers
        ]
        for i, name in zip(numbers, safe_names(names, most), strict=True):
            found[i] = Path(folder if truth else "", name)
    return found


@contextmanager
def fingerprint_folder(
    path: str | Path, attributor: Attributor, paths: Sequence[Path], truth: Sequence[str] | None
) -> Iterator[FingerprintFolder]:
    """The folder of `--out_fingerprint_dir`, which appears when all is in it.

    Files: `model_fingerprint_SOURCE.png`; for each image `IMAGE_image_fingerprint.png` and
    `IMAGE_image_fingerprint_responding_to_model_fingerprint_SOURCE.png`; `fingerprints.npz` with
    the raw numbers; and, where true sources are known, a figure of one image of each.

    Args:
        path: new or empty.
        attributor: gives fingerprints; what it examines will come.
        paths: the images that will be added, in this order.
        truth: their true sources, or None.
    """
    with (
        program.whole_folder(path) as partial,
        ThreadPoolExecutor(workers.cores()) as writers,
    ):
        folder = FingerprintFolder(partial, writers, attributor, paths, truth)
        yield folder
        folder.finish()


class FingerprintFolder:
    """What `fingerprint_folder` gives: writes the model fingerprints, then what is added."""

    def __init__(
        self,
        folder: Path,
        writers: ThreadPoolExecutor,
        attributor: Attributor,
        paths: Sequence[Path],
        truth: Sequence[str] | None,
    ) -> None:
        self.folder = folder
        self.attributor = attributor
        self.paths = paths
        self.truth = truth
        self.sources = safe_names(attributor.source_names)
        longest = max(len(name.encode()) for name in self.sources)
        self.stems = stems(paths, truth, LONGEST - longest)
        self._writers = writers
        self._examples: dict[str, list[figures.Example]] = {}
        self._added = 0
        models = attributor.model_fingerprints
        for name, picture in zip(self.sources, fingerprint_pictures.of_models(models), strict=True):
            images.write_png(within(folder, f"model_fingerprint_{name}.png"), picture)
        # On disk, as the fingerprints of a large folder do not fit in memory.
        self._numbers = np.lib.format.open_memmap(
            folder / "image_fingerprints.npy", "w+", np.float32, (len(paths), *models.shape[:3])
        )
        self._logits = np.full([len(paths), len(self.sources)], np.nan, np.float32)

    def add(self, one: Examined) -> Attribution:
        """Writes what there is of the next image; returns its row."""
        i, stem = self._added, within(self.folder, self.stems[self._added])
        self._added += 1
        if one.fingerprint is None:
            self._numbers[i] = np.nan
            return one.row
        self._numbers[i] = one.fingerprint
        self._logits[i] = one.logits
        stem.parent.mkdir(exist_ok=True)
        list(self._writers.map(images.write_png, *zip(*self._pictures(stem, one), strict=True)))
        if self.truth:
            known = self._examples.setdefault(self.truth[i], [])
            if len(known) < EXAMPLES:
                known.append(figures.Example(one.picture.pixels[0], one.fingerprint, one.logits))
        return one.row

    def _pictures(self, stem: Path, one: Examined) -> Iterator[tuple[Path, np.ndarray]]:
        name = f"{stem.name}_image_fingerprint"
        yield stem.with_name(f"{name}.png"), fingerprint_pictures.of_image(one.fingerprint)
        for k, source in enumerate(self.sources):
            model = self.attributor.model_fingerprints[..., k]
            file = f"{name}_responding_to_model_fingerprint_{source}.png"
            yield stem.with_name(file), fingerprint_pictures.response(one.fingerprint, model)

    def finish(self) -> None:
        """Writes what is about all images."""
        self._write_numbers()
        if self._examples:
            figures.confusion(
                self.folder / "fingerprint_confusion_matrix",
                self._examples,
                self.attributor.source_names,
                self.attributor.model_fingerprints,
            )

    def _write_numbers(self) -> None:
        """`fingerprints.npz`: the small arrays, then the file of image fingerprints."""
        self._numbers.flush()
        network = self.attributor.network
        arrays = {
            "paths": np.array([str(path) for path in self.paths]),
            "source_names": np.array(self.attributor.source_names),
            "model_fingerprints": np.moveaxis(self.attributor.model_fingerprints, 3, 0),
            "correlation": np.array(network.arguments["correlation"]),
            "scale": np.float32(network.model_fingerprints.scale),
            "logits": self._logits,
        }
        np.savez(self.folder / NUMBERS, **arrays)
        fingerprints = self.folder / "image_fingerprints.npy"
        with zipfile.ZipFile(self.folder / NUMBERS, "a", zipfile.ZIP_STORED) as archive:
            archive.write(fingerprints, fingerprints.name)
        os.remove(fingerprints)
