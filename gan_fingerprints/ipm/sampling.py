"""Images from a generator: batch by batch, and the statistics that free them of their batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from gan_fingerprints.ipm.config import Statistics
from gan_fingerprints.ipm.layers import BatchNorm
from gan_fingerprints.ipm.networks import Generator

BATCH = 32  # of images that do not depend on it
STATISTICS_BATCHES = 100
STATISTICS_BATCH = 64
STATISTICS_STREAM = 2**60  # of random numbers, apart from those of training


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float in [0, 1] → uint8, one fixed mapping for every image, rounded to the nearest."""
    return np.clip(np.rint(images * 255), 0, 255).astype(np.uint8)


def collect_statistics(G: Generator, seed: int) -> None:
    """Fills every batch norm with mean and variance over 6,400 generated images.

    The variance is that of all images together: the mean of the batches' variances, plus the
    variance of their means.
    """
    norms = [layer for layer in G.layers if isinstance(layer, BatchNorm)]
    for norm in norms:
        norm.moving_mean.assign(tf.zeros_like(norm.moving_mean))
        norm.moving_variance.assign(tf.zeros_like(norm.moving_variance))

    @tf.function
    def collect(number: tf.Tensor) -> None:
        key = tf.stack([tf.constant(seed, tf.int64), number + STATISTICS_STREAM])
        z = tf.random.stateless_uniform([STATISTICS_BATCH, G.z_dim], key, -1, 1)
        G(z, statistics="collect")

    for number in range(STATISTICS_BATCHES):
        collect(tf.constant(number, tf.int64))
    for norm in norms:
        # So far these are sums of means and of mean squares: Var = E[x²] - E[x]².
        mean = norm.moving_mean / STATISTICS_BATCHES
        norm.moving_variance.assign(norm.moving_variance / STATISTICS_BATCHES - tf.square(mean))
        norm.moving_mean.assign(mean)


def images_of(
    G: Generator, z: np.ndarray, statistics: Statistics, batch: int
) -> Iterator[np.ndarray]:
    """Generated images in batches, float32 [batch, R, R, 3] in [0, 1].

    Args:
        z: float32 [N, z_dim]. The last batch is filled up with its own latents, from the first on.
        statistics: "batch" or "population".
        batch: images that share the statistics of their batch. Without effect on "population".
    """
    batch = BATCH if statistics == "population" else batch
    step = tf.function(lambda part: G(part, statistics=statistics))
    for start in range(0, len(z), batch):
        part = z[start : start + batch]
        # Filled up with latents of this very batch, so that its statistics stay its own.
        yield step(np.resize(part, [batch, z.shape[1]])).numpy()[: len(part)]
