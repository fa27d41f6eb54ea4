"""The index of a TensorFlow checkpoint: which arrays its data file holds, and where.

An index is a sorted table (LevelDB's format) from variable names to protocol buffers of type
`BundleEntryProto`. Read here without TensorFlow, whose reader ends the process over some damaged
files: every length is held against the bytes that are there, every block against its checksum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from gan_fingerprints.networks.stored import Refused, clipped, plain_shape

MAX_INDEX = 2**24  # bytes; a published one has 3 thousand
MAX_NAME = 512
FOOTER = 48
MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", 9: "<i8", 10: "|b1", 19: "<f2"}


@dataclass(frozen=True)
class Entry:
    """One array of a checkpoint: where it lies in which data file, and its checksum."""

    dtype: np.dtype
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read(path: Path) -> tuple[int, dict[str, Entry]]:
    """Number of data files, and the arrays by name.

    Raises:
        Refused: damaged, or of a kind that the release did not write.
    """
    if path.stat().st_size > MAX_INDEX:
        raise Refused(f"an index of {path.stat().st_size:,} bytes, expected at most {MAX_INDEX:,}")
    content = path.read_bytes()
    if len(content) < FOOTER or content[-8:] != MAGIC:
        raise Refused("not an index, or cut off: its last bytes are not an index's")
    # The footer says where the block of the index of blocks lies, whose values say where the
    # blocks with the entries do.
    footer = _Cursor(content[-FOOTER:-8])
    footer.varint(), footer.varint()  # the table of tables about tables, always empty
    blocks = dict(_entries(_block(content, footer.varint(), footer.varint())))
    shards, entries = 1, {}
    for handle in blocks.values():
        place = _Cursor(handle)
        for name, value in _entries(_block(content, place.varint(), place.varint())):
            if name == b"":
                shards = _integer(_fields(value), 1, 1)
            else:
                entries[name.decode("utf-8", "replace")] = _entry(name, value)
    return shards, entries


class _Cursor:
    """Reads numbers from bytes; Refused where they end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        # Seven bits a byte, lowest first; the eighth says that more follow.
        value = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Refused("a number of more than 64 bits")

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise Refused("an entry that is cut off")
        self.at += length
        return self.data[self.at - length : self.at]


def _block(content: bytes, offset: int, size: int) -> bytes:
    """A block of a table, without its trailer: one byte of compression, four of checksum."""
    block, trailer = content[offset : offset + size], content[offset + size : offset + size + 5]
    if len(block) != size or len(trailer) != 5:
        raise Refused("a block outside of the index")
    if masked(block + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
        raise Refused("a block that does not have its checksum")
    if trailer[0]:
        raise Refused("a compressed block, which the release did not write")
    return block


def masked(data: bytes) -> int:
    """CRC-32C as checkpoints store it."""
    # Rotated and shifted: the checksum of data that hold their own checksum is no good one.
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; a key repeats the beginning of the one before."""
    # After the entries, the places where keys are written in full, for searches; not needed here.
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise Refused("a block without its end")
    cursor, key = _Cursor(block[:end]), b""
    while cursor.at < end:
        shared, own, length = cursor.varint(), cursor.varint(), cursor.varint()
        if shared > len(key) or shared + own > MAX_NAME:
            raise Refused("a name that is too long")
        key = key[:shared] + cursor.take(own)
        yield key, cursor.take(length)


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """The fields of a protocol buffer by number."""
    cursor = _Cursor(message)
    fields: dict[int, list[int | bytes]] = {}
    while cursor.at < len(message):
        # A tag, the number and the wire type of a field: varint, length and bytes, 8 or 4 bytes.
        tag = cursor.varint()
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value = cursor.varint()
        elif kind == 2:
            value = cursor.take(cursor.varint())
        elif kind in (1, 5):
            value = int.from_bytes(cursor.take(8 if kind == 1 else 4), "little")
        else:
            raise Refused(f"a field of unknown kind {kind}")
        fields.setdefault(number, []).append(value)
    return fields


def _integer(fields: dict[int, list[int | bytes]], number: int, default: int = 0) -> int:
    value = fields.get(number, [default])[-1]
    if not isinstance(value, int):
        raise Refused("a text where a number is expected")
    return value


def _entry(name: bytes, value: bytes) -> Entry:
    fields = _fields(value)
    kind = _integer(fields, 1)
    if kind not in TYPES or 7 in fields:
        what = "cut into slices" if 7 in fields else f"of type {kind}"
        raise Refused(f"array {clipped(name)} {what}, which the release did not write")
    dtype = np.dtype(TYPES[kind])
    shape = plain_shape(tuple(_dimensions(fields.get(2, []))))
    entry = Entry(dtype, shape, *(_integer(fields, i) for i in range(3, 7)))
    if entry.size != math.prod(shape) * dtype.itemsize:
        raise Refused(f"array {clipped(name)}: {entry.size:,} bytes for shape {shape} of {dtype}")
    return entry


def _dimensions(messages: list[int | bytes]) -> Iterator[int]:
    """The sizes in a TensorShapeProto: field 2 holds messages whose field 1 is a size."""
    for message in messages[-1:]:
        for dimension in _fields(message).get(2, []) if isinstance(message, bytes) else []:
            yield _integer(_fields(dimension), 1) if isinstance(dimension, bytes) else 0
