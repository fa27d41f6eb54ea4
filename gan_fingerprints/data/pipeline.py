"""Endless shuffled minibatches from a data set on disk, the same for the same seed and position.

What comes at a position depends on (seed, position) alone, so a run that was interrupted goes on
exactly where it was, and nothing of the shuffling has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from gan_fingerprints.data.augmentation import Augmentation
from gan_fingerprints.networks import replicas
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


def mirrored(images: np.ndarray, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Flips images uint8 [N, H, W, 3], some `rows` of a minibatch, where its draws are below 1/2.

    draws: float [minibatch] in [0, 1).
    """
    flip = draws[rows] < 0.5
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
    rows: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Endless (images, labels) from position `start`, in images, of the shuffled stream.

    Every epoch shows each record once in a new order. Memory does not grow with the data set.
    An attack and an augmentation draw new parameters at every position; minibatches are then made
    on all cores.

    rows: which images of a minibatch are wanted, int [N]; only these are read, and they are the
        same whatever others are (default: all).

    Returns:
        images uint8 [N, H, W, 3] at `resolution` (default: the full one), or crops float32
        [N, crop, crop, 3] with an augmentation; labels float32 [N, sources] ([N, 0] without
        labels).
    """
    rows = np.arange(minibatch) if rows is None else rows
    side = data.resolution if resolution is None else resolution
    labels = np.zeros([data.count, 0], np.float32) if data.labels is None else data.labels
    shown, kind = (augmentation.crop, tf.float32) if augmentation else (side, tf.uint8)

    def fetch(position: np.int64) -> tuple[np.ndarray, np.ndarray]:
        indices = stream_indices(data.count, seed, int(position), minibatch)[rows]
        images = data.images(indices, side)
        # Random numbers are drawn for the whole minibatch, so that a share of it has its own.
        if attack:
            images = attacked(images, attack, int(position) + rows)
        if mirror:
            # The 1 keeps these apart from those of `epoch_order`, whose key is two numbers long.
            draws = np.random.default_rng([seed, int(position), 1]).random(minibatch)
            images = mirrored(images, rows, draws)
        if augmentation:  # the 2, as the 1
            random = np.random.default_rng([seed, int(position), 2])
            images = augmentation(images, random, rows, minibatch)
        return images, labels[indices]

    def load(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, one_hot = tf.numpy_function(fetch, [position], [kind, tf.float32], stateful=False)
        images = tf.ensure_shape(images, [len(rows), shown, shown, 3])
        one_hot = tf.ensure_shape(one_hot, [len(rows), labels.shape[1]])
        return images, one_hot

    positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max, minibatch)
    threads = cores() if attack or augmentation else 1
    stream = positions.map(load, num_parallel_calls=threads, deterministic=True)
    return stream.prefetch(READ_AHEAD)


def shared(
    strategy: tf.distribute.Strategy, data: Source, minibatch: int, *, group: int = 0, **how: Any
) -> Iterator[tuple[Any, Any]]:
    """`minibatches`, each divided among the replicas of a strategy; a worker reads its share only.

    group: images of a minibatch that stay together, see `replicas.shares`; how: of `minibatches`.
    """

    def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
        table = replicas.shares(minibatch, context.num_replicas_in_sync, group)
        own = np.split(table, context.num_input_pipelines)[context.input_pipeline_id]
        stream = minibatches(data, minibatch, rows=own.ravel(), **how)
        if len(own) == 1:
            return stream
        # This worker's replicas take what comes one after the other.
        return stream.unbatch().batch(table.shape[1], drop_remainder=True).prefetch(READ_AHEAD)

    return iter(strategy.distribute_datasets_from_function(share))
