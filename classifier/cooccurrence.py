"""Which small steps of grey stand side by side: a descriptor of images, in milliseconds each.

Generators differ in how their last convolutions let neighbouring pixels vary, and rich models of
steganalysis count just that: filters take away the content, and what is left is counted in triples
(Fridrich and Kodovsky 2012; Pevny, Bas and Fridrich 2010).
"""

from __future__ import annotations

import functools

import numpy as np

HIGHEST = 2  # residuals are cut off at ± this, after rounding
LEVELS = 2 * HIGHEST + 1
STEPS = {"Y": (1, 2), "Cb": (1,), "Cr": (1,)}  # what residuals are divided by before rounding
DIFFERENCES = (np.array([-1, 1]), np.array([1, -2, 1]) / 2, np.array([-1, 3, -3, 1]) / 3)
SQUARE = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
KV = (
    np.array(
        [
            [-1, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ]
    )
    / 12
)
# Each group is counted together: a filter and the same one turned see the same thing.
GROUPS = [*([line[None], line[:, None]] for line in DIFFERENCES), [SQUARE], [KV]]


@functools.cache
def classes_of_triples() -> np.ndarray:
    """The class of each triple of levels, int [LEVELS³]: those that mirrors exchange share one.

    Read backwards, or with every sign turned, a triple says the same of the generator.
    """
    shape = (LEVELS,) * 3
    levels = np.stack(np.unravel_index(np.arange(LEVELS**3), shape))
    turned = LEVELS - 1 - levels
    alike = [np.ravel_multi_index(x, shape) for x in (levels, levels[::-1], turned, turned[::-1])]
    return np.unique(np.min(alike, axis=0), return_inverse=True)[1]


def describe(images: np.ndarray) -> np.ndarray:
    """Shares of triples in the residuals: uint8 [N, H, W, 3] → float32 [N, 780], H and W from 8.

    For Y by two steps, Cb and Cr by one: for each of five groups of filters the residual, divided
    by the step, rounded and cut off, is counted in triples along and across.
    """
    parts = []
    for name, plane in _planes(images).items():
        for step in STEPS[name]:
            for group in GROUPS:
                shares = [_shares(_residual(plane, kernel / step)) for kernel in group]
                parts.append(np.mean(shares, axis=0))
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _planes(images: np.ndarray) -> dict[str, np.ndarray]:
    """Luminance and colour differences as JPEG has them: float32 [N, H, W] each."""
    r, g, b = np.moveaxis(images.astype(np.float32), 3, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return {"Y": y, "Cb": (b - y) / 1.772, "Cr": (r - y) / 1.402}


def _residual(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Levels 0 to LEVELS - 1 of what a filter leaves, where it fits: int [N, H', W']."""
    height = plane.shape[1] - kernel.shape[0] + 1
    width = plane.shape[2] - kernel.shape[1] + 1
    left = np.zeros((len(plane), height, width), np.float32)
    for (row, column), weight in np.ndenumerate(kernel):
        left += np.float32(weight) * plane[:, row : row + height, column : column + width]
    return np.clip(np.rint(left), -HIGHEST, HIGHEST).astype(np.int64) + HIGHEST


def _shares(levels: np.ndarray) -> np.ndarray:
    """Shares of the classes of triples, along and across: float64 [N, classes]."""
    classes = classes_of_triples()
    number = classes.max() + 1
    counts = np.zeros((len(levels), number))
    images = number * np.arange(len(levels))[:, None]
    for along in (levels, levels.swapaxes(1, 2)):
        codes = (along[..., :-2] * LEVELS + along[..., 1:-1]) * LEVELS + along[..., 2:]
        places = classes[codes].reshape(len(levels), -1) + images
        counts += np.bincount(places.ravel(), minlength=counts.size).reshape(counts.shape)
    return counts / counts.sum(axis=1, keepdims=True)
