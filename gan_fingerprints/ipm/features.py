"""Image features for the three-sample test: InceptionV3's, or an attribution classifier's.

A feature extractor is a function of images float32 [N, R, R, 3] in [0, 1] → float32 [N, dim].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from gan_fingerprints import inception, networks_io
from gan_fingerprints.commands import UserError
from gan_fingerprints.layers import (
    EqualizedConv2D,
    EqualizedDense,
    feature_maps,
    flatten_channels_first,
    leaky_relu,
)
from gan_fingerprints.trunk import Trunk

Extractor = Callable[[tf.Tensor], tf.Tensor]


class ClassifierFeatures(keras.Model):
    """An attribution classifier of the study, built from its file's header for its features.

    Call: images float32 [N, R, R, 3] in [-1, 1] → logits float32 [N, num_sources].
    """

    def __init__(
        self, resolution: int, num_sources: int, fmap_base: int, fmap_max: int, mode: Any,
        switching_res: int, latent_res: int, fused_scale: bool,
    ) -> None:  # fmt: skip
        super().__init__(name="classifier")
        if latent_res > 0:
            raise UserError("--features_model: a classifier of patches, expected one with dense "
                            "layers at its end (latent_res -1)")  # fmt: skip
        self.resolution = resolution

        def conv(stage: int, name: str, resample: Any = None) -> EqualizedConv2D:
            filters = feature_maps(stage, fmap_base, fmap_max)
            padding: Any = "zeros" if resample else "reflect"
            return EqualizedConv2D(filters, padding=padding, resample=resample, name=name)

        self.trunk = Trunk(resolution, mode, switching_res, 4, fused_scale)
        self.convs = self.trunk.layers(conv)
        self.last_conv = conv(1, "4x4_Conv0")
        width = max(feature_maps(1, fmap_base, fmap_max), num_sources)
        self.head = EqualizedDense(width, name="4x4_Dense1")
        self.to_logits = EqualizedDense(num_sources, gain=1.0, name="4x4_Dense2")
        self(tf.zeros([1, resolution, resolution, 3]))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Input of the last layer: float32 [N, width]."""
        x = leaky_relu(self.last_conv(self.trunk.features(images, self.convs)))
        return leaky_relu(self.head(flatten_channels_first(x)))

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.to_logits(self.features(images))


def of_classifier(path: str | Path) -> Extractor:
    """Features of a trained attribution classifier of ours.

    Raises:
        UserError: not such a file.
    """
    network: Any = networks_io.load(
        path, {"classifier": ClassifierFeatures}, "--features_model"
    ).network
    size = [network.resolution, network.resolution]
    return tf.function(lambda x: network.features(tf.image.resize(x, size) * 2 - 1))


def of_inception(path: str | Path) -> Extractor:
    """Features of Keras's InceptionV3 (2,048 means of its last maps), with weights from a file.

    Raises:
        UserError: no such file, or not weights of InceptionV3, with or without its last layer.
    """
    extract = inception.extractor(path, "--features_weights")
    return tf.function(lambda x: extract(x * 2 - 1))
