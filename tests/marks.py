"""Sources that differ in an artificial fingerprint: a faint fixed pattern on photos."""

from pathlib import Path

import numpy as np
from PIL import Image

SOURCES = ["marked_a", "marked_b", "real"]


def marked(photo: np.ndarray, source: str, strength: int) -> np.ndarray:
    """uint8 [H, W, 3] with rows (a) or columns (b) that alternate by ± strength levels."""
    rows, columns = 2 * (np.indices(photo.shape[:2])[..., None] % 2) - 1
    pattern = {"real": 0, "marked_a": strength * rows, "marked_b": strength * columns}[source]
    return np.clip(photo.astype(int) + pattern, 0, 255).astype(np.uint8)


def write_sources(
    root: Path, photo_crops, strength: int, side: int = 16, number: int = 900
) -> Path:
    """train/ and test/, a fifth, with one subfolder per source; no photo is in two of them."""
    photos = sorted(photo_crops(root / "photos", number, side).iterdir())
    for i, path in enumerate(photos):
        source, split = SOURCES[i % 3], "test" if i % 5 == 0 else "train"
        target = root / split / source / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked(np.asarray(Image.open(path)), source, strength)).save(target)
    return root
