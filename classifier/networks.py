"""The attribution classifier (Yu, Davis, Fritz, ICCV 2019, fig. 2a): an image in, a source out."""

from __future__ import annotations

import keras
import tensorflow as tf

from gan_fingerprints.layers import (
    EqualizedConv2D,
    EqualizedDense,
    box_downscale,
    feature_maps,
    flatten_channels_first,
    leaky_relu,
)


class Classifier(keras.Model):
    """Convolutions and average pooling down to 4×4, then two dense layers.

    The features before the last layer are the *image fingerprint*; the columns of the last
    layer's weight are the *model fingerprints*.

    Args:
        resolution: side of the input images, a power of two from 8 up.
        num_sources: number of outputs.
        fmap_base: channels double at each halving, starting from fmap_base / resolution · 2.
        fmap_max: most channels of a layer.

    Call: images float [N, R, R, 3] in [-1, 1] → logits float32 [N, num_sources].
    """

    def __init__(
        self,
        resolution: int = 128,
        num_sources: int = 5,
        fmap_base: int = 1024,
        fmap_max: int = 512,
        **kwargs,
    ) -> None:
        super().__init__(name="classifier", **kwargs)
        self.arguments = {
            "resolution": resolution,
            "num_sources": num_sources,
            "fmap_base": fmap_base,
            "fmap_max": fmap_max,
        }
        stages = resolution.bit_length() - 1

        def conv(stage: int, name: str) -> EqualizedConv2D:
            filters = feature_maps(stage, fmap_base, fmap_max)
            return EqualizedConv2D(filters, padding="reflect", name=name, dtype=self.dtype_policy)

        self.convs = []  # (first, second) for R, R/2, …, 8
        for stage in range(stages, 2, -1):
            side = 2**stage
            first = conv(stage - 1, f"{side}x{side}_Conv0")
            second = conv(stage - 2, f"{side}x{side}_Conv1")
            self.convs.append((first, second))
        last = feature_maps(1, fmap_base, fmap_max)
        self.conv_4x4 = conv(1, "4x4_Conv0")
        self.dense_1 = EqualizedDense(
            max(last, num_sources), name="4x4_Dense1", dtype=self.dtype_policy
        )
        self.dense_2 = EqualizedDense(num_sources, gain=1.0, name="4x4_Dense2", dtype="float32")
        self(tf.zeros([1, resolution, resolution, 3]))

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def fingerprints(self, images: tf.Tensor) -> tf.Tensor:
        """Image fingerprints: float32 [N, max(nf(1), sources)], 512 wide in the paper's network."""
        x = tf.cast(images, self.compute_dtype)
        for first, second in self.convs:
            x = leaky_relu(first(x))
            x = leaky_relu(second(x))
            x = box_downscale(x)
        x = leaky_relu(self.conv_4x4(x))
        x = leaky_relu(self.dense_1(flatten_channels_first(x)))
        return tf.cast(x, tf.float32)

    def call(self, images):
        return self.dense_2(self.fingerprints(images))
