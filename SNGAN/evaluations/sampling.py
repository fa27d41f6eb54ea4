"""What the programs of this folder share: a generator from its configuration and snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints import images
from gan_fingerprints.networks import files
from SNGAN.config import Config
from SNGAN.gen_models.resnet import ResNetGenerator

BATCH = 16


def load_generator(config: Config, snapshot: str) -> ResNetGenerator:
    """The generator of a configuration, filled from a snapshot of ours or Chainer's.

    Raises:
        UserError: the file cannot be read, or is of a network of another shape.
    """
    keras.config.set_dtype_policy("float32")
    G = ResNetGenerator(**config.generator)
    files.fill_from(snapshot, [G], "--snapshot")
    return G


def latents(random: np.random.RandomState, G: ResNetGenerator, number: int) -> np.ndarray:
    """float32 [number, dim_z]; one after the other, as published, so `number` does not matter."""
    if G.distribution == "uniform":
        return random.uniform(-1, 1, (number, G.dim_z)).astype(np.float32)
    return random.randn(number, G.dim_z).astype(np.float32)


def cut_off(values: np.ndarray) -> np.ndarray:
    """float in [-1, 1] → uint8, cut off instead of rounded, as published for this GAN."""
    return np.clip(values * 127.5 + 127.5, 0, 255).astype(np.uint8)


def pictures(
    G: ResNetGenerator, z: np.ndarray, classes: np.ndarray, rounded: bool = False
) -> Iterator[np.ndarray]:
    """Batches of generated images, uint8 [≤ 16, size, size, 3].

    Args:
        z: float32 [N, dim_z].
        classes: int [N], or mixtures of classes float32 [N, n_classes].
        rounded: to the nearest level, as images of the other GANs are; else cut off.
    """
    step = tf.function(lambda z, y: G(z, y))
    to_uint8 = images.to_uint8 if rounded else cut_off
    for start in range(0, len(z), BATCH):
        part = [a[start : start + BATCH] for a in (z, classes)]
        number = len(part[0])
        padded = [np.concatenate([a, np.repeat(a[-1:], BATCH - number, axis=0)]) for a in part]
        yield to_uint8(step(*padded).numpy()[:number])
