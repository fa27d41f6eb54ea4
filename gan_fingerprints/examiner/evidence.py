"""Image files as evidence: hashed, and described before a network sees them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import formats, images, limits
from gan_fingerprints.attribution.answering import Hashed, Seeing, content_of, reason_of
from gan_fingerprints.data.audit.facts import jpeg_quality
from gan_fingerprints.data.places import Member, Place

THUMBNAIL = 400  # pixels at most
MOST_FRAMES = 1000  # that are counted
TURNS = {
    2: "mirrored", 3: "turned by 180°", 4: "flipped", 5: "transposed", 6: "turned clockwise",
    7: "transposed the other way", 8: "turned counterclockwise",
}  # fmt: skip
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")


class Header(NamedTuple):
    """What an image file says about itself.

    Attributes:
        format, mode: as Pillow calls them ("JPEG", "RGB").
        size: stored width and height.
        orientation: 1 to 8, of EXIF.
        frames: pictures in the file, of which the first is used, one more than `MOST_FRAMES`
            where they are not counted on; None where damage hides them.
        quality: of a JPEG, on libjpeg's scale; None of other files.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    frames: int | None
    quality: int | None = None

    @property
    def pictures(self) -> str:
        """How many there are, as said in words."""
        if self.frames is None:
            return "an unknown number"
        return f"more than {MOST_FRAMES}" if self.frames > MOST_FRAMES else str(self.frames)

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as it is looked at."""
        width, height = self.size
        return (height, width) if self.orientation in SIDEWAYS else (width, height)


@dataclass(frozen=True)
class Specimen(Hashed):
    """One file, as far as it could be read.

    Attributes: those of `Hashed`, the SHA-256 also of what is no image, and
        header: None when it has none.
        thumbnail: JPEG of the upright image in its own shape, where it was asked for.
        repeats: whether its content came before and is not answered again.
    """

    header: Header | None = None
    thumbnail: bytes | None = None
    repeats: bool = False


def read(path: Place, seeing: Seeing, thumbnail: bool = False) -> Specimen:
    """Reads a file once: what is hashed is what is decoded, seen by a network and described."""
    try:
        return images.within_limits(path, _read, path, seeing, thumbnail)
    except images.ImageError as error:
        return Specimen(path, error=reason_of(error, path), sha256=_digest_of_file(path))


def _read(path: Place, seeing: Seeing, thumbnail: bool) -> Specimen:
    content = content_of(path)
    if isinstance(content, str):
        return Specimen(path, error=content, sha256=_digest_of_file(path))
    digest, header = hashlib.sha256(content).hexdigest(), read_header(content)
    try:
        image = images.open_image(str(path), content)
    except images.ImageError as error:
        return Specimen(path, error=reason_of(error, path), sha256=digest, header=header)
    pixels, size = seeing(image), image.size
    small = _thumbnail(image) if thumbnail else None
    return Specimen(path, pixels, size, None, digest, header, small)


def _digest_of_file(path: Place) -> str | None:
    """The SHA-256 of what is too large to be an image; None of what is no plain file."""
    try:
        if isinstance(path, Member) or not path.is_file():
            return None
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def read_header(content: bytes) -> Header | None:
    """The header of an image file's content, or None when it cannot be read."""
    try:
        with formats.opened(io.BytesIO(content)) as image:
            turn = image.getexif().get(images.ORIENTATION, 1)
            orientation = turn if turn in TURNS else 1
            quality = jpeg_quality(getattr(image, "quantization", None)) or None
            facts = str(image.format), image.mode, image.size, orientation
            return Header(*facts, _frames(image), quality)  # which goes to other pictures
    except limits.CostlyError:
        raise
    except Exception:  # damaged files make decoders raise nearly anything
        return None


def _frames(image: Image.Image) -> int | None:
    number = None
    try:
        if image.format != "TIFF":  # which finds its pages one by one
            return getattr(image, "n_frames", 1)
        for number in range(1, MOST_FRAMES + 1):
            image.seek(number)
        return MOST_FRAMES + 1
    except EOFError:
        return number
    except Exception:  # damaged behind the first picture, which is all that is used
        return None


def _thumbnail(image: Image.Image) -> bytes:
    """JPEG of an image that becomes it itself, as a copy of a large one takes much memory."""
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def preprocessing(header: Header, side: int, tiles: int | None = None) -> dict[str, Any]:
    """What is done before a network sees an image: fields, and `in_words`.

    side, tiles: of what it sees; no tiles where it sees the whole image, resized.
    """
    small = min(header.upright) < side
    resized = header.upright != (side, side) if tiles is None else small
    seen = {} if tiles is None else {"tiles": tiles, "tile_side": side}
    return {
        "frame": f"1 of {header.pictures}",
        "orientation": header.orientation,
        "mode": header.mode,
        "mode_used": "RGB",
        "resized_from": list(header.upright),
        "resized_to": [side, side] if tiles is None else None,
        "filter": "Lanczos" if resized else None,
        **seen,
        "in_words": "; ".join(_steps(header, side, tiles)),
    }


def describe(header: Header) -> str:
    """Format and size of an image file."""
    width, height = header.size
    return f"{header.format} of {width}×{height} pixels"


def _steps(header: Header, side: int, tiles: int | None) -> Sequence[str]:
    """What happened, in the order in which it happened."""
    width, height = header.upright
    steps = [f"{describe(header)} decoded"]
    if header.frames != 1:
        of = "" if header.frames else " of"
        steps.append(f"first of {header.pictures}{of} pictures taken")
    if header.orientation != 1:
        steps.append(f"{TURNS[header.orientation]} as its EXIF orientation says")
    if header.mode != "RGB":
        alpha = ", transparency dropped" if header.mode in TRANSPARENT else ""
        steps.append(f"colours converted from {header.mode} to RGB{alpha}")
    if tiles is not None:
        if min(width, height) < side:
            steps.append(
                f"enlarged to {side} pixels at its shorter side with Pillow's Lanczos filter"
            )
        many = f"{tiles} tiles" if tiles > 1 else "one tile"
        steps.append(f"seen in {many} of {side}×{side} pixels")
    elif (width, height) != (side, side):
        shape = "" if width == height else ", which changes its proportions"
        steps.append(f"whole image resized from {width}×{height} to {side}×{side} with "
                     f"Pillow's Lanczos filter{shape}")  # fmt: skip
    else:
        steps.append("not resized")
    return [*steps, "levels 0 to 255 scaled to -1 to 1"]
