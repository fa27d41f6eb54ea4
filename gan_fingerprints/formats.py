"""The formats of image files: their endings, how a file is opened, and what decoding it may take.

HEIC, as telephones write it, is read by the package pillow-heif where that is installed: it is no
dependency, as it brings a library under the GPL, and is imported when the first such file comes.
"""

from __future__ import annotations

from functools import cache
from typing import BinaryIO

from PIL import Image

from gan_fingerprints import limits, truncation

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif",
    ".jp2", ".j2k", ".jpf", ".jpx", ".heic", ".heif",
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000")
HEIF = "HEIF"
IN_WORDS = "PNG, JPEG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000 or HEIC"
JPEG = ("JPEG", "MPO")
MAX_PIXELS = 100_000_000
# Decoders that take more bytes for each pixel, WebP's 16, JPEG 2000's 20, or more time.
MOST_PIXELS = {"WEBP": 48_000_000, "AVIF": 50_000_000, HEIF: 50_000_000, "JPEG2000": 32_000_000}
# Pixels up to which images are decoded in this process; what these formats hold may have been
# compressed a thousandfold.
MOST_HERE = {
    "PNG": 25_000_000, "WEBP": 4_000_000, "TIFF": 4_000_000, "GIF": 4_000_000,
    "AVIF": 4_000_000, HEIF: 4_000_000, "JPEG2000": 1_000_000,
}  # fmt: skip
JPEG_SCAN = b"\xff\xda"
JPEG_SCANS = 64  # of one image; libjpeg goes over all of it for each
BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
}  # fmt: skip
"""Of ISO base media files with HEVC's pictures (ISO/IEC 23008-12, annex B)."""
GENERAL = (b"mif1", b"msf1", b"mif2")  # brands of files whose further brands say what is in them
FIRST = "the first of several pictures"
"""In the `info` of Pillow's image: true of one that stands for an animation or many pages."""

Image.preinit()  # else naming the formats makes the first Image.open import all of Pillow's
Image.MAX_IMAGE_PIXELS = None  # `images` checks the size itself, without Pillow's warning


def opened(file: BinaryIO) -> Image.Image:
    """Pillow's image of a file, not yet decoded; announces what that takes, see `limits`."""
    image = identified(file)
    width, height = image.size
    pixels = width * height
    small = pixels <= limits.SMALL and image.format == "PNG"  # the usual case loses no time
    if pixels <= MAX_PIXELS and not small:
        limits.announce(pixels, _is_costly(image, pixels, file))
    return image


def identified(file: BinaryIO) -> Image.Image:
    """As `opened`, but without announcing anything: for what is not decoded again."""
    head = file.read(64)
    file.seek(0)
    return Image.open(file, formats=(heif(),) if is_heif(head) else FORMATS)


def is_heif(head: bytes) -> bool:
    """Whether a file that begins so holds HEVC's pictures, HEIC that is."""
    if head[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(head[:4], "big"), len(head))
    major, *others = (head[i : i + 4] for i in (8, *range(16, length, 4)))
    return major in BRANDS or (major in GENERAL and not BRANDS.isdisjoint(others))


@cache
def heif() -> str:
    """Pillow's name for HEIC, which it knows from now on; ValueError without the package."""
    try:
        import pillow_heif
    except ImportError:
        raise ValueError(
            "HEIC needs the package pillow-heif: pip install pillow-heif, or convert the images"
        ) from None
    # One thread, as images are read on all cores; what goes with the picture is not looked at.
    pillow_heif.register_heif_opener(
        decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
    )
    return HEIF


def _is_costly(image: Image.Image, pixels: int, file: BinaryIO) -> bool:
    """Whether decoding it, or counting its pages, may take far more than usual."""
    if truncation.size_of(file) > limits.MANY_BYTES:
        return True
    if image.format == "JPEG" and image.info.get("progressive"):
        return truncation.content_of(file).count(JPEG_SCAN) > JPEG_SCANS
    if image.format in ("TIFF", "GIF") and is_first(image):
        return True
    return pixels > MOST_HERE.get(image.format or "", limits.PIXELS)


def is_first(image: Image.Image) -> bool:
    """Whether the file holds more pictures: an animation, pages, not a JPEG's preview."""
    return image.format not in JPEG and bool(getattr(image, "is_animated", False))
