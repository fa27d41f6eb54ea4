"""Training of visNet, from data sets on disk to a network file."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from classifier_visNet.config import Config
from classifier_visNet.losses import Parts, autoencoder_losses, critic_loss
from classifier_visNet.networks import AutoEncoder, Critic
from gan_fingerprints import images
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.networks.layers import to_network
from gan_fingerprints.networks.replicas import own_share
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.training import begin
from gan_fingerprints.training.classifying import Measured
from gan_fingerprints.training.optimizer import adam, apply_if_finite, random_key, update_average
from gan_fingerprints.training.run import Run, passed

GRID_IMAGES = 64


def D_gradients(
    EG: AutoEncoder, D: Critic, config: Config, reals: tf.Tensor, mix: tf.Tensor, batch: int
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The critic's losses [N], and the gradients of their sum divided by the global `batch`."""
    reconstructions = EG.decode(EG.encode(reals))  # outside: the critic's step moves only it
    with tf.GradientTape() as tape:
        losses = critic_loss(
            D, reals, reconstructions, mix,
            gp_weight=config.gp_weight, drift_weight=config.drift_weight,
        )  # fmt: skip
        loss = tf.reduce_sum(losses) / batch
    return losses, tape.gradient(loss, D.trainable_variables)


def EG_gradients(
    EG: AutoEncoder, D: Critic, config: Config, reals: tf.Tensor, labels: tf.Tensor, batch: int
) -> tuple[Parts, list[tf.Tensor]]:
    """The parts of the auto-encoder's loss [N] each, and the gradients as in `D_gradients`."""
    with tf.GradientTape() as tape:
        shown = EG.outputs(reals)
        parts = autoencoder_losses(D, reals, shown.reconstructions, shown.logits, labels)
        loss = tf.reduce_sum(total_loss(parts, config)) / batch
    return parts, tape.gradient(loss, EG.trainable_variables)


def total_loss(parts: Parts, config: Config) -> tf.Tensor:
    """The auto-encoder's loss [N]."""
    return (
        config.cls_weight * parts.cls
        + config.rec_weight * parts.rec
        + config.adv_weight * parts.adv
    )


class Trainer:
    """Networks, average, optimizers and counters, and the step that moves them all.

    Args:
        config: every number of the run; its seed is that of the weights.
        resolution, num_sources: of the data.
        strategy: the devices; losses are means over the global minibatch, whose groups for the
            standard deviation are the same on any number of devices that divides them.
        xla: compile the step.

    Attributes:
        EG, D, EGs: auto-encoder, critic, and the auto-encoder's running average.
        shown, skipped: int64 variables: images shown, optimizer steps left out as not finite.
    """

    def __init__(
        self, config: Config, resolution: int, num_sources: int, strategy: tf.distribute.Strategy,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.strategy = config, strategy
        shape = {"fmap_base": config.fmap_base, "fmap_max": config.fmap_max}
        kind = {"correlation": config.correlation, "use_pixelnorm": config.use_pixelnorm}
        with strategy.scope():
            keras.utils.set_random_seed(config.training_seed)
            self.EG = AutoEncoder(resolution, num_sources, **shape, **kind)
            self.EGs = AutoEncoder(resolution, num_sources, **shape, **kind)
            # The layer draws N(0, 1), as published, and scaled afterwards all else keeps its seeds.
            model_fingerprints = self.EG.model_fingerprints.weight
            model_fingerprints.assign(model_fingerprints * config.fingerprint_init)
            self.D = Critic(resolution, **shape, mbstd_group_size=config.mbstd_group_size)
            self.EG_adam, self.D_adam = (
                adam(config.beta_1, config.beta_2, config.epsilon) for _ in range(2)
            )
            for optimizer, network in ((self.EG_adam, self.EG), (self.D_adam, self.D)):
                optimizer.build(network.trainable_variables)
                optimizer.learning_rate.assign(config.learning_rate)
            update_average(self.EGs, self.EG, 0.0)
        self.shown, self.skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.update = tf.function(self._update, jit_compile=xla)

    @property
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        names = ("EG", "D", "EGs", "EG_adam", "D_adam")
        parts = {name: getattr(self, name).variables for name in names}
        return {**parts, "counters": [self.shown, self.skipped]}

    def start_from(self, path: str, source_names: list[str] | None) -> None:
        """Fills auto-encoder and average with old weights of the same shape and sources."""
        same = ("resolution", "fmap_base", "fmap_max", "correlation", "use_pixelnorm")
        begin.fill_from(path, self.EG, same, source_names)
        update_average(self.EGs, self.EG, 0.0)

    def step(self, stream: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
        """Shows both networks a minibatch; float32 [4]: losses of critic, rec, adv and cls."""
        return self.update(*next(stream))

    def _update(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        strategy, skipped = self.strategy, self.skipped
        D_loss, gradients = strategy.run(self._D_step, (pixels,))
        apply_if_finite(strategy, self.D_adam, gradients, self.D.trainable_variables, skipped)
        EG_losses, gradients = strategy.run(self._EG_step, (pixels, labels))
        apply_if_finite(strategy, self.EG_adam, gradients, self.EG.trainable_variables, skipped)
        update_average(self.EGs, self.EG, self.config.average_decay)
        # Last: a random key is made of the images shown before the step.
        self.shown.assign_add(self.config.minibatch)
        sums = [strategy.reduce("SUM", x, axis=None) for x in (D_loss, *EG_losses)]
        return tf.stack(sums) / self.config.minibatch

    def _D_step(self, pixels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        config, reals = self.config, to_network(pixels)
        key = random_key(config.training_seed, self.shown)
        mix = tf.random.stateless_uniform([config.minibatch, 1, 1, 1], key)
        mix = own_share(mix, config.mbstd_group_size)
        losses, gradients = D_gradients(self.EG, self.D, config, reals, mix, config.minibatch)
        return tf.reduce_sum(losses), gradients

    def _EG_step(
        self, pixels: tf.Tensor, labels: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        config, reals = self.config, to_network(pixels)
        parts, gradients = EG_gradients(self.EG, self.D, config, reals, labels, config.minibatch)
        return [tf.reduce_sum(part) for part in parts], gradients


def train(trainer: Trainer, data: DataSet, validation: DataSet, run: Run) -> None:
    """Trains until `total_kimg`, or continues the run's newest checkpoint.

    data, validation: labelled images with the same sources in the same order.
    """
    config, EGs, shown = trainer.config, trainer.EGs, trainer.shown
    seed, measured = config.training_seed, Measured(EGs, config, data, validation, run)
    examine = tf.function(lambda pixels: EGs.outputs(to_network(pixels)))
    grid = pipeline.epoch_order(data.count, seed, 0)[:GRID_IMAGES]

    def picture(moment: str) -> None:
        if not run.chief:
            return
        shown = examine(data.images(grid))
        pictures = {
            "reconstructions": images.to_uint8(shown.reconstructions.numpy()),
            "fingerprints": fingerprint_pictures.of_image(shown.fingerprints),
            "model_fingerprints": fingerprint_pictures.of_models(EGs.model_fingerprints.weight),
        }
        for name, batch in pictures.items():
            run.picture(batch, name, f"{name}{moment}")

    # Lengths, in images; then the state, and the data from where the state is.
    total = config.total_kimg * 1000
    tick = max(1, round(config.tick_kimg * 1000))
    snapshot = total / config.snapshots if config.snapshots else float("inf")
    run.start(trainer.state, config.total_kimg, shown)
    stream = pipeline.shared(
        trainer.strategy, data, config.minibatch, group=config.mbstd_group_size, seed=seed,
        start=int(shown), mirror=config.mirror,
    )  # fmt: skip
    if run.chief and not int(shown):
        run.picture(data.images(grid), "reals")

    losses, status = run.losses(int(shown)), ""
    while (before := int(shown)) < total:
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Train.
        losses.add(trainer.step(stream))

        # Snapshots, at an interval of their own.
        now = int(shown)
        if passed(before, now, snapshot) and now < total:
            measured.export(f"network-snapshot-{now // 1000:06d}")

        # Once per tick: report, measure and write pictures.
        if not passed(before, now, tick):
            continue
        (D_loss, rec, adv, cls), seconds = losses.report(now)
        kimg_seconds, skipped = seconds * 1000, int(trainer.skipped)
        run.log(
            f"tick {now // tick} kimg {now / 1000:.2f} minibatch {config.minibatch} "
            f"sec/kimg {kimg_seconds:.2f} D_loss {D_loss:.4f} rec {rec:.4f} adv {adv:.4f} "
            f"cls {cls:.4f} skipped_steps {skipped}", show=False,
        )  # fmt: skip
        run.scalars({"loss/D": D_loss, "loss/rec": rec, "loss/adv": adv, "loss/cls": cls,
                     "learning_rate": config.learning_rate,
                     "seconds_per_kimg": kimg_seconds, "skipped_steps": skipped})  # fmt: skip
        status = f"rec {rec:.3f} cls {cls:.3f}"
        if passed(before, now, tick * config.accuracy_ticks) and now < total:
            measured.measure(now)
        if passed(before, now, tick * config.image_ticks):
            picture(f"{now // 1000:06d}")
        losses.restart(now)

    run.save()  # before the last lines of the log: should they be interrupted, they come again
    measured.measure(int(shown))
    if not run.steps_done():
        return
    picture("-final")
    measured.end()
    measured.export_calibrated()
    files.save(run.path("critic-final.safetensors"), trainer.D, run.provenance())
    run.finish("network-final.safetensors", "critic-final.safetensors")
