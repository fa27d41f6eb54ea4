"""What the programs of the two classifiers share: checks of the data, accuracy, flags, tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gan_fingerprints import calibration
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError

ACCURACY_BATCH = 64


def open_splits(arguments: argparse.Namespace, minibatch: int, gpus: int) -> list[DataSet]:
    """Training and validation data; UserError unless they and the settings fit each other."""
    flags = ("training_data_dir", "validation_data_dir")
    data, validation = (
        DataSet.open(
            getattr(arguments, flag), f"--{flag}", needs_labels=True, verify=arguments.verify
        )
        for flag in flags
    )
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
    if minibatch % gpus:
        raise UserError(f"--minibatch {minibatch}: not a multiple of {gpus} GPUs")
    return [data, validation]


def accuracy(
    predict: Callable[[np.ndarray], Any],
    data: DataSet,
    most: int,
    seed: int,
    attack: Perturbation | None = None,
) -> float:
    """Share of right answers on up to `most` images, the same ones every time.

    predict: uint8 [64, R, R, 3] → label numbers [64].
    attack: what happens to the images first, if anything; always the same to each.
    """
    from gan_fingerprints.data import pipeline  # imports TensorFlow, which takes seconds

    chosen = pipeline.epoch_order(data.count, seed, 0)[:most]
    right = 0
    for pixels, labels in _batches(data, chosen, attack):
        answers = predict(pixels).numpy()[: len(labels)]
        right += int(np.sum(answers == labels))
    return right / len(chosen)


def calibrate(
    answers: Callable[[np.ndarray], Sequence[Any]],
    data: DataSet,
    false_alarms: float,
    attack: Perturbation | None = None,
) -> Calibration:
    """Temperature and threshold of a trained network, from all validation images.

    answers: uint8 [64, R, R, 3] → logits [64, sources] and features [64, D].
    Raises UserError when a source has no validation image.
    """
    parts = []
    for pixels, true in _batches(data, np.arange(data.count), attack):
        parts.append([*(x.numpy()[: len(true)] for x in answers(pixels)), true])
    logits, features, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    try:
        return calibration.calibrate(logits, features, labels, data.checksum, false_alarms)
    except ValueError as error:
        raise UserError(
            f'{data.folder}: {error}, expected some of each to set the threshold of "unknown" on'
        ) from None


def _batches(
    data: DataSet, chosen: np.ndarray, attack: Perturbation | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images uint8 [64, R, R, 3], the last ones repeating the first, and as many label numbers."""
    assert data.labels is not None
    for start in range(0, len(chosen), ACCURACY_BATCH):
        indices = chosen[start : start + ACCURACY_BATCH]
        padded = np.pad(indices, (0, ACCURACY_BATCH - len(indices)))  # one shape, one graph
        pixels = data.images(padded)
        if attack:
            pairs = zip(pixels, padded, strict=True)
            pixels = np.stack([attack(image, int(index))[0] for image, index in pairs])
        yield pixels, np.argmax(data.labels[indices], axis=1)
