"""The loss of WGAN-GP (Gulrajani et al. 2017): the MMD of one feature with a linear witness."""

from __future__ import annotations

import tensorflow as tf


class WassersteinGP:
    """Means of the discriminator's one output; needs --dof_dim 1."""

    fake_batches = 1

    def generator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """-E[h(g)]."""
        return -tf.reduce_mean(fakes[0])

    def discriminator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """E[h(g)] - E[h(real)]."""
        return tf.reduce_mean(fakes[0]) - tf.reduce_mean(real)

    def witness(self, x: tf.Tensor, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """h(x)."""
        return x[:, 0]
