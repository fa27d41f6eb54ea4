"""Training of a ProGAN, from a data set on disk to a generator file."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints import images
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.networks.layers import box_downscale, box_upscale, to_network
from gan_fingerprints.networks.replicas import own_share
from gan_fingerprints.training import begin
from gan_fingerprints.training.optimizer import adam, apply_if_finite, random_key, update_average
from gan_fingerprints.training.run import Run, passed
from ProGAN.config import Config, Schedule, schedule
from ProGAN.losses import discriminator_loss, generator_loss
from ProGAN.networks import Discriminator, Generator, full_size_images, lerp, level_and_fade

GRID_IMAGES = 64


def real_images(pixels: tf.Tensor, fade: tf.Tensor | None) -> tf.Tensor:
    """uint8 [N, H, W, 3] → float32 in [-1, 1], blended with its own half resolution by `fade`."""
    reals = to_network(pixels)
    return reals if fade is None else lerp(reals, box_upscale(box_downscale(reals)), fade)


def D_gradients(
    G: Generator, D: Discriminator, config: Config, reals: tf.Tensor, labels: tf.Tensor,
    latents: tf.Tensor, mix: tf.Tensor, level: int, fade: tf.Tensor | None, batch: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:  # fmt: skip
    """The discriminator's loss, summed over these images and divided by the global `batch`, and
    its gradients with respect to `D.trainable_at(level, fading)`."""
    fakes = G(tf.concat([latents, labels], 1), level=level, fade=fade)
    variables = D.trainable_at(level, fade is not None)
    with tf.GradientTape() as tape:
        loss = discriminator_loss(
            lambda x: D(x, level=level, fade=fade), reals, fakes, labels, mix,
            upscaling=D.resolution // 2**level,
            gp_weight=config.gp_weight, drift_weight=config.drift_weight,
        )  # fmt: skip
        loss = tf.reduce_sum(loss) / batch
    return loss, tape.gradient(loss, variables)


def G_gradients(
    G: Generator, D: Discriminator, labels: tf.Tensor, latents: tf.Tensor,
    level: int, fade: tf.Tensor | None, batch: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:  # fmt: skip
    """The generator's loss and gradients, as `D_gradients`."""
    variables = G.trainable_at(level, fade is not None)
    with tf.GradientTape() as tape:
        fakes = G(tf.concat([latents, labels], 1), level=level, fade=fade)
        loss = generator_loss(lambda x: D(x, level=level, fade=fade), fakes, labels)
        loss = tf.reduce_sum(loss) / batch
    return loss, tape.gradient(loss, variables)


class Trainer:
    """Networks, average, optimizers and counters, and the step that moves them all.

    Args:
        config: every number of the run; its seed is that of weights and random numbers.
        resolution: of the finished images; label_size: number of classes, or 0.
        strategy: the devices; losses are means over the global minibatch, whose groups for the
            standard deviation are the same on any number of devices that divides them.
        xla: compile the step.

    Attributes:
        G, D, Gs: generator, discriminator, and the generator's running average.
        shown, steps, skipped: int64 variables: real images shown, steps taken, optimizer steps
            left out as not finite.
        level, fade, minibatch: what `follow` last set: layers of 2^level pixels are in use, fade
            is how far those of half as many still are.
    """

    def __init__(
        self, config: Config, resolution: int, label_size: int, strategy: tf.distribute.Strategy,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.strategy = config, strategy
        with strategy.scope():
            keras.utils.set_random_seed(config.training_seed)
            shape = (resolution, label_size, config.fmap_base, config.fmap_max, config.fused_scale)
            self.G, self.Gs = Generator(*shape), Generator(*shape)
            self.D = Discriminator(*shape, mbstd_group_size=config.mbstd_group_size)
            update_average(self.Gs, self.G, 0.0)  # the average starts as a copy
            betas = config.beta_1, config.beta_2
            self.G_adam, self.D_adam = (adam(*betas, config.epsilon) for _ in "GD")
            self.G_adam.build(self.G.trainable_variables)
            self.D_adam.build(self.D.trainable_variables)
        self.shown, self.steps, self.skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(3))
        # Of the last step. In double precision, as the schedule computes it, so that a continued
        # run sees the same change of layers, or none.
        self.lod = tf.Variable(-1.0, dtype=tf.float64)
        self.level, self.fade, self.minibatch = 2, 0.0, 0
        self.group = config.mbstd_group_size
        self.update = tf.function(self._update, jit_compile=xla)

    @property
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        parts = {
            name: getattr(self, name).variables for name in ("G", "D", "Gs", "G_adam", "D_adam")
        }
        return {**parts, "counters": [self.shown, self.steps, self.skipped, self.lod]}

    def start_from(self, path: str) -> None:
        """Fills generator and average with old weights of the same shape."""
        begin.fill_from(path, self.G, ("resolution", "fmap_base", "fmap_max", "fused_scale"))
        update_average(self.Gs, self.G, 0.0)

    def follow(self, now: Schedule) -> bool:
        """Makes the next steps those of the schedule; whether other layers come into use."""
        in_use = [(math.floor(lod), math.ceil(lod)) for lod in (now.lod, float(self.lod))]
        changed = in_use[0] != in_use[1]
        if changed:
            # As published: the moments of the old layers' gradients do not fit the grown network.
            for variable in self.G_adam.variables + self.D_adam.variables:
                variable.assign(tf.zeros_like(variable))
        self.lod.assign(now.lod)
        for network in (self.G, self.D, self.Gs):
            network.lod.assign(now.lod)
        for optimizer in (self.G_adam, self.D_adam):
            optimizer.learning_rate.assign(now.learning_rate)
        self.level, self.fade = level_and_fade(self.G.resolution, now.lod)
        self.minibatch = now.minibatch
        return changed

    def step(self, stream: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> list[tf.Tensor]:
        """Shows D a minibatch, then lets G answer; the losses of G and D."""
        fade = tf.constant(self.fade, tf.float32) if self.fade else None
        return self.update(*next(stream), self.level, fade, self.minibatch)

    # Level and fading select layers, so they are part of the traced graph; how far the fading is
    # comes as a tensor, since a Python number would be traced anew at every step.
    def _update(
        self, pixels: tf.Tensor, labels: tf.Tensor, level: int, fade: tf.Tensor | None, batch: int
    ) -> list[tf.Tensor]:
        strategy, skipped, fading = self.strategy, self.skipped, fade is not None
        D_loss, gradients = strategy.run(self._D_step, (pixels, labels, level, fade, batch))
        variables = self.D.trainable_at(level, fading)
        apply_if_finite(strategy, self.D_adam, gradients, variables, skipped)
        # Between the two, as published: it takes in G as it was before this step.
        update_average(self.Gs, self.G, self.config.average_decay)
        self.shown.assign_add(batch)
        G_loss, gradients = strategy.run(self._G_step, (labels, level, fade, batch))
        variables = self.G.trainable_at(level, fading)
        apply_if_finite(strategy, self.G_adam, gradients, variables, skipped)
        self.steps.assign_add(1)
        return [strategy.reduce("SUM", loss, axis=None) for loss in (G_loss, D_loss)]

    def _D_step(
        self, pixels: tf.Tensor, labels: tf.Tensor, level: int, fade: tf.Tensor | None, batch: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        key = random_key(self.config.training_seed, self.steps)
        latents = tf.random.stateless_normal([batch, self.G.latent_size], key)
        # A key of its own: with the same one, mix would follow from the latents.
        mix = tf.random.stateless_uniform([batch, 1, 1, 1], key + 2**32)
        latents, mix = (own_share(x, self.group) for x in (latents, mix))
        reals, labels = real_images(pixels, fade), labels[:, : self.G.label_size]
        return D_gradients(
            self.G, self.D, self.config, reals, labels, latents, mix, level, fade, batch
        )

    def _G_step(
        self, labels: tf.Tensor, level: int, fade: tf.Tensor | None, batch: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        # D's half of the step had the same counter, so G's latents need another stream.
        key = random_key(self.config.training_seed, self.steps, stream=32)
        latents = tf.random.stateless_normal([batch, self.G.latent_size], key)
        latents = own_share(latents, self.group)
        labels = labels[:, : self.G.label_size]
        return G_gradients(self.G, self.D, labels, latents, level, fade, batch)


def train(trainer: Trainer, data: DataSet, run: Run) -> None:
    """Trains until `total_kimg`, or continues the newest checkpoint; data: at every level."""
    config, Gs, shown = trainer.config, trainer.Gs, trainer.shown
    resolution, seed = Gs.resolution, config.training_seed
    grid_rng = np.random.RandomState(seed)
    grid_latents = tf.constant(grid_rng.randn(GRID_IMAGES, Gs.latent_size), tf.float32)
    if Gs.label_size:
        grid_labels = data.labels[grid_rng.randint(data.count, size=GRID_IMAGES)]
        grid_latents = tf.concat([grid_latents, grid_labels], 1)

    def export(name: str) -> None:
        if not run.chief:
            return
        files.save(run.path(f"{name}.safetensors"), Gs, run.provenance())

    def picture(name: str) -> None:
        if not run.chief:
            return
        lod = schedule(config, resolution, int(shown)).lod
        pictures = images.to_uint8(full_size_images(Gs, grid_latents, lod).numpy())
        run.picture(pictures, "fakes", name)

    # Lengths, in images; then the state. The data begin when the schedule says at which level.
    total = config.total_kimg * 1000
    tick = max(1, round(config.tick_kimg * 1000))
    first = config.lod_initial_resolution
    slower = f"{first}x{first}; larger ones take longer" if first < resolution else ""
    run.start(trainer.state, config.total_kimg, shown, while_=slower)
    stream_key, stream = None, None
    if run.chief and not int(shown):
        reals = data.images(np.arange(min(GRID_IMAGES, data.count)), resolution)
        run.picture(reals, "reals")

    losses, status = run.losses(int(shown)), ""
    while (before := int(shown)) < total:
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Read the schedule; other layers may come into use.
        now = schedule(config, resolution, before)
        if trainer.follow(now):
            phase = "fading to" if trainer.fade else "training at"
            run.log(f"{before / 1000:.1f} kimg: {phase} {2**trainer.level}x{2**trainer.level}")
        if stream_key != (trainer.level, now.minibatch):
            stream_key = (trainer.level, now.minibatch)
            stream = pipeline.shared(
                trainer.strategy, data, now.minibatch, group=trainer.group, seed=seed,
                start=before, resolution=2**trainer.level,
            )  # fmt: skip

        # Train.
        for _ in range(config.minibatch_repeats):
            last = trainer.step(stream)
            losses.add(last)
        G_loss, D_loss = (float(x) for x in last)
        status = f"lod {now.lod:.2f} G {G_loss:.2f} D {D_loss:.2f}"

        # Once per tick: report, and write pictures and snapshots.
        done = int(shown)
        if not passed(before, done, tick):
            continue
        (G_loss, D_loss), seconds = losses.report(done)
        kimg_seconds, skipped = seconds * 1000, int(trainer.skipped)
        run.log(
            f"tick {done // tick} kimg {done / 1000:.2f} lod {now.lod:.2f} "
            f"minibatch {now.minibatch} sec/kimg {kimg_seconds:.2f} G_loss {G_loss:.4f} "
            f"D_loss {D_loss:.4f} skipped_steps {skipped}", show=False,
        )  # fmt: skip
        run.scalars({"loss/G": G_loss, "loss/D": D_loss, "schedule/lod": now.lod,
                     "learning_rate": now.learning_rate,
                     "seconds_per_kimg": kimg_seconds, "skipped_steps": skipped})  # fmt: skip
        if passed(before, done, tick * config.image_ticks):
            picture(f"fakes{done // 1000:06d}")
        if passed(before, done, tick * config.snapshot_ticks):
            export(f"network-snapshot-{done // 1000:06d}")
        losses.restart(done)

    if not run.steps_done():
        return
    picture("fakes-final")
    export("network-final")
    run.finish("network-final.safetensors")
