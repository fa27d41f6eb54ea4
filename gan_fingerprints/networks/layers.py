"""Layers of the progressive family that Keras lacks (Karras et al. 2018, ICLR), in NHWC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

SQRT2 = float(np.sqrt(2))
SMALL = 16  # pixels: images no larger are convolved by a matrix product
# Where the smaller side is at least this, resampling inside one strided convolution is faster: at
# 64 px and 128 channels 2.3 times, at 8 px and below it is several times slower (on a CPU).
FUSE_FROM_SIDE = 16
Shape = tuple[int, ...]


class _Equalized(keras.layers.Layer):
    """A stored N(0, 1) weight, multiplied at run time by gain/√fan_in (section 4.1), and a bias."""

    # At run time rather than once at the start: Adam moves every stored weight by about its rate,
    # and so every layer learns at the same speed whatever its width.
    def __init__(self, gain: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gain = gain

    def add_weights(self, shape: tuple[int, ...], fan_in: int, outputs: int) -> None:
        self.scale = self.gain / float(np.sqrt(fan_in))
        self.weight = self.add_weight(
            name="weight", shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0)
        )
        self.bias = self.add_weight(name="bias", shape=(outputs,), initializer="zeros")

    def scaled_weight(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.weight) * self.scale


class EqualizedConv2D(_Equalized):
    """Convolution with equalized learning rate and bias, optionally fused with ×2 resampling.

    Args:
        gain: numerator of the run-time scale gain/√(k·k·input channels).
        padding: "zeros", or "reflect" (mirrors without repeating the edge).
        resample: None, "up" (same as nearest ×2, then the convolution) or "down" (same as the
            convolution, then a 2×2 mean); both as one strided convolution with a kernel that is
            the sum of its four one-pixel shifts, 2.25 times fewer operations. Zero padding only.

    Weights: `weight` float32 [k, k, in, filters] ([k, k, filters, in] with "up", as the
    transposed convolution takes it), `bias` float32 [filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        gain: float = SQRT2,
        padding: Literal["zeros", "reflect"] = "zeros",
        resample: Literal["up", "down"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(gain, **kwargs)
        if resample and padding != "zeros":
            raise ValueError(f"resample needs padding='zeros'; received padding={padding!r}")
        if padding == "reflect" and kernel_size not in (1, 3):
            raise ValueError(f"reflection pads one pixel; received kernel_size={kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.padding = padding
        self.resample = resample

    def build(self, input_shape: Shape) -> None:
        k, channels = self.kernel_size, input_shape[-1]
        ends = (self.filters, channels) if self.resample == "up" else (channels, self.filters)
        self.add_weights((k, k, *ends), fan_in=k * k * channels, outputs=self.filters)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        _, height, width, _ = x.shape
        if self.resample is None and height and width and height * width <= SMALL:
            scaled = x * self.scale  # smaller than the weight
            x = _small_conv2d(scaled, tf.convert_to_tensor(self.weight), self.padding)
            return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias))
        weight = self.scaled_weight()
        if self.resample == "up":
            x = _upscale_conv2d(x, _sum_of_shifts(weight))
        elif self.resample == "down":
            x = tf.nn.conv2d(x, _sum_of_shifts(weight) * 0.25, strides=2, padding="SAME")
        elif self.padding == "reflect" and self.kernel_size > 1:
            x = tf.nn.conv2d(reflect_pad(x), weight, strides=1, padding="VALID")
        else:
            x = tf.nn.conv2d(x, weight, strides=1, padding="SAME")
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias))


class EqualizedDense(_Equalized):
    """Dense layer with equalized learning rate and bias: [N, in] → [N, units]."""

    def __init__(self, units: int, *, gain: float = SQRT2, **kwargs: Any) -> None:
        super().__init__(gain, **kwargs)
        self.units = units

    def build(self, input_shape: Shape) -> None:
        self.add_weights((input_shape[-1], self.units), fan_in=input_shape[-1], outputs=self.units)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = x * self.scale  # smaller than the weight
        x = tf.matmul(x, tf.convert_to_tensor(self.weight))
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias))


class EqualizedDenseTo4x4(_Equalized):
    """Dense layer to a 4×4 image with one bias per channel: [N, in] → [N, 4, 4, filters].

    Weights: `weight` float32 [in, filters·4·4] with the channel slowest, `bias` float32 [filters].
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(SQRT2 / 4, **kwargs)  # the published gain of this one layer
        self.filters = filters

    def build(self, input_shape: Shape) -> None:
        shape = (input_shape[-1], self.filters * 16)
        self.add_weights(shape, fan_in=input_shape[-1], outputs=self.filters)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.matmul(x, self.scaled_weight()), [-1, self.filters, 4, 4])
        return tf.nn.bias_add(tf.transpose(x, [0, 2, 3, 1]), tf.convert_to_tensor(self.bias))


def _sum_of_shifts(weight: tf.Tensor) -> tf.Tensor:
    """The k×k kernel summed over its four one-pixel shifts: [k+1, k+1, …]."""
    # A pixel of the repeated image stands at four places, so a k×k kernel over that image meets
    # each pixel of the small one with up to four of its weights; added up beforehand they are one
    # kernel of k+1 for a stride of 2, whose four phases do what four convolutions would. A 2×2
    # mean of the results adds up the same weights.
    k, _, *channels = weight.shape
    # As two matrix products, along rows and then columns, since the gradient of slices is slow.
    shifts = tf.constant(np.eye(k + 1, k) + np.eye(k + 1, k, -1), weight.dtype)
    rows = tf.matmul(shifts, tf.reshape(weight, [k, -1]))
    both = tf.matmul(shifts, tf.reshape(rows, [k + 1, k, -1]))
    return tf.reshape(both, [k + 1, k + 1, *channels])


def sum_of_shifts_3x3(weight: tf.Tensor) -> tf.Tensor:
    """As `_sum_of_shifts`, of a 3×3 kernel, by slices: [4, 4, in, out]."""
    # The two differ in their last bits. Runs of either kind of network repeat to the bit.
    padded = tf.pad(weight, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]


def upscale_conv2d_3x3(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Zero-padded 3×3 convolution of the ×2 repeated image: [N, H, W, in] → [N, 2H, 2W, out]."""
    height, width = x.shape[1:3]
    if height < FUSE_FROM_SIDE:
        return tf.nn.conv2d(box_upscale(x), weight, strides=1, padding="SAME")
    # A transposed convolution turns its kernel around and takes it as [4, 4, out, in].
    kernel = tf.transpose(sum_of_shifts_3x3(weight[::-1, ::-1]), [0, 1, 3, 2])
    shape = tf.stack([tf.shape(x)[0], 2 * height, 2 * width, weight.shape[3]])
    return tf.nn.conv2d_transpose(x, kernel, shape, strides=2, padding="SAME")


def _upscale_conv2d(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(x)
    output_shape = tf.stack([shape[0], shape[1] * 2, shape[2] * 2, tf.shape(kernel)[2]])
    return tf.nn.conv2d_transpose(x, kernel, output_shape, strides=2, padding="SAME")


def _small_conv2d(x: tf.Tensor, weight: tf.Tensor, padding: str) -> tf.Tensor:
    """Stride-1 convolution that keeps the size, as matrix products.

    At 4×4 with 512 channels it takes half the time of tf.nn.conv2d on a CPU, and so do its
    gradients.
    """
    _, height, width, channels = x.shape
    k, _, _, filters = weight.shape
    gather = tf.constant(_patch_matrix(height, width, k, padding), x.dtype)
    patches = tf.matmul(gather, tf.reshape(x, [-1, height * width, channels]))
    patches = tf.reshape(patches, [-1, k * k * channels])  # [N·H·W, k·k·C]
    product = tf.matmul(patches, tf.reshape(weight, [k * k * channels, filters]))
    return tf.reshape(product, [-1, height, width, filters])


def _patch_matrix(height: int, width: int, k: int, padding: str) -> np.ndarray:
    """Zeros and ones [H·W·k·k, H·W] that gather each pixel's k×k neighbourhood."""
    # The neighbourhoods in an image of pixel numbers say which pixel goes where in each patch.
    # Number 0 is what lies outside; without its column it becomes a row of zeros.
    indices = np.arange(1, height * width + 1).reshape(height, width)
    borders = (k - 1) // 2, k // 2  # as "SAME" puts them
    indices = np.pad(indices, borders, "reflect" if padding == "reflect" else "constant")
    patches = np.lib.stride_tricks.sliding_window_view(indices, (k, k))
    return np.eye(height * width + 1, dtype=np.float32)[patches.reshape(-1), 1:]


@tf.custom_gradient
def reflect_pad(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Adds a border of one mirrored pixel, the edge not repeated: [N, H, W, C] → [N, H+2, W+2, C].

    Concatenation takes half the time of tf.pad on a CPU; its gradient would take twice that of
    tf.pad, so each is used where it is faster.
    """

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        borders = [[0, 0], [1, 1], [1, 1], [0, 0]]
        return tf.raw_ops.MirrorPadGrad(input=upstream, paddings=borders, mode="REFLECT")

    rows = tf.concat([x[:, 1:2], x, x[:, -2:-1]], axis=1)
    return tf.concat([rows[:, :, 1:2], rows, rows[:, :, -2:-1]], axis=2), gradient


@tf.custom_gradient
def leaky_relu(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """LeakyReLU with the family's slope of 0.2.

    Its gradient is taken from its output, which has the sign of its input: TensorFlow can then
    compute it together with the convolution before it.
    """
    y = tf.nn.leaky_relu(x, alpha=0.2)
    return y, lambda upstream: tf.raw_ops.LeakyReluGrad(gradients=upstream, features=y, alpha=0.2)


def pixel_norm(x: tf.Tensor) -> tf.Tensor:
    """x / √(mean over channels of x² + 1e-8), channels last (section 4.2)."""
    wide = tf.cast(x, tf.float32)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True) + 1e-8)
    return x * tf.cast(scale, x.dtype)


def minibatch_stddev(x: tf.Tensor, group_size: int) -> tf.Tensor:
    """Appends one feature map: the spread of the features within groups of images (section 3).

    Args:
        x: float [N, H, W, C]; N a multiple of min(group_size, N). Under data parallelism N is
            the batch of one replica.

    Returns:
        [N, H, W, C + 1]. Image n belongs to group n mod (N / group size).
    """
    n, height, width, channels = (s or tf.shape(x)[i] for i, s in enumerate(x.shape))
    group = tf.minimum(group_size, n)
    y = tf.reshape(tf.cast(x, tf.float32), [group, -1, height, width, channels])
    y -= tf.reduce_mean(y, axis=0, keepdims=True)
    y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=0) + 1e-8)
    y = tf.reduce_mean(y, axis=[1, 2, 3])  # [N / group]
    y = tf.tile(y, [group])[:, None, None, None] * tf.ones([1, height, width, 1])
    return tf.concat([x, tf.cast(y, x.dtype)], axis=-1)


def box_upscale(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Repeats every pixel factor×factor times: [N, H, W, C] → [N, H·factor, W·factor, C]."""
    if factor == 1:
        return x
    n, height, width, channels = (s or tf.shape(x)[i] for i, s in enumerate(x.shape))
    x = tf.reshape(x, [n, height, 1, width, 1, channels])
    x = tf.tile(x, [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [n, height * factor, width * factor, channels])


def box_downscale(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Mean over factor×factor pixels: [N, H, W, C] → [N, H/factor, W/factor, C]."""
    return x if factor == 1 else tf.nn.avg_pool2d(x, factor, factor, "VALID")


BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256.0


def _blur(x: tf.Tensor, kernel: np.ndarray, stride: int) -> tf.Tensor:
    """Convolution of every channel with one 5×5 kernel, padded by reflection."""
    channels = x.shape[-1]
    weight = tf.constant(np.repeat(kernel[:, :, None, None], channels, axis=2), x.dtype)
    x = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], mode="REFLECT")
    return tf.nn.depthwise_conv2d(x, weight, [1, stride, stride, 1], "VALID")


def gaussian_downscale(x: tf.Tensor) -> tf.Tensor:
    """5×5 binomial blur, then every second pixel: [N, H, W, C] → [N, H/2, W/2, C]."""
    return _blur(x, BINOMIAL, 2)


def gaussian_upscale(x: tf.Tensor) -> tf.Tensor:
    """Zeros between the pixels, then four times the same blur: [N, H, W, C] → [N, 2H, 2W, C]."""
    n, height, width, channels = (s or tf.shape(x)[i] for i, s in enumerate(x.shape))
    x = tf.reshape(x, [n, height, 1, width, 1, channels])
    x = tf.pad(x, [[0, 0], [0, 0], [0, 1], [0, 0], [0, 1], [0, 0]])
    # Four times, since three of four pixels are zero now and the mean shall stay.
    return _blur(tf.reshape(x, [n, height * 2, width * 2, channels]), 4 * BINOMIAL, 1)


def flatten_channels_first(x: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] → [N, C·H·W] with the channel slowest, the order of published dense weights."""
    return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, x.shape[1] * x.shape[2] * x.shape[3]])


def feature_maps(stage: int, fmap_base: int, fmap_max: int) -> int:
    """Channels at a stage: min(⌊fmap_base / 2^stage⌋, fmap_max)."""
    return min(fmap_base >> stage, fmap_max)


def to_network(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 [N, R, R, 3] → float32 in [-1, 1]."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


def in_halves(network: Callable[[tf.Tensor], Any]) -> Callable[[tf.Tensor], Any]:
    """The same function of images [N, ...], computed on a CPU as two halves of the images.

    Some operations, and most of their gradients, use one core: the halves run side by side and
    keep the others busy. For functions that take each image by itself, to one tensor or several.
    """

    def halved(images: tf.Tensor) -> Any:
        number = images.shape[0]
        if not number or number % 2 or tf.config.list_logical_devices("GPU"):
            return network(images)
        parts = [network(half) for half in tf.split(images, 2)]
        return tf.nest.map_structure(lambda *halves: tf.concat(halves, axis=0), *parts)

    return halved
