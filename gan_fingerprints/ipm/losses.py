"""What a loss of this family is, and the penalties on its discriminator: functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

UNDER_THE_ROOT = 1e-5  # keeps the slope of a norm finite at zero


class Objective(Protocol):
    """A distance between batches of features, float32 [N, features] each, of all replicas.

    Attributes:
        fake_batches: how many independent batches of generated images a step needs. `fakes`
            below is a list of that many.
    """

    fake_batches: int

    def generator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """What the generator minimizes, a scalar."""

    def discriminator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """What the discriminator minimizes before penalties, a scalar."""

    def witness(self, x: tf.Tensor, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """The function [M] of other features x [M, features], this replica's share of as many as
        `real`, whose slope is penalized."""


def norm(x: tf.Tensor, axis: int | list[int]) -> tf.Tensor:
    """√(Σ x² + 1e-5) over some axes."""
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=axis) + UNDER_THE_ROOT)


def gradient_norm(gradient: tf.Tensor, axes: str = "all") -> tf.Tensor:
    """Norms of gradients with respect to images, [N, H, W, C].

    axes: "all" takes one norm per image over all pixels and channels, [N]; "rows" is the
        published reading, which takes it over axis 1 only, [N, W, C].
    """
    return norm(gradient, [1, 2, 3] if axes == "all" else 1)


def slope_penalty(
    witness: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor, axes: str = "all"
) -> tf.Tensor:
    """E[(‖∇ witness(images)‖ - 1)²] (Gulrajani et al. 2017), a scalar.

    witness: images [N, H, W, C] → float [N], each value of its own image.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        values = tf.reduce_sum(witness(images))
    # The slope of a sum is every image's own slope: no value depends on another's image.
    gradient = tf.cast(tape.gradient(values, images), tf.float32)
    return tf.reduce_mean(tf.square(gradient_norm(gradient, axes) - 1))


def between(real: tf.Tensor, fake: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Points on the lines from real to generated images; share [N, 1, 1, 1] in [0, 1]."""
    return real + share * (fake - real)


def mean_square(layers: dict[str, tf.Tensor]) -> tf.Tensor:
    """Mean squared activation, summed over a discriminator's layers."""
    return tf.add_n([tf.reduce_mean(tf.square(tf.cast(h, tf.float32))) for h in layers.values()])
