"""Attacks on images: what a fingerprint may go through before somebody asks where it is from.

Parameters are drawn for each image from (seed, key), where the key is its file name or its place
in a stream, so that neither the order nor the number of images changes them. Images are uint8
[H, W, 3] RGB before and after. At strength 0 every attack leaves the image as it was.

Source of the ranges: Yu, Davis, Fritz (ICCV 2019), section on immunization. The publication
relights with SfSNet, a network that estimates surface normals and shading; see `relight`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Parameters = dict[str, Any]

NOISE_SIGMA = (5.0, 20.0)  # on the scale of 0 to 255
BLUR_SIZES = (1, 3, 5, 7, 9)
CROP_SHARE = (0.05, 0.20)  # of the side
JPEG_QUALITY = (10, 75)
LIGHT_SPREAD = np.array([0.0] + 3 * [0.35] + 5 * [0.15])  # of the logarithm of the shading


def add_noise(image: np.ndarray, sigma: float, noise_seed: int) -> np.ndarray:
    """Gaussian noise of standard deviation sigma, on the scale of 0 to 255."""
    noise = np.random.default_rng(noise_seed).standard_normal(image.shape, np.float32)
    return _to_uint8(image + np.float32(sigma) * noise)


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """float64 [size], adding up to 1."""
    x = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-0.5 * (x / sigma) ** 2)
    return kernel / kernel.sum()


def blur(image: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """Gaussian blur with a kernel of size x size, mirrored at the border."""
    if size == 1 or sigma == 0:
        return image
    kernel, radius = gaussian_kernel(size, sigma), size // 2
    x = image.astype(np.float32)
    for axis in (0, 1):
        borders = [(radius, radius) if i == axis else (0, 0) for i in range(3)]
        x = np.pad(x, borders, "reflect" if radius < image.shape[axis] else "symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)
        x = windows @ kernel.astype(np.float32)
    return _to_uint8(x)


def crop(image: np.ndarray, share: float, left: float, top: float) -> np.ndarray:
    """Cuts `share` of each side away and resizes back, bilinearly.

    left, top: which part of what is cut away lies at the left and the top, 0 to 1.
    """
    height, width = image.shape[:2]
    rows, columns = round(height * share), round(width * share)
    if not rows and not columns:
        return image
    y, x = round(top * rows), round(left * columns)
    kept = Image.fromarray(image[y : y + height - rows, x : x + width - columns])
    return np.asarray(kept.resize((width, height), Image.Resampling.BILINEAR))


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """The image as a JPEG file of libjpeg's quality 1 to 100."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """What is left after JPEG; quality above 100 means none."""
    if quality > 100:
        return image
    with Image.open(io.BytesIO(jpeg(image, quality))) as decoded:
        return np.asarray(decoded.convert("RGB"))


@lru_cache(maxsize=8)
def spherical_harmonics(height: int, width: int) -> np.ndarray:
    """The nine real harmonics up to the second order on a dome, float32 [H, W, 9].

    The dome stands over the image: its normals lean outwards with the distance from the centre,
    to the horizon in the corners. Ramamoorthi and Hanrahan (2001), equation 3, unnormalised.
    """
    y, x = np.meshgrid(
        *(np.linspace(-1, 1, n) / np.sqrt(2) for n in (height, width)), indexing="ij"
    )
    z = np.sqrt(np.maximum(0, 1 - x**2 - y**2))
    second = [x * y, y * z, 3 * z**2 - 1, x * z, x**2 - y**2]
    return np.stack([np.ones_like(x), y, z, x, *second], axis=-1).astype(np.float32)


def relight(image: np.ndarray, light: tuple[float, ...], strength: float) -> np.ndarray:
    """Replaces the shading of an image by that of a random second-order lighting.

    No network that separates shading from surface comes with this program, so the surface is
    taken to be a dome (`spherical_harmonics`). The shading there is, is the second-order lighting
    of that dome that comes closest to the logarithm of the image's luminance; the image is
    multiplied by new shading / old shading, and scaled to its old mean. Only low frequencies
    change, as with a real lamp.

    Args:
        light: nine coefficients of the logarithm of the new shading.
        strength: exponent of the ratio.
    """
    if strength == 0:
        return image
    basis = spherical_harmonics(*image.shape[:2])
    luminance = image @ np.array([0.299, 0.587, 0.114], np.float32)
    flat = basis.reshape(-1, 9)
    # + 16 of 255 levels: black pixels would otherwise decide the fit alone.
    old, *_ = np.linalg.lstsq(flat, np.log(luminance.reshape(-1) + 16), rcond=None)
    ratio = np.exp(np.float32(strength) * (basis @ (np.array(light) - old).astype(np.float32)))
    ratio *= luminance.sum() / max(float((luminance * ratio).sum()), 1e-6)
    return _to_uint8(image * ratio[..., None])


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


class _Attack(NamedTuple):
    draw: Callable[[np.random.Generator, float], Parameters]
    apply: Callable[..., np.ndarray]


def _draw_noise(rng: np.random.Generator, strength: float, drawn: str = "sigma") -> Parameters:
    value = rng.uniform(*NOISE_SIGMA)
    sigma = value if drawn == "sigma" else float(np.sqrt(value))
    return {"sigma": sigma * strength, "noise_seed": int(rng.integers(2**63))}


def _draw_blur(rng: np.random.Generator, strength: float) -> Parameters:
    size = int(rng.choice(BLUR_SIZES))
    return {"size": size, "sigma": (0.3 * ((size - 1) * 0.5 - 1) + 0.8) * strength}  # OpenCV's rule


def _draw_crop(rng: np.random.Generator, strength: float) -> Parameters:
    share, left, top = rng.uniform(*CROP_SHARE), rng.random(), rng.random()
    return {"share": min(share * strength, 0.9), "left": left, "top": top}


def _draw_compression(rng: np.random.Generator, strength: float) -> Parameters:
    quality = int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1], endpoint=True))
    quality = round(101 - (101 - quality) * strength)
    return {"quality": max(1, quality)}


def _draw_relighting(rng: np.random.Generator, strength: float) -> Parameters:
    light = rng.standard_normal(9) * LIGHT_SPREAD
    return {"light": tuple(light.tolist()), "strength": strength}


SINGLE = {
    "noise": _Attack(_draw_noise, add_noise),
    "blur": _Attack(_draw_blur, blur),
    "cropping": _Attack(_draw_crop, crop),
    "compression": _Attack(_draw_compression, compress),
    "relighting": _Attack(_draw_relighting, relight),
}
IN_COMBINATION = ("relighting", "cropping", "blur", "compression", "noise")
NAMES = (*SINGLE, "combination")


@dataclass(frozen=True)
class Perturbation:
    """One attack with its seed, applied to any number of images.

    Attributes:
        name: one of `NAMES`; "combination" applies each of the five with probability 1/2.
        seed: with each image's key it decides the parameters.
        strength: multiplies the parameters' effect; 1 is the publication's, 0 the identity.
        noise: "sigma", its standard deviation is drawn from 5 to 20, or "variance", its variance.

    Example:
        >>> attacked, parameters = Perturbation("compression", seed=0)(image, "000001.png")
        >>> parameters
        {'compression': {'quality': 37}}
    """

    name: str
    seed: int = 0
    strength: float = 1.0
    noise: str = "sigma"

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"name={self.name!r}; expected one of {', '.join(NAMES)}")
        if self.noise not in ("sigma", "variance"):
            raise ValueError(f"noise={self.noise!r}; expected sigma or variance")
        if self.strength < 0:
            raise ValueError(f"strength={self.strength}; expected 0 or more")

    def parameters(self, key: str | int) -> dict[str, Parameters]:
        """Attack → parameters, in the order in which they are applied."""
        rng = keyed_random(self.seed, self.name, key)
        if self.name != "combination":
            return {self.name: self._draw(self.name, rng)}
        chosen = rng.random(len(IN_COMBINATION)) < 0.5
        return {
            name: self._draw(name, rng)
            for name, wanted in zip(IN_COMBINATION, chosen, strict=True)
            if wanted
        }

    def _draw(self, name: str, rng: np.random.Generator) -> Parameters:
        if name == "noise":
            return _draw_noise(rng, self.strength, self.noise)
        return SINGLE[name].draw(rng, self.strength)

    def __call__(
        self, image: np.ndarray, key: str | int
    ) -> tuple[np.ndarray, dict[str, Parameters]]:
        """The attacked image, uint8 [H, W, 3], and `parameters(key)`."""
        drawn = self.parameters(key)
        return apply(image, drawn), drawn


def apply(image: np.ndarray, drawn: dict[str, Parameters]) -> np.ndarray:
    """The image after attacks with known parameters, uint8 [H, W, 3]."""
    for name, parameters in drawn.items():
        image = SINGLE[name].apply(image, **parameters)
    return image


def keyed_random(seed: int, name: str, key: str | int) -> np.random.Generator:
    """Random numbers of one image, the same whatever came before it."""
    # Hashed, so that neighbouring keys give unrelated numbers; Python's own hash differs from
    # process to process.
    digest = hashlib.sha256(f"{seed} {name} {key}".encode(errors="surrogateescape")).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))
