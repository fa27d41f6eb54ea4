"""What the replicas of a network that is trained on several devices do together.

A step computes the same whether its minibatch is on one device or divided among several: numbers
are drawn for the whole minibatch, of which each replica takes its share, and statistics of the
minibatch are those of all shares. On one device nothing here computes anything.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def shares(minibatch: int, replicas: int, group: int = 0) -> np.ndarray:
    """Which images of a minibatch each replica takes: int [replicas, minibatch / replicas].

    group: images in a group of `layers.minibatch_stddev`, which stay together where the groups
        divide among the replicas; else, and with 0, each takes the images that follow each other.
    """
    groups = minibatch // min(group, minibatch) if group else 0
    if groups and groups % replicas == 0:
        # Image n is in group n mod groups, and so it is in a share of the same order.
        table = np.arange(minibatch).reshape(-1, replicas, groups // replicas)
        return table.transpose(1, 0, 2).reshape(replicas, -1)
    return np.arange(minibatch).reshape(replicas, -1)


def number() -> int:
    """How many replicas take the step that is computed; 1 outside of a step."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def to_come() -> int:
    """How many replicas will train a network that is built now, in a strategy's scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _index() -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    return tf.convert_to_tensor(context.replica_id_in_sync_group, tf.int32)


def own_share(x: tf.Tensor, group: int = 0) -> tf.Tensor:
    """This replica's rows of what was drawn for the whole minibatch: [N, …] → [N / replicas, …]."""
    replicas = number()
    if replicas == 1:
        return x
    rows = tf.constant(shares(int(x.shape[0]), replicas, group), tf.int32)
    return tf.gather(x, rows[_index()])


def gathered(x: tf.Tensor) -> tf.Tensor:
    """All replicas' rows, in the order of the minibatch: float [n, …] → [n·replicas, …].

    The gradient sums over replicas: that of a loss which each of them computes of all rows is
    `replicas` times the replica's part.
    """
    replicas = number()
    if replicas == 1:
        return x
    return tf.reshape(_of_each(x), tf.concat([[-1], tf.shape(x)[1:]], 0))


def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and biased variance of each channel over all replicas' images, and how many values.

    x: float32 [N, H, W, C].
    """
    # Moments of moments, not of squares: Var = E[Var] + Var[E] loses no digits.
    mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
    means, variances = tf.unstack(_of_each(tf.stack([mean, variance])), axis=1)  # [replicas, C]
    mean = tf.reduce_mean(means, axis=0)
    variance = tf.reduce_mean(variances + tf.square(means - mean), axis=0)
    return mean, variance, tf.cast(tf.reduce_prod(tf.shape(x)[:3]) * number(), tf.float32)


def _of_each(x: tf.Tensor) -> tf.Tensor:
    """The replicas' values of x, [replicas, …]."""
    # A sum in which each fills its own place: unlike a gathering of rows it has a gradient.
    own = tf.one_hot(_index(), number(), dtype=x.dtype)
    own = tf.reshape(own, tf.concat([[number()], tf.ones([tf.rank(x)], tf.int32)], 0))
    return tf.distribute.get_replica_context().all_reduce("SUM", own * x[None])
