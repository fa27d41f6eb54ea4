"""Generator and discriminator of ProGAN (Karras et al. 2018, "Progressive Growing of GANs").

A *level* is log2 of a resolution: 2 is 4×4, 7 is 128×128. The published *lod* counts from the
other end: lod 0 is the full resolution R, lod k is 2^k smaller, and its fraction fades.
Only the layers in use at the given level are computed.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    EqualizedDense,
    EqualizedDenseTo4x4,
    box_downscale,
    box_upscale,
    feature_maps,
    flatten_channels_first,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
)


def level_and_fade(resolution: int, lod: float) -> tuple[int, float]:
    """Splits a lod into the level in use and how far the level below is still blended in.

    lod 1.3 at 32 px: level 4 (16×16), of which 0.3 is the 8×8 image, upscaled.
    """
    return resolution.bit_length() - 1 - math.floor(lod), lod - math.floor(lod)


def lerp(a: tf.Tensor, b: tf.Tensor, fraction: tf.Tensor | float) -> tf.Tensor:
    """a where fraction is 0, b where it is 1."""
    return a + (b - a) * tf.cast(fraction, a.dtype)


class _Progressive(keras.Model):
    """What both networks share.

    Args:
        resolution: side of the finished images, a power of two from 4 up.
        label_size: number of classes, 0 for none.
        fmap_base, fmap_max: channels at stage s are min(fmap_base / 2^s, fmap_max).
        fused_scale: resample inside strided convolutions.
    """

    def __init__(
        self,
        name: str,
        resolution: int = 128,
        label_size: int = 0,
        fmap_base: int = 8192,
        fmap_max: int = 512,
        fused_scale: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.resolution = resolution
        self.levels = resolution.bit_length() - 1
        self.label_size = label_size
        self.fused_scale = fused_scale
        self.arguments = {
            "resolution": resolution,
            "label_size": label_size,
            "fmap_base": fmap_base,
            "fmap_max": fmap_max,
            "fused_scale": fused_scale,
        }
        self.maps = [feature_maps(stage, fmap_base, fmap_max) for stage in range(self.levels)]
        # With the weights, since a network whose training ended early must know how far it grew.
        self.lod = self.add_weight(name="lod", shape=(), trainable=False, initializer="zeros")

    def conv(self, filters: int, name: str, **kwargs) -> EqualizedConv2D:
        return EqualizedConv2D(filters, name=name, dtype=self.dtype_policy, **kwargs)

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""


class Generator(_Progressive):
    """Latents to images, growing from 4×4.

    Args: see `_Progressive`.

    Call: latents float32 [N, latent_size] (with labels appended), level, fade (None: not fading)
    → images float32 [N, 2^level, 2^level, 3], linear, nominally in [-1, 1].
    """

    def __init__(self, *shape, **kwargs) -> None:
        super().__init__("generator", *shape, **kwargs)
        maps = self.maps
        self.latent_size = maps[0]
        self.dense = EqualizedDenseTo4x4(maps[1], name="4x4_Dense", dtype=self.dtype_policy)
        self.conv_4x4 = self.conv(maps[1], "4x4_Conv")
        self.blocks = {}  # level → (upscaling convolution, convolution)
        for level in range(3, self.levels + 1):
            side = f"{2**level}x{2**level}"
            fused = ("Conv0_up", "up") if self.fused_scale else ("Conv0", None)
            up = self.conv(maps[level - 1], f"{side}_{fused[0]}", resample=fused[1])
            self.blocks[level] = (up, self.conv(maps[level - 1], f"{side}_Conv1"))
        self.to_rgb = {
            level: self.conv(3, f"ToRGB_lod{self.levels - level}", kernel_size=1, gain=1.0)
            for level in range(2, self.levels + 1)
        }
        # Creates every variable now, in the order of growth: the order decides the random weights.
        for level in self.to_rgb:
            self(tf.zeros([1, self.latent_size + self.label_size]), level=level)

    def call(self, latents, level: int | None = None, fade=None):
        level = self.levels if level is None else level
        x = tf.cast(pixel_norm(latents), self.compute_dtype)
        x = pixel_norm(leaky_relu(self.dense(x)))
        x = pixel_norm(leaky_relu(self.conv_4x4(x)))
        below = x  # features of half the side, from which the fading image comes
        for k in range(3, level + 1):
            below = x
            up, conv = self.blocks[k]
            x = up(x) if self.fused_scale else up(box_upscale(x))
            x = pixel_norm(leaky_relu(x))
            x = pixel_norm(leaky_relu(conv(x)))
        images = self.to_rgb[level](x)
        if fade is not None and level > 2:
            images = lerp(images, box_upscale(self.to_rgb[level - 1](below)), fade)
        return tf.cast(images, tf.float32)

    def trainable_at(self, level: int, fading: bool) -> list[keras.Variable]:
        """The trainable variables that take part at a level."""
        layers = [self.dense, self.conv_4x4]
        layers += [layer for k in range(3, level + 1) for layer in self.blocks[k]]
        layers += [self.to_rgb[k] for k in ((level - 1, level) if fading else (level,))]
        return [v for layer in layers for v in layer.trainable_variables]


class Discriminator(_Progressive):
    """Images to one score each (a critic, unbounded) and label logits.

    Args:
        shape: see `_Progressive`.
        mbstd_group_size: images per group of the minibatch standard deviation, 0 for none.

    Call: images float32 [N, 2^level, 2^level, 3], level, fade
    → scores float32 [N, 1], label logits float32 [N, label_size].
    """

    def __init__(self, *shape, mbstd_group_size: int = 4, **kwargs) -> None:
        super().__init__("discriminator", *shape, **kwargs)
        self.mbstd_group_size = mbstd_group_size
        self.arguments["mbstd_group_size"] = mbstd_group_size
        maps = self.maps
        self.from_rgb = {
            level: self.conv(maps[level - 1], f"FromRGB_lod{self.levels - level}", kernel_size=1)
            for level in range(2, self.levels + 1)
        }
        self.blocks = {}  # level → (convolution, downscaling convolution)
        for level in range(3, self.levels + 1):
            side = f"{2**level}x{2**level}"
            fused = ("Conv1_down", "down") if self.fused_scale else ("Conv1", None)
            first = self.conv(maps[level - 1], f"{side}_Conv0")
            down = self.conv(maps[level - 2], f"{side}_{fused[0]}", resample=fused[1])
            self.blocks[level] = (first, down)
        self.conv_4x4 = self.conv(maps[1], "4x4_Conv")
        self.dense_0 = EqualizedDense(maps[0], name="4x4_Dense0", dtype=self.dtype_policy)
        outputs = 1 + self.label_size
        self.dense_1 = EqualizedDense(outputs, gain=1.0, name="4x4_Dense1", dtype="float32")
        for level in self.from_rgb:  # as in the generator
            self(tf.zeros([1, 2**level, 2**level, 3]), level=level)

    def call(self, images, level: int | None = None, fade=None):
        level = self.levels if level is None else level
        images = tf.cast(images, self.compute_dtype)
        x = leaky_relu(self.from_rgb[level](images))
        for k in range(level, 2, -1):
            first, down = self.blocks[k]
            x = down(leaky_relu(first(x)))
            x = leaky_relu(x) if self.fused_scale else box_downscale(leaky_relu(x))
            if k == level and fade is not None:
                below = leaky_relu(self.from_rgb[level - 1](box_downscale(images)))
                x = lerp(x, below, fade)
        if self.mbstd_group_size > 1:
            x = minibatch_stddev(x, self.mbstd_group_size)
        x = leaky_relu(self.conv_4x4(x))
        x = leaky_relu(self.dense_0(flatten_channels_first(x)))
        outputs = self.dense_1(tf.cast(x, tf.float32))  # scores have no bound
        return outputs[:, :1], outputs[:, 1:]

    def trainable_at(self, level: int, fading: bool) -> list[keras.Variable]:
        """The trainable variables that take part at a level."""
        layers = [self.from_rgb[k] for k in ((level - 1, level) if fading else (level,))]
        layers += [layer for k in range(3, level + 1) for layer in self.blocks[k]]
        layers += [self.conv_4x4, self.dense_0, self.dense_1]
        return [v for layer in layers for v in layer.trainable_variables]


def full_size_images(generator: Generator, latents: tf.Tensor, lod: float) -> tf.Tensor:
    """Images at a lod, repeated up to the full size: [N, R, R, 3]."""
    level, fade = level_and_fade(generator.resolution, lod)
    images = generator(latents, level=level, fade=fade or None)
    return box_upscale(images, generator.resolution // 2**level)
