"""Training of an SNGAN, from a folder of images to snapshots of both networks."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf

from gan_fingerprints import images
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.pipeline import Source
from gan_fingerprints.networks import files
from gan_fingerprints.training.run import Run
from SNGAN.updater import Updater

GRID_IMAGES = 64


def train(updater: Updater, data: Source, run: Run) -> None:
    """Trains until `iteration` iterations are done, or continues the run's newest checkpoint.

    Args:
        updater: networks and settings; filled with old weights where the run starts from some.
        data: real images of the networks' size.
        run: where to write.
    """
    config, G = updater.config, updater.G
    per_iteration = config.images_per_iteration
    preview_rng = np.random.RandomState(config.seed)
    latents = preview_rng.randn(GRID_IMAGES, G.dim_z)
    if G.distribution == "uniform":
        latents = preview_rng.uniform(-1, 1, latents.shape)
    classes = preview_rng.randint(max(G.n_classes, 1), size=GRID_IMAGES)
    generate = tf.function(lambda z, y: G(z, y))

    def preview(*names: str) -> None:
        run.path("preview").mkdir(exist_ok=True)
        pictures = images.to_uint8(generate(latents.astype(np.float32), classes).numpy())
        for name in names:
            run.picture(f"preview/{name}", pictures)

    def snapshot() -> None:
        for network in (G, updater.D):
            name = f"{network.name}_{updater.iteration}.npz"
            files.save(run.path(name), network, {})

    run.start(updater.state, config.iteration * per_iteration / 1000, updater.shown)
    source = pipeline.minibatches(
        data, config.batchsize, seed=config.seed, start=int(updater.shown)
    )
    stream = iter(updater.strategy.experimental_distribute_dataset(source))
    losses, since, done_before = [], time.monotonic(), updater.iteration
    if not updater.iteration:
        run.picture("reals", data.images(np.arange(min(GRID_IMAGES, data.count)), config.size))

    while updater.iteration < config.iteration:
        # One iteration: a step of the generator, then n_dis steps of the discriminator.
        updater.set_learning_rate(config.learning_rate(updater.iteration))
        loss_gen = updater.update_G()
        loss_dis = [updater.update_D(*next(stream)) for _ in range(config.n_dis)]
        losses.append((loss_gen, loss_dis[-1]))

        # The bar's losses are read only now and then, for the CPU's sake.
        iteration, status = updater.iteration, ""
        if iteration % config.progressbar_interval == 0:
            status = f"iteration {iteration} loss_gen {float(loss_gen):.2f} loss_dis " + (
                f"{float(loss_dis[-1]):.2f}"
            )

        # Reports, pictures and snapshots, each at its own interval.
        if iteration % config.display_interval == 0:
            gen, dis = np.mean(np.array(losses, np.float64), axis=0)
            seconds = (time.monotonic() - since) / (iteration - done_before)
            rate, skipped = config.learning_rate(iteration), int(updater.skipped)
            run.log(
                f"iteration {iteration} loss_gen {gen:.4f} loss_dis {dis:.4f} alpha {rate:.3g} "
                f"sec/iteration {seconds:.3f} skipped_steps {skipped}", show=False,
            )  # fmt: skip
            run.scalars({"loss/gen": gen, "loss/dis": dis, "alpha": rate,
                         "sec_per_iteration": seconds, "skipped_steps": skipped})  # fmt: skip
            losses, since, done_before = [], time.monotonic(), iteration
        if iteration % config.evaluation_interval == 0:
            preview(f"image{iteration:08d}", "image_latest")
        if iteration % config.snapshot_interval == 0:
            snapshot()
        run.advance(status)  # saves when it is time, now that all files of this iteration are there

    preview("image_latest")
    snapshot()
    run.finish()
