"""Arrays in an .npz file, checked before anything is unpacked: no objects, no bombs.

Sizes are what the directory of the file and the header of each array say; both must agree, and
their sum is held against the size of the file.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_fingerprints.networks.stored import Refused, StoredArray, clipped, plain_dtype, plain_shape

MAX_FILE = 2**30  # bytes
MAX_MEMBERS = 10_000
MAX_DIRECTORY = 2**20  # bytes of the zip's directory
ALWAYS_ALLOWED = 2**26  # bytes of arrays, however well they were compressed
MAX_RATIO = 4  # beyond that; weights hardly shrink, half of a training state may be zeros
MAX_TEXT = 2**20  # bytes of a text, such as the log in Chainer's training states

BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError,
    UnicodeDecodeError,
)  # fmt: skip
END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
# NumPy's header is the text of a Python dict, which is matched here and never evaluated.
HEADER = re.compile(
    r"\{'descr': '([^']{2,12})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,15}L?,? ?){0,8})\), \}\s*"
)


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    length: int  # of magic and header, in bytes


def read(path: Path) -> dict[str, StoredArray]:
    """The arrays of an npz by key; each is unpacked when it is used.

    Raises:
        Refused: not an npz of plain numbers and texts, or damaged.
    """
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            _check_members(members, path.stat().st_size)
            return {m.filename.removesuffix(".npy"): _array(path, file, m) for m in members}
    except BROKEN as error:
        raise Refused(f"a damaged archive: {clipped(str(error))}") from None


def _check_directory(path: Path) -> None:
    """Refused unless the file ends in the directory of a small plain archive."""
    size, length = path.stat().st_size, END_OF_DIRECTORY.size
    if not length <= size <= MAX_FILE:
        raise Refused(f"{size:,} bytes, expected at most {MAX_FILE:,} and a whole archive")
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise Refused("not an archive")
        # With the 20 bytes before it, where an archive in the zip64 format has its locator.
        file.seek(-min(size, length + 20), 2)
        end = file.read()
    magic, *disks, here, members, directory, offset, comment = END_OF_DIRECTORY.unpack(
        end[-length:]
    )
    if magic != b"PK\x05\x06" or any(disks) or comment or here != members:
        raise Refused("a damaged archive: it does not end in its directory")
    if end[:4] == b"PK\x06\x07" and len(end) > length:
        raise Refused("an archive in the zip64 format, which weights do not need")
    if members > MAX_MEMBERS or directory > MAX_DIRECTORY or directory + offset > size:
        raise Refused(f"an archive of {members:,} members with a directory of {directory:,} bytes")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    allowed = max(ALWAYS_ALLOWED, MAX_RATIO * size)
    total = sum(member.file_size for member in members)
    if total > allowed:
        raise Refused(
            f"{total:,} bytes of arrays in a file of {size:,}, expected at most {allowed:,}"
        )
    # Members that share their bytes are how a small archive unpacks to a very large one.
    if sum(member.compress_size for member in members) > size:
        raise Refused("members that overlap")
    seen = set()
    for member in members:
        name = member.filename
        plain = name.endswith(".npy") and not name.startswith("/") and "\\" not in name
        if not plain or ".." in name.split("/") or len(name) > 200:
            raise Refused(f"a member {clipped(name)}, expected names of arrays (.npy)")
        if name in seen:
            raise Refused(f"two members {clipped(name)}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"member {clipped(name)} in a compression that NumPy does not write")
        seen.add(name)


def _array(path: Path, file: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredArray:
    header = _header(file, member)
    if header.length + math.prod(header.shape) * header.dtype.itemsize != member.file_size:
        raise Refused(
            f"array {clipped(member.filename)}: {member.file_size:,} bytes for shape "
            f"{header.shape} of {header.dtype}"
        )

    def unpack() -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as again, again.open(member.filename) as content:
                data = content.read(member.file_size + 1)[header.length :]
        except BROKEN as error:
            raise Refused(f"damaged: {clipped(str(error))}") from None
        flat = np.frombuffer(data, header.dtype)
        return flat.reshape(header.shape, order="F" if header.fortran else "C")

    return StoredArray(header.shape, header.dtype, unpack)


def _header(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Header:
    with file.open(member) as content:
        start = content.read(10)
        if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2):
            raise Refused(f"member {clipped(member.filename)} is not an array")
        extra = content.read(2) if start[6] == 2 else b""
        length = int.from_bytes(start[8:10] + extra, "little")
        text = content.read(min(length, 1024))
    match = HEADER.fullmatch(text.decode("latin-1")) if len(text) == length else None
    if match is None:
        raise Refused(f"array {clipped(member.filename)}: an unknown header")
    kind, fortran, sizes = match.groups()
    shape = tuple(int(size.strip("L ")) for size in sizes.split(",") if size.strip())
    return _Header(_dtype(kind), fortran == "True", plain_shape(shape), 10 + len(extra) + length)


def _dtype(text: str) -> np.dtype:
    """The type of an array: numbers, or fixed-width texts, which Chainer's states have."""
    if re.fullmatch(r"[<>|][US]\d{1,7}", text):
        dtype = np.dtype(text)
        if dtype.itemsize <= MAX_TEXT:
            return dtype
    return plain_dtype(text)
