"""The networks that make fingerprints visible (Yu, Davis, Fritz, ICCV 2019, fig. 2b).

An auto-encoder R rebuilds each image; what it cannot rebuild, I − R(I), is the image fingerprint.
Each source has one model fingerprint F_y, an image too, and their correlation is the logit.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    EqualizedDense,
    EqualizedDenseTo4x4,
    box_upscale,
    feature_maps,
    flatten_channels_first,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
)
from gan_fingerprints.networks.trunk import Headed, Mode, Trunk, convolutions, lowest_stage

Correlation = Literal["inner", "normalized"]


class Outputs(NamedTuple):
    """All that the auto-encoder says of images [N, R, R, 3]; each float32.

    Attributes:
        reconstructions: R(I) [N, R, R, 3] in [-1, 1].
        fingerprints: I − R(I) [N, R, R, 3] in [-2, 2].
        logits: correlations with the model fingerprints [N, sources].
    """

    reconstructions: tf.Tensor
    fingerprints: tf.Tensor
    logits: tf.Tensor


class ModelFingerprints(keras.layers.Layer):
    """One image per source, a free parameter; correlates image fingerprints with each.

    Weights: `weight` float32 [R, R, 3, sources], N(0, 1) at first.
    """

    def __init__(self, num_sources: int, correlation: Correlation, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        if correlation not in (known := get_args(Correlation)):
            raise ValueError(f"correlation={correlation!r}; expected one of {known}")
        self.num_sources = num_sources
        self.correlation = correlation

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.scale = 1 / float(np.sqrt(np.prod(input_shape[1:])))  # equalized learning rate
        normal = keras.initializers.RandomNormal(stddev=1.0)
        shape = (*input_shape[1:], self.num_sources)
        self.weight = self.add_weight(name="weight", shape=shape, initializer=normal)

    def call(self, fingerprints: tf.Tensor) -> tf.Tensor:
        """float32 [N, R, R, 3] → logits [N, sources]."""
        images = tf.reshape(fingerprints, [-1, np.prod(self.weight.shape[:3])])
        models = tf.reshape(tf.convert_to_tensor(self.weight), [-1, self.num_sources])
        if self.correlation == "inner":
            return tf.matmul(images, models) * self.scale
        return tf.matmul(_standardized(images, axis=1), _standardized(models, axis=0))


def _standardized(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Mean 0 and norm 1 along an axis."""
    return tf.nn.l2_normalize(x - tf.reduce_mean(x, axis=axis, keepdims=True), axis, 1e-12)


class AutoEncoder(keras.Model):
    """Encoder, decoder and model fingerprints.

    Args:
        resolution: side of the images, a power of two from 8 up.
        num_sources: number of model fingerprints.
        fmap_base, fmap_max: channels at stage s are min(fmap_base/2^s, fmap_max).
        mode, switching_res: what the encoder sees, see `trunk.Trunk`.
        latent_res: the side k at which the encoder ends and the decoder starts; -1 for a vector.
        use_pixelnorm: pixel norm after every layer of the decoder.
        normalize_latents: pixel norm between encoder and decoder.
        correlation: of image and model fingerprint: "inner" product times 1/√(R·R·3), or
            "normalized", between -1 and 1, as the paper's text defines it.
        fused_scale: resample inside strided convolutions, padded by zeros, as ProGAN does.

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
        latent_res: int = 4,
        use_pixelnorm: bool = False,
        normalize_latents: bool = False,
        correlation: Correlation = "inner",
        fused_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name="visnet_autoencoder", **kwargs)
        self.arguments = {
            "resolution": resolution, "num_sources": num_sources,
            "fmap_base": fmap_base, "fmap_max": fmap_max,
            "mode": mode, "switching_res": switching_res, "latent_res": latent_res,
            "use_pixelnorm": use_pixelnorm, "normalize_latents": normalize_latents,
            "correlation": correlation, "fused_scale": fused_scale,
        }  # fmt: skip
        self.vector = latent_res == -1
        side = 4 if self.vector else latent_res
        self.trunk = Trunk(resolution, mode, switching_res, side, fused_scale)

        conv = convolutions(fmap_base, fmap_max, self.dtype_policy)

        # Encoder: [N, R, R, 3] → [N, k, k, nf], or [N, nf].
        stage = side.bit_length() - 2
        name = f"E_{side}x{side}"
        self.convs = self.trunk.layers(conv, "E_")
        self.last_conv = conv(stage, f"{name}_Conv0")
        width = feature_maps(stage, fmap_base, fmap_max)
        if self.vector:
            self.to_latents = EqualizedDense(width, name=f"{name}_Dense1", dtype=self.dtype_policy)
        else:
            self.to_latents = conv(stage, f"{name}_Conv1")
        self._add_decoder(conv, width, side, resolution, fused_scale)
        self.model_fingerprints = ModelFingerprints(
            num_sources, correlation, name="Conv_fingerprints"
        )
        self(tf.zeros([1, resolution, resolution, 3]))

    def _add_decoder(self, conv, width: int, side: int, resolution: int, fused: bool) -> None:
        """The layers from the latents, `width` wide, back to [N, R, R, 3]."""
        stage = side.bit_length() - 2
        name = f"G_{side}x{side}"
        first = (
            EqualizedDenseTo4x4(width, name=f"{name}_Dense0", dtype=self.dtype_policy)
            if self.vector
            else conv(stage, f"{name}_Conv0")
        )
        self.first_pair = (first, conv(stage, f"{name}_Conv1"))
        up = ("Conv0_up", "up") if fused else ("Conv0", None)
        self.up_pairs = []
        while side < resolution:
            side, stage = side * 2, stage + 1
            name = f"G_{side}x{side}"
            doubling = conv(stage, f"{name}_{up[0]}", up[1])
            self.up_pairs.append((doubling, conv(stage, f"{name}_Conv1")))
        self.to_rgb = EqualizedConv2D(
            3, padding="reflect", name=f"{name}_Conv_toRGB", dtype=self.dtype_policy
        )

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """Latents [N, k, k, nf], or [N, nf] with latent_res=-1."""
        x = self.trunk.features(tf.cast(images, self.compute_dtype), self.convs)
        x = leaky_relu(self.last_conv(x))
        return leaky_relu(self.to_latents(flatten_channels_first(x) if self.vector else x))

    def decode(self, latents: tf.Tensor) -> tf.Tensor:
        """Reconstructions float32 [N, R, R, 3] in [-1, 1]."""
        x = pixel_norm(latents) if self.arguments["normalize_latents"] else latents
        for layer in self.first_pair:
            x = self._activated(layer(x))
        for doubling, second in self.up_pairs:
            x = doubling(x if self.trunk.fused_scale else box_upscale(x))
            x = self._activated(second(self._activated(x)))
        return tf.tanh(tf.cast(self.to_rgb(x), tf.float32))

    def _activated(self, x: tf.Tensor) -> tf.Tensor:
        x = leaky_relu(x)
        return pixel_norm(x) if self.arguments["use_pixelnorm"] else x

    def outputs(self, images: tf.Tensor) -> Outputs:
        """Everything about images float [N, R, R, 3] in [-1, 1]."""
        reconstructions = self.decode(self.encode(images))
        # float32 again: the fingerprint is a small difference of large numbers.
        fingerprints = tf.cast(images, tf.float32) - reconstructions
        return Outputs(reconstructions, fingerprints, self.model_fingerprints(fingerprints))

    def answers(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits float32 [N, sources], also as features: the correlations are what is known."""
        logits = self.outputs(images).logits
        return logits, logits

    def call(self, images):
        return self.outputs(images).logits


class Critic(Headed):
    """Scores how real reconstructions look; trains the auto-encoder and is then not needed.

    Args: as `AutoEncoder`, and
        latent_res: -1 for dense layers at 4×4; k stops at k×k and averages the scores of patches.
        mbstd_group_size: images per group of the minibatch standard deviation; 0 for none.

    Call: images float [N, R, R, 3] in [-1, 1], N a multiple of min(mbstd_group_size, N) → scores
    float32 [N, 1].
    """

    def __init__(
        self,
        resolution: int = 128,
        fmap_base: int = 1024,
        fmap_max: int = 512,
        mode: Mode = "postpool",
        switching_res: int = 4,
        latent_res: int = -1,
        mbstd_group_size: int = 4,
        fused_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "resolution": resolution, "fmap_base": fmap_base, "fmap_max": fmap_max,
            "mode": mode, "switching_res": switching_res, "latent_res": latent_res,
            "mbstd_group_size": mbstd_group_size, "fused_scale": fused_scale,
        }  # fmt: skip
        width = feature_maps(lowest_stage(latent_res) - 1, fmap_base, fmap_max)
        super().__init__("visnet_critic", arguments, 1, width, **kwargs)

    def before_last_conv(self, x: tf.Tensor) -> tf.Tensor:
        group = self.arguments["mbstd_group_size"]
        return minibatch_stddev(x, group) if group else x
