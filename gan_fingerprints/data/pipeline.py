"""Endless shuffled minibatches from a data set on disk, the same for the same seed and position.

What comes at a position depends on (seed, position) alone, so a run that was interrupted goes on
exactly where it was, and nothing of the shuffling has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import numpy as np
import tensorflow as tf

from gan_fingerprints.data.augmentation import Augmentation
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.workers import cores

READ_AHEAD = 4  # minibatches


class Source(Protocol):
    """Images by position, as a `data.reading.DataSet` has them."""

    name: str
    count: int
    resolution: int
    labels: np.ndarray | None
    source_names: list[str] | None

    @property
    def checksum(self) -> str: ...

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray: ...


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of a whole epoch: int [count], every record once."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def stream_indices(count: int, seed: int, position: int, minibatch: int) -> np.ndarray:
    """Record numbers at positions position … position + minibatch - 1 of the endless stream."""
    positions = np.arange(position, position + minibatch)
    epochs = positions // count
    # A minibatch that reaches into the next epoch takes the rest from that one's order.
    parts = [
        epoch_order(count, seed, epoch)[positions[epochs == epoch] % count]
        for epoch in np.unique(epochs)
    ]
    return np.concatenate(parts)


def mirrored(images: np.ndarray, seed: int, position: int) -> np.ndarray:
    """Flips images uint8 [N, H, W, 3] left to right with probability 1/2, by (seed, position)."""
    # The 1 keeps these numbers apart from those of `epoch_order`, whose key is two numbers long.
    flip = np.random.default_rng([seed, position, 1]).random(len(images)) < 0.5
    pixels = images.view("V3")  # moving three bytes as one takes a third of the time
    pixels[flip] = pixels[flip, :, ::-1]
    return images


def attacked(images: np.ndarray, attack: Perturbation, keys: Iterable[int]) -> np.ndarray:
    """Images uint8 [N, H, W, 3] after an attack whose parameters follow from each image's key."""
    for image, key in zip(images, keys, strict=True):
        image[:], _ = attack(image, int(key))
    return images


def minibatches(
    data: Source,
    minibatch: int,
    *,
    seed: int,
    start: int,
    resolution: int | None = None,
    mirror: bool = False,
    attack: Perturbation | None = None,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """Endless (images, labels) from position `start`, in images, of the shuffled stream.

    Every epoch shows each record once in a new order. Memory does not grow with the data set.
    An attack and an augmentation draw new parameters at every position; minibatches are then made
    on all cores.

    Returns:
        images uint8 [minibatch, H, W, 3] at `resolution` (default: the full one), or crops float32
        [minibatch, crop, crop, 3] with an augmentation; labels float32 [minibatch, sources]
        ([minibatch, 0] without labels).
    """
    side = data.resolution if resolution is None else resolution
    labels = np.zeros([data.count, 0], np.float32) if data.labels is None else data.labels
    shown, kind = (augmentation.crop, tf.float32) if augmentation else (side, tf.uint8)

    def fetch(position: np.int64) -> tuple[np.ndarray, np.ndarray]:
        indices = stream_indices(data.count, seed, int(position), minibatch)
        images = data.images(indices, side)
        if attack:
            images = attacked(images, attack, range(int(position), int(position) + minibatch))
        if mirror:
            images = mirrored(images, seed, int(position))
        if augmentation:  # the 2, as the 1 of `mirrored`
            images = augmentation(images, np.random.default_rng([seed, int(position), 2]))
        return images, labels[indices]

    def load(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, one_hot = tf.numpy_function(fetch, [position], [kind, tf.float32], stateful=False)
        images = tf.ensure_shape(images, [minibatch, shown, shown, 3])
        one_hot = tf.ensure_shape(one_hot, [minibatch, labels.shape[1]])
        return images, one_hot

    positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max, minibatch)
    threads = cores() if attack or augmentation else 1
    stream = positions.map(load, num_parallel_calls=threads, deterministic=True)
    stream = stream.prefetch(READ_AHEAD)
    # Each replica takes its share of every minibatch; by files there would be nothing to divide.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return stream.with_options(options)
