"""What images in question may have gone through, by name: files of lower quality, other sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from gan_fingerprints import perturbations
from gan_fingerprints.perturbations import Perturbation, compress

AS_THEY_ARE = "as they are"
QUALITIES = (95, 90, 85, 75, 60, 50)
SCALES = (75, 90, 110, 125)  # per cent of a side
SCREEN, SCREEN_QUALITY = 1.25, 85


@dataclass(frozen=True)
class Degradation:
    """One thing that happens to every image.

    Attributes:
        about: it in a few words.
        apply: image uint8 [H, W, 3] and its key → uint8 [H, W, 3]; the same for the same two.
        quality: of the JPEG that it ends in, where it is one.
        scale: of the sides, where they change by a known factor.
    """

    about: str
    apply: Callable[[np.ndarray, str], np.ndarray]
    quality: int | None = None
    scale: float = 1.0


def resized(image: np.ndarray, _: str, scale: float, how: Image.Resampling) -> np.ndarray:
    """Both sides times a factor; at least a pixel."""
    size = [max(1, round(scale * n)) for n in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize((size[0], size[1]), how))


def screenshot(image: np.ndarray, key: str) -> np.ndarray:
    """Enlarged as screens do that have more pixels than pages think, cut off the grid, as JPEG."""
    shown = resized(image, key, SCREEN, Image.Resampling.BILINEAR)
    most = [min(7, n // 8) for n in shown.shape[:2]]
    rng = perturbations.keyed_random(0, "screenshot", key)
    top, left = (int(rng.integers(n + 1)) for n in most)
    return compress(np.ascontiguousarray(shown[top:, left:]), SCREEN_QUALITY)


def _attack(name: str, image: np.ndarray, key: str) -> np.ndarray:
    return Perturbation(name)(image, key)[0]


def _jpeg(quality: int, image: np.ndarray, _: str) -> np.ndarray:
    return compress(image, quality)


DEGRADATIONS = {
    **{f"jpeg{q}": Degradation(f"saved as JPEG of quality {q}", partial(_jpeg, q), q)
       for q in QUALITIES},
    **{f"resize{s}": Degradation(
        f"resized to {s} % of the side, bicubic",
        partial(resized, scale=s / 100, how=Image.Resampling.BICUBIC), None, s / 100)
       for s in SCALES},
    "screenshot": Degradation(
        f"enlarged to {100 * SCREEN:.0f} % of the side, bilinear, cut by up to 7 pixels, and saved "
        f"as JPEG of quality {SCREEN_QUALITY}", screenshot, SCREEN_QUALITY, SCREEN),
    **{name: Degradation(f"the publication's attack: {name}", partial(_attack, name))
       for name in perturbations.NAMES},
}  # fmt: skip
"""Name → what it does; see `perturbations` for the attacks."""
