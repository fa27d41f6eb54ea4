"""The convolutions that classifiers, auto-encoders and critics share: an image in, features out.

`Trunk` is their plan; `Headed` is a whole network, a classifier's or a critic's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import keras
import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    EqualizedDense,
    box_downscale,
    feature_maps,
    flatten_channels_first,
    gaussian_downscale,
    gaussian_upscale,
    leaky_relu,
)

Mode = Literal["postpool", "predownscale", "predownscale_residual"]
MODES: tuple[Mode, ...] = ("postpool", "predownscale", "predownscale_residual")
Pairs = list[tuple[EqualizedConv2D, EqualizedConv2D]]


@dataclasses.dataclass(frozen=True)
class Trunk:
    """Two convolutions and a halving at every resolution from the image's down (paper, fig. 2).

    Attributes:
        resolution: side of the images, a power of two.
        mode: "postpool" pools the features without convolutions below `switching_res`;
            "predownscale" shrinks the image to `switching_res` first, which leaves its low
            frequencies; "predownscale_residual" takes of that only the highest band, what is lost
            by halving once more.
        switching_res: see mode; 4 with "postpool" is the whole network.
        lowest: side of the features that come out.
        fused_scale: the second convolution halves, padded by zeros, as in ProGAN; otherwise it is
            padded by reflection and average pooling halves.

    Raises ValueError for sizes that do not fit each other.
    """

    resolution: int
    mode: Mode = "postpool"
    switching_res: int = 4
    lowest: int = 4
    fused_scale: bool = False

    def __post_init__(self) -> None:
        sides = [2**i for i in range(2, self.resolution.bit_length())]
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}; expected one of {', '.join(MODES)}")
        if self.resolution not in sides or self.switching_res not in sides:
            raise ValueError(
                f"resolution={self.resolution}, switching_res={self.switching_res}; expected "
                "powers of two from 4 up, the second at most the first"
            )
        if self.lowest not in sides or self.lowest > self.first_side:
            raise ValueError(
                f"lowest={self.lowest}; expected a power of two from 4 to {self.first_side}"
            )

    @property
    def first_side(self) -> int:
        """Side at which the convolutions begin."""
        return self.resolution if self.mode == "postpool" else self.switching_res

    def layers(self, conv: Callable[..., EqualizedConv2D], prefix: str = "") -> Pairs:
        """The convolutions, first to last.

        conv: (stage, name, resample=None or "down") → the layer; its channels follow from the
            stage.
        """
        last = max(self.lowest, self.switching_res if self.mode == "postpool" else 4)
        down = ("Conv1_down", "down") if self.fused_scale else ("Conv1", None)
        pairs = []
        stage = self.first_side.bit_length() - 1
        while 2**stage > last:
            name = f"{prefix}{2**stage}x{2**stage}"
            first = conv(stage - 1, f"{name}_Conv0")
            pairs.append((first, conv(stage - 2, f"{name}_{down[0]}", resample=down[1])))
            stage -= 1
        return pairs

    def features(self, images: tf.Tensor, layers: Pairs) -> tf.Tensor:
        """images [N, R, R, 3] → features [N, lowest, lowest, channels of the last layer]."""
        x = self._view(images)
        for first, second in layers:
            x = leaky_relu(first(x))
            x = leaky_relu(second(x))
            if not self.fused_scale:
                x = box_downscale(x)
        return box_downscale(x, x.shape[1] // self.lowest)

    def _view(self, images: tf.Tensor) -> tf.Tensor:
        """What the first convolution sees of the images."""
        x, side = images, self.resolution
        while side > self.first_side:
            x = gaussian_downscale(x)
            side //= 2
        if self.mode == "predownscale_residual":
            x -= gaussian_upscale(gaussian_downscale(x))
        return x


def convolutions(fmap_base: int, fmap_max: int, policy: Any) -> Callable[..., EqualizedConv2D]:
    """Makes a network's 3×3 layers: (stage, name, resample=None) → the layer."""

    def conv(
        stage: int, name: str, resample: Literal["up", "down"] | None = None
    ) -> EqualizedConv2D:
        # A border of zeros is a pattern that every image gets, fingerprint or none: mirrored
        # pixels are not. (Strided convolutions can only be padded by zeros.)
        padding: Literal["zeros", "reflect"] = "zeros" if resample else "reflect"
        filters = feature_maps(stage, fmap_base, fmap_max)
        return EqualizedConv2D(filters, padding=padding, resample=resample, name=name, dtype=policy)

    return conv


def lowest_stage(latent_res: int) -> int:
    """The stage at which the convolutions of a `Headed` network end."""
    return (latent_res if latent_res > 0 else 4).bit_length() - 2


class Headed(keras.Model):
    """Convolutions down to k×k, then two layers: a classifier, or a critic.

    Args:
        name: of the kind of network.
        arguments: of its constructor, as files keep them: those of `Trunk`; fmap_base, fmap_max;
            and latent_res: -1 for dense layers at 4×4; k stops at k×k and goes on with 1×1
            convolutions, whose outputs are averaged: each sees a patch.
        outputs: numbers for each image.
        width: channels before the last layer.
    """

    def __init__(
        self, name: str, arguments: dict[str, Any], outputs: int, width: int, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.arguments, self.patches = arguments, arguments["latent_res"] > 0
        stage = lowest_stage(arguments["latent_res"])
        side = 2 << stage
        conv = convolutions(arguments["fmap_base"], arguments["fmap_max"], self.dtype_policy)
        view = {name: arguments[name] for name in ("mode", "switching_res", "fused_scale")}
        self.trunk = Trunk(arguments["resolution"], lowest=side, **view)
        self.convs = self.trunk.layers(conv)
        self.last_conv = conv(stage, f"{side}x{side}_Conv0")
        layer = partial(EqualizedConv2D, kernel_size=1) if self.patches else EqualizedDense
        name = f"{side}x{side}_{'Conv' if self.patches else 'Dense'}"
        self.head = layer(width, name=f"{name}1", dtype=self.dtype_policy)
        self.to_logits = layer(outputs, gain=1.0, name=f"{name}2", dtype="float32")
        self(tf.zeros([1, self.trunk.resolution, self.trunk.resolution, 3]))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Input of the last layer: float32 [N, width], or [N, k, k, width] with patches."""
        x = self.trunk.features(tf.cast(images, self.compute_dtype), self.convs)
        x = leaky_relu(self.last_conv(self.before_last_conv(x)))
        x = leaky_relu(self.head(x if self.patches else flatten_channels_first(x)))
        return tf.cast(x, tf.float32)

    def before_last_conv(self, x: tf.Tensor) -> tf.Tensor:
        """What else happens at k×k; here nothing."""
        return x

    def answers(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The outputs float32 [N, outputs], and the features that they come from, [N, width]."""
        features = self.features(images)
        answers = self.to_logits(features), features
        return tuple(tf.reduce_mean(x, axis=[1, 2]) if self.patches else x for x in answers)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.answers(images)[0]
