"""Images in the files of LSUN (LMDB), MNIST (IDX) and CIFAR-10 (its binary version)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints import images
from gan_fingerprints.program import UserError

LSUN_IMAGES = 200_000  # the first ones, in the order of their keys, as in the study
MOST_BYTES = 2**30
IDX_OF_IMAGES = b"\x00\x00\x08\x03"  # bytes in three dimensions


@dataclass(frozen=True)
class Lmdb:
    """A database of image files, as LSUN's; each process that it is sent to opens it once.

    Attributes:
        path: the folder with data.mdb, or the database's file.
        flag: the command-line flag that named it, for messages.
    """

    path: Path
    flag: str

    @property
    def file(self) -> Path:
        """The file that everything is in."""
        return self.path / "data.mdb" if self.path.is_dir() else self.path

    def keys(self, number: int = LSUN_IMAGES) -> list[bytes]:
        """The first keys, sorted; UserError unless it is a database with images."""
        with _environment(self).begin() as transaction:
            keys = list(islice(transaction.cursor().iternext(values=False), number))
        if not keys:
            raise UserError(
                f"{self.flag} {self.path}: found an empty LMDB database, expected images; get it "
                "again"
            )
        return keys

    def read(self, key: bytes, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """What a change makes of a key's image, uint8 [H, W, 3]; see `images.read_changed`.

        Raises:
            ImageError: it cannot be used.
        """
        with _environment(self).begin() as transaction:
            content = transaction.get(key)
        name = f"{self.path}: image {key.decode(errors='replace')}"
        return images.read_changed(name, change, content)


# LMDB may not be opened twice in one process.
@lru_cache(maxsize=2)
def _environment(database: Lmdb) -> Any:
    import lmdb

    path = database.path
    try:
        return lmdb.open(str(path), readonly=True, lock=False, subdir=path.is_dir())
    except lmdb.Error as error:
        raise UserError(
            f"{database.flag} {path}: cannot be read as an LMDB database ({error}); expected "
            "LSUN's folder with data.mdb, or a folder of images"
        ) from None


def mnist(folder: Path, flag: str) -> np.ndarray:
    """The training digits in `train-images-idx3-ubyte[.gz]`: uint8 [N, 28, 28, 3], grey."""
    plain = folder / "train-images-idx3-ubyte"
    packed = plain.with_name(f"{plain.name}.gz")
    path = plain if plain.is_file() else packed
    if not path.is_file():
        raise _missing(folder, flag, f"{plain.name} or {packed.name}, the digits of MNIST")
    try:
        with path.open("rb") if path == plain else gzip.open(path) as file:
            content = file.read(MOST_BYTES)  # a small file may hold very much
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); get it again") from None
    shape = struct.unpack(">3I", content[4:16].ljust(12, b"\0"))
    if content[:4] != IDX_OF_IMAGES or not 16 < len(content) == 16 + math.prod(shape):
        raise UserError(f"{path}: not MNIST's file of images, or cut off; get it again")
    digits = np.frombuffer(content, np.uint8, offset=16).reshape(shape)
    return np.repeat(digits[..., None], 3, axis=3)


def cifar10(folder: Path, flag: str) -> np.ndarray:
    """The training images in `data_batch_1.bin` … 5, here or in a subfolder: [N, 32, 32, 3]."""
    paths = sorted([*folder.glob("data_batch_*.bin"), *folder.glob("*/data_batch_*.bin")])
    if not paths:
        raise _missing(
            folder, flag, "data_batch_1.bin … data_batch_5.bin of CIFAR-10's binary version "
            "(cifar-10-binary.tar.gz); its Python version holds pickles, which are not read"
        )  # fmt: skip
    batches = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        if not len(content) or len(content) % 3073:
            raise UserError(f"{path}: not whole records of 3073 bytes; get it again")
        batches.append(content.reshape(-1, 3073)[:, 1:])
    # A record is one label, then all red values, all green, all blue.
    return np.concatenate(batches).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _missing(folder: Path, flag: str, expected: str) -> UserError:
    return UserError(f"{flag} {folder}: found {images.content_of(folder)}, expected {expected}")


FILES: dict[str, Callable[[Path, str], np.ndarray]] = {"mnist": mnist, "cifar10": cifar10}
