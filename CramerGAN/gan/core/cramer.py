"""The losses of CramerGAN: energy distance between features (Bellemare et al. 2017)."""

from __future__ import annotations

import tensorflow as tf

from gan_fingerprints.ipm.losses import norm
from gan_fingerprints.networks.replicas import own_share


def distance(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Distances between features of the same index: [N, features] twice → [N]."""
    return norm(x - y, axis=1)


def critic(x: tf.Tensor, anchor: tf.Tensor) -> tf.Tensor:
    """f(x) = ‖x - anchor‖ - ‖x‖: [N, features] twice → [N]."""
    return distance(x, anchor) - norm(x, axis=1)


class Cramer:
    """CramerGAN as published: two independent batches of generated images, g and g2."""

    fake_batches = 2

    def generator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """E[‖g - real‖ + ‖g2 - real‖ - ‖g - g2‖]."""
        g, g2 = fakes
        return tf.reduce_mean(distance(g, real) + distance(g2, real) - distance(g, g2))

    def discriminator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """-E[f(real) - f(g2)] with the anchor g."""
        g, g2 = fakes
        return tf.reduce_mean(critic(g2, g) - critic(real, g))

    def witness(self, x: tf.Tensor, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """f(x) with the anchor g, of which each replica has its share, as of x."""
        return critic(x, own_share(fakes[0]))


class RedditCramer(Cramer):
    """The variant in which both players use the critic: E[f(real)] against E[f(g)]."""

    def generator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """E[f(real) with the anchor g - f(g) with the anchor g2]."""
        g, g2 = fakes
        return tf.reduce_mean(critic(real, g) - critic(g, g2))

    def discriminator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """The opposite of the generator's loss."""
        return -self.generator(real, fakes)


OBJECTIVES = {"cramer": Cramer, "reddit_cramer": RedditCramer}
