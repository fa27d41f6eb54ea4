"""TFRecord files of images: what their bytes are, made and read without TensorFlow.

Importing TensorFlow takes longer than preparing thousands of images, and per image its writer
costs as much as decoding a PNG. The files are the same, checksums included.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from blake3 import blake3

from gan_fingerprints.commands import UserError, load_tensorflow

FRAME = 12  # bytes before a record: its length (uint64) and the checksum of that (uint32)
IN_CACHE = 2**18  # bytes that are halved at a time
ADVICE = "copy it again or prepare the data set again"


def crc32c(rows: np.ndarray) -> np.ndarray:
    """CRC-32C of each row, contiguous in memory: uint8 [N, L] → uint32 [N]."""
    rows = rows.view()
    rows.flags.writeable = False  # else the library wants a copy
    return np.array([google_crc32c.value(row) for row in rows], np.uint32)


def _masked_crc(rows: np.ndarray) -> np.ndarray:
    """The checksum that TFRecord files hold."""
    crc = crc32c(rows)
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


def _frame(length: int) -> bytes:
    """What precedes a record of `length` bytes."""
    number = np.array([[length]], "<u8").view(np.uint8)
    return number.tobytes() + _masked_crc(number).astype("<u4").tobytes()


def _varint(value: int) -> bytes:
    high, low = divmod(value, 128)
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


def _field(number: int, content: bytes) -> bytes:
    """A protocol buffer's field of bytes."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


class Layout(NamedTuple):
    """One record with its frame, as a NumPy structure; `head` and `tail` are always the same."""

    dtype: np.dtype
    head: np.ndarray
    tail: np.ndarray


@lru_cache
def layout(resolution: int, shape_first: bool = False) -> Layout:
    """The layout of a record: ours, or that with `shape` before `data`, as many published ones."""
    pixels = b"\xff" * (3 * resolution**2)
    shape = b"".join(map(_varint, (3, resolution, resolution)))
    features = {b"data": _field(1, _field(1, pixels)), b"shape": _field(3, _field(1, shape))}
    entries = [_field(1, _field(1, name) + _field(2, x)) for name, x in features.items()]
    example = _field(1, b"".join(reversed(entries) if shape_first else entries))
    head, _, tail = (_frame(len(example)) + example).partition(pixels)
    fields = [
        ("head", np.uint8, len(head)),
        ("pixels", np.uint8, (3, resolution, resolution)),
        ("tail", np.uint8, len(tail)),
        ("crc", "<u4"),
    ]
    return Layout(np.dtype(fields), np.frombuffer(head, np.uint8), np.frombuffer(tail, np.uint8))


@lru_cache(maxsize=16)
def _scratch(resolution: int, number: int) -> np.ndarray:
    """Memory for records, kept because fresh memory costs more than filling it."""
    return np.empty(number, layout(resolution).dtype)


def encode(
    pictures: Iterable[np.ndarray], most: int, resolutions: Sequence[int]
) -> list[np.ndarray]:
    """Records of N <= `most` images, uint8 [R, R, 3], at each of R, R/2, ...

    Each half is the 2×2 mean of the floats above it; rounding comes last. A few images at a time
    are taken and halved, which is faster while the processor's cache still holds them.

    Returns:
        One structured array [N] for each of `resolutions`.
    """
    blocks = [np.empty(most, layout(resolution).dtype) for resolution in resolutions]
    few = max(1, IN_CACHE // blocks[0].itemsize)
    rest, count = iter(pictures), 0
    while part := list(islice(rest, few)):
        _fill_pixels([block["pixels"][count : count + len(part)] for block in blocks], part)
        count += len(part)
    blocks = [block[:count] for block in blocks]
    for block, resolution in zip(blocks, resolutions, strict=True):
        block["head"], block["tail"] = layout(resolution)[1:]
        rows = block.view(np.uint8).reshape(count, block.itemsize)
        block["crc"] = _masked_crc(rows[:, FRAME:-4])
    return blocks


def _fill_pixels(levels: Sequence[np.ndarray], pictures: Sequence[np.ndarray]) -> None:
    for place, picture in zip(levels[0], pictures, strict=True):
        place[:] = picture.transpose(2, 0, 1)
    means = levels[0]
    for level in levels[1:]:
        rows = np.add(means[..., 0::2, :], means[..., 1::2, :], dtype=np.float32)
        means = (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)
        level[:] = np.rint(means)


def write_at(path: Path, offset: int, records: np.ndarray) -> None:
    """Writes into an existing file, from a byte on."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(records.view(np.uint8).data)


class GrowingFile:
    """One TFRecord file being written. Hashes its records in order, as they come."""

    def __init__(self, path: Path, resolution: int) -> None:
        self.path = path
        self.count = 0
        self._itemsize = layout(resolution).dtype.itemsize
        self._blake3 = blake3()
        path.touch(exist_ok=False)

    def append(self, records: np.ndarray) -> None:
        write_at(self.path, self.count * self._itemsize, records)
        self._blake3.update(records.view(np.uint8).data)
        self.count += len(records)

    def take(self, place: int, number: int) -> None:
        """Takes in `number` records that a worker wrote; moves them up if earlier ones lacked."""
        if not number:
            return
        size, start = number * self._itemsize, place * self._itemsize
        before = start % mmap.ALLOCATIONGRANULARITY
        with (
            open(self.path, "rb") as file,
            mmap.mmap(
                file.fileno(), before + size, access=mmap.ACCESS_READ, offset=start - before
            ) as pages,
        ):
            with memoryview(pages) as view, view[before:] as records:
                self._blake3.update(records)
            if place != self.count:
                moved = np.frombuffer(pages[before:], np.uint8)  # a copy: the places may overlap
                write_at(self.path, self.count * self._itemsize, moved)
        self.count += number

    def finish(self) -> dict[str, Any]:
        size = self.count * self._itemsize
        os.truncate(self.path, size)
        return {"bytes": size, "records": self.count, "blake3": self._blake3.hexdigest()}


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
            raise UserError(f"{path}: found an empty file, expected records; {ADVICE}")
        # Not a memory map: its pages would count as memory of this process.
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._usual = layout(resolution).dtype.itemsize
        self._starts: list[int] | None = None
        self.count = self._size // self._usual
        if self._size % self._usual or self._end_of_record(0) != self._usual:
            self._starts = self._walk()
            self.count = len(self._starts) - 1
        self.read(np.array([0, self.count - 1]))

    def _end_of_record(self, start: int) -> int:
        length = int.from_bytes(os.pread(self._descriptor, 8, start), "little")
        return start + FRAME + length + 4

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
        return UserError(f"{self.path}: {found}, expected whole records; {ADVICE}")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Images by record number: int [N] → uint8 [N, 3, R, R]; UserError when one is damaged."""
        if self._starts is None:
            return self._pixels(self._rows(indices * self._usual, self._usual), indices)
        images = np.empty((len(indices), 3, self.resolution, self.resolution), np.uint8)
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
        images = np.empty((len(rows), 3, self.resolution, self.resolution), np.uint8)
        unknown = np.ones(len(rows), bool)
        for shape_first in (False, True):
            dtype, head, tail = layout(self.resolution, shape_first)
            if rows.shape[1] == dtype.itemsize:
                records = rows.view(dtype)[:, 0]
                known = (records["head"] == head).all(1) & (records["tail"] == tail).all(1)
                for i in np.flatnonzero(known):
                    images[i] = records["pixels"][i]
                unknown &= ~known
        for i in np.flatnonzero(unknown):
            images[i] = self._parse(rows[i, FRAME:-4].tobytes(), indices[i])
        return images

    def _require_intact(self, rows: np.ndarray, indices: np.ndarray) -> None:
        frame = np.frombuffer(_frame(rows.shape[1] - FRAME - 4), np.uint8)
        crc = rows[:, -4:].copy().view("<u4")[:, 0]
        wrong = (_masked_crc(rows[:, FRAME:-4]) != crc) | (rows[:, :FRAME] != frame).any(axis=1)
        if wrong.any():
            raise self._error(f"record {indices[wrong][0]} is damaged (its checksum differs)")

    def _parse(self, record: bytes, index: int) -> np.ndarray:
        """The image in a record that another program wrote in its own way."""
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
                f"uint8 of shape {expected} as the file is named; {ADVICE}"
            )
        return np.frombuffer(data, np.uint8).reshape(expected)
