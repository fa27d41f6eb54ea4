"""Descriptors of images and a linear discriminant, as a network like any other."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_fingerprints.networks.descriptors import descriptors, length
from gan_fingerprints.networks.discriminant import MOST_COMPONENTS, Discriminant

LEAST = 32  # of smaller images there is too little to count, unless it was fitted on such


def described(images: tf.Tensor) -> tf.Tensor:
    """Descriptors float32 [N, D] of images [N, H, W, 3] in [-1, 1], rounded to 256 levels."""
    levels = tf.saturate_cast(tf.round((images + 1) * 127.5), tf.uint8)
    found = tf.numpy_function(descriptors, [levels], tf.float32, stateful=False)
    found.set_shape([images.shape[0], length()])
    return found


def discriminant_of(
    layer: keras.layers.Layer, num_sources: int, components: int, prefix: str = ""
) -> Discriminant:
    """A discriminant whose arrays are weights of a layer; of no use before they are filled."""
    initial = {"deviation": "ones"}
    return Discriminant(**{
        name: layer.add_weight(
            shape=shape, initializer=initial.get(name, "zeros"), dtype="float32", autocast=False,
            trainable=False, name=prefix + name,
        )
        for name, shape in Discriminant.shapes(length(), num_sources, components).items()
    })  # fmt: skip


class Cooccurrence(keras.Model):
    """Descriptors, standardised, and linear layers, which `discriminant` finds.

    Args:
        resolution: side of the images that it was fitted on; those of other sizes may be given.
        num_sources: number of outputs.
        components: number of features.

    Attributes:
        least_side: of the images that it takes; see `attribution.attributor.Attributor`.

    Call: images float [N, H, W, 3] in [-1, 1], whose 256 levels are found again by rounding,
    → logits float32 [N, num_sources]. Nothing can be trained: descriptors have no gradient.
    """

    def __init__(
        self, resolution: int = 64, num_sources: int = 5, components: int = MOST_COMPONENTS,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(name="cooccurrence", dtype="float32", **kwargs)  # which counts levels
        self.arguments = {
            "resolution": resolution, "num_sources": num_sources, "components": components,
        }  # fmt: skip
        self.least_side = min(LEAST, resolution)
        self.discriminant = discriminant_of(self, num_sources, components)
        self.built = True

    def answers(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits float32 [N, num_sources], and features [N, components]."""
        return self.discriminant.answers(described(images))

    def fingerprints(self, images: tf.Tensor) -> tf.Tensor:
        """The features: principal components of the descriptors, float32 [N, components]."""
        return self.answers(images)[1]

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.answers(images)[0]
