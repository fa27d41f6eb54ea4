"""The two kinds of step: both networks with their optimizers, all that the next step depends on."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_fingerprints.ipm.config import Config
from gan_fingerprints.ipm.losses import Objective, between, mean_square, slope_penalty
from gan_fingerprints.ipm.networks import Discriminator, Generator, Layers
from gan_fingerprints.training.optimizer import adam, apply_if_finite

CLIP_NORM = 1.0


def layers_of(D: Discriminator, batches: list[tf.Tensor]) -> list[Layers]:
    """The discriminator's layers for several batches of the same size.

    Together in one call, which is faster, unless batch norm would mix them.
    """
    if D.arguments["batch_norm"]:
        return [D(batch) for batch in batches]
    together = {name: tf.split(h, len(batches)) for name, h in D(tf.concat(batches, 0)).items()}
    return [{name: parts[i] for name, parts in together.items()} for i in range(len(batches))]


def G_loss(
    G: Generator, D: Discriminator, objective: Objective, reals: tf.Tensor, z: list[tf.Tensor]
) -> tf.Tensor:
    """The generator's loss on real images in [0, 1] and latents of each batch of fakes."""
    real, *fakes = [h["hF"] for h in layers_of(D, [reals, *(G(part) for part in z)])]
    return objective.generator(real, fakes)


def D_loss(
    G: Generator, D: Discriminator, objective: Objective, reals: tf.Tensor, z: list[tf.Tensor],
    share: tf.Tensor, gradient_penalty: tf.Tensor | float, config: Config,
) -> tf.Tensor:  # fmt: skip
    """The discriminator's loss with penalties, as `G_loss`.

    share: [N, 1, 1, 1] in [0, 1], where on the lines from real to generated images the slope is
        taken.
    """
    pictures = [tf.stop_gradient(G(part)) for part in z]
    layers = layers_of(D, [reals, *pictures])
    real, *fakes = [h["hF"] for h in layers]
    loss = objective.discriminator(real, fakes)
    if config.gradient_penalty:
        loss += gradient_penalty * slope_penalty(
            lambda x: objective.witness(D(x)["hF"], real, fakes),
            between(reals, pictures[0], share), config.gradient_norm,
        )  # fmt: skip
    if config.L2_discriminator_penalty:
        sizes = mean_square(layers[0]) + mean_square(layers[1])
        loss += config.L2_discriminator_penalty * sizes
    return loss


class Updater:
    """Networks, optimizers and counters of a run.

    Args:
        config: every number of the run.
        objective: the loss.
        seed: of weights and random numbers.
        strategy: the devices. A loss between batches is taken within each replica's share of the
            batch; the gradients are averaged, then clipped.
        xla: compile the steps.

    Attributes:
        G, D: the networks.
        shown: int64 variable, real images used so far.
        iteration: int64 variable, iterations done.
        rate, gradient_penalty: float32 variables, the current ones.
        state: name → variables, as `Run.start` takes them.
    """

    def __init__(
        self, config: Config, objective: Objective, seed: int, strategy: tf.distribute.Strategy,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.objective, self.seed, self.strategy = config, objective, seed, strategy
        with strategy.scope():
            keras.utils.set_random_seed(seed)
            self.G = Generator(**config.generator)
            self.D = Discriminator(**config.discriminator)
            self.G_adam, self.D_adam = (adam(config.beta1, config.beta2, 1e-8) for _ in "GD")
            self.G_adam.build(self.G.trainable_variables)
            self.D_adam.build(self.D.trainable_variables)
        # Outside the scope: one counter each, not one per device.
        self.shown, self.iteration, self.steps, self.skipped = (
            tf.Variable(0, dtype=tf.int64) for _ in range(4)
        )
        self.rate = tf.Variable(config.learning_rate, dtype=tf.float32)
        self.gradient_penalty = tf.Variable(config.gradient_penalty, dtype=tf.float32)
        self.update_G = tf.function(self._update_G, jit_compile=xla)
        self.update_D = tf.function(self._update_D, jit_compile=xla)

    @property
    def state(self) -> dict[str, list[Any]]:
        counters = [self.shown, self.iteration, self.steps, self.skipped]
        return {
            "G": self.G.variables, "D": self.D.variables,
            "G_adam": self.G_adam.variables, "D_adam": self.D_adam.variables,
            "counters": [*counters, self.rate, self.gradient_penalty],
        }  # fmt: skip

    def set_rate(self, rate: float) -> None:
        """The learning rate of the next steps."""
        self.rate.assign(rate)

    def _key(self, stream: int) -> tf.Tensor:
        """Of one kind of random numbers of this step on this replica."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = self.steps.read_value() * 64 + tf.cast(replica, tf.int64)
        return tf.stack([tf.constant(self.seed, tf.int64), number + stream * 2**48])

    def _latents(self, batch: int) -> list[tf.Tensor]:
        """z float32 [batch, z_dim] in [-1, 1], for each batch of fakes."""
        shape = [batch, self.config.z_dim]
        streams = range(self.objective.fake_batches)
        return [tf.random.stateless_uniform(shape, self._key(s), -1.0, 1.0) for s in streams]

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The mean over replicas, each variable's norm at most 1, as this replica's share of it."""
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce("MEAN", gradients)
        return [tf.clip_by_norm(g, CLIP_NORM) / replicas for g in gradients]

    def _update(self, loss_of: Any, network: Any, optimizer: Any, pixels: tf.Tensor) -> tf.Tensor:
        def step(pixels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            reals = tf.cast(pixels, tf.float32) / 255
            with tf.GradientTape() as tape:
                loss = loss_of(reals, self._latents(len(pixels)))
            return loss, self._clipped(tape.gradient(loss, network.trainable_variables))

        optimizer.learning_rate.assign(self.rate)
        loss, gradients = self.strategy.run(step, (pixels,))
        apply_if_finite(
            self.strategy, optimizer, gradients, network.trainable_variables, self.skipped
        )
        self.steps.assign_add(1)
        self.shown.assign_add(self.config.batch_size)
        return self.strategy.reduce("MEAN", loss, axis=None)

    def _update_G(self, pixels: tf.Tensor) -> tf.Tensor:
        def loss_of(reals: tf.Tensor, z: list[tf.Tensor]) -> tf.Tensor:
            return G_loss(self.G, self.D, self.objective, reals, z)

        return self._update(loss_of, self.G, self.G_adam, pixels)

    def _update_D(self, pixels: tf.Tensor) -> tf.Tensor:
        def loss_of(reals: tf.Tensor, z: list[tf.Tensor]) -> tf.Tensor:
            share = tf.random.stateless_uniform([len(reals), 1, 1, 1], self._key(2))
            return D_loss(
                self.G, self.D, self.objective, reals, z, share, self.gradient_penalty,
                self.config,
            )  # fmt: skip

        return self._update(loss_of, self.D, self.D_adam, pixels)
