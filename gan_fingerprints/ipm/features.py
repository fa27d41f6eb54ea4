"""Image features for the three-sample test: InceptionV3's, or an attribution classifier's.

A feature extractor is a function of images float32 [N, R, R, 3] in [0, 1] → float32 [N, dim].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from gan_fingerprints.ipm.data import Images
from gan_fingerprints.ipm.networks import Generator
from gan_fingerprints.ipm.sampling import images_of
from gan_fingerprints.networks import files, inception
from gan_fingerprints.networks.files import constructors
from gan_fingerprints.program import UserError

Extractor = Callable[[tf.Tensor], tf.Tensor]


def of_classifier(path: str | Path) -> Extractor:
    """Features of a trained attribution classifier of ours.

    Raises:
        UserError: not such a file, or a classifier of patches.
    """
    loaded = files.load(path, constructors("classifier"), "--features_model")
    network: Any = loaded.network
    if network.patches:
        raise UserError(
            "--features_model: a classifier of patches, expected one with dense "
            "layers at its end (latent_res -1)"
        )
    size = [network.arguments["resolution"]] * 2
    return tf.function(lambda x: network.features(tf.image.resize(x, size) * 2 - 1))


def of_inception(path: str | Path) -> Extractor:
    """Features of Keras's InceptionV3 (2,048 means of its last maps), with weights from a file.

    Raises:
        UserError: no such file, or not weights of InceptionV3, with or without its last layer.
    """
    extract = inception.extractor(path, "--features_weights")
    return tf.function(lambda x: extract(x * 2 - 1))


def real_features(data: Images, extract: Extractor, number: int, batch: int) -> np.ndarray:
    """Features of the first `number` real images, float32 [number, dim]."""
    parts = []
    for start in range(0, number, batch):
        indices = np.arange(start, start + batch) % data.count
        pixels = data.images(indices, data.resolution).astype(np.float32) / 255
        parts.append(extract(tf.constant(pixels)).numpy())
    return np.concatenate(parts)[:number]


def generated_features(
    G: Generator, extract: Extractor, number: int, batch: int, key: list[int]
) -> np.ndarray:
    """Features of newly generated images, float32 [number, dim]; key: seed of the latents."""
    z = np.random.RandomState(key).uniform(-1, 1, [number, G.z_dim]).astype(np.float32)
    parts = images_of(G, z, "batch", batch)
    return np.concatenate([extract(tf.constant(part)).numpy() for part in parts])
