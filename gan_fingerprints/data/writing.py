"""Writes a data set: TFRecord files of images, their labels and a manifest; without TensorFlow."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from blake3 import blake3

from gan_fingerprints import disk
from gan_fingerprints.data import layout, manifest
from gan_fingerprints.data.growing import GrowingFile, write_at
from gan_fingerprints.data.layout import Shard
from gan_fingerprints.data.unfinished import Kept, Part
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import UserError
from gan_fingerprints.version import __version__
from gan_fingerprints.workers import parallel_chunks

CHUNK_BYTES = 2**21  # of pixels that a worker holds at a time
IN_CACHE = 2**18  # bytes that are halved at a time


class Writer:
    """Writes one data set, a context manager to be used inside `program.whole_folder`.

    Args:
        folder: an existing folder without this data set.
        name: the beginning of the file names.
        resolution: R, a power of two from 4 up.
        every_level: write R, R/2, ..., 4 (for GANs that grow), not R alone.
        kept: the shards that it is written in; one file of each level unless given.

    The same images, in the same order, give the same bytes; shards, one after the other, those of
    the single file.

    Attributes:
        digests: of each image so far, 16 bytes that tell it from others, see `layout.checksums`.
    """

    def __init__(
        self, folder: Path, name: str, resolution: int, *, every_level: bool,
        kept: Kept | None = None,
    ) -> None:  # fmt: skip
        if resolution < 4 or resolution & (resolution - 1):
            raise ValueError(f"got resolution {resolution}, expected a power of two from 4 up")
        levels = resolution.bit_length() - 2 if every_level else 1
        self.resolutions = [resolution >> level for level in range(levels)]
        self.folder, self.name = folder, name
        self.digests: list[bytes] = []
        self._kept, self._facts = kept, dict[str, Any]()
        self._files = [] if kept else self._opened(None)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"data set {self.name}: cannot be written ({error.strerror}); "
                "make room or name an output elsewhere"
            ) from error

    def _opened(self, shard: Shard | None) -> list[GrowingFile]:
        paths = [layout.level_path(self.folder, self.name, r, shard) for r in self.resolutions]
        return [GrowingFile(*each) for each in zip(paths, self.resolutions, strict=True)]

    @property
    def count(self) -> int:
        """Number of images so far."""
        return len(self.digests)

    def add_all(
        self,
        read: Callable[[Any], tuple[np.ndarray, Any]],
        items: Sequence[Any],
        *,
        each: int = 1,
        skip_bad: bool = False,
        workers: int | None = None,
        progress: Callable[[int], object] = bool,
    ) -> list[Any]:
        """Reads and adds images on all cores; the records come in the order of `items`.

        Args:
            read: item → (image uint8 [R, R, 3] or several [n, R, R, 3], anything else to be
                returned), run in a worker process: see `workers.parallel_chunks`. Raises ImageError
                for a bad image.
            each: the most images that an item gives.
            skip_bad: go on after an ImageError instead of raising it.
            workers: number of processes; all cores by default.
            progress: called with how many more items are done.

        Returns:
            For each item what `read` returned with its images, or the ImageError.
        """
        add = partial(
            _added, read=read, resolutions=self.resolutions, each=each, skip_bad=skip_bad,
            workers=workers, progress=progress,
        )  # fmt: skip
        if self._kept is None:
            digests, outcomes = add(self._files, items)
            self.digests += digests
            return outcomes
        outcomes = []
        for number, share in enumerate(self._kept.shares(items)):
            if part := self._kept.part(number):
                progress(len(share))
            else:
                part = self._shard(Shard(number, self._kept.shards), partial(add, items=share))
            self.digests += part.digests
            self._facts |= part.files
            outcomes += part.outcomes
        return outcomes

    def _shard(self, shard: Shard, add: Callable) -> Part:
        """Writes the files of one shard, which are kept from now on."""
        assert self._kept
        files = self._opened(shard)
        digests, outcomes = add(files)
        facts = {file.path.name: file.finish() for file in files}
        for file in files:
            disk.sync(file.path)
        return self._kept.keep(shard.number, Part(facts, digests, outcomes))

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
        if not self.count:
            raise UserError(f"data set {self.name}: found no usable image, expected one or more")
        files = self._facts | {file.path.name: file.finish() for file in self._files}
        counts = None
        if labels is not None:
            path = layout.labels_path(self.folder, self.name)
            files[path.name] = write_labels(path, labels, self.count)
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
        write_manifest(self.folder, self.name, facts | extra)


def _added(
    files: Sequence[GrowingFile], items: Sequence[Any],
    read: Callable[[Any], tuple[np.ndarray, Any]], resolutions: Sequence[int], each: int,
    skip_bad: bool, workers: int | None, progress: Callable[[int], object],
) -> tuple[list[bytes], list[Any]]:  # fmt: skip
    """Adds images to the files of one shard, or of all; their digests and outcomes."""
    write = partial(_write_chunk, read, [file.path for file in files], resolutions, each, skip_bad)
    first = files[0].count
    jobs = list(zip(range(first, first + each * len(items), each), items, strict=True))
    digests: list[bytes] = []
    outcomes: list[Any] = []
    size = min(32, max(1, CHUNK_BYTES // (3 * each * resolutions[0] ** 2)))
    with closing(parallel_chunks(write, jobs, workers, size)) as chunks:
        for place, found, part in chunks:
            for file in files:
                file.take(place, len(found))
            digests += map(np.ndarray.tobytes, found)
            outcomes += part
            progress(len(part))
    return digests, outcomes


def _write_chunk(
    read: Callable[[Any], tuple[np.ndarray, Any]],
    paths: Sequence[Path],
    resolutions: Sequence[int],
    each: int,
    skip_bad: bool,
    jobs: Sequence[tuple[int, Any]],
) -> tuple[int, np.ndarray, list[Any]]:
    """In a worker: reads images and writes their records to where they belong if none is bad.

    Returns:
        The number of the first record, `layout.checksums` of each, [N, 4], and the outcomes.
    """
    outcomes: list[Any] = []

    def pictures() -> Iterator[np.ndarray]:
        for _, item in jobs:
            try:
                taken, outcome = read(item)
            except ImageError as error:
                if not skip_bad:
                    raise
                outcomes.append(error)
            else:
                outcomes.append(outcome)
                for picture in taken[None] if taken.ndim == 3 else taken:
                    yield _fitting(picture, resolutions[0])

    place = jobs[0][0]
    blocks, digests = encode(pictures(), each * len(jobs), resolutions)
    for path, records in zip(paths, blocks, strict=True):
        write_at(path, place * records.itemsize, records)
    return place, digests, outcomes


def _fitting(picture: np.ndarray, resolution: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.shape != (resolution, resolution, 3):
        expected = [resolution, resolution, 3]
        raise ValueError(f"got {picture.dtype} {picture.shape}, expected uint8 {expected}")
    return picture


def encode(
    pictures: Iterable[np.ndarray], most: int, resolutions: Sequence[int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Records of N <= `most` images, uint8 [R, R, 3], at each of R, R/2, ...

    Each half is the 2×2 mean of the floats above it; rounding comes last. A few images at a time
    are taken and halved, which is faster while the processor's cache still holds them.

    Returns:
        One structured array [N] for each of `resolutions`, and `layout.checksums` of the first of
        them, uint32 [N, 4].
    """
    blocks = [np.empty(most, layout.record_layout(resolution).dtype) for resolution in resolutions]
    few = max(1, IN_CACHE // blocks[0].itemsize)
    rest, count = iter(pictures), 0
    while part := list(islice(rest, few)):
        _fill_pixels([block["pixels"][count : count + len(part)] for block in blocks], part)
        count += len(part)
    blocks = [block[:count] for block in blocks]
    digests = [_seal(block, side) for block, side in zip(blocks, resolutions, strict=True)]
    return blocks, digests[0]


def _seal(block: np.ndarray, resolution: int) -> np.ndarray:
    """Completes records [N] that have their pixels; returns `layout.checksums` of these."""
    _, block["head"], block["tail"] = layout.record_layout(resolution)
    rows = block.view(np.uint8).reshape(len(block), block.itemsize)
    start = block["head"].shape[1]
    pixels = rows[:, start : start + 3 * resolution**2]
    digests, block["crc"] = layout.checksums(pixels, resolution)
    return digests


def _fill_pixels(levels: Sequence[np.ndarray], pictures: Sequence[np.ndarray]) -> None:
    for place, picture in zip(levels[0], pictures, strict=True):
        place[:] = picture.transpose(2, 0, 1)
    means = levels[0]
    for level in levels[1:]:
        rows = np.add(means[..., 0::2, :], means[..., 1::2, :], dtype=np.float32)
        means = (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)
        level[:] = np.rint(means)


def write_manifest(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Writes NAME.json: the facts, the versions that made them, and a checksum of both."""
    text = manifest.sealed(facts | {"versions": versions()})
    layout.manifest_path(folder, name).write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Of what makes the bytes of a data set."""
    return {
        "gan_fingerprints": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


def write_labels(path: Path, labels: np.ndarray, count: int) -> dict[str, Any]:
    """Writes labels [count, sources] as float32; returns the facts for the manifest."""
    if labels.ndim != 2 or len(labels) != count:
        raise ValueError(f"got labels {labels.shape}, expected [{count}, sources]")
    with open(path, "wb") as file:  # np.save would add .npy to a name
        np.save(file, labels.astype(np.float32), allow_pickle=False)
    content = path.read_bytes()
    return {"bytes": len(content), "records": count, "blake3": blake3(content).hexdigest()}


def default_name(folder: str | Path) -> str:
    """What to call a data set in `folder`: the folder's own name, never empty."""
    return Path(folder).resolve().name or "dataset"


def shuffled_order(count: int) -> np.ndarray:
    """The order in which the sorted images are written: int [count], the same as published."""
    order = np.arange(count)
    np.random.RandomState(123).shuffle(order)
    return order
