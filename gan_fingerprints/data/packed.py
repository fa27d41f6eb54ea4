"""The images of a source: files, or in tars, as WebDataset has them, or in Parquet files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from gan_fingerprints import images, typed
from gan_fingerprints.data.parquet import Unpacked
from gan_fingerprints.data.places import TAR, Member, Place, in_tar
from gan_fingerprints.program import UserError, option
from gan_fingerprints.shown import listed, shown

PARQUET = ".parquet"
COLUMN = {
    "--column": option(
        typed.name, None, "which column of Parquet files has the images, if several hold bytes"
    )
}


def list_places(folder: str | Path, flag: str, unpacked: Unpacked) -> list[Place]:
    """The images of a folder, sorted by name; of those in tars or Parquet files if it has none.

    folder: or one tar or Parquet file. flag: that named it.

    Raises:
        UserError: there are none, or one of the files is damaged.
    """
    path = Path(folder)
    if path.suffix.lower() in (TAR, PARQUET) and path.is_file():
        return _members([path], unpacked)
    packs = _packs(path) if path.is_dir() else []
    if packs and (found := images.find_images(path)):
        names = ", ".join(pack.name for pack in packs[:3])
        print(shown(f"left out: {names} in {path}, which has images of its own"))
        return [*found]
    return _members(packs, unpacked) if packs else [*images.list_images(path, flag)]


def _packs(folder: Path) -> list[Path]:
    found = [x for x in folder.iterdir() if x.suffix.lower() in (TAR, PARQUET) and x.is_file()]
    return sorted(x for x in found if not x.name.startswith("."))


def _members(packs: Sequence[Path], unpacked: Unpacked) -> list[Place]:
    found: list[Member] = []
    left_out: Counter[str] = Counter()
    for pack in packs:
        if pack.suffix.lower() == PARQUET:
            of_it = unpacked.images(pack)
        else:
            of_it = list(in_tar(str(pack), left_out))
            if of_it and of_it[-1].fault:
                raise UserError(f"{pack}: {of_it[-1].fault}; get it again or remove it")
        if not of_it:
            raise UserError(f"{pack}: found no images in it, expected some; remove it")
        found += of_it
    if left_out:
        print(shown(f"left out of tars in {packs[0].parent}: {listed(left_out)}"))
    return sorted(found, key=str)


def stamps(places: Iterable[str | Place]) -> dict[str, list[int]]:
    """Path → size, and time of the last change of its file: by which an input is known again."""
    found = {}
    for place in places:
        size, changed = _state(_holder(str(place.parent)) if isinstance(place, Member) else place)
        if isinstance(place, Member):
            size = place.size or 0
        found[os.path.abspath(str(place))] = [size, changed]
    return found


def _state(file: str | Path) -> tuple[int, int]:
    try:
        state = os.stat(file)
    except OSError:  # reading it will say so
        return -1, -1
    return state.st_size, state.st_mtime_ns


@lru_cache
def _holder(folder: str) -> Path:
    """The file that a member's folder is in, or is."""
    path = Path(folder)
    return next((x for x in (path, *path.parents) if x.is_file()), path)
