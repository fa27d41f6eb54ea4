"""Reads data sets on disk, ours or published, by random access and without TensorFlow."""

from __future__ import annotations

import json
import os
import re
import weakref
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from gan_fingerprints import images, program
from gan_fingerprints.data import layout
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
        folder = program.existing_folder(folder, flag)
        name = find_name(folder, flag)
        manifest = read_manifest(folder, name)
        files = {}
        for path in sorted(folder.glob("*.tfrecords")):
            resolution = 2 ** int(path.stem[-2:])
            files[resolution] = RecordFile(path, resolution)
        count = _common_count(files.values(), manifest)
        if manifest:
            check_sizes(folder, manifest)
        labels = read_labels(folder, name, count)
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
            path = layout.manifest_path(self.folder, self.name)
            raise UserError(
                f"{path}: found {len(names)} source names, expected {sources}, one per column of "
                f"the labels; {layout.ADVICE}"
            )
        return names or [f"source_{i}" for i in range(sources)]

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

    @cached_property
    def checksum(self) -> str:
        """Identifies the content: BLAKE3 over those of the files, from the manifest if any."""
        hashes = self._recorded_hashes()
        if not hashes:
            paths = [file.path for file in self._files.values()]
            if self.labels is not None:
                paths.append(layout.labels_path(self.folder, self.name))
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
                f"{file.path}: found {file.count} records, expected {expected} as {other}; "
                f"{layout.ADVICE}"
            )
    return expected


def _blake3(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()


class RecordFile:
    """One TFRecord file of images of one resolution, read by random access, from any thread.

    Holds no pixels and, when all records are equally long, no index of them.

    Attributes:
        path, resolution: as given.
        count: number of records.

    Raises:
        UserError: the file is empty, cut off inside a record, or its first or last record is
            damaged or of another shape.
    """

    def __init__(self, path: Path, resolution: int) -> None:
        self.path = path
        self.resolution = resolution
        self._size = path.stat().st_size
        if not self._size:
            raise UserError(f"{path}: found an empty file, expected records; {layout.ADVICE}")
        # Not a memory map: its pages would count as memory of this process.
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._usual = layout.record_layout(resolution).dtype.itemsize
        self._starts: list[int] | None = None
        self.count = self._size // self._usual
        if self._size % self._usual or self._end_of_record(0) != self._usual:
            self._starts = self._walk()
            self.count = len(self._starts) - 1
        self.read(np.array([0, self.count - 1]))

    def _end_of_record(self, start: int) -> int:
        length = int.from_bytes(os.pread(self._descriptor, 8, start), "little")
        return start + layout.FRAME + length + 4

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

    def _rows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Records of the same length with their frames: uint8 [N, length]."""
        rows = np.empty((len(starts), length), np.uint8)
        for row, start in zip(rows, starts.tolist(), strict=True):
            content = os.pread(self._descriptor, length, start)
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


def find_name(folder: Path, flag: str) -> str:
    """How the files of the data set in `folder` begin; empty in some published ones.

    Raises:
        UserError: there is no data set, or more than one.
    """
    paths = sorted(folder.glob("*.tfrecords"))
    names = set()
    for path in paths:
        match = re.fullmatch(r"(.*)-r(0[2-9]|1[0-3])\.tfrecords", path.name)
        if not match:
            raise UserError(
                f"{path}: found this name, expected NAME-rNN.tfrecords, NN being log2 of the "
                "resolution, 02 to 13; rename the file or remove it"
            )
        names.add(match[1])
    if not names:
        raise UserError(
            f"{flag} {folder}: found {images.content_of(folder)}, expected a data set (files "
            "NAME-rNN.tfrecords); prepare one with dataset_tool.py or data_preparation.py"
        )
    if len(names) > 1:
        raise UserError(
            f"{flag} {folder}: found {len(names)} data sets ({', '.join(sorted(names))}), "
            "expected one; give each a folder of its own"
        )
    return names.pop()


def read_manifest(folder: Path, name: str) -> dict[str, Any] | None:
    """The manifest, when there is one.

    Raises:
        UserError: it is not one, or a file that it lists is missing.
    """
    path = layout.manifest_path(folder, name)
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        names = [str(name) for name in manifest["files"]]
        for facts in [manifest["count"], *(x["bytes"] for x in manifest["files"].values())]:
            int(facts)
        for facts in manifest["files"].values():
            bytes.fromhex(facts["blake3"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: cannot be read as the manifest of a data set ({error!r}); {layout.ADVICE}"
        ) from None
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: missing, but listed in {path.name}; {layout.ADVICE}")
    return manifest


def check_sizes(folder: Path, manifest: dict[str, Any]) -> None:
    """UserError unless the files are as large as the manifest says."""
    for name, facts in manifest["files"].items():
        size = (folder / name).stat().st_size
        if size != facts["bytes"]:
            raise UserError(
                f"{folder / name}: found {size} bytes, expected {facts['bytes']} as the manifest "
                f"says; {layout.ADVICE}"
            )


def read_labels(folder: Path, name: str, count: int) -> np.ndarray | None:
    """The labels, float32 [count, sources], when there are any.

    Raises:
        UserError: the file holds something else, or not one label per record.
    """
    path = layout.labels_path(folder, name)
    if not path.exists():
        return None
    try:
        labels = np.load(path, allow_pickle=False)
        found = f"{labels.dtype} of shape {list(labels.shape)}"
    except (ValueError, OSError, EOFError, AttributeError) as error:
        raise UserError(
            f"{path}: cannot be read as a NumPy array ({error}); {layout.ADVICE}"
        ) from None
    if labels.ndim != 2 or labels.dtype.kind != "f":
        raise UserError(
            f"{path}: found {found}, expected float32 [images, sources]; {layout.ADVICE}"
        )
    if len(labels) != count:
        raise UserError(
            f"{path}: found {len(labels)} labels, expected {count} records; {layout.ADVICE}"
        )
    return labels.astype(np.float32)
