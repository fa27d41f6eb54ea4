"""A file of records that several processes write, and one hashes as they come."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from gan_fingerprints.data import layout


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
        self._itemsize = layout.record_layout(resolution).dtype.itemsize
        self._blake3 = blake3()
        path.touch(exist_ok=False)

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
