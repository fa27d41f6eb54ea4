"""Data sets on disk: TFRecord files of images, their labels and a manifest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from gan_fingerprints import commands, data_files, images
from gan_fingerprints.commands import UserError
from gan_fingerprints.images import ImageError
from gan_fingerprints.records import ADVICE, GrowingFile, RecordFile, encode, write_at

CHUNK_BYTES = 2**21  # of pixels that a worker holds at a time


def _write_chunk(
    read: Callable[[Any], tuple[np.ndarray, Any]],
    paths: Sequence[Path],
    resolutions: Sequence[int],
    skip_bad: bool,
    jobs: Sequence[tuple[int, Any]],
) -> tuple[int, int, list[Any]]:
    """In a worker: reads images and writes their records to where they belong if none is bad."""
    outcomes: list[Any] = []

    def pictures() -> Iterator[np.ndarray]:
        for _, item in jobs:
            try:
                picture, outcome = read(item)
            except ImageError as error:
                if not skip_bad:
                    raise
                outcomes.append(error)
            else:
                outcomes.append(outcome)
                yield _fitting(picture, resolutions[0])

    place = jobs[0][0]
    blocks = encode(pictures(), len(jobs), resolutions)
    for path, records in zip(paths, blocks, strict=True):
        write_at(path, place * records.itemsize, records)
    return place, len(blocks[0]), outcomes


def _fitting(picture: np.ndarray, resolution: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.shape != (resolution, resolution, 3):
        expected = [resolution, resolution, 3]
        raise ValueError(f"got {picture.dtype} {picture.shape}, expected uint8 {expected}")
    return picture


class Writer:
    """Writes one data set, a context manager to be used inside `commands.whole_folder`.

    Args:
        folder: an existing folder without this data set.
        name: the beginning of the file names.
        resolution: R, a power of two from 4 up.
        every_level: write R, R/2, ..., 4 (for GANs that grow), not R alone.

    The same images, in the same order, give the same bytes.
    """

    def __init__(self, folder: Path, name: str, resolution: int, *, every_level: bool) -> None:
        if resolution < 4 or resolution & (resolution - 1):
            raise ValueError(f"got resolution {resolution}, expected a power of two from 4 up")
        levels = resolution.bit_length() - 2 if every_level else 1
        self.resolutions = [resolution >> level for level in range(levels)]
        self.folder, self.name = folder, name
        self._waiting: list[np.ndarray] = []
        self._files = [
            GrowingFile(data_files.level_path(folder, name, r), r) for r in self.resolutions
        ]

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"data set {self.name}: cannot be written ({error.strerror}); "
                "make room or name an output elsewhere"
            ) from error

    @property
    def count(self) -> int:
        """Number of images so far."""
        return self._files[0].count + len(self._waiting)

    def add(self, image: np.ndarray) -> None:
        """Adds an image, uint8 [R, R, 3]; ValueError when it is anything else."""
        self._waiting.append(_fitting(image, self.resolutions[0]))
        if len(self._waiting) == self._chunk:
            self._write_waiting()

    def add_all(
        self,
        read: Callable[[Any], tuple[np.ndarray, Any]],
        items: Sequence[Any],
        *,
        skip_bad: bool = False,
        workers: int | None = None,
        progress: Callable[[int], object] = bool,
    ) -> list[Any]:
        """Reads and adds many images on all cores; the records come in the order of `items`.

        Args:
            read: item → (image uint8 [R, R, 3], anything else to be returned), run in a worker
                process: see `images.parallel_chunks`. Raises ImageError for a bad image.
            skip_bad: go on after an ImageError instead of raising it.
            workers: number of processes; all cores by default.
            progress: called with how many more items are done.

        Returns:
            For each item what `read` returned with the image, or the ImageError.
        """
        self._write_waiting()
        paths = [file.path for file in self._files]
        write = partial(_write_chunk, read, paths, self.resolutions, skip_bad)
        jobs = list(enumerate(items, self.count))
        outcomes: list[Any] = []
        with closing(images.parallel_chunks(write, jobs, workers, self._chunk)) as chunks:
            for place, number, part in chunks:
                for file in self._files:
                    file.take(place, number)
                outcomes += part
                progress(len(part))
        return outcomes

    @property
    def _chunk(self) -> int:
        return min(32, max(1, CHUNK_BYTES // (3 * self.resolutions[0] ** 2)))

    def _write_waiting(self) -> None:
        if self._waiting:
            blocks = encode(self._waiting, len(self._waiting), self.resolutions)
            for file, records in zip(self._files, blocks, strict=True):
                file.append(records)
            self._waiting = []

    def finish(
        self,
        labels: np.ndarray | None,
        source_names: Sequence[str] | None,
        command: str,
        extra: dict[str, Any],
    ) -> None:
        """Ends the files and writes the labels and the manifest.

        Args:
            labels: float32 [n, sources], one-hot, in the order of the records.
            source_names: in label order.
            command: what made the data set, without paths, which differ between machines.
            extra: more entries of the manifest, as JSON can hold them.
        """
        self._write_waiting()
        if not self.count:
            raise UserError(f"data set {self.name}: found no usable image, expected one or more")
        files = {file.path.name: file.finish() for file in self._files}
        counts = None
        if labels is not None:
            path = data_files.labels_path(self.folder, self.name)
            files[path.name] = data_files.write_labels(path, labels, self.count)
            counts = [int(n) for n in labels.sum(axis=0)]
        facts = {
            "name": self.name,
            "count": self.count,
            "resolution": self.resolutions[0],
            "source_names": None if source_names is None else list(source_names),
            "source_counts": counts,
            "files": files,
            "command": command,
        }
        data_files.write_manifest(self.folder, self.name, facts | extra)


class DataSet:
    """A data set on disk, ours or published, opened with `DataSet.open`. Thread-safe.

    Attributes:
        folder: where it is.
        name: the beginning of its file names.
        count: number of images.
        resolution: the full one.
        resolutions: all of them, ascending.
        labels: float32 [count, sources] or None.
        source_names: in label order: those of the manifest, else source_0, source_1, ...; None
            when there are neither labels nor names.
        manifest: what NAME.json says, or None.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        files: dict[int, RecordFile],
        labels: np.ndarray | None,
        manifest: dict[str, Any] | None,
    ) -> None:
        self.folder, self.name, self.labels, self.manifest = folder, name, labels, manifest
        self.resolutions = sorted(files)
        self.resolution = self.resolutions[-1]
        self.count = files[self.resolution].count
        self.source_names = self._named_sources()
        self._files = files

    @classmethod
    def open(cls, folder: str | Path, flag: str, *, needs_labels: bool = False) -> DataSet:
        """Opens and checks the data set in a folder; `flag` named the folder.

        Raises:
            UserError: naming the file that is missing, cut off, damaged, of another shape, or
                disagrees with the manifest or the other files.
        """
        folder = commands.existing_folder(folder, flag)
        name = data_files.find_name(folder, flag)
        manifest = data_files.read_manifest(folder, name)
        files = {}
        for path in sorted(folder.glob("*.tfrecords")):
            resolution = 2 ** int(path.stem[-2:])
            files[resolution] = RecordFile(path, resolution)
        count = _common_count(files.values(), manifest)
        if manifest:
            data_files.check_sizes(folder, manifest)
        labels = data_files.read_labels(folder, name, count)
        if needs_labels and labels is None:
            raise UserError(
                f"{flag} {folder}: found no {name}-rxx.labels, expected labels; prepare the data "
                "with data_preparation.py of the classifier"
            )
        return cls(folder, name, files, labels, manifest)

    def _named_sources(self) -> list[str] | None:
        names = self.manifest.get("source_names") if self.manifest else None
        if self.labels is None:
            return names
        sources = self.labels.shape[1]
        if names is not None and len(names) != sources:
            path = data_files.manifest_path(self.folder, self.name)
            raise UserError(
                f"{path}: found {len(names)} source names, expected {sources}, one per column of "
                f"the labels; {ADVICE}"
            )
        return names or [f"source_{i}" for i in range(sources)]

    def require_level(self, resolution: int) -> None:
        """UserError unless the images are there at this resolution."""
        if resolution not in self._files:
            path = data_files.level_path(self.folder, self.name, resolution)
            found = ", ".join(f"{x}x{x}" for x in self.resolutions)
            raise UserError(
                f"{path}: missing, the data set holds {found}; prepare it again with a "
                f"--resolution from {resolution} up and every level, or ask for one that is there"
            )

    def read(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """Images by record number: int [N] → uint8 [N, 3, H, W], a new array.

        Raises:
            UserError: a record is damaged or of another shape, or the resolution is missing.
        """
        resolution = resolution or self.resolution
        self.require_level(resolution)
        return self._files[resolution].read(np.asarray(indices, np.int64))

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """As `read`, channels last: uint8 [N, H, W, 3]."""
        return np.ascontiguousarray(self.read(indices, resolution).transpose(0, 2, 3, 1))

    @cached_property
    def checksum(self) -> str:
        """Identifies the content: BLAKE3 over those of the files, from the manifest if any."""
        hashes = self._recorded_hashes()
        if not hashes:
            paths = [file.path for file in self._files.values()]
            if self.labels is not None:
                paths.append(data_files.labels_path(self.folder, self.name))
            hashes = {path.name: _blake3(path) for path in paths}
        return blake3("".join(hashes[x] for x in sorted(hashes)).encode()).hexdigest()

    def changed_files(self) -> list[str]:
        """Names of the files whose content is no longer what the manifest says."""
        recorded = self._recorded_hashes().items()
        return [name for name, digest in recorded if _blake3(self.folder / name) != digest]

    def _recorded_hashes(self) -> dict[str, str]:
        files = self.manifest["files"] if self.manifest else {}
        return {name: facts["blake3"] for name, facts in files.items()}


def _common_count(files: Collection[RecordFile], manifest: dict[str, Any] | None) -> int:
    expected = manifest["count"] if manifest else max(file.count for file in files)
    for file in files:
        if file.count != expected:
            other = "the manifest says" if manifest else "the other resolutions have"
            raise UserError(
                f"{file.path}: found {file.count} records, expected {expected} as {other}; {ADVICE}"
            )
    return expected


def _blake3(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()


def default_name(folder: str | Path) -> str:
    """What to call a data set in `folder`: the folder's own name, never empty."""
    return Path(folder).resolve().name or "dataset"


def shuffled_order(count: int) -> np.ndarray:
    """The order in which the sorted images are written: int [count], the same as published."""
    order = np.arange(count)
    np.random.RandomState(123).shuffle(order)
    return order
