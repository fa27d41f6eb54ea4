"""Training of a ProGAN, from a data set on disk to a generator file."""

from __future__ import annotations

import math
import time

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints import images
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.networks.layers import box_downscale, box_upscale
from gan_fingerprints.training.optimizer import adam, apply_if_finite
from gan_fingerprints.training.run import Run
from ProGAN.config import Config, schedule
from ProGAN.losses import discriminator_loss, generator_loss
from ProGAN.networks import Discriminator, Generator, full_size_images, lerp, level_and_fade

GRID_IMAGES = 64


def real_images(pixels: tf.Tensor, fade: tf.Tensor | None) -> tf.Tensor:
    """uint8 [N, H, W, 3] → float32 in [-1, 1], blended with its own half resolution by `fade`."""
    reals = tf.cast(pixels, tf.float32) / 127.5 - 1
    return reals if fade is None else lerp(reals, box_upscale(box_downscale(reals)), fade)


def random_inputs(
    G: Generator, batch: int, seed: int, steps: tf.Variable, stream: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Latents [batch, latent_size] and mixing factors [batch, 1, 1, 1] of a step on a replica."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    number = steps.read_value() * 64 + stream * 32 + tf.cast(replica, tf.int64)
    key = tf.stack([tf.constant(seed, tf.int64), number])
    latents = tf.random.stateless_normal([batch, G.latent_size], key)
    return latents, tf.random.stateless_uniform([batch, 1, 1, 1], key + 2**32)


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


def update_average(Gs: Generator, G: Generator, decay: float) -> None:
    """Moves the running average towards the generator: decay·average + (1 - decay)·weight."""
    for average, value in zip(Gs.trainable_variables, G.trainable_variables, strict=True):
        average.assign(value + (average - value) * decay)


def train(
    config: Config,
    data: DataSet,
    run: Run,
    strategy: tf.distribute.Strategy,
    xla: bool = False,
    initial_arrays: dict[str, np.ndarray] | None = None,
) -> None:
    """Trains until `total_kimg`, or continues the run's newest checkpoint.

    Args:
        config: every number of the run.
        data: real images at every level from 4×4 up.
        run: where to write.
        strategy: the devices; losses are means over the global minibatch, the minibatch standard
            deviation is taken within each replica.
        xla: compile the step.
        initial_arrays: weights to start the generator from, by name.
    """
    resolution, seed = config.resolution or data.resolution, config.training_seed
    label_size = data.labels.shape[1] if config.use_labels else 0

    # Networks, average, optimizers and counters: all that the next step depends on.
    with strategy.scope():
        keras.utils.set_random_seed(seed)
        shape = (resolution, label_size, config.fmap_base, config.fmap_max, config.fused_scale)
        G, Gs = Generator(*shape), Generator(*shape)
        D = Discriminator(*shape, config.mbstd_group_size)
        if initial_arrays:
            files.fill(G, initial_arrays, "--init_from")
        for average, value in zip(Gs.trainable_variables, G.trainable_variables, strict=True):
            average.assign(value)
        G_adam, D_adam = (adam(config.beta_1, config.beta_2, config.epsilon) for _ in "GD")
        G_adam.build(G.trainable_variables)
        D_adam.build(D.trainable_variables)
    shown, steps, skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(3))
    previous_lod = tf.Variable(-1.0, dtype=tf.float64)
    parts = {"G": G, "D": D, "Gs": Gs, "G_adam": G_adam, "D_adam": D_adam}
    state = {name: part.variables for name, part in parts.items()}
    state["counters"] = [shown, steps, skipped, previous_lod]

    # One training step. Level and fading select layers, so they are part of the traced graph.
    def D_step(pixels, labels, level: int, fade, batch: int):
        latents, mix = random_inputs(G, len(pixels), seed, steps, stream=0)
        reals, labels = real_images(pixels, fade), labels[:, :label_size]
        return D_gradients(G, D, config, reals, labels, latents, mix, level, fade, batch)

    def G_step(labels, level: int, fade, batch: int):
        latents, _ = random_inputs(G, len(labels), seed, steps, stream=1)
        return G_gradients(G, D, labels[:, :label_size], latents, level, fade, batch)

    @tf.function(jit_compile=xla)
    def train_step(pixels, labels, level: int, fade, batch: int):
        fading = fade is not None
        D_loss, gradients = strategy.run(D_step, (pixels, labels, level, fade, batch))
        apply_if_finite(strategy, D_adam, gradients, D.trainable_at(level, fading), skipped)
        update_average(Gs, G, config.average_decay)
        shown.assign_add(batch)
        G_loss, gradients = strategy.run(G_step, (labels, level, fade, batch))
        apply_if_finite(strategy, G_adam, gradients, G.trainable_at(level, fading), skipped)
        steps.assign_add(1)
        return [strategy.reduce("SUM", loss, axis=None) for loss in (G_loss, D_loss)]

    def export(name: str) -> None:
        files.save(run.path(f"{name}.safetensors"), Gs, run.provenance())

    def picture(name: str) -> None:
        lod = schedule(config, resolution, int(shown)).lod
        run.picture(name, images.to_uint8(full_size_images(Gs, grid_latents, lod).numpy()))

    grid_rng = np.random.RandomState(seed)
    grid_latents = tf.constant(grid_rng.randn(GRID_IMAGES, G.latent_size), tf.float32)
    if label_size:
        grid_labels = data.labels[grid_rng.randint(data.count, size=GRID_IMAGES)]
        grid_latents = tf.concat([grid_latents, grid_labels], 1)
    tick_images = max(1, round(config.tick_kimg * 1000))
    run.start(state, config.total_kimg, shown)
    stream_key, stream = None, None
    tick = int(shown) // tick_images
    losses, tick_start, tick_shown = [], time.monotonic(), int(shown)
    if not int(shown):
        reals = data.images(np.arange(min(GRID_IMAGES, data.count)), resolution)
        run.picture("reals", reals)

    status = ""
    while int(shown) < config.total_kimg * 1000:
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Read the schedule, and start the optimizers afresh when other layers come into use.
        now = schedule(config, resolution, int(shown))
        level, fade = level_and_fade(resolution, now.lod)
        before = float(previous_lod)
        if (math.floor(now.lod), math.ceil(now.lod)) != (math.floor(before), math.ceil(before)):
            for variable in G_adam.variables + D_adam.variables:
                variable.assign(tf.zeros_like(variable))
            phase = f"{'fading to' if fade else 'training at'} {2**level}x{2**level}"
            run.log(f"{int(shown) / 1000:.1f} kimg: {phase}")
        previous_lod.assign(now.lod)
        for network in (G, D, Gs):
            network.lod.assign(now.lod)
        for optimizer in (G_adam, D_adam):
            optimizer.learning_rate.assign(now.learning_rate)
        if stream_key != (level, now.minibatch):
            stream_key = (level, now.minibatch)
            source = pipeline.minibatches(
                data, now.minibatch, seed=seed, start=int(shown), resolution=2**level
            )
            stream = iter(strategy.experimental_distribute_dataset(source))

        # Train.
        for _ in range(config.minibatch_repeats):
            pixels, labels = next(stream)
            blend = tf.constant(fade, tf.float32) if fade else None
            losses.append(train_step(pixels, labels, level, blend, now.minibatch))

        # Once per tick: report, and write pictures and snapshots.
        G_loss, D_loss = (float(x) for x in losses[-1])
        status = f"lod {now.lod:.2f} G {G_loss:.2f} D {D_loss:.2f}"
        last_tick, tick = tick, int(shown) // tick_images
        if tick == last_tick:
            continue
        G_loss, D_loss = np.mean(np.array(losses, np.float64), axis=0)
        seconds = (time.monotonic() - tick_start) / (int(shown) - tick_shown) * 1000
        run.log(
            f"tick {tick} kimg {int(shown) / 1000:.2f} lod {now.lod:.2f} minibatch {now.minibatch} "
            f"sec/kimg {seconds:.2f} G_loss {G_loss:.4f} D_loss {D_loss:.4f} "
            f"skipped_steps {int(skipped)}", show=False,
        )  # fmt: skip
        run.scalars({"loss/G": G_loss, "loss/D": D_loss, "schedule/lod": now.lod,
                     "timing/sec_per_kimg": seconds, "skipped_steps": int(skipped)})  # fmt: skip
        if tick // config.image_ticks > last_tick // config.image_ticks:
            picture(f"fakes{int(shown) // 1000:06d}")
        if tick // config.snapshot_ticks > last_tick // config.snapshot_ticks:
            export(f"network-snapshot-{int(shown) // 1000:06d}")
        losses, tick_start, tick_shown = [], time.monotonic(), int(shown)

    picture("fakes-final")
    export("network-final")
    run.finish()
