"""Training of a CramerGAN or MMDGAN, from images on disk to a generator file."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gan_fingerprints.data import pipeline
from gan_fingerprints.data.pipeline import Source
from gan_fingerprints.ipm.features import Extractor
from gan_fingerprints.ipm.networks import Generator
from gan_fingerprints.ipm.sampling import collect_statistics, images_of, to_uint8
from gan_fingerprints.ipm.three_samples import TestedRate
from gan_fingerprints.ipm.updates import Updater
from gan_fingerprints.networks import files
from gan_fingerprints.training.run import Run

GRID_IMAGES = 64
NOTHING = 1e-5  # a loss of the generator below which the discriminator tells nothing apart
SETTLED = 50  # iterations after which it should
DEAD = (
    "warning: the discriminator tells generated images from real ones in no way (g_loss is 0), so "
    "the generator learns nothing; start again with a lower --learning_rate"
)
STEPS_OF_DECAY = 5  # over the run, without the three-sample test


@dataclass(frozen=True)
class Intervals:
    """How often a run reports, in iterations."""

    log: int
    sample: int
    snapshot: int


def real_features(data: Source, extract: Extractor, number: int, batch: int) -> np.ndarray:
    """Features of the first `number` real images, float32 [number, dim]."""
    parts = []
    for start in range(0, number, batch):
        indices = np.arange(start, start + batch) % data.count
        pixels = data.images(indices, data.resolution).astype(np.float32) / 255
        parts.append(extract(tf.constant(pixels)).numpy())
    return np.concatenate(parts)[:number]


def generated_features(
    G: Generator, extract: Extractor, number: int, batch: int, key: list[int]
) -> np.ndarray:
    """Features of newly generated images, float32 [number, dim]; key: seed of the latents."""
    z = np.random.RandomState(key).uniform(-1, 1, [number, G.z_dim]).astype(np.float32)
    parts = images_of(G, z, "batch", batch)
    return np.concatenate([extract(tf.constant(part)).numpy() for part in parts])


def train(
    updater: Updater, data: Source, run: Run, intervals: Intervals, extract: Extractor | None
) -> None:
    """Trains until `max_iteration` iterations are done, or continues the run's newest checkpoint.

    Args:
        updater: networks and settings; filled with old weights where the run starts from some.
        data: real images of the networks' size.
        run: where to write.
        intervals: how often.
        extract: image features for the three-sample test; None where the rate is not tested.
    """
    config, G, seed = updater.config, updater.G, updater.seed
    size, batch = config.output_size, config.batch_size
    grid_latents = np.random.RandomState(seed).uniform(-1, 1, [GRID_IMAGES, G.z_dim])
    generate = tf.function(lambda z: G(z, statistics="batch"))
    tested = None
    if extract:
        number = min(config.MMD_sdlr_images, data.count)
        tested = TestedRate(config, real_features(data, extract, number, batch))
    elif config.MMD_lr_scheduler:
        run.log("warning: --MMD_lr_scheduler without --features_weights or --features_model: the "
                f"learning rate stays {config.learning_rate:g} to the end")  # fmt: skip

    def sample(*names: str) -> None:
        run.path("samples").mkdir(parents=True, exist_ok=True)
        pictures = to_uint8(generate(grid_latents.astype(np.float32)).numpy())
        for name in names:
            run.picture(f"samples/{name}", pictures)

    def export(name: str) -> None:
        collect_statistics(G, seed)
        files.save(run.path(f"{name}.safetensors"), G, run.provenance())

    state = updater.state | ({"tested_rate": tested.state} if tested else {})
    run.start(state, config.total_images / 1000, updater.shown)
    source = pipeline.minibatches(data, batch, seed=seed, start=int(updater.shown), resolution=size)
    stream = iter(updater.strategy.experimental_distribute_dataset(source))
    losses, since, done_before = [], time.monotonic(), int(updater.iteration)
    warned = False
    if not done_before:
        run.path("samples").mkdir(parents=True, exist_ok=True)
        run.picture("samples/reals", data.images(np.arange(min(GRID_IMAGES, data.count)), size))

    while (iteration := int(updater.iteration)) < config.max_iteration:
        # The schedule: the rate falls in steps, unless the test below decides.
        if not config.MMD_lr_scheduler:
            falls = iteration * STEPS_OF_DECAY // config.max_iteration
            updater.rate.assign(config.learning_rate * config.decay_rate**falls)
            weight = config.gradient_penalty * config.gp_decay_rate**falls
            updater.gradient_penalty.assign(weight)

        # One iteration: some steps of the discriminator, then of the generator.
        for _ in range(config.d_steps(iteration)):
            D_loss = updater.update_D(next(stream)[0])
        for _ in range(config.gsteps):
            G_loss = updater.update_G(next(stream)[0])
        losses.append((G_loss, D_loss))
        updater.iteration.assign_add(1)
        iteration += 1

        # Reports, the test, pictures and snapshots, each at its own interval.
        status = ""
        if iteration % intervals.log == 0:
            G_mean, D_mean = np.mean(np.array(losses, np.float64), axis=0)
            status = f"it {iteration} G {G_mean:.3f} D {D_mean:.3f}"
            seconds = (time.monotonic() - since) / (iteration - done_before)
            rate, skipped = float(updater.rate), int(updater.skipped)
            run.log(
                f"iteration {iteration} g_loss {G_mean:.4f} d_loss {D_mean:.4f} lr {rate:.3g} "
                f"sec/iteration {seconds:.3f} skipped_steps {skipped}", show=False,
            )  # fmt: skip
            if abs(G_mean) < NOTHING and iteration >= SETTLED and not warned:
                run.log(DEAD)
                warned = True
            run.scalars({"loss/G": G_mean, "loss/D": D_mean, "lr": rate,
                         "sec_per_iteration": seconds, "skipped_steps": skipped})  # fmt: skip
            losses, since, done_before = [], time.monotonic(), iteration
        if extract and tested and iteration % config.MMD_sdlr_freq == 0:
            fake = generated_features(G, extract, len(tested.real), batch, [seed, iteration])
            updater.rate.assign(tested.evaluate(fake, float(updater.rate), run.log))
        if iteration % intervals.sample == 0:
            sample(f"train_{iteration:08d}", "latest")
        if iteration % intervals.snapshot == 0 and iteration < config.max_iteration:
            export(f"network-snapshot-{int(updater.shown) // 1000:06d}")
        run.advance(status)  # saves when it is time, now that all files of this iteration exist

    sample("latest")
    export("network-final")
    run.finish()
