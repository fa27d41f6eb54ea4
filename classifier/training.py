"""Training of the attribution classifier, from data sets on disk to a network file."""

from __future__ import annotations

import time

import keras
import numpy as np
import tensorflow as tf

from classifier.config import Config
from classifier.networks import Classifier
from gan_fingerprints.attribution.measuring import accuracy, calibrate
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.networks.layers import in_halves
from gan_fingerprints.training.optimizer import adam, apply_if_finite
from gan_fingerprints.training.run import Run


def loss_per_image(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy: logits and one-hot labels float32 [N, sources] → [N]."""
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


def to_network(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 [N, R, R, 3] → float32 in [-1, 1]."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


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
        strategy: the devices; the loss is the mean over the global minibatch.
        xla: compile the step.
        initial_arrays: weights to start from, by name.
    """
    sources, seed = data.source_names, config.training_seed
    attack = config.perturbation()

    # Network, optimizer and counters: all that the next step depends on.
    with strategy.scope():
        keras.utils.set_random_seed(seed)
        C = Classifier(data.resolution, len(sources), **config.network_arguments(data.resolution))
        if initial_arrays:
            files.fill(C, initial_arrays, "--init_from")
        C_adam = adam(config.beta_1, config.beta_2, config.epsilon)
        C_adam.build(C.trainable_variables)
        C_adam.learning_rate.assign(config.learning_rate)
    rampdown_images = config.rampdown_kimg * 1000
    shown, skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    state = {"C": C.variables, "adam": C_adam.variables, "counters": [shown, skipped]}

    logits_of = in_halves(C)

    def gradients_of(pixels, labels):
        with tf.GradientTape() as tape:
            loss = loss_per_image(logits_of(to_network(pixels)), labels)
            loss = tf.reduce_sum(loss) / config.minibatch
        return loss, tape.gradient(loss, C.trainable_variables)

    @tf.function(jit_compile=xla)
    def train_step(pixels, labels):
        loss, gradients = strategy.run(gradients_of, (pixels, labels))
        apply_if_finite(strategy, C_adam, gradients, C.trainable_variables, skipped)
        shown.assign_add(config.minibatch)
        return strategy.reduce("SUM", loss, axis=None)

    predict = tf.function(lambda pixels: tf.argmax(C(to_network(pixels)), axis=1))

    def export(name: str, calibration: Calibration | None = None) -> None:
        path = run.path(f"{name}.safetensors")
        files.save(path, C, run.provenance(), sources, calibration)

    def measure_accuracy() -> None:
        splits = {"training": data, "validation": validation}
        shares = {
            name: accuracy(predict, split, config.accuracy_images, seed, attack)
            for name, split in splits.items()
        }
        run.scalars({f"accuracy/{name}": share for name, share in shares.items()})
        run.log(
            f"kimg {int(shown) / 1000:.2f} training accuracy {shares['training']:.2%} "
            f"validation accuracy {shares['validation']:.2%}"
        )

    tick_images = max(1, round(config.tick_kimg * 1000))
    total_images = config.total_kimg * 1000
    snapshot_images = total_images / config.snapshots if config.snapshots else float("inf")
    run.start(state, config.total_kimg, shown)
    source = pipeline.minibatches(
        data,
        config.minibatch,
        seed=seed,
        start=int(shown),
        mirror=config.mirror,
        attack=attack,
    )
    stream = iter(strategy.experimental_distribute_dataset(source))
    losses, tick_start, tick_shown = [], time.monotonic(), int(shown)

    status = ""
    while int(shown) < total_images:
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Train.
        before = int(shown)
        if rampdown_images:
            left = (total_images - before) / rampdown_images
            C_adam.learning_rate.assign(config.learning_rate * min(1.0, left))
        losses.append(train_step(*next(stream)))

        # Once per tick: report, measure and save.
        now = int(shown)
        if now // snapshot_images > before // snapshot_images and now < total_images:
            export(f"network-snapshot-{now // 1000:06d}")
        tick, last_tick = now // tick_images, before // tick_images
        if tick == last_tick:
            continue
        loss = float(np.mean([float(x) for x in losses]))
        seconds = (time.monotonic() - tick_start) / (now - tick_shown) * 1000
        run.log(
            f"tick {tick} kimg {now / 1000:.2f} minibatch {config.minibatch} "
            f"sec/kimg {seconds:.2f} loss {loss:.4f} skipped_steps {int(skipped)}",
            show=False,
        )
        status = f"loss {loss:.3f}"
        run.scalars({"loss": loss, "timing/sec_per_kimg": seconds, "skipped_steps": int(skipped)})
        if tick // config.accuracy_ticks > last_tick // config.accuracy_ticks:
            measure_accuracy()
        losses, tick_start, tick_shown = [], time.monotonic(), now

    measure_accuracy()
    answers = tf.function(lambda pixels: C.answers(to_network(pixels)))
    calibration = calibrate(answers, validation, config.false_alarms, attack)
    run.log(calibration.describe())
    export("network-final", calibration)
    run.finish()
