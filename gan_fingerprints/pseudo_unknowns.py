"""Images as another generator might have made them, for when none of a source outside is at hand.

Each is an image of a known source after a change of what fingerprints are made of, while its
content stays: the five kinds are what generators, and programs between them and us, differ in. How
far they stand in for real unknown sources is measured in docs/robust.md.

Parameters are drawn for each image from (seed, key), as those of attacks are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gan_fingerprints.perturbations import keyed_random

RESAMPLINGS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.HAMMING,
)
BINOMIAL = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32) / 16
ENLARGING = np.outer((1, 3, 3, 1), (1, 3, 3, 1)).astype(np.float32) / 16  # bilinear, by two
PERIODS = (2, 4, 8)  # pixels: what layers that enlarge by two leave behind


def filtered(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two random 3×3 filters near the identity, one after the other."""
    for _ in range(2):
        kernel = rng.standard_normal((3, 3)) * np.exp(rng.uniform(np.log(0.02), np.log(0.12)))
        kernel[1, 1] += 1 - kernel.sum()
        x = _convolved(x, kernel)
    return x


def resampled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resized by 0.6 to 1.6, and back, each with a filter of its own."""
    height, width = x.shape[:2]
    factor, (there, back) = np.exp(rng.uniform(np.log(0.6), np.log(1.6))), rng.integers(4, size=2)
    image = Image.fromarray(_levels(x))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = image.resize(size, RESAMPLINGS[there]).resize((width, height), RESAMPLINGS[back])
    return np.asarray(image, np.float32)


def patterned(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pattern that repeats every 2, 4 or 8 pixels, 0.5 to 3 grey levels strong."""
    period = rng.choice(PERIODS)
    pattern = rng.standard_normal((period, period, 3)).astype(np.float32)
    pattern *= np.float32(rng.uniform(0.5, 3)) / pattern.std()
    height, width = x.shape[:2]
    repeats = -(-height // period), -(-width // period), 1
    return x + np.tile(pattern - pattern.mean(axis=(0, 1)), repeats)[:height, :width]


def remixed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a 3×3 blur takes away, its colour channels mixed by a random matrix."""
    blurred = _convolved(x, BINOMIAL)
    mixing = np.eye(3) + 0.35 * rng.standard_normal((3, 3))
    return blurred + (x - blurred) @ mixing.astype(np.float32)


def regenerated(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Halved, and enlarged by a transposed convolution with a random kernel; a part of the old
    detail is kept."""
    height, width = x.shape[:2]
    image = Image.fromarray(_levels(x))
    half = image.resize((-(-width // 2), -(-height // 2)), Image.Resampling.BOX)
    apart = np.zeros((2 * half.height, 2 * half.width, 3), np.float32)
    apart[::2, ::2] = np.asarray(half)
    kernel = ENLARGING * np.exp(0.15 * rng.standard_normal(ENLARGING.shape))
    for row, column in np.ndindex(
        2, 2
    ):  # else a flat image would get a chequerboard of full strength
        part = kernel[row::2, column::2]
        part *= (1 + 0.02 * rng.standard_normal()) / part.sum()
    made = _convolved(apart, kernel)[:height, :width]
    return made + np.float32(rng.uniform(0, 0.7)) * (x - made)


KINDS: tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray], ...] = (
    filtered, resampled, patterned, remixed, regenerated,
)  # fmt: skip


@dataclass(frozen=True)
class PseudoUnknown:
    """Makes pseudo-unknowns of any number of images.

    Attributes:
        seed: with each image's key it decides what happens to it.
    """

    seed: int = 0

    def __call__(self, image: np.ndarray, key: str | int) -> np.ndarray:
        """Of an image uint8 [H, W, 3] another one, by one of `KINDS`."""
        rng = keyed_random(self.seed, "pseudo-unknown", key)
        kind = KINDS[rng.integers(len(KINDS))]
        return _levels(kind(image.astype(np.float32), rng))


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """float32 [H, W, 3], each channel by itself, mirrored at the border."""
    from scipy import ndimage  # here, as --help imports this module

    return ndimage.convolve(x, kernel[:, :, None].astype(np.float32), mode="mirror")


def _levels(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)
