"""Training on crops: what happens to an image between its record and the network.

Fingerprints are fine and content is coarse, so nothing here blurs by more than a carrier would:
crops at native resolution, and mild changes of what does not tell sources apart.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

GRID = 8  # pixels: JPEG's blocks, and a multiple of what generators enlarge by
COARSE = 4  # values across an image of the slow changes of brightness
FILTERS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


class Jpeg(NamedTuple):
    """A recompression: how far its grid is moved, and how it is written."""

    down: int
    right: int
    quality: int
    subsampling: str

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Jpeg:
        """A random one."""
        (down, right), quality = rng.integers(0, GRID, 2), int(rng.integers(50, 96))
        return cls(int(down), int(right), quality, ("4:4:4", "4:2:0")[rng.integers(2)])


class Cut(NamedTuple):
    """A crop of an image: where, how large, how it is resized and recompressed, if it is."""

    top: int
    left: int
    side: int
    resampling: Image.Resampling | None
    jpeg: Jpeg | None


@dataclass(frozen=True)
class Augmentation:
    """Crops of images, and what happens to them, by the random numbers that are given.

    Attributes:
        crop: side of the crops, at most that of the images.
        aligned: share of the crops that begin on the grid of 8 pixels, as a whole image does.
        contrast, tint: standard deviations of the logarithm of a gain about the mean colour,
            of all channels together and of each.
        brightness, shading: standard deviations of what is added, in units of half the range:
            the same everywhere, and slowly changing across the crop.
        recompress: share of JPEG, quality 50 to 95, its grid moved by up to 7 pixels.
        resize: share of resizing, by a factor from 1 / `most` to `most`.
        noise: standard deviation of white noise, in grey levels, drawn from 0 up to this.
    """

    crop: int
    aligned: float = 1.0
    contrast: float = 0.0
    tint: float = 0.0
    brightness: float = 0.0
    shading: float = 0.0
    recompress: float = 0.0
    resize: float = 0.0
    noise: float = 0.0
    most: float = 1.1

    def __call__(
        self, images: np.ndarray, rng: np.random.Generator, rows: np.ndarray | None = None,
        minibatch: int = 0,
    ) -> np.ndarray:  # fmt: skip
        """Crops of images uint8 [N, H, W, 3]: float32 [N, crop, crop, 3], about [-1, 1].

        rows: which images of a `minibatch` these are, as numbers are drawn for all of it, int [N]
            (default: all).
        """
        rows = np.arange(len(images)) if rows is None else rows
        cuts = [self._cut(images.shape[1:3], rng) for _ in range(max(minibatch, len(images)))]
        crops = np.stack(
            [self._cropped(image, cuts[i]) for image, i in zip(images, rows, strict=True)]
        )
        return self._recoloured(crops / np.float32(127.5) - np.float32(1), rng, rows, len(cuts))

    def _cut(self, shape: tuple[int, ...], rng: np.random.Generator) -> Cut:
        resized, recompressed, aligned = rng.random(3) < (
            self.resize,
            self.recompress,
            self.aligned,
        )
        side = self.crop
        if resized:
            side = min(round(side * rng.uniform(1 / self.most, self.most)), *shape)
        step = GRID if aligned else 1
        top, left = (int(step * rng.integers(0, (x - side) // step + 1)) for x in shape)
        resampling = FILTERS[rng.integers(len(FILTERS))] if side != self.crop else None
        return Cut(top, left, side, resampling, Jpeg.drawn(rng) if recompressed else None)

    def _cropped(self, image: np.ndarray, cut: Cut) -> np.ndarray:
        part = image[cut.top : cut.top + cut.side, cut.left : cut.left + cut.side]
        if cut.resampling is not None:
            part = _resized(part, self.crop, cut.resampling)
        return _recompressed(part, cut.jpeg) if cut.jpeg else part

    def _recoloured(
        self, x: np.ndarray, rng: np.random.Generator, rows: np.ndarray, number: int
    ) -> np.ndarray:
        each = (number, 1, 1, 1)

        def normal(deviation: float, shape: tuple[int, ...] = each) -> np.ndarray:
            drawn = rng.normal(0.0, 1.0, shape)[rows]
            return drawn.astype(np.float32) * np.float32(deviation)

        mean = x.mean(axis=(1, 2), keepdims=True)
        gain = np.exp(normal(self.contrast) + normal(self.tint, (number, 1, 1, 3)))
        x = (x - mean) * gain + mean + normal(self.brightness)
        if self.shading:
            x += _slow(normal(self.shading, (number, COARSE, COARSE, 1)), self.crop)
        if self.noise:
            levels = rng.uniform(0, self.noise, each)[rows].astype(np.float32) / np.float32(127.5)
            x += normal(1.0, (number, *x.shape[1:])) * levels
        return x


def _resized(image: np.ndarray, side: int, resampling: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), resampling))


def _recompressed(image: np.ndarray, jpeg: Jpeg) -> np.ndarray:
    """An image after JPEG with a grid that does not begin in its corner."""
    padded = np.pad(image, ((jpeg.down, 0), (jpeg.right, 0), (0, 0)), mode="reflect")
    file = io.BytesIO()
    Image.fromarray(padded).save(file, "JPEG", quality=jpeg.quality, subsampling=jpeg.subsampling)
    return np.asarray(Image.open(file))[jpeg.down :, jpeg.right :]


def _slow(coarse: np.ndarray, side: int) -> np.ndarray:
    """float32 [N, 4, 4, 1] → [N, side, side, 1], linear in between."""
    at = np.linspace(0, COARSE - 1, side)
    hats = np.maximum(1 - np.abs(at[:, None] - np.arange(COARSE)), 0).astype(np.float32)
    return np.einsum("yi,nijc,xj->nyxc", hats, coarse, hats, optimize=True)
