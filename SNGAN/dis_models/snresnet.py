"""The residual projection discriminators of SNGAN (Miyato et al. 2018; Miyato and Koyama 2018)."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..layers import SQRT2, SNConv2D, SNEmbed, SNLinear

# Side of the images → for each block: channels in units of ch, and whether it halves the side.
BLOCKS = {
    32: ((1, True), (2, True), (4, True), (8, False)),
    64: ((1, True), (2, True), (4, True), (8, True), (16, True)),
    128: ((1, True), (2, True), (4, True), (8, True), (16, True), (16, False)),
    256: ((1, True), (2, True), (4, True), (8, True), (8, True), (16, True), (16, False)),
}


class DownBlock(keras.layers.Layer):
    """ReLU → conv3×3 → ReLU → conv3×3 → ½, plus conv1×1 → ½ of the input.

    Where neither channels nor side change, the input itself is added. The `first` block begins
    without ReLU, which would cut off half of the images' values.
    """

    def __init__(
        self, channels: int, filters: int, down: bool, first: bool = False, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        policy, resample = self.dtype_policy, "down" if down else None
        self.first = first
        self.c1 = SNConv2D(channels, 3, SQRT2, name="c1", dtype=policy)
        self.c2 = SNConv2D(filters, 3, SQRT2, resample, name="c2", dtype=policy)
        self.c_sc = None
        if down or channels != filters:
            self.c_sc = SNConv2D(filters, 1, 1.0, resample, name="c_sc", dtype=policy)

    def build(self, input_shape) -> None:
        """Nothing to do: the layers are built when they are first called."""

    def call(self, x, training: bool = False):
        h = self.c1(x if self.first else tf.nn.relu(x), training=training)
        h = self.c2(tf.nn.relu(h), training=training)
        return h + (self.c_sc(x, training=training) if self.c_sc else x)


class SNResNetProjectionDiscriminator(keras.Model):
    """Images to one score each (unbounded).

    Args:
        size: side of the images: 32, 64, 128 or 256.
        ch: width; the first block has ch channels, the last 8·ch (32 px) or 16·ch.
        n_classes: 0 for no embedding, else the number of classes that `y` may name.

    Call: images float32 [N, size, size, 3] in [-1, 1], y None (not conditional) or int [N] →
    scores float32 [N, 1]. A training call stores one power iteration of every weight it uses.
    """

    def __init__(self, size: int = 128, ch: int = 64, n_classes: int = 0, **kwargs) -> None:
        super().__init__(name="SNResNetProjectionDiscriminator", **kwargs)
        self.arguments = {"size": size, "ch": ch, "n_classes": n_classes}
        self.size = size
        self.n_classes = n_classes
        policy = self.dtype_policy
        width = BLOCKS[size][0][0]
        self.blocks = []
        for i, (filters, down) in enumerate(BLOCKS[size], start=1):
            block = DownBlock(
                width * ch, filters * ch, down, first=i == 1, name=f"block{i}", dtype=policy
            )
            self.blocks.append(block)
            width = filters
        self.score = SNLinear(1, name=f"l{len(self.blocks) + 1}", dtype="float32")
        self.l_y = SNEmbed(width * ch, name="l_y", dtype="float32") if n_classes else None
        self(tf.zeros([1, size, size, 3]), tf.zeros([1], tf.int64) if n_classes else None)

    def build(self, input_shape=None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def call(self, images, y=None, training: bool = False):
        x = tf.cast(images, self.compute_dtype)
        for block in self.blocks:
            x = block(x, training=training)
        h = tf.reduce_sum(tf.cast(tf.nn.relu(x), tf.float32), axis=[1, 2])  # [N, C]
        scores = self.score(h, training=training)
        if y is None or self.l_y is None:
            return scores
        rows = self.l_y(tf.one_hot(y, self.n_classes), training=training)
        return scores + tf.reduce_sum(rows * h, axis=1, keepdims=True)

    def variables_in_use(self, conditional: bool) -> list[keras.Variable]:
        """The trainable variables that a call with (or without) classes depends on."""
        if conditional or self.l_y is None:
            return self.trainable_variables
        return [v for v in self.trainable_variables if v is not self.l_y.W]
