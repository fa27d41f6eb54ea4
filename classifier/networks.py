"""The attribution classifier (Yu, Davis, Fritz, ICCV 2019, fig. 2): an image in, a source out."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    EqualizedDense,
    feature_maps,
    flatten_channels_first,
    leaky_relu,
)
from gan_fingerprints.networks.trunk import Mode, Trunk


class Classifier(keras.Model):
    """Convolutions and average pooling down to 4×4, then two dense layers.

    The features before the last layer are the *image fingerprint*; the columns of the last
    layer's weight are the *model fingerprints*.

    Args:
        resolution: side of the input images, a power of two from 8 up.
        num_sources: number of outputs.
        fmap_base: channels double at each halving, starting from fmap_base / resolution · 2.
        fmap_max: most channels of a layer.
        mode, switching_res: which part of the image the network sees, see `trunk.Trunk`.
        latent_res: -1 for dense layers at 4×4; k stops at k×k and goes on with 1×1 convolutions,
            whose logits are averaged: each sees a patch.
        fused_scale: see `trunk.Trunk`.

    Call: images float [N, R, R, 3] in [-1, 1] → logits float32 [N, num_sources].
    Raises ValueError for sizes that do not fit each other.
    """

    def __init__(
        self,
        resolution: int = 128,
        num_sources: int = 5,
        fmap_base: int = 1024,
        fmap_max: int = 512,
        mode: Mode = "postpool",
        switching_res: int = 4,
        latent_res: int = -1,
        fused_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name="classifier", **kwargs)
        self.arguments = {
            "resolution": resolution,
            "num_sources": num_sources,
            "fmap_base": fmap_base,
            "fmap_max": fmap_max,
            "mode": mode,
            "switching_res": switching_res,
            "latent_res": latent_res,
            "fused_scale": fused_scale,
        }
        self.patches = latent_res > 0
        side = latent_res if self.patches else 4
        stage = side.bit_length() - 2
        width = max(feature_maps(stage, fmap_base, fmap_max), num_sources)

        def conv(stage: int, name: str, resample=None) -> EqualizedConv2D:
            filters = feature_maps(stage, fmap_base, fmap_max)
            padding = "zeros" if resample else "reflect"
            return EqualizedConv2D(
                filters, padding=padding, resample=resample, name=name, dtype=self.dtype_policy
            )

        self.trunk = Trunk(resolution, mode, switching_res, side, fused_scale)
        self.convs = self.trunk.layers(conv)
        self.last_conv = conv(stage, f"{side}x{side}_Conv0")
        if self.patches:
            self.head = EqualizedConv2D(
                width, 1, name=f"{side}x{side}_Conv1", dtype=self.dtype_policy
            )
            self.to_logits = EqualizedConv2D(
                num_sources, 1, gain=1.0, name=f"{side}x{side}_Conv2", dtype="float32"
            )
        else:
            self.head = EqualizedDense(width, name="4x4_Dense1", dtype=self.dtype_policy)
            self.to_logits = EqualizedDense(
                num_sources, gain=1.0, name="4x4_Dense2", dtype="float32"
            )
        self(tf.zeros([1, resolution, resolution, 3]))

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Input of the last layer: float32 [N, width], or [N, k, k, width] with patches."""
        x = self.trunk.features(tf.cast(images, self.compute_dtype), self.convs)
        x = leaky_relu(self.last_conv(x))
        x = leaky_relu(self.head(x if self.patches else flatten_channels_first(x)))
        return tf.cast(x, tf.float32)

    def fingerprints(self, images: tf.Tensor) -> tf.Tensor:
        """Image fingerprints: float32 [N, max(nf(1), sources)], 512 wide in the paper's network."""
        return self.answers(images)[1]

    def answers(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits float32 [N, num_sources], and the image fingerprints that they come from."""
        features = self.features(images)
        answers = self.to_logits(features), features
        return tuple(tf.reduce_mean(x, axis=[1, 2]) if self.patches else x for x in answers)

    def logit_map(self, images: tf.Tensor) -> tf.Tensor:
        """The logits of every patch, float32 [N, k, k, num_sources], where there are patches."""
        return self.to_logits(self.features(images))

    def call(self, images):
        return self.answers(images)[0]
