"""One image file made ready for a data set, in a worker process: read, resized or cropped, seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import formats, images, limits
from gan_fingerprints.data.audit import looks
from gan_fingerprints.data.audit.facts import ImageFacts, facts_of
from gan_fingerprints.data.audit.looks import Look
from gan_fingerprints.data.crops import Corner, Crops
from gan_fingerprints.data.places import Member, content_of
from gan_fingerprints.images import ImageError


class Job(NamedTuple):
    """An image to prepare, the label of its source, and whether it is in the audit's sample."""

    label: int
    path: str | Member  # a str reaches the worker faster than a Path
    sampled: bool


class Sampled(NamedTuple):
    """What the audit keeps of an image of its sample."""

    facts: ImageFacts
    look: Look


class Prepared(NamedTuple):
    """What became of a file.

    Attributes:
        corners: where its crops lie; one at (0, 0) for an image that was taken whole.
        shapes: float32 [crops, 64], where images are compared with others.
        sampled: of the file, if it is in the sample.
        first: whether the file holds more pictures.
        squeezed: whether the image was no square and was made one without cutting anything off.
    """

    corners: list[Corner]
    shapes: np.ndarray | None
    sampled: Sampled | None
    first: bool = False
    squeezed: bool = False


@dataclass(frozen=True)
class Reader:
    """Reads one image in a worker process.

    Attributes:
        resolution: of the records.
        like: a file that all must be as large as, if any.
        audited: whether there will be an audit.
        crops: what is taken of each image; the whole one, resized, if None.
        compared: whether images are looked for in another data set.
        squares: whether of images that are no squares the square in the middle is taken.
    """

    resolution: int
    like: str | None
    audited: bool
    crops: Crops | None = None
    compared: bool = False
    squares: bool = False

    def __call__(self, job: Job) -> tuple[np.ndarray, Prepared]:
        """Images uint8 [n, R, R, 3], and what is to be known of them. Raises ImageError."""
        return images.within_limits(job.path, self._read, job)

    def _read(self, job: Job) -> tuple[np.ndarray, Prepared]:
        content = _content(job.path)
        # The audit looks at the file as it came: resizing would hide what gives it away.
        native = images.open_image(str(job.path), content)
        corners, pictures = self._taken(native, job.path)
        squeezed = not (self.crops or self.squares) and native.width != native.height
        said = bool(native.info[formats.FIRST]), squeezed
        if not self.audited:
            return pictures, Prepared(corners, None, None, *said)
        compared = self.compared and self.resolution >= looks.SIDE
        shapes = looks.shapes(looks.small(pictures)) if compared else None
        sampled = _sampled(content, native, pictures[0]) if job.sampled else None
        return pictures, Prepared(corners, shapes, sampled, *said)

    def _taken(self, native: Image.Image, path: object) -> tuple[list[Corner], np.ndarray]:
        """Where the crops lie, and their pixels, uint8 [n, R, R, 3]."""
        if self.crops:
            taken = self.crops.of(native, self.resolution, path)
            return [corner for corner, _ in taken], np.stack([pixels for _, pixels in taken])
        if self.like and native.size != (self.resolution, self.resolution):
            raise ImageError(
                f"{path}: found {native.width}x{native.height} pixels, expected "
                f"{self.resolution}x{self.resolution} as {self.like}; give --resolution to "
                "resize all images, or crop them with --crops"
            )
        whole = images.center_image(native) if self.squares else native
        return [(0, 0)], np.asarray(images.resize_image(whole, self.resolution))[None]


def _content(path: str | Member) -> bytes:
    """The bytes of an image's file, within `limits`. Raises ImageError."""
    if isinstance(path, Member):
        limits.announce(0, apart=(path.size or 0) > limits.MANY_BYTES)
    if (content := content_of(path)) is not None:
        return content
    try:
        with open(str(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            limits.announce(0, apart=size > limits.MANY_BYTES)
            return file.read()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}; replace or remove it") from None


def _sampled(content: bytes, native: Image.Image, prepared: np.ndarray) -> Sampled:
    pixels = prepared if native.size == prepared.shape[1::-1] else np.asarray(native)
    # These keep what their header said, unless colours or orientation were changed.
    header = native if native.format in ("PNG", "JPEG") else None
    facts = facts_of(content, pixels, prepared, header)
    in_blocks = facts.format in formats.JPEG
    return Sampled(facts, Look(looks.small(prepared[None])[0], looks.middle(native), in_blocks))


def remarks(outcomes: Sequence[Prepared | ImageError]) -> list[str]:
    """What was done to some images that one may not expect, in words."""
    usable = [x for x in outcomes if isinstance(x, Prepared)]
    said = []
    if first := sum(x.first for x in usable):
        said.append(f"files of several pictures (animations, pages): {first}; the first was taken")
    if squeezed := sum(x.squeezed for x in usable):
        said.append(
            f"images that are no squares: {squeezed}; they were squeezed into squares. --fit crop "
            "takes the square in the middle instead, --crops squares of their own pixels"
        )
    return said
