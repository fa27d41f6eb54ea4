"""The residual generators of SNGAN (Miyato et al. 2018, appendix B.3; Miyato and Koyama 2018)."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..layers import SQRT2, BatchNorm, CategoricalBatchNorm, Conv2D, Linear

# Side of the images → channels, in units of ch: of the linear layer, then of each ×2 block.
WIDTHS = {
    32: (8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}


class UpBlock(keras.layers.Layer):
    """BN → ReLU → ×2 → conv3×3 → BN → ReLU → conv3×3, plus ×2 → conv1×1 of the input."""

    def __init__(self, filters: int, n_classes: int, **kwargs) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        norm = CategoricalBatchNorm if n_classes else BatchNorm
        self.n_classes = n_classes
        self.b1 = norm(name="b1", dtype=policy)
        self.c1 = Conv2D(filters, 3, SQRT2, "up", name="c1", dtype=policy)
        self.b2 = norm(name="b2", dtype=policy)
        self.c2 = Conv2D(filters, 3, SQRT2, name="c2", dtype=policy)
        self.c_sc = Conv2D(filters, 1, 1.0, "up", name="c_sc", dtype=policy)

    def build(self, *input_shapes) -> None:
        """Nothing to do: the layers are built when they are first called."""

    def call(self, x, classes=None, training: bool = False):
        condition = (classes,) if self.n_classes else ()
        h = self.c1(tf.nn.relu(self.b1(x, *condition, training=training)))
        h = self.c2(tf.nn.relu(self.b2(h, *condition, training=training)))
        return h + self.c_sc(x)


class ResNetGenerator(keras.Model):
    """Latents to images.

    Args:
        size: side of the images: 32, 64, 128 or 256.
        ch: width; the last block has ch channels, the first 8·ch (32 px) or 16·ch.
        dim_z: length of a latent.
        n_classes: 0 for plain batch norm, else the number of classes that condition it.
        distribution: of the latents: "normal", N(0, 1), or "uniform", U(-1, 1).

    Call: z float32 [N, dim_z], y None (class 0), int [N] or class mixtures float32
    [N, n_classes] → images float32 [N, size, size, 3] in [-1, 1].
    """

    def __init__(
        self,
        size: int = 128,
        ch: int = 64,
        dim_z: int = 128,
        n_classes: int = 0,
        distribution: str = "normal",
        **kwargs,
    ) -> None:
        super().__init__(name="ResNetGenerator", **kwargs)
        self.arguments = {"size": size, "ch": ch, "dim_z": dim_z, "n_classes": n_classes,
                          "distribution": distribution}  # fmt: skip
        self.size = size
        self.dim_z = dim_z
        self.n_classes = n_classes
        self.distribution = distribution
        policy = self.dtype_policy
        first, *widths = (width * ch for width in WIDTHS[size])
        last = len(widths) + 2
        self.channels = first
        self.l1 = Linear(first * 16, name="l1", dtype=policy)
        self.blocks = [
            UpBlock(width, n_classes, name=f"block{i}", dtype=policy)
            for i, width in enumerate(widths, start=2)
        ]
        self.norm = BatchNorm(name=f"b{last}", dtype=policy)
        self.to_rgb = Conv2D(3, 3, 1.0, name=f"l{last}", dtype=policy)
        self(tf.zeros([1, dim_z]))

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def call(self, z, y=None, training: bool = False):
        classes = class_weights(y, self.n_classes, tf.shape(z)[0])
        # Channels first, as the published weights of the linear layer have them.
        x = tf.reshape(self.l1(z), [-1, self.channels, 4, 4])
        x = tf.transpose(x, [0, 2, 3, 1])  # [N, 4, 4, C]
        for block in self.blocks:
            x = block(x, classes, training=training)  # ×2
        x = tf.nn.relu(self.norm(x, training=training))
        return tf.tanh(tf.cast(self.to_rgb(x), tf.float32))


def class_weights(y: tf.Tensor | None, n_classes: int, batch: tf.Tensor) -> tf.Tensor | None:
    """Classes as float32 [N, n_classes]: None means class 0, int [N] becomes one-hot."""
    if n_classes == 0:
        return None
    if y is None:
        y = tf.zeros([batch], tf.int64)
    y = tf.convert_to_tensor(y)
    return y if y.dtype.is_floating else tf.one_hot(y, n_classes)
