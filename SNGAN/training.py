"""Training of an SNGAN, from a folder of images to snapshots of both networks."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints import images
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.pipeline import Source
from gan_fingerprints.networks import files
from gan_fingerprints.networks.replicas import own_share
from gan_fingerprints.training.optimizer import adam, apply_if_finite, random_key
from gan_fingerprints.training.run import Run
from SNGAN.config import Config
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from SNGAN.losses import discriminator_loss, generator_loss

GRID_IMAGES = 64


def random_latents(batch: int, dim_z: int, distribution: str, key: tf.Tensor) -> tf.Tensor:
    """float32 [batch, dim_z] from N(0, 1) or U(-1, 1); key: int64 [2]."""
    if distribution == "uniform":
        return tf.random.stateless_uniform([batch, dim_z], key, -1.0, 1.0)
    return tf.random.stateless_normal([batch, dim_z], key)


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
    # In training mode also here, as in Chainer: G's running statistics move at D's steps too.
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


class Trainer:
    """Networks, optimizers and counters, and the two kinds of step that make one iteration.

    Args:
        config: every number of the run; its seed is that of weights and random numbers.
        strategy: the devices; losses are means, and batch norm has the statistics, of the global
            batch.
        xla: compile the steps.

    Attributes:
        G, D: generator and discriminator.
        shown, steps, skipped: int64 variables: real images shown, steps of either kind taken,
            optimizer steps left out as not finite.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, xla: bool = False) -> None:
        self.config, self.strategy = config, strategy
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
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        parts = {name: getattr(self, name).variables for name in ("G", "D", "G_adam", "D_adam")}
        return {**parts, "counters": [self.shown, self.steps, self.skipped]}

    def start_from(self, path: str) -> None:
        """Fills the network that a snapshot is of, either of the two."""
        files.fill_from(path, [self.G, self.D], "--init_from")

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return int(self.shown) // self.config.images_per_iteration

    def set_learning_rate(self, rate: float) -> None:
        """Adam's rate for the next steps."""
        for optimizer in (self.G_adam, self.D_adam):
            optimizer.learning_rate.assign(rate)

    def step(self, stream: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
        """One iteration: a step of G, then `n_dis` of D; the losses of G and of D's last."""
        G_loss = self.update_G()
        for _ in range(self.config.n_dis):
            D_loss = self.update_D(*next(stream))
        return G_loss, D_loss

    def _key(self) -> tf.Tensor:
        """Of the latents of this step; the classes' is this + 2^32, the noise's + 2^33."""
        return random_key(self.config.seed, self.steps)

    def _latents(self, batch: int) -> tuple[tf.Tensor, tf.Tensor | None]:
        """This replica's z float32 [N, dim_z] and random classes int64 [N] of a whole batch.

        Without classes, None instead of them.
        """
        key, G = self._key(), self.G
        z = own_share(random_latents(batch, G.dim_z, G.distribution, key))
        if not G.n_classes:
            return z, None
        y = tf.random.stateless_uniform([batch], key + 2**32, maxval=G.n_classes, dtype=tf.int64)
        return z, own_share(y)

    def _update_G(self) -> tf.Tensor:
        config = self.config

        def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
            z, y = self._latents(config.n_gen_samples)
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
            z, y = self._latents(config.batchsize)
            shape = [config.batchsize, *pixels.shape[1:]]
            noise = own_share(tf.random.stateless_uniform(shape, self._key() + 2**33))
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


def train(trainer: Trainer, data: Source, run: Run) -> None:
    """Trains until `iteration` iterations are done, or continues the run's newest checkpoint."""
    config, G, shown = trainer.config, trainer.G, trainer.shown
    preview_rng = np.random.RandomState(config.seed)
    latents = preview_rng.randn(GRID_IMAGES, G.dim_z)
    if G.distribution == "uniform":
        latents = preview_rng.uniform(-1, 1, latents.shape)
    classes = preview_rng.randint(max(G.n_classes, 1), size=GRID_IMAGES)
    generate = tf.function(lambda z, y: G(z, y))

    def snapshot() -> list[str]:
        if not run.chief:
            return []
        written = {f"{network.name}_{trainer.iteration}.npz": network for network in (G, trainer.D)}
        for name, network in written.items():
            files.save(run.path(name), network, {})
        return list(written)

    def preview(*names: str) -> None:
        if not run.chief:
            return
        run.path("preview").mkdir(exist_ok=True)
        pictures = images.to_uint8(generate(latents.astype(np.float32), classes).numpy())
        run.picture(pictures, "fakes", *(f"preview/{name}" for name in names))

    # The state, and the data from where the state is.
    run.start(trainer.state, config.iteration * config.images_per_iteration / 1000, shown)
    stream = pipeline.shared(
        trainer.strategy, data, config.batchsize, seed=config.seed, start=int(shown)
    )
    if run.chief and not int(shown):
        run.picture(data.images(np.arange(min(GRID_IMAGES, data.count)), config.size), "reals")

    losses, status = run.losses(trainer.iteration), ""
    while (before := trainer.iteration) < config.iteration:
        run.advance(status)  # a checkpoint here finds all files of the last iteration written

        # Train.
        trainer.set_learning_rate(config.learning_rate(before))
        last = trainer.step(stream)
        losses.add(last)

        # Reading a loss waits for the step to end, so the bar's are read only now and then.
        iteration = before + 1
        if iteration % config.progressbar_interval == 0:
            G_loss, D_loss = (float(x) for x in last)
            status = f"iteration {iteration} loss_gen {G_loss:.2f} loss_dis {D_loss:.2f}"

        # Reports, pictures and snapshots, each at its own interval.
        if iteration % config.display_interval == 0:
            (G_loss, D_loss), seconds = losses.report(iteration)
            rate, skipped = config.learning_rate(iteration), int(trainer.skipped)
            run.log(
                f"iteration {iteration} loss_gen {G_loss:.4f} loss_dis {D_loss:.4f} "
                f"alpha {rate:.3g} sec/iteration {seconds:.3f} skipped_steps {skipped}", show=False,
            )  # fmt: skip
            run.scalars({"loss/G": G_loss, "loss/D": D_loss, "learning_rate": rate,
                         "seconds_per_kimg": 1000 * seconds / config.images_per_iteration,
                         "skipped_steps": skipped})  # fmt: skip
            losses.restart(iteration)
        if iteration % config.evaluation_interval == 0:
            preview(f"image{iteration:08d}", "image_latest")
        if iteration % config.snapshot_interval == 0:
            snapshot()

    if not run.steps_done():
        return
    preview("image_latest")
    run.finish(*snapshot())
