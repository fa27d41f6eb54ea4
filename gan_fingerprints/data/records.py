"""The TFRecord files of a data set's images, read by random access and without TensorFlow."""

from __future__ import annotations

import os
import resource
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from gan_fingerprints.data import layout
from gan_fingerprints.program import UserError, load_tensorflow

MANY = 256  # files of a data set, beside which few others are open


class Level:
    """All records of one resolution: of one file, or of shards one after the other.

    Attributes:
        path: of the file; of shards, with a `*` in place of the number.
        files: in the order of their records.
        count: number of records.
    """

    def __init__(self, paths: Sequence[Path], resolution: int) -> None:
        self.files = [RecordFile(path, resolution) for path in paths]
        self.path = paths[0] if len(paths) == 1 else layout.any_shard(paths[0])
        self.resolution = resolution
        self._ends = np.cumsum([file.count for file in self.files])
        self.count = int(self._ends[-1])
        if not self.count:
            raise UserError(f"{self.path}: found empty files, expected records; {layout.ADVICE}")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """As `RecordFile.read`, by the number in all files together."""
        if len(self.files) == 1:
            return self.files[0].read(indices)
        images = np.empty((len(indices), self.resolution, self.resolution, 3), np.uint8)
        which = np.searchsorted(self._ends, indices, side="right")
        for i in np.unique(which):
            file, here = self.files[i], which == i
            images[here] = file.read(indices[here] - (self._ends[i] - file.count))
        return images

    def checksums(self) -> np.ndarray:
        """As `RecordFile.checksums`."""
        return np.concatenate([file.checksums() for file in self.files])


def allow_files(number: int) -> None:
    """Lets this process have so many files open, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if number > MANY and soft != hard:
        with suppress(ValueError, OSError):  # then opening says so
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
        count: number of records; 0 in a shard of nothing but bad images.
        descriptor: the open file.

    Raises:
        UserError: the file cannot be opened, is empty and no shard, is cut off inside a record, or
            its first or last record is damaged or of another shape.
    """

    def __init__(self, path: Path, resolution: int) -> None:
        self.path = path
        self.resolution = resolution
        # Not a memory map: its pages would count as memory of this process.
        self.descriptor = _opened(path)
        weakref.finalize(self, os.close, self.descriptor)
        self._size = os.fstat(self.descriptor).st_size
        self._usual = layout.record_layout(resolution).dtype.itemsize
        self._starts: list[int] | None = None
        self.count = self._size // self._usual
        if not self._size:
            if layout.is_shard(path):
                return
            raise UserError(f"{path}: found an empty file, expected records; {layout.ADVICE}")
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
