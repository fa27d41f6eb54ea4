"""The two kinds of step that make one iteration: the generator's, then `n_dis` discriminator's."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_fingerprints.training.optimizer import adam, apply_if_finite
from SNGAN.config import Config
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from SNGAN.losses import discriminator_loss, generator_loss


def G_gradients(
    G: ResNetGenerator, D: SNResNetProjectionDiscriminator, z: tf.Tensor, y: tf.Tensor | None,
    loss_type: str, conditional: bool, batch: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:  # fmt: skip
    """The generator's loss, summed over these latents and divided by the global `batch`, and its
    gradients with respect to `G.trainable_variables`."""
    with tf.GradientTape() as tape:
        fakes = G(z, y, training=True)
        scores = D(fakes, y if conditional else None, training=True)
        loss = tf.reduce_sum(generator_loss(scores, loss_type)) / batch
    return loss, tape.gradient(loss, G.trainable_variables)


def D_gradients(
    G: ResNetGenerator, D: SNResNetProjectionDiscriminator, reals: tf.Tensor, y_real: tf.Tensor,
    z: tf.Tensor, y: tf.Tensor | None, loss_type: str, conditional: bool, batch: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:  # fmt: skip
    """The discriminator's loss and gradients, as `G_gradients`, with respect to
    `D.variables_in_use(conditional)`. The real images go first, which decides the order of the
    power iterations."""
    fakes = tf.stop_gradient(G(z, y, training=True))
    variables = D.variables_in_use(conditional)
    with tf.GradientTape() as tape:
        real_scores = D(reals, y_real if conditional else None, training=True)
        fake_scores = D(fakes, y if conditional else None, training=True)
        loss = tf.reduce_sum(discriminator_loss(real_scores, fake_scores, loss_type)) / batch
    return loss, tape.gradient(loss, variables)


def dequantized(pixels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """uint8 → float32 in [-1, 1): x/128 - 1 + noise/128, noise float32 in [0, 1)."""
    return (tf.cast(pixels, tf.float32) + noise) / 128 - 1


class Updater:
    """Both networks with their optimizers and counters: all that the next step depends on.

    Args:
        config: loss, Adam's numbers, batch sizes, seed.
        strategy: the devices; losses are means over the global batch, batch norm and its running
            statistics are per replica, and averaged.
        xla: compile the steps.

    Attributes:
        G, D: the networks.
        shown: int64 variable, real images shown so far.
        state: name → variables, as `Run.start` takes them.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, xla: bool = False) -> None:
        self.config = config
        self.strategy = strategy
        with strategy.scope():
            keras.utils.set_random_seed(config.seed)
            self.G = ResNetGenerator(**config.generator)
            self.D = SNResNetProjectionDiscriminator(**config.discriminator)
            self.G_adam, self.D_adam = (adam(config.beta1, config.beta2, 1e-8) for _ in "GD")
            self.G_adam.build(self.G.trainable_variables)
            self.D_adam.build(self.D.variables_in_use(config.conditional))
        # Outside the scope: one counter each, not one per device.
        self.shown, self.steps, self.skipped = (tf.Variable(0, dtype=tf.int64) for _ in "123")
        self.update_G = tf.function(self._update_G, jit_compile=xla)
        self.update_D = tf.function(self._update_D, jit_compile=xla)

    @property
    def state(self) -> dict[str, list[Any]]:
        return {
            "G": self.G.variables, "D": self.D.variables,
            "G_adam": self.G_adam.variables, "D_adam": self.D_adam.variables,
            "counters": [self.shown, self.steps, self.skipped],
        }  # fmt: skip

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return int(self.shown) // self.config.images_per_iteration

    def set_learning_rate(self, rate: float) -> None:
        """Adam's rate for the next steps."""
        for optimizer in (self.G_adam, self.D_adam):
            optimizer.learning_rate.assign(rate)

    def _key(self) -> tf.Tensor:
        """Of the random numbers of this step on this replica; others are this plus k·2^32."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = self.steps.read_value() * 64 + tf.cast(replica, tf.int64)
        return tf.stack([tf.constant(self.config.seed, tf.int64), number])

    def _latents(self, batch: int) -> tuple[tf.Tensor, tf.Tensor | None]:
        """z float32 [batch, dim_z] and random classes int64 [batch], or None without classes."""
        key, G = self._key(), self.G
        z = random_latents(batch, G.dim_z, G.distribution, key)
        if not G.n_classes:
            return z, None
        y = tf.random.stateless_uniform([batch], key + 2**32, maxval=G.n_classes, dtype=tf.int64)
        return z, y

    def _share(self, batch: int) -> int:
        return batch // self.strategy.num_replicas_in_sync

    def _update_G(self) -> tf.Tensor:
        config = self.config

        def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
            z, y = self._latents(self._share(config.n_gen_samples))
            return G_gradients(
                self.G, self.D, z, y, config.loss_type, config.conditional, config.n_gen_samples
            )

        loss, gradients = self.strategy.run(step)
        apply_if_finite(
            self.strategy, self.G_adam, gradients, self.G.trainable_variables, self.skipped
        )
        self.steps.assign_add(1)
        return self.strategy.reduce("SUM", loss, axis=None)

    def _update_D(self, pixels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        config = self.config

        def step(pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            z, y = self._latents(self._share(config.batchsize))
            noise = tf.random.stateless_uniform(tf.shape(pixels), self._key() + 2**33)
            y_real = tf.cast(classes[:, 0], tf.int64)
            return D_gradients(
                self.G, self.D, dequantized(pixels, noise), y_real, z, y, config.loss_type,
                config.conditional, config.batchsize,
            )  # fmt: skip

        loss, gradients = self.strategy.run(step, (pixels, classes))
        variables = self.D.variables_in_use(config.conditional)
        apply_if_finite(self.strategy, self.D_adam, gradients, variables, self.skipped)
        self.steps.assign_add(1)
        self.shown.assign_add(config.batchsize)
        return self.strategy.reduce("SUM", loss, axis=None)


def random_latents(batch: int, dim_z: int, distribution: str, key: tf.Tensor) -> tf.Tensor:
    """float32 [batch, dim_z] from N(0, 1) or U(-1, 1); key: int64 [2]."""
    if distribution == "uniform":
        return tf.random.stateless_uniform([batch, dim_z], key, -1.0, 1.0)
    return tf.random.stateless_normal([batch, dim_z], key)
