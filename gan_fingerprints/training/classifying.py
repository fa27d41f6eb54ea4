"""What the training of both classifiers shares: settings, the data, accuracy, calibration."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_fingerprints import calibration, domain, program, typed
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.card import markdown, of_training
from gan_fingerprints.data import groups, manifest, shared
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.domain import Domain
from gan_fingerprints.likelihoods.fitted import Likelihoods, fitted
from gan_fingerprints.networks import enrolment_space, header
from gan_fingerprints.networks.enrolment import Enrolment
from gan_fingerprints.networks.stored import Refused
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError, option
from gan_fingerprints.pseudo_unknowns import PseudoUnknown
from gan_fingerprints.training import agreement
from gan_fingerprints.training.answers import BATCH, Answers, accuracy, batches
from gan_fingerprints.training.degraded import cases_of
from gan_fingerprints.training.run import Run

if TYPE_CHECKING:
    import keras

APART = 0.1  # between the accuracies on training and validation images: worth a warning


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run computes, as far as it is the same for both; each field is a flag."""

    training_seed: int = option(typed.seed, 1000, "seed of weights and data order", advanced=False)
    fmap_base: int = option(typed.positive_int, 1024, "channels: min(fmap_base/2^stage, fmap_max)")
    fmap_max: int = option(typed.positive_int, 512, "most channels of a layer")
    minibatch: int = option(typed.positive_int, 32, "images per step", advanced=False)
    learning_rate: float = option(typed.non_negative, 0.001, "Adam's rate", advanced=False)
    beta_1: float = option(typed.non_negative, 0.0, "Adam's decay of the mean")
    beta_2: float = option(typed.non_negative, 0.99, "Adam's decay of the variance")
    epsilon: float = option(typed.non_negative, 1e-8, "Adam's epsilon")
    mirror: bool = option(typed.switch, True, "1: flip each image left to right half of the time")
    tick_kimg: float = option(typed.kimg, 1.0, "a line in the log this often")
    accuracy_ticks: int = option(typed.positive_int, 10, "measure accuracy every N ticks")
    accuracy_images: int = option(typed.positive_int, 5000, "most images per split to measure on")
    snapshots: int = option(typed.count, 100, "network snapshots over the run")
    false_alarms: float = option(
        typed.share,
        0.05,
        'of images of known sources to answer "unknown"; sets the threshold',
        advanced=False,
    )
    guard: bool = option(
        typed.switch,
        False,
        "1: inconclusive for images that look unlike the training images in "
        "a plain property (brightness, contrast, detail, treble, JPEG blocks)",
    )
    either: bool = option(
        typed.switch,
        False,
        "1: unknown where one of two scores is low, in logits or in features; "
        "0: by the one of three that tells the known sources apart best",
    )
    likelihoods: bool = option(
        typed.switch,
        False,
        "1: fit likelihood ratios on the validation images, and on pseudo-unknowns made of them",
    )
    enrollable: bool = option(
        typed.switch,
        False,
        "1: keep what `gan-fingerprints enroll` takes of the images, some MB",
    )


def open_splits(arguments: argparse.Namespace, minibatch: int, devices: int) -> list[DataSet]:
    """Training and validation data; UserError unless they and the settings fit each other."""
    flags = ("training_data_dir", "validation_data_dir")
    data, validation = (
        DataSet.open(
            getattr(arguments, flag), f"--{flag}", needs_labels=True, verify=arguments.verify
        )
        for flag in flags
    )
    for flag, split in zip(flags, (data, validation), strict=True):
        _require_every_source(split, f"--{flag}")
    if validation.source_names != data.source_names:
        raise UserError(
            f"--validation_data_dir {validation.folder}: its sources are "
            f"{', '.join(validation.source_names or [])}; expected those of the training data: "
            f"{', '.join(data.source_names or [])}"
        )
    if validation.resolution != data.resolution:
        raise UserError(
            f"--validation_data_dir {validation.folder}: {validation.resolution} pixels, expected "
            f"{data.resolution} as the training data; prepare it with --resolution"
        )
    if data.resolution < 16:
        raise UserError(
            f"--training_data_dir {data.folder}: {data.resolution} pixels, expected 16 or more; "
            "prepare it with --resolution"
        )
    if validation.checksum == data.checksum:
        raise UserError(
            f"--validation_data_dir {validation.folder}: holds the same images as "
            f"--training_data_dir {data.folder}, expected others: what is measured on training "
            "images says nothing about new ones; split the images first"
        )
    groups.refuse_shared(
        data.group_names, validation.group_names, f"--validation_data_dir {validation.folder}"
    )
    shared.refuse_in_training(data, validation)
    try:  # else the network's file could not be loaded
        header.require_names(names := data.source_names or [], len(names))
    except Refused as error:
        raise UserError(f"--training_data_dir {data.folder}: sources: {error}") from None
    if minibatch % devices:
        raise UserError(f"--minibatch {minibatch}: not a multiple of {devices} devices")
    return [data, validation]


def _require_every_source(data: DataSet, flag: str) -> None:
    """UserError where a source has no image: neither accuracy nor threshold would mean anything."""
    assert data.labels is not None
    counts = zip(data.source_names or [], data.labels.sum(axis=0), strict=True)
    if missing := [name for name, number in counts if not number]:
        raise UserError(
            f"{flag} {data.folder}: found no image of {', '.join(missing)}, expected some of every "
            "source; prepare it with more images, or without that source"
        )


class Best:
    """The weights of a network when it was most accurate on validation images.

    A part of a checkpoint, so that a run that was interrupted keeps the same.
    """

    def __init__(self, network: keras.Model) -> None:
        import tensorflow as tf

        self._variables = network.variables
        self._weights = [tf.Variable(x) for x in self._variables]
        self._accuracy = tf.Variable(-1.0, dtype=tf.float64)
        self._shown = tf.Variable(0, dtype=tf.int64)

    @property
    def state(self) -> list[Any]:
        return [*self._weights, self._accuracy, self._shown]

    @property
    def accuracy(self) -> float:
        return float(self._accuracy)

    @property
    def shown(self) -> int:
        """Images shown until then."""
        return int(self._shown)

    def offer(self, accuracy: float, shown: int) -> None:
        """Keeps the network as it is now if it is better."""
        if accuracy > self.accuracy:
            self._accuracy.assign(accuracy)
            self._shown.assign(shown)
            for kept, now in zip(self._weights, self._variables, strict=True):
                kept.assign(now)

    def restore(self) -> None:
        """Gives the network the weights that were kept."""
        for kept, now in zip(self._weights, self._variables, strict=True):
            now.assign(kept)


class Measured:
    """A network in training, as it is exported, measured and, at the end, calibrated.

    Args:
        network: images float32 [N, R, R, 3] in [-1, 1] → logits; its `answers` gives features too.
        attack: what happens to the images that it is measured on.
        best: where the most accurate one is kept, to be exported at the end; None for the last.
        outside: images of sources outside, for likelihood ratios.
    """

    def __init__(
        self, network: keras.Model, config: Settings, data: DataSet, validation: DataSet, run: Run,
        attack: Perturbation | None = None, best: Best | None = None,
        outside: DataSet | None = None,
    ) -> None:  # fmt: skip
        import tensorflow as tf

        from gan_fingerprints.networks.layers import to_network

        self.network, self.config, self.run, self.attack = network, config, run, attack
        self.outside = outside
        self.best, self._shares = best, dict[str, float]()
        self.splits = {"training": data, "validation": validation}
        self.predict = tf.function(lambda pixels: tf.argmax(network(to_network(pixels)), axis=1))

    def export(
        self, name: str, calibration: Calibration | None = None,
        enrolment: Enrolment | None = None, likelihoods: Likelihoods | None = None,
        card: dict[str, Any] | None = None, bfloat16: dict[str, int] | None = None,
    ) -> None:  # fmt: skip
        """Writes the network as NAME.safetensors."""
        if not self.run.chief:
            return
        from gan_fingerprints.networks import files

        path, names = self.run.path(f"{name}.safetensors"), self.splits["training"].source_names
        beside = calibration, enrolment, likelihoods, card, bfloat16
        files.save(path, self.network, self.run.provenance(), names, *beside)

    def measure(self, shown: int) -> None:
        """Writes the accuracy on either split to log and TensorBoard, after so many images."""
        # One worker measures and tells the others, so that all of them stop early or none does.
        how = self.config.accuracy_images, self.config.training_seed, self.attack
        shares = self.run.workers.from_chief(
            lambda: {x: accuracy(self.predict, y, *how) for x, y in self.splits.items()}
        )
        self.run.scalars({f"accuracy/{name}": share for name, share in shares.items()})
        words = (f"{name} accuracy {share:.2%}" for name, share in shares.items())
        self.run.log(f"kimg {shown / 1000:.2f} {' '.join(words)}")
        self._shares = shares
        if self.best:
            self.best.offer(shares["validation"], shown)

    def waited(self, shown: int, interval: int) -> int:
        """Measurements, one per interval, since the best one; 0 where that is not kept."""
        return shown // interval - self.best.shown // interval if self.best else 0

    def _warn_of_memory(self) -> None:
        """Says when training and validation have parted ways."""
        training, validation = self._shares["training"], self._shares["validation"]
        if training - validation > APART:
            self.run.log(
                f"warning: accuracy {training:.1%} on training images and {validation:.1%} on "
                "validation images: the network knows the training images by heart; more images, "
                "or more of what they differ in (latents, photographs), help more than a longer "
                "training"
            )

    def end(self) -> None:
        """Takes the best network where that is kept, else the last, and says so in the log."""
        self._warn_of_memory()
        if self.best:
            self.best.restore()
            self.run.log(
                f"network-final is that of kimg {self.best.shown / 1000:.2f}: validation accuracy "
                f"{self.best.accuracy:.2%}, the best measured"
            )

    def answers(
        self, data: DataSet | None = None, unknown: bool = False, of: Any = None
    ) -> Answers:
        """What the network says of all validation images, or those of other data.

        unknown: of pseudo-unknowns made of them; of: another network that is asked.
        """
        import tensorflow as tf

        from gan_fingerprints.networks.layers import to_network

        data, parts = data or self.splits["validation"], []
        made = PseudoUnknown(self.config.training_seed) if unknown else None
        answers = tf.function(lambda pixels: (of or self.network).answers(to_network(pixels)))
        for pixels, true in batches(data, np.arange(data.count), self.attack, made):
            parts.append([*(x.numpy()[: len(true)] for x in answers(pixels)), true])
        return Answers(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def export_calibrated(self) -> None:
        """Learns temperature and threshold from all validation images; writes network-final.

        Raises UserError when a source has no validation image.
        """
        train, data, config = self.splits["training"], self.splits["validation"], self.config
        logits, features, labels = self.answers()
        judged = getattr(self.network, "judged", None)
        how = config.false_alarms, config.either, data.groups, judged
        try:
            scale, scores = calibration.calibrated(logits, features, labels, data.checksum, *how)
        except ValueError as error:
            raise UserError(
                f"{data.folder}: {error}, expected some of each to set the threshold of "
                '"unknown" on'
            ) from None
        wanted = config.likelihoods and logits.shape[1] > 1  # of one source there is no other
        likelihoods = self._likelihoods(scale, logits, scores) if wanted else None
        if config.guard:
            scale = dataclasses.replace(scale, domain=self._domain())
        self.run.log(scale.describe())
        known = None if self.attack else (logits, features)  # enrolled images are not attacked
        space = None
        if config.enrollable:
            space = enrolment_space.learn(self.network, train, data, answers=known)
        made = self._card()
        program.write_whole(self.run.path("card.md"), markdown(made).encode())
        same = agreement.of_bfloat16(self.network, self.answers, scale, logits, features)
        self.export("network-final", scale, space, likelihoods, made, same)

    def _card(self) -> dict[str, Any]:
        """What is known of the network before anything was measured with other images."""
        train = self.splits["training"]
        counts = {
            name: data.labels.sum(axis=0, dtype=np.int64).tolist()
            for name, data in self.splits.items() if data.labels is not None
        }  # fmt: skip
        of_groups = {
            name: None if data.groups is None else len(set(data.groups.tolist()))
            for name, data in self.splits.items()
        }
        settings = dataclasses.asdict(self.config)
        names, audits = train.source_names or [], manifest.audited(train.folder, train.name)
        what = names, counts, train.resolution, self.network.name
        return of_training(*what, settings, audits, of_groups)

    def _likelihoods(
        self, scale: Calibration, logits: np.ndarray, scores: np.ndarray
    ) -> Likelihoods:
        """Of what the network says of all validation images, and the scores that they have."""
        data = self.splits["validation"]
        assert data.labels is not None
        own = data.independent
        sets = [(self.answers(unknown=True), own)]
        if self.outside:
            apart = own.max() + 1  # groups of the others' own
            sets.append((self.answers(self.outside), self.outside.independent + apart))
        outside = np.concatenate([scale.scores(x.logits, x.features) for x, _ in sets])
        groups = np.concatenate([x for _, x in sets])
        labels, scaled = data.labels.argmax(axis=1), logits / scale.temperature
        names, cases = data.source_names or [], None
        if not self.attack:  # else what is degraded here would have been attacked before
            cases = cases_of(self.network, names, data, scale, scores, self.config.training_seed)
        found = fitted(scaled, labels, own, scores, outside, groups, cases)
        self.run.log(found.describe())
        return found

    def _domain(self) -> Domain:
        data, most = self.splits["training"], self.config.accuracy_images
        rows = []
        for start in range(0, min(data.count, most), BATCH):
            # In the order of the file, which preparation has shuffled.
            indices = np.arange(start, min(start + BATCH, data.count, most))
            rows += [domain.properties(image[None]) for image in data.images(indices)]
        return Domain.of(np.array(rows))
