"""Image files as evidence: found in folders, hashed, and described before a network sees them."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.program import UserError

MAX_BYTES = 2**30
THUMBNAIL = 256  # pixels at most
HIDDEN = "hidden"
EXPECTED = "image or a folder of images"
TURNS = {
    2: "mirrored", 3: "turned by 180°", 4: "flipped", 5: "transposed", 6: "turned clockwise",
    7: "transposed the other way", 8: "turned counterclockwise",
}  # fmt: skip
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height


@dataclass(frozen=True)
class Found:
    """What there is to examine.

    Attributes:
        paths: image files in order, and folders that cannot be listed.
        left_out: how many other files there are below the folders, by ending or "hidden".
    """

    paths: list[Path]
    left_out: Counter[str]


def find(paths: Iterable[str | Path], flag: str) -> Found:
    """The images that are named, and those in folders that are named and in their subfolders.

    A file that is named itself is taken whatever its ending, one in a folder by its ending. Links
    are followed, hidden files and folders left out. No file comes twice.

    Raises:
        UserError: there is no such path, or no image in a folder.
    """
    found: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    for path in map(Path, paths):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            why = (
                ""
                if isinstance(error, FileNotFoundError)
                else f" that can be read ({error.strerror})"
            )
            raise UserError(f"{flag} {path}: found nothing{why}, expected an {EXPECTED}") from None
        if stat.S_ISDIR(mode):
            inside = _in_folder(path, flag)
        elif stat.S_ISREG(mode):
            inside = Found([path], Counter())
        else:
            raise UserError(f"{flag} {path}: found no plain file, expected an {EXPECTED}")
        for image in inside.paths:
            found.setdefault(os.path.abspath(image), image)
        left_out.update(inside.left_out)
    return Found(list(found.values()), left_out)


def _in_folder(folder: Path, flag: str) -> Found:
    left_out: Counter[str] = Counter()
    paths = list(_below(folder, (), left_out))
    if not paths:
        others = f"no image but other files ({listed(left_out)})"
        raise UserError(
            f"{flag} {folder}: found {others if left_out else 'an empty folder'}, expected images "
            f"({' '.join(suffix[1:] for suffix in images.SUFFIXES)}) in it or in its subfolders"
        )
    return Found(paths, left_out)


def _below(folder: Path, above: tuple[str, ...], left_out: Counter[str]) -> Iterator[Path]:
    """Image files in a folder, then those of its subfolders; counts what is left out.

    A link back to one of the folders above is not followed.
    """
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
        elif entry.name.lower().endswith(images.SUFFIXES) and _is_file(entry):
            yield folder / entry.name
        else:
            left_out[Path(entry.name).suffix.lower() or "no ending"] += 1


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also a link that leads nowhere: its row will say so. Nothing that one could wait for."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))


def listed(counts: Counter[str]) -> str:
    """Counts in words: ".txt 3, hidden 1"."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


class Header(NamedTuple):
    """What an image file says about itself.

    Attributes:
        format, mode: as Pillow calls them ("JPEG", "RGB").
        size: stored width and height.
        orientation: 1 to 8, of EXIF.
        frames: pictures in the file, of which the first is used.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    frames: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as it is looked at."""
        width, height = self.size
        return (height, width) if self.orientation in SIDEWAYS else (width, height)


@dataclass(frozen=True)
class Specimen:
    """One file, as far as it could be read.

    Attributes:
        path: the file.
        sha256: of its content; None when that could not be read.
        header: None when it has none.
        pixels: uint8 [R, R, 3], what a network is shown; None beside an error.
        thumbnail: JPEG of the upright image in its own shape, where it was asked for.
        error: the reason why it cannot be used, or None.
    """

    path: Path
    sha256: str | None = None
    header: Header | None = None
    pixels: np.ndarray | None = None
    thumbnail: bytes | None = None
    error: str | None = None


def read(path: Path, side: int, thumbnail: bool = False) -> Specimen:
    """Reads a file once: what is hashed is what is decoded, resized to `side` and described."""
    try:
        content = _content_of(path)
    except OSError as error:
        what = "a folder that cannot be listed" if os.path.isdir(path) else "cannot be read"
        return Specimen(path, error=f"{what} ({error.strerror})")
    if isinstance(content, str):
        return Specimen(path, content, error=f"larger than {MAX_BYTES:,} bytes")
    digest = hashlib.sha256(content).hexdigest()
    header = read_header(content)
    try:
        image = images.open_image(path, content)
    except images.ImageError as error:
        reason = str(error).removeprefix(f"{path}: ").partition(";")[0]
        return Specimen(path, digest, header, error=reason)
    if header is None:
        return Specimen(path, digest, error="cannot be read as an image (its header is damaged)")
    pixels = np.asarray(images.resize_image(image, side))
    return Specimen(path, digest, header, pixels, _thumbnail(image) if thumbnail else None)


def _content_of(path: Path) -> bytes | str:
    """The bytes of a file, or the SHA-256 of one that is too large to be an image."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= MAX_BYTES:
            return file.read()
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(content: bytes) -> Header | None:
    """The header of an image file's content, or None when it cannot be read."""
    try:
        with Image.open(io.BytesIO(content), formats=images.FORMATS) as image:
            found = image.getexif().get(images.ORIENTATION, 1)
            orientation = found if found in TURNS else 1
            frames = getattr(image, "n_frames", 1)
            return Header(str(image.format), image.mode, image.size, orientation, frames)
    except Exception:  # damaged files make decoders raise nearly anything
        return None


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue()


def preprocessing(header: Header, side: int) -> dict[str, Any]:
    """What is done before a network of `side` pixels sees an image: fields, and `in_words`."""
    resized = header.upright != (side, side)
    return {
        "frame": f"1 of {header.frames}",
        "orientation": header.orientation,
        "mode": header.mode,
        "mode_used": "RGB",
        "resized_from": list(header.upright),
        "resized_to": [side, side],
        "filter": "Lanczos" if resized else None,
        "in_words": "; ".join(_steps(header, side)),
    }


def describe(header: Header) -> str:
    """Format and size of an image file."""
    width, height = header.size
    return f"{header.format} of {width}×{height} pixels"


def _steps(header: Header, side: int) -> Sequence[str]:
    width, height = header.upright
    steps = [f"{describe(header)} decoded"]
    if header.frames > 1:
        steps.append(f"first of {header.frames} pictures taken")
    if header.orientation != 1:
        steps.append(f"{TURNS[header.orientation]} as its EXIF orientation says")
    if header.mode != "RGB":
        alpha = (
            ", transparency dropped" if header.mode in ("RGBA", "LA", "PA", "La", "RGBa") else ""
        )
        steps.append(f"colours converted from {header.mode} to RGB{alpha}")
    if (width, height) != (side, side):
        shape = "" if width == height else ", which changes its proportions"
        steps.append(f"whole image resized from {width}×{height} to {side}×{side} with "
                     f"Pillow's Lanczos filter{shape}")  # fmt: skip
    else:
        steps.append("not resized")
    return [*steps, "levels 0 to 255 scaled to -1 to 1"]
