"""The convolutions that classifiers, auto-encoders and critics share: an image in, features out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import tensorflow as tf

from gan_fingerprints.networks.layers import (
    EqualizedConv2D,
    box_downscale,
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
