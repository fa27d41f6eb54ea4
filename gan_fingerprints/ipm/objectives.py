"""What a loss of this family is: functions of features, with no network or optimizer in them."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf


class Objective(Protocol):
    """A distance between batches of features, float32 [N, features] each.

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
        """The function [N] of other features x [N, features] whose slope is penalized."""
