"""Pictures made by chance, and what JPEG makes of them."""

import io

import numpy as np
from PIL import Image


def clouds(number: int, seed: int, side: int = 64, contrast: float = 45) -> np.ndarray:
    """Pictures with amplitudes as of photographs, 1/frequency: uint8 [N, side, side, 3]."""
    rng = np.random.default_rng(seed)
    u, v = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    falls = 1 / np.maximum(np.hypot(u, v), 1 / side)
    falls[0, 0] = 0
    common, own = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(number, channels, side, side))) * falls)
        for channels in (1, 3)
    )
    pictures = common + 0.3 * own
    pictures *= contrast / pictures.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(pictures.transpose(0, 2, 3, 1) + 120, 0, 255).astype(np.uint8)


def through_jpeg(
    picture: np.ndarray, quality: int, place: tuple[int, int] = (0, 0), subsampling: int = 2
) -> np.ndarray:
    """A picture uint8 [H, W, 3] after a JPEG whose blocks begin at this place, from 0 to 7."""
    height, width = picture.shape[:2]
    left, top = (-x % 8 for x in place)
    larger = np.pad(picture, ((top, 8), (left, 8), (0, 0)), mode="reflect")
    file = io.BytesIO()
    Image.fromarray(larger).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))[top : top + height, left : left + width]
