"""SNGAN's snapshots in Chainer's layout: which network, and the order of its weights.

Keys are link paths, e.g. `block2/c1/W`. Convolutions are [out, in, k, k] there and [k, k, in, out]
here; everything else is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints.networks.published import npz
from gan_fingerprints.networks.stored import Refused, StoredArray, StoredNetwork

GENERATOR = "ResNetGenerator"
DISCRIMINATOR = "SNResNetProjectionDiscriminator"
# Residual blocks → side of the images.
GENERATOR_SIZES = {3: 32, 4: 64, 5: 128, 6: 256}
DISCRIMINATOR_SIZES = {4: 32, 5: 64, 6: 128, 7: 256}


def chainer_order(array: np.ndarray) -> np.ndarray:
    """A weight of ours as Chainer keeps it."""
    return np.transpose(array, [3, 2, 0, 1]) if array.ndim == 4 else array


def read(path: Path) -> list[StoredNetwork]:
    """The one network of a snapshot.

    Raises:
        Refused: not a snapshot of either network, or damaged.
    """
    arrays = npz.read(path)
    kind, arguments = described({key: array.shape for key, array in arrays.items()})
    ours = {key: in_our_order(array) for key, array in arrays.items()}
    return [StoredNetwork(kind, arguments, ours, published_as=kind)]


def write(path: Path, stored: StoredNetwork) -> None:
    """Writes a snapshot, which Chainer reads."""
    arrays = {key: chainer_order(np.asarray(a)).copy() for key, a in stored.arrays.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def described(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, dict[str, Any]]:
    """Kind and constructor arguments of the network whose weights have these shapes.

    Raises:
        Refused: no network of SNGAN's.
    """
    blocks = len({key.partition("/")[0] for key in shapes if key.startswith("block")})
    try:
        if "block1/c1/W" in shapes:
            classes = shapes.get("l_y/W", (0, 0))[0]
            width, size = shapes["block1/c1/W"][0], DISCRIMINATOR_SIZES[blocks]
            return DISCRIMINATOR, {"size": size, "ch": width, "n_classes": classes}
        classes = shapes.get("block2/b1/gammas/W", (0, 0))[0]
        width, dim_z = shapes[f"block{blocks + 1}/c2/W"][0], shapes["l1/W"][1]
        size = GENERATOR_SIZES[blocks]
        return GENERATOR, {"size": size, "ch": width, "dim_z": dim_z, "n_classes": classes}
    except (KeyError, IndexError):
        raise Refused("an .npz file without the weights of an SNGAN") from None


def in_our_order(array: StoredArray) -> StoredArray:
    """An array of a file of Chainer's as ours."""
    if len(array.shape) != 4:
        return array
    out, channels, height, width = array.shape
    shape = (height, width, channels, out)
    return replace(array, shape=shape, read=lambda: array.read().transpose(2, 3, 1, 0))
