"""Maps of images as PNG files: where in each the evidence for its most probable source is."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_fingerprints import program
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.verdict import called
from gan_fingerprints.examiner import meaning
from gan_fingerprints.examiner.evidence import Specimen, png
from gan_fingerprints.pictures import tile_map
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import cell

LIST = "maps.csv"


def of(one: Examined[Specimen]) -> Iterator[tuple[bytes, str]]:
    """The map of an image, and what it shows; nothing of an image without one."""
    if one.tiles and one.picture.thumbnail:
        places = [tile[:3] for tile in one.tiles]
        values = [tile.log10 for tile in one.tiles]
        name = called(str(one.row.most_probable))
        yield (
            png(tile_map.drawn(one.picture.thumbnail, one.picture.size, places, values)),
            f"where the evidence is: red speaks for {name}, blue against it, in full colour where "
            f"{meaning.times(tile_map.MOST)} times more or less probable",
        )


class Maps:
    """Writes the maps of images into a folder, named by the images' numbers, from 1 on.

    Names of images are in a list beside them, as they may be no good as names of files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._rows = [["map", "path", "verdict", "most_probable"]]

    def add(self, one: Examined[Specimen], record: dict[str, Any]) -> None:
        """Takes the next image, and its `examination.record`."""
        self._number += 1
        for picture, _ in of(one):
            name = f"{self._number:06d}.png"
            (self._folder / name).write_bytes(picture)
            said = record["path"], record["verdict"], record["most_probable"]
            self._rows.append([name, *map(cell, said)])

    def end(self) -> None:
        """Writes the list."""
        with open(self._folder / LIST, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self._rows)


@contextmanager
def written(path: str | None) -> Iterator[Maps | None]:
    """What writes the folder of --maps, which appears when all is in it; None without one."""
    if path is None:
        yield None
        return
    with program.whole_folder(path) as folder:
        maps = Maps(folder)
        yield maps
        maps.end()


def check(path: str, mapped: bool, others: Sequence[str]) -> None:
    """UserError unless the folder can be written, and no other output is in it."""
    if not mapped:
        raise UserError("--maps: found --map 0, which makes none; leave one of the two out")
    folder = os.path.realpath(program.new_output(path, "--maps"))
    for other in others:
        if os.path.commonpath([folder, os.path.realpath(other)]) == folder:
            raise UserError(f"--maps {path}: {other} would be in it; name another folder")


def files(path: str) -> list[str]:
    """What is in the folder."""
    return sorted(str(file) for file in Path(path).iterdir())
