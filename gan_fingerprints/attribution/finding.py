"""Which images are meant: files, folders searched, folders of one subfolder per source."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from gan_fingerprints import formats, images, program
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import listed

HIDDEN = "hidden"
EXPECTED = "image or a folder of images"

One: TypeAlias = Path | Image.Image | np.ndarray
"""An image: a file, Pillow's of any mode, or uint8 [H, W, 3]."""
Given: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Iterable
"""Images: a file, a folder to search, Pillow's, uint8 [H, W, 3] or [N, H, W, 3], or many such."""


def each(given: Given) -> Iterator[One]:
    """The images that are meant, one by one and only when asked for: many may be endless.

    Raises:
        UserError: a folder without images.
        ValueError: an array of another dtype or shape.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return iter(find([path], "images").paths if path.is_dir() else [path])
    if isinstance(given, Image.Image):
        return iter([given])
    if isinstance(given, np.ndarray):
        return iter(stack_of(given[None] if given.ndim == 3 else given))
    return chain.from_iterable(map(each, given))


def stack_of(pixels: np.ndarray) -> np.ndarray:
    """The same; ValueError unless it is uint8 [N, H, W, 3]."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"got {pixels.dtype} {pixels.shape}, expected uint8 [N, H, W, 3]")
    return pixels


@dataclass(frozen=True)
class Listing:
    """What there is to examine.

    Attributes:
        paths: image files in order, and folders that cannot be listed.
        left_out: how many other files there are below the folders, by ending or "hidden".
    """

    paths: list[Path]
    left_out: Counter[str]


def find(paths: Iterable[str | Path], flag: str) -> Listing:
    """The images that are named, and those in folders that are named and in their subfolders.

    A file that is named itself is taken whatever its ending, one in a folder by its ending. Links
    are followed, hidden files and folders left out. No file comes twice.

    Raises:
        UserError: there is no such path, or no image in a folder.
    """
    chosen: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    for path in map(Path, paths):
        for image in found(path, flag, left_out):
            chosen.setdefault(os.path.abspath(image), image)
    return Listing(list(chosen.values()), left_out)


def found(path: Path, flag: str, left_out: Counter[str]) -> Iterator[Path]:
    """As `find`, of one path and one by one; counts what is left out."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "" if missing else f" that can be read ({error.strerror})"
        raise UserError(f"{flag} {path}: found nothing{why}, expected an {EXPECTED}") from None
    if stat.S_ISDIR(mode):
        yield from _in_folder(path, flag, left_out)
    elif stat.S_ISREG(mode):
        yield path
    else:
        raise UserError(f"{flag} {path}: found no plain file, expected an {EXPECTED}")


def _in_folder(folder: Path, flag: str, left_out: Counter[str]) -> Iterator[Path]:
    others: Counter[str] = Counter()
    inside = None
    for inside in _below(folder, (), others):
        yield inside
    if inside is None:
        content = f"no image but other files ({listed(others)})" if others else "an empty folder"
        raise UserError(
            f"{flag} {folder}: found {content}, expected images "
            f"({' '.join(suffix[1:] for suffix in formats.SUFFIXES)}) in it or in its subfolders"
        )
    left_out.update(others)


def _below(folder: Path, above: tuple[str, ...], left_out: Counter[str]) -> Iterator[Path]:
    """Image files in a folder, then those of its subfolders; counts what is left out.

    A link back to one of the folders above is not followed.
    """
    # `above` has real paths: a folder that links to its own parent would never come to an end.
    here = os.path.realpath(folder)
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: (entry.is_dir(), entry.name))
    except OSError:
        yield folder  # to become a row with the reason
        return
    for entry in ordered:
        if entry.name.startswith("."):
            left_out[HIDDEN] += 1
        elif entry.is_dir():
            if os.path.realpath(entry.path) not in (*above, here):
                yield from _below(folder / entry.name, (*above, here), left_out)
        elif entry.name.lower().endswith(formats.SUFFIXES) and _is_file(entry):
            yield folder / entry.name
        else:
            left_out[Path(entry.name).suffix.lower() or "no ending"] += 1


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also a link that leads nowhere: its row will say so. Nothing that one could wait for."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))


def find_testing_images(
    path: str | Path, flag: str = "--testing_data_path"
) -> tuple[list[Path], list[str] | None]:
    """The images to test, sorted, and the name of the true source of each where it is known.

    A file is tested itself, whatever its name. A folder of images has no known truth. In a folder
    of subfolders the name of a subfolder is the true source of its images. Raises UserError when
    there is nothing to test, or both images and subfolders with images.
    """
    path = Path(path)
    if path.is_file():
        return [path], None
    loose = images.find_images(program.existing_folder(path, flag))
    folders = sorted(x for x in path.iterdir() if x.is_dir() and not x.name.startswith("."))
    pairs = [(file, folder.name) for folder in folders for file in images.find_images(folder)]
    if not pairs:
        return images.list_images(path, flag), None
    if loose:
        raise UserError(
            f"{flag} {path}: found {len(loose)} images beside subfolders with images, expected "
            "either; move the images into a subfolder named as their source"
        )
    return [file for file, _ in pairs], [name for _, name in pairs]


def in_turns(
    paths: Sequence[Path], truth: Sequence[str] | None, most: int | None
) -> tuple[list[Path], list[str | None]]:
    """The images of `find_testing_images`: one of each source, the next of each, and so on.

    most: images; None for all.
    """
    by_source: dict[str | None, list[Path]] = {}
    named: Sequence[str | None] = truth or [None] * len(paths)
    for path, name in zip(paths, named, strict=True):
        by_source.setdefault(name, []).append(path)
    columns = ([(path, name) for path in own] for name, own in by_source.items())
    turns = chain.from_iterable(zip_longest(*columns))
    cases = [case for case in turns if case is not None][:most]
    return [path for path, _ in cases], [name for _, name in cases]
