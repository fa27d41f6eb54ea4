"""What is trivial about one image: its file, and a few statistics of its pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import formats


class ImageFacts(NamedTuple):
    """What is trivial about one image: its file, and a few statistics of its pixels.

    Attributes:
        format, mode: as Pillow calls them ("PNG", "RGB").
        width, height: of the file.
        bytes_per_pixel: size of the file over width · height.
        jpeg_quality: 1 to 100, estimated from the quantisation table; 0 when not a JPEG.
        low, high, mean, contrast: extremes, mean and standard deviation of the prepared image.
        saturation: mean difference between the largest and the smallest channel.
        colour_detail: diagonal detail of red − green relative to that of green. Images that went
            through JPEG with subsampled colours have little, whatever they were converted to.
        blocks: how much the strongest column in 8 stands out: 1 = not at all, more after JPEG.
            Measured in the file's own size.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes_per_pixel: float
    jpeg_quality: int
    low: int
    high: int
    mean: float
    contrast: float
    saturation: float
    colour_detail: float
    blocks: float


def facts_of(
    content: bytes, native: np.ndarray, prepared: np.ndarray, header: Image.Image | None = None
) -> ImageFacts:
    """Facts about an image file of this content, decoded as `native` and written as `prepared`.

    native: uint8 [H, W, 3]; prepared: uint8 [R, R, 3]; header: the file as Pillow opened it, if it
    still is.
    """
    if header is None:
        with formats.identified(io.BytesIO(content)) as header:
            return facts_of(content, native, prepared, header)
    width, height = header.size
    size = width, height, len(content) / (width * height)
    quality = jpeg_quality(getattr(header, "quantization", None))
    extremes = int(prepared.min()), int(prepared.max())
    return ImageFacts(
        str(header.format), header.mode, *size, quality, *extremes,
        *pixel_statistics(prepared), block_pattern(native),
    )  # fmt: skip


def jpeg_quality(tables: Mapping[int, Sequence[int]] | None) -> int:
    """The libjpeg quality whose luminance table comes closest; 0 without tables.

    Inverts libjpeg's scaling of the standard table (ITU-T T.81, annex K), whose first two rows,
    the least clipped ones, add up to 485.
    """
    if not tables:
        return 0
    scale = 100 * sum(list(tables[0])[:16]) / 485
    quality = (200 - scale) / 2 if scale < 100 else 5000 / scale
    return int(np.clip(round(quality), 1, 100))


def pixel_statistics(image: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, contrast, saturation and colour detail of an image uint8 [H, W, 3], H, W >= 2.

    Every ninth row and the one above it will do, and visit every row of JPEG's 8×8 blocks.
    """
    # Whole numbers, which are added exactly, and by fewer and quicker steps than fractions.
    rows = np.ascontiguousarray(image[1::9].transpose(2, 0, 1))
    red, green, blue = rows
    range_ = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    down = rows[:2].astype(np.int16)
    down -= image[:-1:9, :, :2].transpose(2, 0, 1)
    red_detail, green_detail = down[..., 1:] - down[..., :-1]
    detail = _sum(np.abs(red_detail - green_detail)) / max(_sum(np.abs(green_detail)), 1)
    mean = _sum(rows) / rows.size
    squares = np.square(rows, dtype=np.uint16)
    variance = max(0.0, _sum(squares) / rows.size - mean**2)
    return mean, variance**0.5, _sum(range_) / range_.size, detail


def _sum(values: np.ndarray) -> int:
    return int(values.sum(dtype=np.uint64))


def block_pattern(image: np.ndarray) -> float:
    """How much the strongest column in 8 stands out: 1 = not at all; image uint8 [H, W, 3]."""
    # Differences between neighbours jump where two JPEG blocks meet, at every eighth column. The
    # middle of the image is enough, and the phase is left open, as crops move it.
    top, left = (max(0, side - 128) // 2 for side in image.shape[:2])
    green = image[top : top + 128 : 2, left : left + 129, 1].astype(np.int16)
    steps = np.abs(green[:, 1:] - green[:, :-1]).sum(axis=0)
    phases = steps[: len(steps) // 8 * 8].reshape(-1, 8).sum(axis=0)
    return float(8 * phases.max() / max(phases.sum(), 1))
