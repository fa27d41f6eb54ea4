"""What a network in training answers to the images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.pseudo_unknowns import PseudoUnknown

BATCH = 64  # images measured at once


class Answers(NamedTuple):
    """What a network says of images, and what is true.

    Attributes:
        logits, features: float32 [N, sources] and [N, D].
        labels: int [N].
    """

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray


def accuracy(
    predict: Callable[[np.ndarray], Any], data: DataSet, most: int, seed: int,
    attack: Perturbation | None = None,
) -> float:  # fmt: skip
    """Share of right answers on up to `most` images, the same ones every time.

    predict: uint8 [64, R, R, 3] → label numbers [64].
    attack: what happens to the images first, if anything; always the same to each.
    """
    from gan_fingerprints.data import pipeline  # imports TensorFlow, which takes seconds

    # The seed alone chooses: an accuracy that goes up is never one of easier images.
    chosen = pipeline.epoch_order(data.count, seed, 0)[:most]
    right = 0
    for pixels, labels in batches(data, chosen, attack):
        answers = predict(pixels).numpy()[: len(labels)]
        right += int(np.sum(answers == labels))
    return right / len(chosen)


def attacked(
    data: DataSet, indices: np.ndarray, attack: Perturbation | None,
    made: PseudoUnknown | None = None,
) -> np.ndarray:  # fmt: skip
    """Images uint8 [N, R, R, 3] after an attack, if there is one, keyed by their places.

    made: makes pseudo-unknowns of them first.
    """
    pixels = data.images(indices)
    if made:
        pixels = np.stack([made(x, int(index)) for x, index in zip(pixels, indices, strict=True)])
    if not attack:
        return pixels
    pairs = zip(pixels, indices, strict=True)
    return np.stack([attack(image, int(index))[0] for image, index in pairs])


def batches(
    data: DataSet, chosen: np.ndarray, attack: Perturbation | None,
    made: PseudoUnknown | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Images uint8 [64, R, R, 3], the last ones repeating the first, and as many label numbers."""
    assert data.labels is not None
    for start in range(0, len(chosen), BATCH):
        indices = chosen[start : start + BATCH]
        # TensorFlow traces a function anew for every shape: the last images get some company.
        padded = np.pad(indices, (0, BATCH - len(indices)))
        yield attacked(data, padded, attack, made), np.argmax(data.labels[indices], axis=1)
