"""Reads data sets on disk, ours or published, by random access and without TensorFlow."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3

from gan_fingerprints import program
from gan_fingerprints.data import digests, groups, layout
from gan_fingerprints.data import manifest as manifests
from gan_fingerprints.program import UserError, load_tensorflow


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
        groups: int64 [count], the number of each image's group (see `data.groups`), or None.
        group_names: of the groups, by their numbers; None where they have none.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        files: dict[int, RecordFile],
        labels: Labels | None,
        manifest: dict[str, Any] | None,
    ) -> None:
        self.folder, self.name, self.manifest = folder, name, manifest
        self.labels = labels.array if labels else None
        self._labels_digest = labels.digest if labels else ""
        self.resolutions = sorted(files)
        self.resolution = self.resolutions[-1]
        self.count = files[self.resolution].count
        self.source_names = self._named_sources()
        kept = manifest.get("groups") if manifest else None
        self.groups = groups.unpacked(kept, self.count) if kept else None
        self.group_names: list[str] | None = kept["names"] if kept else None
        self._files = files

    @classmethod
    def open(
        cls, folder: str | Path, flag: str, *, needs_labels: bool = False, verify: bool = True
    ) -> DataSet:
        """Opens and checks the data set in a folder; `flag` named the folder.

        verify: compare the content of every file with the manifest, if there is one; False takes
        its word for the checksum.

        Raises:
            UserError: naming the file that is missing, too many, cut off, damaged, of another
                shape or content, or disagrees with the manifest or the other files.
        """
        folder = program.existing_folder(folder, flag)
        name = layout.find_name(folder, flag)
        manifest = manifests.read(folder, name)
        if manifest:
            manifests.require_files(folder, manifest, set(layout.file_names(folder)))
        files = {}
        for path in sorted(folder.glob("*.tfrecords")):
            resolution = 2 ** int(path.stem[-2:])
            files[resolution] = RecordFile(path, resolution)
        count = _common_count(files.values(), manifest)
        labels = read_labels(folder, name, count)
        if needs_labels and labels is None:
            raise UserError(
                f"{flag} {folder}: found no {name}-rxx.labels, expected labels; prepare the data "
                "with data_preparation.py of the classifier"
            )
        data = cls(folder, name, files, labels, manifest)
        if manifest:
            manifests.require_shape(folder, manifest, data.resolution, data.labels)
            if verify:
                manifests.require_unchanged(folder, manifest, data.digests)
            else:
                data.digests = {name: x["blake3"] for name, x in manifest["files"].items()}
        return data

    def _named_sources(self) -> list[str] | None:
        names = self.manifest.get("source_names") if self.manifest else None
        if self.labels is None:
            return names
        sources = self.labels.shape[1]
        if names is not None and len(names) != sources:
            path = layout.manifest_path(self.folder, self.name)
            raise UserError(
                f"{path}: found {len(names)} source names, expected {sources}, one per column of "
                f"the labels; {layout.ADVICE}"
            )
        return names or [f"source_{i}" for i in range(sources)]

    @property
    def independent(self) -> np.ndarray:
        """`groups`; where there are none, each image is one of its own: int64 [count]."""
        return np.arange(self.count) if self.groups is None else self.groups

    def require_level(self, resolution: int) -> None:
        """UserError unless the images are there at this resolution."""
        if resolution not in self._files:
            path = layout.level_path(self.folder, self.name, resolution)
            found = ", ".join(f"{x}x{x}" for x in self.resolutions)
            raise UserError(
                f"{path}: missing, the data set holds {found}; prepare it again with a "
                f"--resolution from {resolution} up and every level, or ask for one that is there"
            )

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray:
        """Images by record number: int [N] → uint8 [N, H, W, 3], a new array.

        Raises:
            UserError: a record is damaged or of another shape, or the resolution is missing.
        """
        resolution = resolution or self.resolution
        self.require_level(resolution)
        return self._files[resolution].read(np.asarray(indices, np.int64))

    def record_checksums(self) -> np.ndarray:
        """What each record of the full resolution ends with, a CRC-32C of it: uint32 [count]."""
        return self._files[self.resolution].checksums()

    @cached_property
    def digests(self) -> dict[str, str]:
        """File name → BLAKE3 of what is read from it, or of what the manifest says it holds."""
        files = {file.path: file.descriptor for file in self._files.values()}
        labels = layout.labels_path(self.folder, self.name).name
        known = {} if self.labels is None else {labels: self._labels_digest}
        return digests.of_files(files) | known

    @cached_property
    def checksum(self) -> str:
        """Identifies the content: BLAKE3 over those of the files."""
        return blake3("".join(x for _, x in sorted(self.digests.items())).encode()).hexdigest()


def _common_count(files: Collection[RecordFile], manifest: dict[str, Any] | None) -> int:
    expected = manifest["count"] if manifest else max(file.count for file in files)
    for file in files:
        if file.count != expected:
            other = "the manifest says" if manifest else "the other resolutions have"
            raise UserError(
                f"{file.path}: found {file.count} records, expected {expected} as {other}; "
                f"{layout.ADVICE}"
            )
    return expected


def _opened(path: Path) -> int:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise OSError("not a file")
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error}), expected records; {layout.ADVICE}"
        ) from None


class RecordFile:
    """One TFRecord file of images of one resolution, read by random access, from any thread.

    Holds no pixels and, when all records are equally long, no index of them.

    Attributes:
        path, resolution: as given.
        count: number of records.
        descriptor: the open file.

    Raises:
        UserError: the file cannot be opened, is empty, cut off inside a record, or its first or
            last record is damaged or of another shape.
    """

    def __init__(self, path: Path, resolution: int) -> None:
        self.path = path
        self.resolution = resolution
        # Not a memory map: its pages would count as memory of this process.
        self.descriptor = _opened(path)
        weakref.finalize(self, os.close, self.descriptor)
        self._size = os.fstat(self.descriptor).st_size
        if not self._size:
            raise UserError(f"{path}: found an empty file, expected records; {layout.ADVICE}")
        self._usual = layout.record_layout(resolution).dtype.itemsize
        self._starts: list[int] | None = None
        self.count = self._size // self._usual
        if self._size % self._usual or self._end_of_record(0) != self._usual:
            self._starts = self._walk()
            self.count = len(self._starts) - 1
        self.read(np.array([0, self.count - 1]))

    def _end_of_record(self, start: int) -> int:
        length = int.from_bytes(self._content(8, start), "little")
        return start + layout.FRAME + length + 4

    def _content(self, length: int, start: int) -> bytes:
        try:
            return os.pread(self.descriptor, length, start)
        except OSError as error:
            raise self._error(f"cannot be read ({error})") from None

    def _walk(self) -> list[int]:
        """Where each record starts, and the end of the file."""
        starts = [0]
        while starts[-1] < self._size:
            end = self._end_of_record(starts[-1])
            if end > self._size:
                raise self._error(f"ends in the middle of record {len(starts) - 1}")
            starts.append(end)
        return starts

    def _error(self, found: str) -> UserError:
        return UserError(f"{self.path}: {found}, expected whole records; {layout.ADVICE}")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Images by record number: int [N] → uint8 [N, R, R, 3]; UserError when one is damaged."""
        if self._starts is None:
            return self._pixels(self._rows(indices * self._usual, self._usual), indices)
        images = np.empty((len(indices), self.resolution, self.resolution, 3), np.uint8)
        for image, i in zip(images, indices, strict=True):
            start, end = self._starts[i : i + 2]
            image[:] = self._pixels(self._rows(np.array([start]), end - start), np.array([i]))[0]
        return images

    def checksums(self) -> np.ndarray:
        """The masked CRC-32C of each record as the file states it, uint32 [count]."""
        ends = self._starts or range(0, self._size + 1, self._usual)
        return np.frombuffer(b"".join(self._content(4, end - 4) for end in ends[1:]), "<u4")

    def _rows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Records of the same length with their frames: uint8 [N, length]."""
        rows = np.empty((len(starts), length), np.uint8)
        for row, start in zip(rows, starts.tolist(), strict=True):
            content = self._content(length, start)
            if len(content) != length:
                raise self._error(f"ends in the middle of the record at byte {start}")
            row[:] = np.frombuffer(content, np.uint8)
        return rows

    def _pixels(self, rows: np.ndarray, indices: np.ndarray) -> np.ndarray:
        self._require_intact(rows, indices)
        images = np.empty((len(rows), self.resolution, self.resolution, 3), np.uint8)
        unknown = np.ones(len(rows), bool)
        for shape_first in (False, True):
            dtype, head, tail = layout.record_layout(self.resolution, shape_first)
            if rows.shape[1] == dtype.itemsize:
                records = rows.view(dtype)[:, 0]
                known = (records["head"] == head).all(1) & (records["tail"] == tail).all(1)
                # Channel by channel is five times as fast as transposing: long runs are copied.
                for channel in range(3):
                    images[known, ..., channel] = records["pixels"][known, channel]
                unknown &= ~known
        for i in np.flatnonzero(unknown):
            images[i] = self._parse(rows[i, layout.FRAME : -4].tobytes(), indices[i])
        return images

    def _require_intact(self, rows: np.ndarray, indices: np.ndarray) -> None:
        frame = np.frombuffer(layout.frame(rows.shape[1] - layout.FRAME - 4), np.uint8)
        crc = rows[:, -4:].copy().view("<u4")[:, 0]
        wrong = (layout.masked_crc(rows[:, layout.FRAME : -4]) != crc) | (
            rows[:, : layout.FRAME] != frame
        ).any(axis=1)
        if wrong.any():
            raise self._error(f"record {indices[wrong][0]} is damaged (its checksum differs)")

    def _parse(self, record: bytes, index: int) -> np.ndarray:
        """The image, uint8 [R, R, 3], in a record that another program wrote in its own way."""
        load_tensorflow()
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            features = tf.train.Example().features.feature
        shape = list(features["shape"].int64_list.value)
        data = b"".join(features["data"].bytes_list.value)
        expected = [3, self.resolution, self.resolution]
        if shape != expected or len(data) != np.prod(expected):
            raise UserError(
                f"{self.path}: record {index} holds {len(data)} bytes of shape {shape}, expected "
                f"uint8 of shape {expected} as the file is named; {layout.ADVICE}"
            )
        return np.frombuffer(data, np.uint8).reshape(expected).transpose(1, 2, 0)


class Labels(NamedTuple):
    """Labels, float32 [count, sources], and the BLAKE3 of the file that they were read from."""

    array: np.ndarray
    digest: str


def read_labels(folder: Path, name: str, count: int) -> Labels | None:
    """The labels when there are any, exactly one-hot.

    Raises:
        UserError: the file holds something else, or not one label per record.
    """
    path = layout.labels_path(folder, name)
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        labels = np.load(io.BytesIO(content), allow_pickle=False)
        found = f"{labels.dtype} of shape {list(labels.shape)}"
    except Exception as error:  # NumPy evaluates the header, which may fail in any way
        raise UserError(
            f"{path}: cannot be read as a NumPy array ({error}); {layout.ADVICE}"
        ) from None
    if labels.ndim != 2 or labels.dtype != np.float32:
        raise UserError(
            f"{path}: found {found}, expected float32 [images, sources]; {layout.ADVICE}"
        )
    if len(labels) != count:
        raise UserError(
            f"{path}: found {len(labels)} labels, expected {count} records; {layout.ADVICE}"
        )
    wrong = ((labels == 1).sum(axis=1) != 1) | ((labels != 0).sum(axis=1) != 1)  # so is NaN
    if wrong.any():
        first = int(np.argmax(wrong))
        raise UserError(
            f"{path}: label {first} is {str(labels[first].tolist())[:60]}, expected one 1 and "
            f"zeros; {layout.ADVICE}"
        )
    return Labels(labels, blake3(content).hexdigest())
