"""Features of Keras's InceptionV3, with weights from a file or as Keras fetches them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints import program
from gan_fingerprints.networks.layers import in_halves
from gan_fingerprints.program import UserError

SIDE = 299
LAST_MAPS = "mixed10"


def extractor(weights: str | Path | None, flag: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of images float32 [N, H, W, 3] in [-1, 1] → features float32 [N, 2048].

    The features are the means of the network's last maps; images of another size than 299 are
    resized (bilinear) first.

    Args:
        weights: a file; None for those learned on ImageNet, from Keras's cache or its server.
        flag: the command-line flag that named the file, for messages.

    Raises:
        UserError: no such file, not weights of InceptionV3 (with or without its last layer), or
            they cannot be fetched.
    """
    network = _fetched(flag) if weights is None else _filled(_weights_file(weights, flag), flag)
    maps = keras.Model(network.input, network.get_layer(LAST_MAPS).output)

    def extract(images: tf.Tensor) -> tf.Tensor:
        x = tf.image.resize(images, [SIDE, SIDE])
        return tf.reduce_mean(maps(x, training=False), axis=[1, 2])

    return tf.function(in_halves(extract))


def _fetched(flag: str) -> keras.Model:
    try:
        return keras.applications.InceptionV3(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises nothing more specific
        raise UserError(
            f"{flag} is missing, and Keras cannot fetch the weights of InceptionV3 "
            f"({str(error)[:300]}); give a file"
        ) from None


def _weights_file(path: str | Path, flag: str) -> Path:
    path = program.existing_file(path, flag)
    if not path.name.endswith((".h5", ".hdf5")):
        raise UserError(
            f"{flag} {path}: found another ending, expected .weights.h5 or .h5, as Keras's "
            "save_weights writes them"
        )
    return path


def _filled(path: Path, flag: str) -> keras.Model:
    reasons = []
    for top in (False, True):
        network = keras.applications.InceptionV3(
            include_top=top, weights=None, classifier_activation=None
        )
        before = _kernels(network)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layers without weights, by the hundred
                network.load_weights(str(path))
        except (ValueError, OSError, KeyError) as error:
            reasons.append(str(error).splitlines()[0])
            continue
        # Keras leaves layers alone of which it finds nothing in a file.
        left = sum(map(np.array_equal, before, _kernels(network)))
        if not left:
            return network
        reasons.append(f"it leaves {left} of {len(before)} convolutions as they were")
    raise UserError(f"{flag} {path}: not weights of Keras's InceptionV3 ({reasons[0][:200]})")


def _kernels(network: keras.Model) -> list[np.ndarray]:
    return [w.numpy() for w in network.weights if len(w.shape) == 4]
