"""Training of a CramerGAN or MMDGAN, from images on disk to a generator file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints.data import pipeline
from gan_fingerprints.data.pipeline import Source
from gan_fingerprints.ipm.config import Config, Intervals
from gan_fingerprints.ipm.features import Extractor, generated_features, real_features
from gan_fingerprints.ipm.losses import Objective, between, mean_square, slope_penalty
from gan_fingerprints.ipm.networks import Discriminator, Generator, Layers
from gan_fingerprints.ipm.sampling import collect_statistics, to_uint8
from gan_fingerprints.ipm.three_samples import TestedRate
from gan_fingerprints.networks import files
from gan_fingerprints.networks.replicas import gathered, own_share
from gan_fingerprints.training import begin
from gan_fingerprints.training.optimizer import adam, apply_if_finite, random_key
from gan_fingerprints.training.run import Run

CLIP_NORM = 1.0
STREAM = 2**48  # from one kind of random numbers' keys to the next's
GRID_IMAGES = 64
NOTHING = 1e-5  # a loss of the generator below which the discriminator tells nothing apart
SETTLED = 50  # iterations after which it should
DEAD = (
    "warning: the discriminator tells generated images from real ones in no way (g_loss is 0), so "
    "the generator learns nothing; start again with a lower --learning_rate"
)
STEPS_OF_DECAY = 5  # over the run, without the three-sample test


def layers_of(D: Discriminator, batches: list[tf.Tensor]) -> list[Layers]:
    """The discriminator's layers for several batches of the same size."""
    # Together in one call, which is faster, unless batch norm would mix them.
    if D.arguments["batch_norm"]:
        return [D(batch) for batch in batches]
    together = {name: tf.split(h, len(batches)) for name, h in D(tf.concat(batches, 0)).items()}
    return [{name: parts[i] for name, parts in together.items()} for i in range(len(batches))]


def G_loss(
    G: Generator, D: Discriminator, objective: Objective, reals: tf.Tensor, z: list[tf.Tensor]
) -> tf.Tensor:
    """The generator's loss on real images in [0, 1] and latents of each batch of fakes.

    The batches are those of all replicas.
    """
    layers = layers_of(D, [reals, *(G(part) for part in z)])
    real, *fakes = [gathered(h["hF"]) for h in layers]
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
    real, *fakes = [gathered(h["hF"]) for h in layers]
    loss = objective.discriminator(real, fakes)
    if config.gradient_penalty:
        # As published, on the lines to the first batch of fakes only.
        loss += gradient_penalty * slope_penalty(
            lambda x: objective.witness(D(x)["hF"], real, fakes),
            between(reals, pictures[0], share), config.gradient_norm,
        )  # fmt: skip
    if config.L2_discriminator_penalty:
        sizes = mean_square(layers[0]) + mean_square(layers[1])
        loss += config.L2_discriminator_penalty * sizes
    return loss


class Trainer:
    """Networks, optimizers and counters, and the two kinds of step that make one iteration.

    Args:
        config: every number of the run.
        objective: the loss.
        seed: of weights and random numbers.
        strategy: the devices. A loss between batches, and batch norm, is of the global batch; the
            gradients are averaged, then clipped.
        xla: compile the steps.

    Attributes:
        G, D: generator and discriminator.
        shown, iteration, steps, skipped: int64 variables: real images shown, iterations done,
            steps of either kind taken, optimizer steps left out as not finite.
        rate, gradient_penalty: float32 variables, the current ones.
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
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        parts = {name: getattr(self, name).variables for name in ("G", "D", "G_adam", "D_adam")}
        counters = [self.shown, self.iteration, self.steps, self.skipped]
        return {**parts, "counters": [*counters, self.rate, self.gradient_penalty]}

    def start_from(self, path: str) -> None:
        """Fills the generator with old weights of the same shape."""
        begin.fill_from(path, self.G)

    def follow_schedule(self) -> None:
        """Lowers rate and gradient penalty in steps over the run."""
        config = self.config
        falls = int(self.iteration) * STEPS_OF_DECAY // config.max_iteration
        self.rate.assign(config.learning_rate * config.decay_rate**falls)
        self.gradient_penalty.assign(config.gradient_penalty * config.gp_decay_rate**falls)

    def step(self, stream: Iterator[tuple[tf.Tensor, ...]]) -> tuple[tf.Tensor, tf.Tensor]:
        """One iteration: some steps of D, then of G; the losses of the last of each."""
        for _ in range(self.config.d_steps(int(self.iteration))):
            D_loss = self.update_D(next(stream)[0])
        for _ in range(self.config.gsteps):
            G_loss = self.update_G(next(stream)[0])
        self.iteration.assign_add(1)
        return G_loss, D_loss

    def _key(self, stream: int) -> tf.Tensor:
        """Of one kind of random numbers of this step."""
        return random_key(self.seed, self.steps, stream * STREAM)

    def _latents(self) -> list[tf.Tensor]:
        """This replica's z float32 [N, z_dim] in [-1, 1], for each batch of fakes."""
        shape = [self.config.batch_size, self.config.z_dim]
        keys = [self._key(stream) for stream in range(self.objective.fake_batches)]
        return [own_share(tf.random.stateless_uniform(shape, key, -1.0, 1.0)) for key in keys]

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The mean over replicas, each variable's norm at most 1, as this replica's share of it."""
        # Adam adds the replicas' gradients up; to clip their mean, all must know it before.
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce("MEAN", gradients)
        return [tf.clip_by_norm(g, CLIP_NORM) / replicas for g in gradients]

    def _update(self, loss_of: Any, network: Any, optimizer: Any, pixels: tf.Tensor) -> tf.Tensor:
        def step(pixels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            reals = tf.cast(pixels, tf.float32) / 255
            with tf.GradientTape() as tape:
                loss = loss_of(reals, self._latents())
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
        loss_of = partial(G_loss, self.G, self.D, self.objective)
        return self._update(loss_of, self.G, self.G_adam, pixels)

    def _update_D(self, pixels: tf.Tensor) -> tf.Tensor:
        def loss_of(reals: tf.Tensor, z: list[tf.Tensor]) -> tf.Tensor:
            shape = [self.config.batch_size, 1, 1, 1]
            share = own_share(tf.random.stateless_uniform(shape, self._key(2)))
            return D_loss(
                self.G, self.D, self.objective, reals, z, share, self.gradient_penalty,
                self.config,
            )  # fmt: skip

        return self._update(loss_of, self.D, self.D_adam, pixels)


def train(
    trainer: Trainer, data: Source, run: Run, intervals: Intervals, extract: Extractor | None
) -> None:
    """Trains until `max_iteration` iterations are done, or continues the run's newest checkpoint.

    extract: image features for the three-sample test; None where the rate is not tested.
    """
    config, G, seed = trainer.config, trainer.G, trainer.seed
    size, batch, shown = config.output_size, config.batch_size, trainer.shown
    grid_latents = np.random.RandomState(seed).uniform(-1, 1, [GRID_IMAGES, G.z_dim])
    generate = tf.function(lambda z: G(z, statistics="batch"))
    tested = None
    if extract and run.chief:
        number = min(config.MMD_sdlr_images, data.count)
        tested = TestedRate(config, real_features(data, extract, number, batch))

    def export(name: str) -> None:
        # Of the weights as they are now, not a running average. All workers do it, as these
        # statistics are among what they are compared by.
        collect_statistics(G, seed)
        if run.chief:
            files.save(run.path(f"{name}.safetensors"), G, run.provenance())

    def sample(*names: str) -> None:
        if not run.chief:
            return
        pictures = to_uint8(generate(grid_latents.astype(np.float32)).numpy())
        run.picture(pictures, "fakes", *(f"samples/{name}" for name in names))

    def next_rate(iteration: int) -> float:
        assert extract
        assert tested
        fake = generated_features(G, extract, len(tested.real), batch, [seed, iteration])
        return float(tested.evaluate(fake, float(trainer.rate), run.log))

    # The state, and the data from where the state is.
    kept = {"tested_rate": tested.state} if tested else {}
    run.start(trainer.state, config.total_images / 1000, shown, kept=kept)
    if config.MMD_lr_scheduler and not extract:
        run.log("warning: --MMD_lr_scheduler without --features_weights or --features_model: the "
                f"learning rate stays {config.learning_rate:g} to the end", once=True)  # fmt: skip
    stream = pipeline.shared(
        trainer.strategy, data, batch, seed=seed, start=int(shown), resolution=size
    )
    if run.chief:
        run.path("samples").mkdir(parents=True, exist_ok=True)
    if run.chief and not int(shown):
        reals = data.images(np.arange(min(GRID_IMAGES, data.count)), size)
        run.picture(reals, "reals", "samples/reals")

    per_iteration = config.total_images / config.max_iteration
    losses, status = run.losses(int(trainer.iteration)), ""
    while int(trainer.iteration) < config.max_iteration:
        run.advance(status)  # a checkpoint here finds all files of the last iteration written

        # Train.
        if not config.MMD_lr_scheduler:  # else the test below decides
            trainer.follow_schedule()
        losses.add(trainer.step(stream))

        # Reports, the test, pictures and snapshots, each at its own interval.
        iteration = int(trainer.iteration)
        if iteration % intervals.log_interval == 0:
            (G_loss, D_loss), seconds = losses.report(iteration)
            rate, skipped = float(trainer.rate), int(trainer.skipped)
            run.log(
                f"iteration {iteration} g_loss {G_loss:.4f} d_loss {D_loss:.4f} lr {rate:.3g} "
                f"sec/iteration {seconds:.3f} skipped_steps {skipped}", show=False,
            )  # fmt: skip
            if abs(G_loss) < NOTHING and iteration >= SETTLED:
                run.log(DEAD, once=True)
            run.scalars({"loss/G": G_loss, "loss/D": D_loss, "learning_rate": rate,
                         "seconds_per_kimg": 1000 * seconds / per_iteration,
                         "skipped_steps": skipped})  # fmt: skip
            status = f"it {iteration} G {G_loss:.3f} D {D_loss:.3f}"
            losses.restart(iteration)
        if extract and iteration % config.MMD_sdlr_freq == 0:
            trainer.rate.assign(run.workers.from_chief(partial(next_rate, iteration)))
        if iteration % intervals.sample_interval == 0:
            sample(f"train_{iteration:08d}", "latest")
        if iteration % intervals.snapshot_interval == 0 and iteration < config.max_iteration:
            export(f"network-snapshot-{int(shown) // 1000:06d}")

    if not run.steps_done():
        return
    sample("latest")
    export("network-final")
    run.finish("network-final.safetensors")
