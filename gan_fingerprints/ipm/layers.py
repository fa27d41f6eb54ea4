"""Layers of CramerGAN's and MMDGAN's networks, in NHWC, with the published names of weights."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from gan_fingerprints.ipm.config import Statistics
from gan_fingerprints.networks import replicas
from gan_fingerprints.networks.layers import box_downscale, box_upscale, upscale_conv2d_3x3

Shape = tuple[int, ...]

EPSILON = 1e-5


def normal(stddev: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=stddev)


def truncated_normal(stddev: float) -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=stddev)


def he_uniform() -> keras.initializers.Initializer:
    """Uniform with variance 4 / (fan_in + fan_out)."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_avg", distribution="uniform")


def glorot_uniform() -> keras.initializers.Initializer:
    """Uniform with variance 2 / (fan_in + fan_out)."""
    return keras.initializers.VarianceScaling(1.0, mode="fan_avg", distribution="uniform")


class _Weighted(keras.layers.Layer):
    """A weight and a bias, named as published (`w` and `biases`, for instance)."""

    def __init__(
        self,
        initializer: keras.initializers.Initializer,
        roles: tuple[str, str] = ("w", "biases"),
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.initializer = initializer
        self.roles = roles
        self.has_bias = bias

    def add_weights(self, shape: Shape, outputs: int) -> None:
        self.weight = self.add_weight(name=self.roles[0], shape=shape, initializer=self.initializer)
        if self.has_bias:
            self.bias = self.add_weight(name=self.roles[1], shape=(outputs,), initializer="zeros")

    def plus_bias(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)) if self.has_bias else x


class Linear(_Weighted):
    """Dense layer: [N, in] → [N, units]; `Matrix` float32 [in, units], `bias`."""

    def __init__(self, units: int, stddev: float = 0.01, **kwargs: Any) -> None:
        super().__init__(normal(stddev), ("Matrix", "bias"), **kwargs)
        self.units = units

    def build(self, input_shape: Shape) -> None:
        self.add_weights((input_shape[-1], self.units), self.units)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.plus_bias(tf.matmul(x, tf.convert_to_tensor(self.weight)))


class Conv2D(_Weighted):
    """Zero-padded convolution; weight float32 [k, k, in, filters].

    resample: "up" (of the image repeated ×2) or "down" (followed by a 2×2 mean).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        initializer: keras.initializers.Initializer,
        strides: int = 1,
        resample: Literal["up", "down"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(initializer, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.resample = resample

    def build(self, input_shape: Shape) -> None:
        k = self.kernel_size
        self.add_weights((k, k, input_shape[-1], self.filters), self.filters)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        weight = tf.convert_to_tensor(self.weight)
        pointwise = self.kernel_size == 1  # commutes with resampling: done at the smaller side
        if self.resample == "up" and not pointwise:
            return self.plus_bias(upscale_conv2d_3x3(x, weight))
        if self.resample == "down" and pointwise:
            x = box_downscale(x)
        x = self.plus_bias(tf.nn.conv2d(x, weight, strides=self.strides, padding="SAME"))
        if self.resample == "down" and not pointwise:
            return box_downscale(x)
        return box_upscale(x) if self.resample == "up" else x


class Deconv2D(_Weighted):
    """Transposed 5×5 convolution with stride 2: [N, H, W, in] → [N, 2H, 2W, filters].

    Weight float32 [5, 5, filters, in].
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(normal(0.02), **kwargs)
        self.filters = filters

    def build(self, input_shape: Shape) -> None:
        self.add_weights((5, 5, self.filters, input_shape[-1]), self.filters)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        weight = tf.convert_to_tensor(self.weight)
        shape = tf.stack([tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], self.filters])
        return self.plus_bias(tf.nn.conv2d_transpose(x, weight, shape, strides=2, padding="SAME"))


class BatchNorm(keras.layers.Layer):
    """Batch norm that knows three kinds of statistics, all computed in float32.

    Call: x [N, H, W, C], statistics
        "batch": mean and variance of this batch (training, and the published generation), under
            data parallelism that of all replicas;
        "population": those in `moving_mean` and `moving_variance`, so that an image does not
            depend on its neighbours;
        "collect": as "batch", and adds the batch's moments to `moving_mean` and
            `moving_variance` (see `sampling.collect_statistics`).
    """

    def build(self, input_shape: Shape) -> None:
        def weight(name: str, initializer: str, trainable: bool = True) -> Any:
            return self.add_weight(
                name=name, shape=(input_shape[-1],), initializer=initializer, trainable=trainable,
                autocast=False, aggregation="none" if trainable else "mean",
            )  # fmt: skip

        self.offset, self.scale = weight("offset", "zeros"), weight("scale", "ones")
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, x: tf.Tensor, statistics: Statistics = "batch") -> tf.Tensor:
        if statistics == "batch" and replicas.number() > 1:
            wide = tf.cast(x, tf.float32)
            mean, variance, _ = replicas.moments(wide)
            offset, scale = (tf.convert_to_tensor(v) for v in (self.offset, self.scale))
            y = tf.nn.batch_normalization(wide, mean, variance, offset, scale, EPSILON)
            return tf.cast(y, x.dtype)
        given = (self.moving_mean, self.moving_variance) if statistics == "population" else ([], [])
        # The variance that comes out is the unbiased one; the biased one normalizes.
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=tf.convert_to_tensor(self.scale), offset=tf.convert_to_tensor(self.offset),
            mean=tf.convert_to_tensor(given[0], tf.float32),
            variance=tf.convert_to_tensor(given[1], tf.float32),
            epsilon=EPSILON, is_training=statistics != "population",
        )  # fmt: skip
        if statistics == "collect":
            # Sums of moments, not of variances: only these add up over batches.
            number = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)
            biased = variance * (number - 1) / number
            self.moving_mean.assign_add(mean)
            self.moving_variance.assign_add(biased + tf.square(mean))
        return y


class LayerNorm(keras.layers.Layer):
    """Each image normalized over height, width and channels; scale and offset per channel."""

    def build(self, input_shape: Shape) -> None:
        channels = (input_shape[-1],)
        self.offset = self.add_weight(name="offset", shape=channels, initializer="zeros")
        self.scale = self.add_weight(name="scale", shape=channels, initializer="ones")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        wide = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(wide, axes=[1, 2, 3], keepdims=True)
        x = tf.cast((wide - mean) * tf.math.rsqrt(variance + EPSILON), x.dtype)
        return x * tf.convert_to_tensor(self.scale) + tf.convert_to_tensor(self.offset)
