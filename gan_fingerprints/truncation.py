"""Image files whose data ends before the image does, which decoders do not always tell of.

All raise ValueError, which `images` makes an `ImageError`.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from PIL import Image, ImageChops

PNG_END = b"IEND\xaeB\x60\x82"
JPEG_END = b"\xff\xd9"
MORE_DATA = bytes(range(1, 200))
JPEG_DENSEST = 512  # pixels per byte: each block of 8×8 takes a bit or more
NOT_DRAWN = (127, 128)  # the values of pixels that a JPEG file has no data for


def content_of(file: BinaryIO) -> bytes:
    """All of a file, whose position is kept."""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return content


def require_png_end(file: BinaryIO) -> None:
    """ValueError unless a PNG file ends as one."""
    # Pillow ends with the last row of pixels, without missing what should follow.
    file.seek(-min(1024, file.seek(0, os.SEEK_END)), os.SEEK_END)
    if PNG_END not in file.read():
        raise ValueError("image file is truncated")


def size_of(file: BinaryIO) -> int:
    """Bytes of a file, whose position is kept."""
    place, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def require_bytes_for(image: Image.Image, file: BinaryIO) -> None:
    """ValueError where no JPEG file of this length can hold an image as large as it says."""
    if image.width * image.height > JPEG_DENSEST * size_of(file):
        raise ValueError("its header states more pixels than its bytes can hold")


def require_jpeg_data(image: Image.Image, file: BinaryIO) -> None:
    """ValueError where the data of a JPEG file, whose image was decoded, end before that does."""
    # Where data ends before the image does, libjpeg leaves the rest grey and Pillow does not tell.
    # Then data that is added is drawn; behind an image that is complete it is skipped.
    corner = image.getpixel((image.width - 1, image.height - 1))
    if any(x not in NOT_DRAWN for x in (corner if isinstance(corner, tuple) else (corner,))):
        return
    content = content_of(file)
    end = content.rfind(JPEG_END)
    with Image.open(io.BytesIO(content[:end] + MORE_DATA + content[end:])) as longer:
        if ImageChops.difference(image, longer).getbbox(alpha_only=False):
            raise ValueError("image file is truncated")
