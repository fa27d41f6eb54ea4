"""Layers of SNGAN that Keras lacks: spectral normalization and Chainer's kinds of batch norm.

Every layer and variable is named as in the published snapshots, so that a variable's path is its
key there. Convolutions are NHWC with weights [k, k, in, out]; linear weights are [out, in].
"""

from __future__ import annotations

import math
from typing import Literal

import keras
import tensorflow as tf

from gan_fingerprints.networks import replicas
from gan_fingerprints.networks.layers import (
    FUSE_FROM_SIDE,
    box_downscale,
    box_upscale,
    sum_of_shifts_3x3,
    upscale_conv2d_3x3,
)

Resample = Literal["up", "down"] | None

SQRT2 = math.sqrt(2)
BATCH_NORM_EPSILON = 2e-5
BATCH_NORM_DECAY = 0.9


def glorot_uniform(gain: float) -> keras.initializers.Initializer:
    """U(-a, a) with a = gain·√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return keras.initializers.VarianceScaling(gain * gain, mode="fan_avg", distribution="uniform")


def convolve(x: tf.Tensor, weight: tf.Tensor, resample: Resample = None) -> tf.Tensor:
    """Zero-padded convolution, of the ×2 repeated image ("up") or followed by a 2×2 mean ("down").

    x: float [N, H, W, in]; weight: float [k, k, in, out], k 1 or 3.
    """
    if weight.shape[0] == 1 or resample is None:
        # A 1×1 convolution commutes with both, so it runs at the smaller side.
        x = box_downscale(x) if resample == "down" else x
        x = tf.nn.conv2d(x, weight, strides=1, padding="SAME")
        return box_upscale(x) if resample == "up" else x
    if resample == "up":
        return upscale_conv2d_3x3(x, weight)
    if x.shape[1] >= 2 * FUSE_FROM_SIDE:
        # The mean of four neighbouring results is one result of the mean of four shifted kernels.
        return tf.nn.conv2d(x, sum_of_shifts_3x3(weight) * 0.25, strides=2, padding="SAME")
    return box_downscale(tf.nn.conv2d(x, weight, strides=1, padding="SAME"))


class _Weighted(keras.layers.Layer):
    """A weight `W`, used as it is; `_SpectralNorm` normalizes it."""

    def add_matrix(self, shape: tuple[int, ...], outputs: int, gain: float = 1.0) -> None:
        """Makes `W`, with Glorot's initialization times `gain`."""
        self.W = self.add_weight(name="W", shape=shape, initializer=glorot_uniform(gain))

    def weight(self, training: bool) -> tf.Tensor:
        """What the layer computes with."""
        return tf.convert_to_tensor(self.W)


class Conv2D(_Weighted):
    """Zero-padded convolution with bias, optionally resampling (see `convolve`)."""

    def __init__(self, filters: int, kernel_size: int = 3, gain: float = 1.0,
                 resample: Resample = None, **kwargs) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.gain = gain
        self.resample = resample

    def build(self, input_shape) -> None:
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.add_matrix(shape, self.filters, self.gain)
        self.b = self.add_weight(name="b", shape=(self.filters,), initializer="zeros")

    def call(self, x, training: bool = False):
        x = convolve(x, self.weight(training), self.resample)
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.b))


class Linear(_Weighted):
    """Dense layer with bias: [N, in] → [N, units]; `W` float32 [units, in]."""

    def __init__(self, units: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape) -> None:
        self.add_matrix((self.units, input_shape[-1]), self.units)
        self.b = self.add_weight(name="b", shape=(self.units,), initializer="zeros")

    def call(self, x, training: bool = False):
        x = tf.matmul(x, self.weight(training), transpose_b=True)
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.b))


def _unit(x: tf.Tensor) -> tf.Tensor:
    return x / (tf.norm(x) + 1e-12)


def power_iteration(matrix: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One step towards the largest singular value of a matrix (Miyato et al. 2018, appendix A).

    Args:
        matrix: float32 [rows, columns].
        u: float32 [1, columns], the estimate of the right singular vector so far.

    Returns:
        σ, a scalar whose gradient flows through the matrix only, and the new u.
    """
    v = tf.stop_gradient(_unit(tf.matmul(u, matrix, transpose_b=True)))  # [1, rows]
    product = tf.matmul(v, matrix)
    u = tf.stop_gradient(_unit(product))
    return tf.reduce_sum(product * u), u


class _SpectralNorm(_Weighted):
    """A weight `W` divided by its largest singular value, and the vector `u` that estimates it.

    Both are float32 whatever the precision of the layer's arithmetic.
    """

    def add_matrix(self, shape: tuple[int, ...], outputs: int, gain: float = 1.0) -> None:
        self.W = self.add_weight(
            name="W", shape=shape, initializer=glorot_uniform(gain), autocast=False
        )
        self.u = self.add_weight(
            name="u", shape=(1, outputs), initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False, autocast=False, aggregation="only_first_replica",
        )  # fmt: skip

    def weight(self, training: bool) -> tf.Tensor:
        """W / σ after one power iteration, which is remembered in training only."""
        # One iteration a call is enough, since W moves little from step to step. Every training
        # call moves u: that D sees real images before generated ones is part of a run's bits.
        weight = tf.convert_to_tensor(self.W)
        if len(weight.shape) == 4:
            matrix = tf.reshape(weight, [-1, weight.shape[3]])  # [k·k·in, out]
        else:
            matrix = tf.transpose(weight)  # [in, out]
        sigma, u = power_iteration(matrix, tf.convert_to_tensor(self.u))
        if training:
            self.u.assign(u)
        return tf.cast(weight / sigma, self.compute_dtype)


class SNConv2D(_SpectralNorm, Conv2D):
    """`Conv2D` with spectral normalization."""


class SNLinear(_SpectralNorm, Linear):
    """`Linear` with spectral normalization."""


class SNEmbed(_SpectralNorm):
    """Class weights [N, classes] to features [N, units], with spectral normalization."""

    def __init__(self, units: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape) -> None:
        # [in, out], not [out, in] as in a linear layer; u still goes with W's first side.
        self.add_matrix((input_shape[-1], self.units), input_shape[-1])

    def call(self, classes, training: bool = False):
        return tf.matmul(classes, self.weight(training))


class ClassRows(keras.layers.Layer):
    """Class weights [N, classes] to one row each, [N, units]; `W` starts as a constant."""

    def __init__(self, units: int, start: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.start = start

    def build(self, input_shape) -> None:
        shape, start = (input_shape[-1], self.units), keras.initializers.Constant(self.start)
        self.W = self.add_weight(name="W", shape=shape, initializer=start, autocast=False)

    def call(self, classes):
        return tf.matmul(tf.cast(classes, tf.float32), tf.convert_to_tensor(self.W))


class _BatchNorm(keras.layers.Layer):
    """Statistics of the batch in training, running ones otherwise, both in float32.

    As in Chainer, the running variance takes in the unbiased estimate m / (m - 1). `N` is a
    counter that Chainer stores. Under data parallelism the batch is that of all replicas.
    """

    def add_statistics(self, channels: int, initial_variance: float) -> None:
        running = {"shape": (channels,), "trainable": False, "autocast": False,
                   "aggregation": "mean"}  # fmt: skip
        self.avg_mean = self.add_weight(name="avg_mean", initializer="zeros", **running)
        initializer = keras.initializers.Constant(initial_variance)
        self.avg_var = self.add_weight(name="avg_var", initializer=initializer, **running)
        self.N = self.add_weight(
            name="N", shape=(), dtype="int64", initializer="zeros", trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip

    def normalize(self, x, gamma, beta, training: bool):
        """γ·(x - mean)/√(variance + ε) + β, gamma and beta float32 [C]."""
        if training and replicas.number() > 1:
            return self._normalize_together(x, gamma, beta)
        given = [] if training else [tf.convert_to_tensor(v) for v in (self.avg_mean, self.avg_var)]
        mean, variance = given or ([], [])
        x, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=mean, variance=variance,
            epsilon=BATCH_NORM_EPSILON, is_training=training,
        )  # fmt: skip
        if training:
            self._follow(mean, variance)
        return x

    def _normalize_together(self, x, gamma, beta):
        mean, variance, number = replicas.moments(tf.cast(x, tf.float32))
        self._follow(mean, variance * number / (number - 1))
        wide = tf.nn.batch_normalization(
            tf.cast(x, tf.float32), mean, variance, beta, gamma, BATCH_NORM_EPSILON
        )
        return tf.cast(wide, x.dtype)

    def _follow(self, mean, variance) -> None:
        # Chainer's decay and order of terms: published snapshots go on as they would have there.
        for average, now in ((self.avg_mean, mean), (self.avg_var, variance)):
            average.assign(BATCH_NORM_DECAY * average + (1 - BATCH_NORM_DECAY) * now)


class BatchNorm(_BatchNorm):
    """Batch norm with one learned scale and offset per channel."""

    def build(self, input_shape) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)
        self.add_statistics(input_shape[-1], initial_variance=1.0)

    def call(self, x, training: bool = False):
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        return self.normalize(x, gamma, beta, training)


class CategoricalBatchNorm(_BatchNorm):
    """Batch norm with a learned scale and offset per class and channel (Dumoulin et al. 2017).

    Call: x [N, H, W, C], classes float [N, n_classes] (one-hot, or a mixture of classes).
    """

    def build(self, input_shape) -> None:
        channels = input_shape[-1]
        self.gammas = ClassRows(channels, 1.0, name="gammas", dtype=self.dtype_policy)
        self.betas = ClassRows(channels, 0.0, name="betas", dtype=self.dtype_policy)
        self.add_statistics(channels, initial_variance=0.0)

    def call(self, x, classes, training: bool = False):
        gamma, beta = self.gammas(classes), self.betas(classes)  # [N, C]
        if classes.shape[1] == 1:
            # The same row for every image, so that the scaling costs nothing on top.
            return self.normalize(x, gamma[0], beta[0], training)
        channels = gamma.shape[1]
        x = self.normalize(x, tf.ones([channels]), tf.zeros([channels]), training)
        gamma, beta = (tf.cast(t, x.dtype)[:, None, None, :] for t in (gamma, beta))
        return x * gamma + beta
