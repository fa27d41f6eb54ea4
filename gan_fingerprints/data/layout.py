"""The files of a data set: their names, and what the bytes of a TFRecord of an image are.

Importing TensorFlow takes longer than preparing thousands of images, and per image its writer
costs as much as decoding a PNG. The files are the same, checksums included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from gan_fingerprints import images
from gan_fingerprints.program import UserError

FRAME = 12  # bytes before a record: its length (uint64) and the checksum of that (uint32)
ADVICE = "copy it again or prepare the data set again"


MOST_SHARDS = 99_999
SHARD = r"-(?P<number>\d{5})-of-(?P<shards>\d{5})"
LEVEL = rf"(?P<level>0[2-9]|1[0-3])({SHARD})?\.tfrecords"
FILE = re.compile(rf"(?P<name>.*)-r({LEVEL}|xx\.labels)")
"""How the files of a data set are called."""


class Shard(NamedTuple):
    """Which part of a level a file holds: number 0, 1, ... of so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"-{self.number:05d}-of-{self.of:05d}"


def level_path(folder: Path, name: str, resolution: int, shard: Shard | None = None) -> Path:
    """The TFRecord file of one resolution, or of a shard of it."""
    return folder / f"{name}-r{resolution.bit_length() - 1:02d}{shard or ''}.tfrecords"


def is_shard(path: Path) -> bool:
    """Whether a file holds one part of a level."""
    return bool(re.search(rf"{SHARD}\.tfrecords$", path.name))


def any_shard(path: Path) -> Path:
    """How all shards of a level are called, for messages: NAME-r07-*-of-00016.tfrecords."""
    return path.with_name(re.sub(r"-\d{5}(-of-\d{5}\.tfrecords)$", r"-*\1", path.name))


def levels(folder: Path) -> dict[int, list[Path]]:
    """Resolution → its files in the order of their records, of a folder as of `find_name`.

    Raises:
        UserError: a shard is missing, or a level is there in more than one way.
    """
    found: dict[int, dict[Shard | None, Path]] = {}
    for path in sorted(folder.glob("*.tfrecords")):
        if match := FILE.fullmatch(path.name):
            number = match["number"]
            shard = None if number is None else Shard(int(number), int(match["shards"]))
            found.setdefault(2 ** int(match["level"]), {})[shard] = path
    for files in found.values():
        _require_whole(files)
    return {resolution: list(files.values()) for resolution, files in found.items()}


def _require_whole(files: Mapping[Shard | None, Path]) -> None:
    """UserError unless a level's files are one, or all shards of one number of them."""
    first, *others = {None if shard is None else shard.of: path for shard, path in files.items()}
    if others:
        names = [str(path) for path in list(files.values())[:: len(files) - 1]]
        raise UserError(
            f"{names[0]}: found {names[-1]}, too, expected one file, or the shards of one number "
            f"of them; remove the others, or {ADVICE}"
        )
    if first is None:
        return
    some = next(iter(files.values()))
    shards = {shard: path for shard, path in files.items() if shard}
    expected = {Shard(i, first) for i in range(first)}
    if missing := expected - shards.keys():
        gone = re.sub(rf"{SHARD}\.tfrecords$", f"{min(missing)}.tfrecords", some.name)
        raise UserError(
            f"{some.with_name(gone)}: missing, and {len(missing) - 1} other shards, expected "
            f"{first} as {some.name} says; {ADVICE}"
        )
    if unknown := shards.keys() - expected:
        raise UserError(
            f"{shards[max(unknown)]}: found this number, expected 0 to {first - 1}; rename the "
            "file or remove it"
        )


def labels_path(folder: Path, name: str) -> Path:
    return folder / f"{name}-rxx.labels"


def manifest_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def file_names(folder: Path) -> list[str]:
    """Names of the files of data sets that a folder holds, manifests left out."""
    kinds = ("*.tfrecords", "*-rxx.labels")
    return sorted(path.name for kind in kinds for path in folder.glob(kind))


def find_name(folder: Path, flag: str) -> str:
    """How the files of the data set in `folder` begin; empty in some published ones.

    Raises:
        UserError: there is no data set, or more than one.
    """
    names = set()
    for file in file_names(folder):
        match = FILE.fullmatch(file)
        if not match:
            raise UserError(
                f"{folder / file}: found this name, expected NAME-rNN.tfrecords, NN being log2 of "
                "the resolution, 02 to 13 (of shards NAME-rNN-00000-of-00016.tfrecords); rename "
                "the file or remove it"
            )
        names.add(match["name"])
    if not any(folder.glob("*.tfrecords")):
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


def crc32c(rows: np.ndarray) -> np.ndarray:
    """CRC-32C of each row, contiguous in memory: uint8 [N, L] → uint32 [N]."""
    return np.array([google_crc32c.value(row) for row in _unwritable(rows)], np.uint32)


def _unwritable(rows: np.ndarray) -> np.ndarray:
    rows = rows.view()
    rows.flags.writeable = False  # else the library wants a copy
    return rows


def masked_crc(rows: np.ndarray) -> np.ndarray:
    """The checksum that TFRecord files hold."""
    return masked(crc32c(rows))


def masked(crc: np.ndarray) -> np.ndarray:
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


def frame(length: int) -> bytes:
    """What precedes a record of `length` bytes."""
    number = np.array([[length]], "<u8").view(np.uint8)
    return number.tobytes() + masked_crc(number).astype("<u4").tobytes()


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
def record_layout(resolution: int, shape_first: bool = False) -> Layout:
    """The layout of a record: ours, or that with `shape` before `data`, as many published ones."""
    pixels = b"\xff" * (3 * resolution**2)
    shape = b"".join(map(_varint, (3, resolution, resolution)))
    features = {b"data": _field(1, _field(1, pixels)), b"shape": _field(3, _field(1, shape))}
    entries = [_field(1, _field(1, name) + _field(2, x)) for name, x in features.items()]
    example = _field(1, b"".join(reversed(entries) if shape_first else entries))
    head, _, tail = (frame(len(example)) + example).partition(pixels)
    fields = [
        ("head", np.uint8, len(head)),
        ("pixels", np.uint8, (3, resolution, resolution)),
        ("tail", np.uint8, len(tail)),
        ("crc", "<u4"),
    ]
    return Layout(np.dtype(fields), np.frombuffer(head, np.uint8), np.frombuffer(tail, np.uint8))


def checksums(pixels: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Of images in records of ours: uint8 [N, 3 · R · R], each contiguous in memory, by channels.

    Returns:
        CRC-32C of a record without its frame, as far as a quarter, half, three quarters and all of
        the pixels, uint32 [N, 4]. Each follows from that before, so that they say as much as one of
        each quarter; the masked one of the whole record, which all but comes with them, [N].
    """
    _, head, tail = record_layout(resolution)
    begin, end = google_crc32c.value(head[FRAME:].tobytes()), tail.tobytes()
    quarters = np.split(_unwritable(pixels), 4, axis=1)
    found = np.empty((len(pixels), 4), np.uint32)
    whole = np.empty(len(pixels), np.uint32)
    extend = google_crc32c.extend
    for i, (a, b, c, d) in enumerate(zip(*quarters, strict=True)):
        first = extend(begin, a)
        second = extend(first, b)
        third = extend(second, c)
        fourth = extend(third, d)
        found[i] = first, second, third, fourth
        whole[i] = extend(fourth, end)
    return found, masked(whole)
