"""Training of the attribution classifier, from data sets on disk to a network file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from classifier.config import Config
from classifier.networks import Classifier
from classifier.residual import Residual
from classifier.together import with_descriptors
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks.layers import in_halves, to_network
from gan_fingerprints.training import begin
from gan_fingerprints.training.classifying import Best, Measured
from gan_fingerprints.training.optimizer import adam, apply_if_finite, random_key, update_average
from gan_fingerprints.training.run import Run, passed

CLASSES: dict[str, Callable[..., keras.Model]] = {"paper": Classifier, "residual": Residual}
SAME = {
    "paper": ("resolution", "fmap_base", "fmap_max", "mode", "switching_res", "latent_res"),
    "residual": ("width", "members"),
}
"""Network → arguments that old weights must agree in."""


def loss_per_image(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy: logits and one-hot labels float32 [N, sources] → [N]."""
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


class Trainer:
    """Network, optimizer and counters, and the step that moves them all.

    Args:
        config: every number of the run; its seed is that of the weights.
        resolution, num_sources: of the data.
        strategy: the devices; the loss is the mean over the global minibatch.
        xla: compile the step.

    Attributes:
        C: the classifier.
        Cs: what is kept of it: its running average where the configuration has one, else itself.
        best: the `Cs` that was best on validation images, where the configuration keeps that.
        shown, skipped: int64 variables: images shown, optimizer steps left out as not finite.
    """

    def __init__(
        self, config: Config, resolution: int, num_sources: int, strategy: tf.distribute.Strategy,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.strategy = config, strategy
        arguments = config.network_arguments(resolution)
        with strategy.scope():
            keras.utils.set_random_seed(config.training_seed)
            self.C = self.Cs = CLASSES[config.network](resolution, num_sources, **arguments)
            self.adam = adam(config.beta_1, config.beta_2, config.epsilon, config.weight_decay)
            self.adam.build(self.C.trainable_variables)
            self.set_learning_rate(config.learning_rate)
            if config.average_decay:
                self.Cs = CLASSES[config.network](resolution, num_sources, **arguments)
                update_average(self.Cs, self.C, 0.0)
        self.best = Best(self.Cs) if config.keep_best else None
        self.shown, self.skipped = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.logits_of = in_halves(self.C)
        self.update = tf.function(self._update, jit_compile=xla)

    @property
    def state(self) -> dict[str, list]:
        """All that the next step depends on, for a checkpoint."""
        counters = [self.shown, self.skipped]
        state = {"C": self.C.variables, "adam": self.adam.variables, "counters": counters}
        if self.Cs is not self.C:
            state["Cs"] = self.Cs.variables
        return state | ({"best": self.best.state} if self.best else {})

    def start_from(self, path: str, source_names: list[str] | None) -> None:
        """Fills the network with old weights of the same shape and sources."""
        begin.fill_from(path, self.C, SAME[self.config.network], source_names)
        if self.Cs is not self.C:
            update_average(self.Cs, self.C, 0.0)

    def set_learning_rate(self, rate: float) -> None:
        """Adam's rate for the next steps."""
        self.adam.learning_rate.assign(rate)

    def step(self, stream: Iterator[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
        """Shows the network a minibatch; its mean loss."""
        return self.update(*next(stream))

    def _update(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        strategy, C = self.strategy, self.C
        loss, gradients = strategy.run(self._gradients, (pixels, labels))
        apply_if_finite(strategy, self.adam, gradients, C.trainable_variables, self.skipped)
        if self.Cs is not C:
            update_average(self.Cs, C, self.config.average_decay)
        self.shown.assign_add(self.config.minibatch)
        return strategy.reduce("SUM", loss, axis=None)

    def _gradients(self, pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        # Augmented images come as they are shown.
        images = to_network(pixels) if pixels.dtype == tf.uint8 else pixels
        with tf.GradientTape() as tape:
            losses = self._losses(images, labels)
            # Not the mean: each device has its share, and their gradients are added up.
            loss = tf.reduce_sum(losses) / self.config.minibatch
        return loss, tape.gradient(loss, self.C.trainable_variables)

    def _losses(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss of each image: float32 [N]."""
        if self.config.network == "paper":
            return loss_per_image(self.logits_of(images), labels)
        key = random_key(self.config.training_seed, self.shown)
        # Each member learns by itself: only then are their mistakes different ones.
        answers = self.C.of_members(images, key)
        return tf.add_n([loss_per_image(logits, labels) for logits, _ in answers]) / len(answers)


def train(
    trainer: Trainer, data: DataSet, validation: DataSet, run: Run, outside: DataSet | None = None
) -> None:
    """Trains until `total_kimg`, or continues the run's newest checkpoint.

    data, validation: labelled images with the same sources in the same order.
    outside: images of other sources, for likelihood ratios.
    """
    config, shown, attack = trainer.config, trainer.shown, trainer.config.perturbation()
    measured = Measured(trainer.Cs, config, data, validation, run, attack, trainer.best, outside)

    # Lengths, in images; then the state, and the data from where the state is.
    total = config.total_kimg * 1000
    tick = max(1, round(config.tick_kimg * 1000))
    snapshot = total / config.snapshots if config.snapshots else float("inf")
    measuring = tick * config.accuracy_ticks

    def gave_up() -> bool:
        return 0 < config.patience <= measured.waited(int(shown), measuring)

    run.start(trainer.state, config.total_kimg, shown)
    stream = pipeline.shared(
        trainer.strategy,
        data,
        config.minibatch,
        seed=config.training_seed,
        start=int(shown),
        mirror=config.mirror,
        attack=attack,
        augmentation=config.augmentation(data.resolution),
    )

    losses, status = run.losses(int(shown)), ""
    while (before := int(shown)) < total and not gave_up():
        run.advance(status)  # a checkpoint here finds all of the last tick's files written

        # Train.
        trainer.set_learning_rate(config.rate(before))
        losses.add(trainer.step(stream))

        # Snapshots, at an interval of their own.
        now = int(shown)
        if passed(before, now, snapshot) and now < total:
            measured.export(f"network-snapshot-{now // 1000:06d}")

        # Once per tick: report and measure.
        if not passed(before, now, tick):
            continue
        loss, seconds = losses.report(now)
        kimg_seconds, skipped = seconds * 1000, int(trainer.skipped)
        run.log(
            f"tick {now // tick} kimg {now / 1000:.2f} minibatch {config.minibatch} "
            f"sec/kimg {kimg_seconds:.2f} loss {loss:.4f} skipped_steps {skipped}", show=False,
        )  # fmt: skip
        run.scalars({"loss": loss, "learning_rate": config.rate(before),
                     "seconds_per_kimg": kimg_seconds, "skipped_steps": skipped})  # fmt: skip
        status = f"loss {loss:.3f}"
        if passed(before, now, measuring) and now < total:  # the end is measured below
            measured.measure(now)
            if gave_up():
                run.log(f"no better accuracy in {config.patience} measurements: stopping early")
        losses.restart(now)

    run.save()  # before the last lines of the log: should they be interrupted, they come again
    measured.measure(int(shown))
    if not run.steps_done():
        return
    measured.end()
    if config.network == "residual" and config.descriptors:
        run.log("describing the training images")
        logits = measured.answers().logits
        whole = with_descriptors(trainer.Cs, logits, data, validation, attack)
        measured.network = whole.network
        run.log(whole.said)
    measured.export_calibrated()
    run.finish("network-final.safetensors")
