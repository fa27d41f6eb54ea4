"""Descriptors beside a trained network: their discriminant, and how much of the answer is theirs.

Convolutions and counts of residuals fail on different images, so their mean is right more often
than either; see docs/robust.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from classifier.baseline_methods import images_of
from classifier.cooccurrence import Cooccurrence
from classifier.residual import Residual
from gan_fingerprints.calibration import fit_temperature, negative_log_likelihood
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.perturbations import Perturbation

PIXELS, FEWEST = 2**26, 2000  # of training images that are described: 16,384 of 64 pixels
SHARES = (0.0, 0.25, 0.5, 0.75)  # of the answer, that may be the descriptors'


class Together(NamedTuple):
    """A network with descriptors, and a line for the log."""

    network: Residual
    said: str


def with_descriptors(
    network: Residual, logits: np.ndarray, data: DataSet, validation: DataSet,
    attack: Perturbation | None = None,
) -> Together:  # fmt: skip
    """The network with the discriminant of its training images; the share by log likelihood.

    Log probabilities of both are averaged, each calibrated by itself.

    logits: float [N, sources], what the network says of all validation images.
    attack: what happens to all images first.
    """
    held = images_of(validation, validation.count, attack)
    method = Cooccurrence()
    method.fit(images_of(data, max(FEWEST, PIXELS // data.resolution**2), attack), held)
    parts = logits, method.validated
    temperatures = [fit_temperature(x, held.labels) for x in parts]
    own, theirs = (
        tf.nn.log_softmax(x / t).numpy() for x, t in zip(parts, temperatures, strict=True)
    )
    losses = [_loss((1 - share) * own + share * theirs, held.labels) for share in SHARES]
    share = SHARES[int(np.argmin(losses))]

    answers = own, theirs, (1 - share) * own + share * theirs
    right = [float(np.mean(x.argmax(axis=1) == held.labels)) for x in answers]
    components = method.discriminant.components.shape[1]
    whole = Residual(**network.arguments | {"components": components})
    for variable, trained in zip(whole.members, network.members, strict=True):
        variable.set_weights(trained.get_weights())
    scales = np.array([(1 - share) / temperatures[0], share])
    whole.fill_descriptors(method.discriminant.tempered(temperatures[1]), scales)
    return Together(
        whole,
        f"validation accuracy of the convolutions {right[0]:.2%}, of descriptors {right[1]:.2%}, "
        f"together {right[2]:.2%}, the descriptors' share being {share:g}",
    )


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return negative_log_likelihood(logits, labels, fit_temperature(logits, labels))
