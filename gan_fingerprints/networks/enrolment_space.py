"""Learns, of a trained network and its images, in what space sources are enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gan_fingerprints.calibration import fit_temperature, threshold_for
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.discriminant import Moments, moments, principal_components
from gan_fingerprints.networks.enrolment import Enrolment, Space, distances
from gan_fingerprints.scores import whitening_of

if TYPE_CHECKING:
    import keras

BATCH = 64  # images at once
MOST_TRAINING = 5000  # images that the space is learned from
MOST_HELD = 1000  # validation images that a file keeps
ATYPICAL = 0.01  # share of held images that are beyond reach of their own source
LEAST_DEVIATION = 1e-6


class Labelled(Protocol):
    """Images with labels, as `data.reading.DataSet` has them."""

    labels: np.ndarray | None

    @property
    def checksum(self) -> str: ...

    def images(self, indices: np.ndarray, resolution: int | None = None) -> np.ndarray: ...


class Seen(NamedTuple):
    """What is known of images: uint8 [N, R, R, 3], int [N], and a network's float32 [N, …]."""

    pixels: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    features: np.ndarray


def learn(
    network: keras.Model, data: Labelled, validation: Labelled | None = None,
    *, answers: tuple[np.ndarray, np.ndarray] | None = None,
) -> Enrolment:  # fmt: skip
    """The space of a network's training images, without any newcomer yet.

    Args:
        network: its `answers` gives logits and features.
        data: of the sources that it knows, in their order; all of them must be there.
        validation: others of the same, of which some are kept to measure loss on. Without, the
            temperature and the reach are those of training images, which are too sure.
        answers: logits and features of all validation images, where they are known.
    """
    train = _seen(network, data, MOST_TRAINING)
    sources = train.logits.shape[1]
    missing = sorted(set(range(sources)).difference(train.labels.tolist()))
    if missing:
        raise ValueError(f"no image of the sources numbered {missing}")
    space = _space(train, sources, own=getattr(network, "discriminant", None) is not None)
    held = train if validation is None else _seen(network, validation, MOST_HELD, answers)
    places = space.places(held.features, held.pixels)
    apart = np.stack([distances(places, mean) for mean in space.means], axis=1)
    own = apart[np.arange(len(apart)), held.labels]
    kept = slice(0 if validation is None else None)
    return Enrolment(
        space, fit_temperature(-0.5 * apart, held.labels), -threshold_for(-own, ATYPICAL),
        places[kept], held.logits[kept], held.labels[kept], data.checksum,
    )  # fmt: skip


def _space(train: Seen, sources: int, own: bool) -> Space:
    """own: the features are components of descriptors themselves."""
    none = np.zeros(0), np.ones(0), np.zeros((0, 0))
    described = none if own else _described(descriptors(train.pixels))
    space = Space(*(np.asarray(x, np.float32) for x in described), *[np.zeros(0)] * 4)
    z = np.concatenate([train.features, space.described(train.pixels)], axis=1)
    mean, deviation = z.mean(axis=0), np.maximum(z.std(axis=0), LEAST_DEVIATION)
    standard = (z - mean) / deviation
    means = np.stack([standard[train.labels == i].mean(axis=0) for i in range(sources)])
    whitening = whitening_of(standard, train.labels, means).T
    means = means @ whitening
    arrays = (np.asarray(x, np.float32) for x in (mean, deviation, whitening, means))
    return Space(*space[:3], *arrays)


def _described(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    of_all: Moments = moments(x)
    return of_all.mean, of_all.deviation, principal_components(of_all.covariance, len(x))


def _seen(
    network: keras.Model, data: Labelled, most: int,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> Seen:  # fmt: skip
    """Some of the images, as many of each source as of any as far as there are enough.

    known: the network's answers for all of them, if it need not be asked.
    """
    import tensorflow as tf

    from gan_fingerprints.networks.layers import to_network

    assert data.labels is not None
    labels = data.labels.argmax(axis=1)
    chosen = evenly(labels, most)
    if known:
        logits, features = (x[chosen] for x in known)
        return Seen(data.images(chosen), labels[chosen], logits, features.reshape(len(chosen), -1))
    answers = tf.function(lambda pixels: network.answers(to_network(pixels)))
    parts = []
    for start in range(0, len(chosen), BATCH):
        pixels = data.images(chosen[start : start + BATCH])
        # TensorFlow traces a function anew for every shape: the last images get some company.
        padded = np.resize(pixels, (BATCH, *pixels.shape[1:]))
        logits, features = (x.numpy()[: len(pixels)] for x in answers(padded)[:2])
        parts.append((pixels, logits, features))
    pixels, logits, features = map(np.concatenate, zip(*parts, strict=True))
    return Seen(pixels, labels[chosen], logits, features.reshape(len(pixels), -1))


def evenly(labels: np.ndarray, most: int) -> np.ndarray:
    """Numbers of at most so many images, always the same ones, in ascending order."""
    order = np.random.default_rng(0).permutation(len(labels))
    turns = np.empty(len(labels), int)  # which of its source's images an image is, in that order
    for source in np.unique(labels):
        own = order[labels[order] == source]
        turns[own] = np.arange(len(own))
    return np.sort(order[np.argsort(turns[order], kind="stable")][:most])
