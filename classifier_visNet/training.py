"""Training of visNet, from data sets on disk to a network file."""

from __future__ import annotations

import time

import keras
import numpy as np
import tensorflow as tf

from classifier_visNet.config import Config
from classifier_visNet.losses import Parts, autoencoder_losses, critic_loss
from classifier_visNet.networks import AutoEncoder, Critic
from gan_fingerprints import images
from gan_fingerprints.attribution.measuring import accuracy, calibrate
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.training.optimizer import adam, apply_if_finite
from gan_fingerprints.training.run import Run

GRID_IMAGES = 64


def to_network(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 [N, R, R, 3] → float32 in [-1, 1]."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


def mixing_factors(batch: int, seed: int, shown: tf.Variable) -> tf.Tensor:
    """U(0, 1), float32 [batch, 1, 1, 1], of the step at `shown` images on a replica."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    number = shown.read_value() * 64 + tf.cast(replica, tf.int64)
    key = tf.stack([tf.constant(seed, tf.int64), number])
    return tf.random.stateless_uniform([batch, 1, 1, 1], key)


def D_gradients(
    EG: AutoEncoder, D: Critic, config: Config, reals: tf.Tensor, mix: tf.Tensor, batch: int
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The critic's losses [N], and the gradients of their sum divided by the global `batch`."""
    reconstructions = EG.decode(EG.encode(reals))
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
        found = EG.outputs(reals)
        parts = autoencoder_losses(D, reals, found.reconstructions, found.logits, labels)
        loss = tf.reduce_sum(total_loss(parts, config)) / batch
    return parts, tape.gradient(loss, EG.trainable_variables)


def total_loss(parts: Parts, config: Config) -> tf.Tensor:
    """The auto-encoder's loss [N]."""
    return (
        config.cls_weight * parts.cls
        + config.rec_weight * parts.rec
        + config.adv_weight * parts.adv
    )


def update_average(EGs: AutoEncoder, EG: AutoEncoder, decay: float) -> None:
    """Moves the running average towards the auto-encoder: decay·average + (1 - decay)·weight."""
    for average, value in zip(EGs.trainable_variables, EG.trainable_variables, strict=True):
        average.assign(value + (average - value) * decay)


class Trainer:
    """Networks, average, optimizers and counters, and the step that moves them all.

    Args:
        config: every number of the run; its seed is that of the weights.
        resolution, num_sources: of the data.
        strategy: the devices; losses are means over the global minibatch, the minibatch standard
            deviation is taken within each replica.
        xla: compile the step.

    Attributes:
        EG, D, EGs: auto-encoder, critic, and the auto-encoder's running average.
        shown, skipped: int64 variables: images shown, optimizer steps left out as not finite.
    """

    def __init__(
        self,
        config: Config,
        resolution: int,
        num_sources: int,
        strategy: tf.distribute.Strategy,
        xla: bool = False,
    ) -> None:
        self.config = config
        self.strategy = strategy
        shape = {"fmap_base": config.fmap_base, "fmap_max": config.fmap_max}
        kind = {"correlation": config.correlation, "use_pixelnorm": config.use_pixelnorm}
        with strategy.scope():
            keras.utils.set_random_seed(config.training_seed)
            self.EG = AutoEncoder(resolution, num_sources, **shape, **kind)
            self.EGs = AutoEncoder(resolution, num_sources, **shape, **kind)
            model_fingerprints = self.EG.model_fingerprints.weight
            model_fingerprints.assign(model_fingerprints * config.fingerprint_init)
            self.D = Critic(resolution, **shape, mbstd_group_size=config.mbstd_group_size)
            self.EG_adam, self.D_adam = (
                adam(config.beta_1, config.beta_2, config.epsilon) for _ in range(2)
            )
            for optimizer, network in ((self.EG_adam, self.EG), (self.D_adam, self.D)):
                optimizer.build(network.trainable_variables)
                optimizer.learning_rate.assign(config.learning_rate)
            self.start_average()
        self.shown, self.skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.step = tf.function(self._step, jit_compile=xla)

    def start_average(self) -> None:
        """Sets the average to the auto-encoder's weights."""
        update_average(self.EGs, self.EG, 0.0)

    @property
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        names = ("EG", "D", "EGs", "EG_adam", "D_adam")
        parts = {name: getattr(self, name).variables for name in names}
        return {**parts, "counters": [self.shown, self.skipped]}

    def _step(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The critic, the auto-encoder, the average; float32 [4]: losses of critic, rec, adv, cls.

        pixels: uint8 [N, R, R, 3]; labels: float32 one-hot [N, sources], N the minibatch.
        """
        strategy, skipped = self.strategy, self.skipped
        D_loss, gradients = strategy.run(self._D_step, (pixels,))
        apply_if_finite(strategy, self.D_adam, gradients, self.D.trainable_variables, skipped)
        EG_losses, gradients = strategy.run(self._EG_step, (pixels, labels))
        apply_if_finite(strategy, self.EG_adam, gradients, self.EG.trainable_variables, skipped)
        update_average(self.EGs, self.EG, self.config.average_decay)
        self.shown.assign_add(self.config.minibatch)
        sums = [strategy.reduce("SUM", x, axis=None) for x in (D_loss, *EG_losses)]
        return tf.stack(sums) / self.config.minibatch

    def _D_step(self, pixels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        config, reals = self.config, to_network(pixels)
        mix = mixing_factors(len(pixels), config.training_seed, self.shown)
        losses, gradients = D_gradients(self.EG, self.D, config, reals, mix, config.minibatch)
        return tf.reduce_sum(losses), gradients

    def _EG_step(
        self, pixels: tf.Tensor, labels: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        config, reals = self.config, to_network(pixels)
        parts, gradients = EG_gradients(self.EG, self.D, config, reals, labels, config.minibatch)
        return [tf.reduce_sum(part) for part in parts], gradients


def train(
    config: Config,
    data: DataSet,
    validation: DataSet,
    run: Run,
    strategy: tf.distribute.Strategy,
    xla: bool = False,
    initial_arrays: dict[str, np.ndarray] | None = None,
) -> None:
    """Trains until `total_kimg`, or continues the run's newest checkpoint.

    Args:
        config: every number of the run.
        data, validation: labelled images with the same sources in the same order.
        run: where to write.
        strategy, xla: see `Trainer`.
        initial_arrays: weights to start the auto-encoder from, by name.
    """
    sources, seed = data.source_names, config.training_seed
    trainer = Trainer(config, data.resolution, len(sources), strategy, xla)
    EGs, shown, skipped = trainer.EGs, trainer.shown, trainer.skipped
    if initial_arrays:
        files.fill(trainer.EG, initial_arrays, "--init_from")
        trainer.start_average()
    predict = tf.function(lambda pixels: tf.argmax(EGs(to_network(pixels)), axis=1))
    examine = tf.function(lambda pixels: EGs.outputs(to_network(pixels)))

    def export(name: str, calibration: Calibration | None = None) -> None:
        path = run.path(f"{name}.safetensors")
        files.save(path, EGs, run.provenance(), sources, calibration)

    def measure_accuracy() -> None:
        splits = {"training": data, "validation": validation}
        shares = {
            name: accuracy(predict, split, config.accuracy_images, seed)
            for name, split in splits.items()
        }
        run.scalars({f"accuracy/{name}": share for name, share in shares.items()})
        run.log(
            f"kimg {int(shown) / 1000:.2f} training accuracy {shares['training']:.2%} "
            f"validation accuracy {shares['validation']:.2%}"
        )

    def picture(moment: str) -> None:
        found = examine(grid_pixels)
        run.picture(f"reconstructions{moment}", images.to_uint8(found.reconstructions.numpy()))
        run.picture(f"fingerprints{moment}", fingerprint_pictures.of_image(found.fingerprints))
        models = EGs.model_fingerprints.weight
        run.picture(f"model_fingerprints{moment}", fingerprint_pictures.of_models(models))

    grid_pixels = data.images(pipeline.epoch_order(data.count, seed, 0)[:GRID_IMAGES])
    tick_images = max(1, round(config.tick_kimg * 1000))
    total_images = config.total_kimg * 1000
    snapshot_images = total_images / config.snapshots if config.snapshots else float("inf")
    run.start(trainer.state, config.total_kimg, shown)
    source = pipeline.minibatches(
        data, config.minibatch, seed=seed, start=int(shown), mirror=config.mirror
    )
    stream = iter(strategy.experimental_distribute_dataset(source))
    losses, tick_start, tick_shown = [], time.monotonic(), int(shown)
    if not int(shown):
        run.picture("reals", grid_pixels)

    status = ""
    while int(shown) < total_images:
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Train.
        before = int(shown)
        losses.append(trainer.step(*next(stream)))

        # Once per tick: report, measure, and write pictures and snapshots.
        now = int(shown)
        if now // snapshot_images > before // snapshot_images and now < total_images:
            export(f"network-snapshot-{now // 1000:06d}")
        tick, last_tick = now // tick_images, before // tick_images
        if tick == last_tick:
            continue
        D_loss, rec, adv, cls = np.mean(np.array(losses, np.float64), axis=0)
        seconds = (time.monotonic() - tick_start) / (now - tick_shown) * 1000
        run.log(
            f"tick {tick} kimg {now / 1000:.2f} minibatch {config.minibatch} "
            f"sec/kimg {seconds:.2f} D_loss {D_loss:.4f} rec {rec:.4f} adv {adv:.4f} "
            f"cls {cls:.4f} skipped_steps {int(skipped)}", show=False,
        )  # fmt: skip
        status = f"rec {rec:.3f} cls {cls:.3f}"
        run.scalars({"loss/D": D_loss, "loss/rec": rec, "loss/adv": adv, "loss/cls": cls,
                     "timing/sec_per_kimg": seconds, "skipped_steps": int(skipped)})  # fmt: skip
        if tick // config.accuracy_ticks > last_tick // config.accuracy_ticks:
            measure_accuracy()
        if tick // config.image_ticks > last_tick // config.image_ticks:
            picture(f"{now // 1000:06d}")
        losses, tick_start, tick_shown = [], time.monotonic(), now

    measure_accuracy()
    picture("-final")
    answers = tf.function(lambda pixels: EGs.answers(to_network(pixels)))
    calibration = calibrate(answers, validation, config.false_alarms)
    run.log(calibration.describe())
    export("network-final", calibration)
    files.save(run.path("critic-final.safetensors"), trainer.D, run.provenance())
    run.finish()
