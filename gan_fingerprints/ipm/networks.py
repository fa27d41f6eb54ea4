"""Generators and discriminators of CramerGAN and MMDGAN (Bińkowski et al. 2018), NHWC."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from gan_fingerprints.ipm.config import ARCHITECTURES, Statistics
from gan_fingerprints.ipm.layers import (
    BatchNorm,
    Conv2D,
    Deconv2D,
    LayerNorm,
    Linear,
    glorot_uniform,
    he_uniform,
    truncated_normal,
)
from gan_fingerprints.networks.layers import leaky_relu

BLOCK_ROLES = ("Filters", "Biases")
Layers = dict[str, tf.Tensor]


class Generator(keras.Model):
    """Latents to images.

    Args:
        architecture: a name of `config.ARCHITECTURES`; output_size: side of the images.
        gf_dim, z_dim: width; length of the latents.

    Call: z float32 [N, z_dim] in [-1, 1], statistics (see `layers.BatchNorm`) → images float32
    [N, output_size, output_size, 3] in [0, 1].
    """

    def __init__(
        self,
        architecture: str = "g_resnet5",
        output_size: int = 128,
        gf_dim: int = 64,
        z_dim: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(name="ipm_generator", **kwargs)
        self.arguments = {"architecture": architecture, "output_size": output_size,
                          "gf_dim": gf_dim, "z_dim": z_dim}  # fmt: skip
        self.z_dim = z_dim
        self.output_size = output_size
        doublings = ARCHITECTURES[architecture].doublings
        self.residual = ARCHITECTURES[architecture].generator == "resnet"
        self.side = output_size // 2**doublings
        self.widths = [gf_dim * 2**i for i in reversed(range(doublings))]  # [16d, 8d, 4d, 2d, d]
        policy = {"dtype": self.dtype_policy}
        self.linear = Linear(self.widths[0] * self.side**2, name="g_h0_lin", **policy)
        if self.residual:
            self.blocks = [
                residual_block(f"g_res{i}", width, "up", **policy)
                for i, width in enumerate(self.widths[1:], 1)
            ]
            self.last_norm = BatchNorm(name="g_h4", **policy)
        else:
            self.norms = [BatchNorm(name=f"g_bn{i}", **policy) for i in range(doublings)]
            self.deconvs = [
                Deconv2D(width, name=f"g_h{i}", **policy)
                for i, width in enumerate(self.widths[1:], 1)
            ]
        self.last = Deconv2D(3, name=f"g_h{doublings}", **policy)
        self(tf.zeros([2, z_dim]))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def call(self, z: tf.Tensor, statistics: Statistics = "batch") -> tf.Tensor:
        x = self.linear(tf.cast(z, self.compute_dtype))
        channels, side = self.widths[0], self.side
        if self.residual:
            # The published residual networks have channels first, so the dense layer's weights do.
            x = tf.reshape(x, [-1, channels, side, side])
            x = tf.transpose(x, [0, 2, 3, 1])  # [N, s, s, 16d]
            for block in self.blocks:
                x = apply_block(block, x, statistics=statistics)
            x = tf.nn.relu(self.last_norm(x, statistics=statistics))  # [N, 16s, 16s, d]
        else:
            x = tf.reshape(x, [-1, side, side, channels])
            x = tf.nn.relu(self.norms[0](x, statistics=statistics))
            for deconv, norm in zip(self.deconvs, self.norms[1:], strict=True):
                x = tf.nn.relu(norm(deconv(x), statistics=statistics))
        return tf.sigmoid(tf.cast(self.last(x), tf.float32))


def residual_block(
    name: str, outputs: int, resample: Literal["up", "down"], **policy: Any
) -> dict[str, Any]:
    """The layers of a residual block: "up" has batch norm, "down" layer norm."""
    up = resample == "up"
    norm, role = (BatchNorm, "BN") if up else (LayerNorm, "LN")

    def conv(role: str, size: int, initializer: Any, **how: Any) -> Conv2D:
        return Conv2D(
            outputs, size, initializer, roles=BLOCK_ROLES, name=f"{name}.{role}", **how, **policy
        )

    return {
        "shortcut": conv("Shortcut", 1, glorot_uniform(), resample=resample),
        "norm_1": norm(name=f"{name}.{role}1", **policy),
        # The first without a bias, as published.
        "conv_1": conv("Conv1", 3, he_uniform(), resample="up" if up else None, bias=False),
        "norm_2": norm(name=f"{name}.{role}2", **policy),
        "conv_2": conv("Conv2", 3, he_uniform(), resample=None if up else "down"),
    }


def apply_block(block: dict[str, Any], x: tf.Tensor, **how: Any) -> tf.Tensor:
    """[N, H, W, C] → [N, 2H, 2W, C'] or [N, H/2, W/2, C']; `how` goes to the norms."""
    h = block["conv_1"](tf.nn.relu(block["norm_1"](x, **how)))
    h = block["conv_2"](tf.nn.relu(block["norm_2"](h, **how)))
    return h + block["shortcut"](x)


class Discriminator(keras.Model):
    """Images to features, by which the losses compare batches.

    Args:
        architecture, output_size: as for the generator; df_dim: width.
        dof_dim: number of features (for "d_fullconv5": at each of its last places).
        batch_norm: between the strided convolutions; published only without gradient penalty.

    Call: images float [N, output_size, output_size, 3] in [0, 1] → every layer's activations,
    float, under the names h0, h1, …, hF; hF, the features, is float32 [N, features].
    """

    def __init__(
        self,
        architecture: str = "g_resnet5",
        output_size: int = 128,
        df_dim: int = 64,
        dof_dim: int = 16,
        batch_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name="ipm_discriminator", **kwargs)
        self.arguments = {
            "architecture": architecture,
            "output_size": output_size,
            "df_dim": df_dim,
            "dof_dim": dof_dim,
            "batch_norm": batch_norm,
        }
        self.kind = ARCHITECTURES[architecture].discriminator
        depth = ARCHITECTURES[architecture].doublings
        widths = [df_dim * 2**i for i in range(depth)]  # [d, 2d, 4d, 8d, 16d]
        policy = {"dtype": self.dtype_policy}
        if self.kind == "resnet":
            self.first = Conv2D(df_dim, 3, glorot_uniform(), name="d_h0_conv", **policy)
            outputs = [*widths[1:], widths[-1]]
            self.blocks = [
                residual_block(f"d_res{i}", c, "down", **policy) for i, c in enumerate(outputs, 1)
            ]
        else:
            self.convs = [
                Conv2D(width, 5, truncated_normal(0.02), strides=2, name=f"d_h{i}_conv", **policy)
                for i, width in enumerate(widths)
            ]
            self.norms = [
                BatchNorm(name=f"d_bn{i}", **policy) for i in range(1, depth) if batch_norm
            ]
        if self.kind == "fullconv":
            self.last = Conv2D(dof_dim, 1, truncated_normal(0.02), name="d_hF_conv", **policy)
        else:
            # So in every published network of depth 5, whether it has an h5 or not.
            name = "d_h6_lin" if depth == 5 else f"d_h{depth}_lin"
            self.last = Linear(dof_dim, name=name, **policy)
        self(tf.zeros([2, output_size, output_size, 3]))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def call(self, images: tf.Tensor) -> Layers:
        x = tf.cast(images, self.compute_dtype)
        layers = self._residual(x) if self.kind == "resnet" else self._strided(x)
        x = list(layers.values())[-1]  # [N, s, s, 16d]
        if self.kind == "fullconv":
            x = self.last(x)
            features = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
        else:
            features = self.last(tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]]))
        return {**layers, "hF": tf.cast(features, tf.float32)}

    def _strided(self, x: tf.Tensor) -> Layers:
        layers = {}
        for i, conv in enumerate(self.convs):
            x = conv(x)  # half the side
            if i and self.norms:
                x = self.norms[i - 1](x)
            layers[f"h{i}"] = x = leaky_relu(x)
        return layers

    def _residual(self, x: tf.Tensor) -> Layers:
        layers = {"h0": self.first(x)}
        for i, block in enumerate(self.blocks, 1):
            layers[f"h{i}"] = apply_block(block, layers[f"h{i - 1}"])
        return layers
