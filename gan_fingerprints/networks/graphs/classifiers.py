"""The graphs of networks that name sources; each is what its Keras model computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from gan_fingerprints.networks.descriptors import length
from gan_fingerprints.networks.discriminant import Discriminant
from gan_fingerprints.networks.graphs.graph import BINOMIAL, SQRT2, Graph
from gan_fingerprints.networks.plans import BLURS, FOLDS, GAIN, MOST, NORM_EPSILON, PLANS, SLOPE

Batch = int | str


class Values(NamedTuple):
    """Names of values in a graph.

    Attributes:
        logits, features: [N, sources] and [N, F], as `answers` of the network gives them.
        fingerprints: [N, R, R, 3] of visNet.
        of_families: log probabilities [N, sources] of each family of evidence.
    """

    logits: str
    features: str
    fingerprints: str | None = None
    of_families: tuple[str, ...] = ()


def pictures(graph: Graph, batch: Batch, side: int | str) -> str:
    """The input `images`, uint8 [N, H, W, 3] → float32 [N, 3, H, W] in [-1, 1]."""
    sides = (side, side) if isinstance(side, int) else ("height", "width")
    images = graph.input("images", [batch, *sides, 3], TensorProto.UINT8)
    x = graph.add("Div", graph.add("Cast", images, to=TensorProto.FLOAT), graph.constant(127.5))
    return graph.transposed(graph.plus(x, -1), (0, 3, 1, 2))


def equalized(graph: Graph, x: str, name: str, *, padding: str, gain: float = SQRT2) -> str:
    """`layers.EqualizedConv2D` of stride 1; padding "zeros" or "reflect"."""
    weight, bias = graph.layer(name)
    size = weight.shape[0]
    weight = weight * np.float32(gain / np.sqrt(size * size * weight.shape[2]))
    border = size // 2 if padding == "zeros" else 0
    if padding == "reflect" and size > 1:
        x = graph.reflected(x, 1)
    return graph.conv(x, weight, bias, pads=[border] * 4)


def resampled(graph: Graph, x: str, name: str, resample: str) -> str:
    """`layers.EqualizedConv2D` that doubles ("up") or halves ("down") within one convolution."""
    weight, bias = graph.layer(name, 2 if resample == "up" else 3)
    inputs = weight.shape[3] if resample == "up" else weight.shape[2]
    weight = weight * np.float32(SQRT2 / np.sqrt(weight.shape[0] ** 2 * inputs))
    padded = np.pad(weight, [(1, 1), (1, 1), (0, 0), (0, 0)])
    kernel = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
    how: dict[str, Any] = {"strides": [2, 2], "pads": [1] * 4}
    if resample == "down":
        return graph.conv(x, kernel * np.float32(0.25), bias, **how)
    turned = graph.constant(kernel.transpose(3, 2, 0, 1))  # [in, out, k, k]
    return graph.add("ConvTranspose", x, turned, graph.constant(bias), **how)


def equalized_dense(graph: Graph, x: str, name: str, gain: float = SQRT2) -> str:
    """`layers.EqualizedDense`."""
    weight, bias = graph.layer(name, 1)
    return graph.dense(x, weight * np.float32(gain / np.sqrt(weight.shape[0])), bias)


def trunk(graph: Graph, x: str, arguments: Mapping[str, Any], lowest: int, prefix: str = "") -> str:
    """`trunk.Trunk.features`: images → features of a side of `lowest`."""
    side, fused, mode = arguments["resolution"], arguments["fused_scale"], arguments["mode"]
    smallest = arguments["switching_res"]
    if mode != "postpool":
        while side > smallest:
            x, side = graph.blurred(x, BINOMIAL, 2), side // 2
        smallest = 4
    if mode == "predownscale_residual":
        x = graph.add("Sub", x, _upscaled(graph, graph.blurred(x, BINOMIAL, 2)))
    while side > max(lowest, smallest):
        name = f"{prefix}{side}x{side}_Conv"
        x = graph.leaky(equalized(graph, x, f"{name}0", padding="reflect"))
        if fused:
            x = graph.leaky(resampled(graph, x, f"{name}1_down", "down"))
        else:
            x = graph.pooled(graph.leaky(equalized(graph, x, f"{name}1", padding="reflect")))
        side //= 2
    return graph.pooled(x, side // lowest)


def _upscaled(graph: Graph, x: str) -> str:
    """`layers.gaussian_upscale`: zeros between the pixels, then four times the blur."""
    one = np.zeros((3, 1, 1, 1), np.float32) + 1
    how = {"group": 3, "strides": [2, 2], "output_padding": [1, 1]}
    return graph.blurred(graph.add("ConvTranspose", x, graph.constant(one), **how), BINOMIAL, 1, 4)


def headed(graph: Graph, batch: Batch, side: int | str, arguments: Mapping[str, Any]) -> Values:
    """The publication's classifier, see `trunk.Headed`."""
    patches = arguments["latent_res"] > 0
    lowest = arguments["latent_res"] if patches else 4
    sources, maps = arguments["num_sources"], arguments["fmap_base"] >> lowest.bit_length() - 2
    width = max(min(maps, arguments["fmap_max"]), sources)
    for i, outputs in ((1, width), (2, sources)):
        graph.require_outputs(f"{lowest}x{lowest}_{'Conv' if patches else 'Dense'}{i}", outputs)
    x = trunk(graph, pictures(graph, batch, side), arguments, lowest)
    name = f"{lowest}x{lowest}"
    x = graph.leaky(equalized(graph, x, f"{name}_Conv0", padding="reflect"))
    if patches:
        x = graph.leaky(equalized(graph, x, f"{name}_Conv1", padding="zeros"))
        logits = equalized(graph, x, f"{name}_Conv2", padding="zeros", gain=1.0)
        return Values(graph.mean(logits, (2, 3)), graph.mean(x, (2, 3)))
    x = graph.leaky(equalized_dense(graph, _flat(graph, x), f"{name}_Dense1"))
    return Values(equalized_dense(graph, x, f"{name}_Dense2", 1.0), x)


def _flat(graph: Graph, x: str) -> str:
    return graph.add("Flatten", x)


def residual(graph: Graph, batch: Batch, side: int | str, arguments: Mapping[str, Any]) -> Values:
    """The network for fine traces, see `classifier.residual.Residual`.

    With descriptors these are an input of their own, float32 [N, D]: they are counted, not
    computed by layers, see `descriptors.descriptors`.
    """
    x = pictures(graph, batch, side)
    taken = []
    for taps in BLURS.values():
        more = graph.times(graph.add("Sub", x, graph.blurred(x, taps)), GAIN)
        taken.append(graph.add("Clip", more, graph.constant(-MOST), graph.constant(MOST)))
    seen = graph.add("Concat", x, *taken, axis=1)
    sources = arguments["num_sources"]
    members = [
        _member(graph, seen, i, arguments["width"], sources) for i in range(arguments["members"])
    ]
    logits = graph.times(_sum(graph, [x for x, _ in members]), 1 / len(members))
    features = [x for _, x in members]
    if not arguments["components"]:
        return Values(logits, graph.add("Concat", *features, axis=1))
    own, components = _discriminant(graph, batch, "descriptors_", arguments)
    scales = graph.weight("scales", (2,))
    described = graph.add("LogSoftmax", own, axis=1)
    together = graph.add("Add", graph.times(logits, scales[0]), graph.times(described, scales[1]))
    rest = 1 - scales[1]
    share = scales[0] / rest if rest else 0.0  # as divide_no_nan
    convolved = graph.add("LogSoftmax", graph.times(logits, share), axis=1)
    joined = graph.add("Concat", *features, components, axis=1)
    return Values(together, joined, of_families=(convolved, described))


def _sum(graph: Graph, values: list[str]) -> str:
    return values[0] if len(values) == 1 else graph.add("Sum", *values)


def _member(graph: Graph, x: str, number: int, width: int, sources: int) -> tuple[str, str]:
    if (fold := FOLDS[number]) > 1:
        x = graph.add("SpaceToDepth", x, blocksize=fold)
    for i, (times, stride) in enumerate(PLANS[number]):
        kernel = graph.weight(f"member{number}/conv{i}/kernel")
        gamma, beta, mean, variance = (
            graph.weight(f"member{number}/norm{i}/{role}", (times * width,))
            for role in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + np.float32(NORM_EPSILON))
        # Of even sides "SAME" puts the odd pixel of the border last.
        how = {"strides": [stride] * 2, "auto_pad": "SAME_UPPER"}
        x = graph.conv(x, kernel * scale, beta - mean * scale, **how)
        x = graph.leaky(x, SLOPE)
    features = graph.mean(x, (2, 3))
    weight = graph.weight(f"member{number}/logits/kernel", (len(scale), sources))
    bias = graph.weight(f"member{number}/logits/bias", (sources,))
    return graph.dense(features, weight, bias), features


def _discriminant(
    graph: Graph, batch: Batch, prefix: str, arguments: Mapping[str, Any]
) -> tuple[str, str]:
    """`discriminant.Discriminant.answers` of the input `descriptors`."""
    sizes = length(), arguments["num_sources"], arguments["components"]
    arrays = Discriminant(**{
        name: graph.weight(f"{prefix}{name}", shape)
        for name, shape in Discriminant.shapes(*sizes).items()
    })  # fmt: skip
    described = graph.plus(graph.input("descriptors", [batch, length()]), -arrays.mean)
    standard = graph.add("Div", described, graph.constant(arrays.deviation))
    components = graph.add("MatMul", standard, graph.constant(arrays.components))
    return graph.dense(standard, arrays.weight, arrays.bias), components


def cooccurrence(
    graph: Graph, batch: Batch, side: int | str, arguments: Mapping[str, Any]
) -> Values:
    """The baseline of descriptors alone; it takes no images, but the input `descriptors`."""
    return Values(*_discriminant(graph, batch, "", arguments))


def autoencoder(
    graph: Graph, batch: Batch, side: int | str, arguments: Mapping[str, Any]
) -> Values:
    """visNet's, see `classifier_visNet.networks.AutoEncoder`; features are the logits."""
    images = pictures(graph, batch, side)
    vector = arguments["latent_res"] == -1
    lowest = 4 if vector else arguments["latent_res"]
    shape = (arguments["resolution"], arguments["resolution"], 3, arguments["num_sources"])
    models = graph.weight("Conv_fingerprints/weight", shape)
    name = f"{lowest}x{lowest}"
    x = trunk(graph, images, arguments, lowest, "E_")
    x = graph.leaky(equalized(graph, x, f"E_{name}_Conv0", padding="reflect"))
    if vector:
        x = graph.leaky(equalized_dense(graph, _flat(graph, x), f"E_{name}_Dense1"))
    else:
        x = graph.leaky(equalized(graph, x, f"E_{name}_Conv1", padding="reflect"))
    fingerprints = graph.add("Sub", images, _decoded(graph, x, arguments, vector, lowest))
    shown = graph.transposed(fingerprints, (0, 2, 3, 1))
    logits = _correlated(graph, shown, models, str(arguments["correlation"]))
    return Values(logits, logits, shown)


def to_4x4(graph: Graph, x: str, name: str) -> str:
    """`layers.EqualizedDenseTo4x4`."""
    weight, bias = graph.weight(f"{name}/weight"), graph.weight(f"{name}/bias")
    weight = weight * np.float32(SQRT2 / 4 / np.sqrt(weight.shape[0]))
    x = graph.reshape(graph.add("MatMul", x, graph.constant(weight)), (-1, len(bias), 4, 4))
    return graph.plus(x, bias[:, None, None])


def _decoded(graph: Graph, x: str, arguments: Mapping[str, Any], vector: bool, side: int) -> str:
    def activated(x: str) -> str:
        x = graph.leaky(x)
        return graph.normalized(x) if arguments["use_pixelnorm"] else x

    def conv(x: str, name: str) -> str:
        return activated(equalized(graph, x, name, padding="reflect"))

    if arguments["normalize_latents"]:
        x = graph.normalized(x)
    name = f"G_{side}x{side}"
    x = activated(to_4x4(graph, x, f"{name}_Dense0")) if vector else conv(x, f"{name}_Conv0")
    x = conv(x, f"{name}_Conv1")
    while side < arguments["resolution"]:
        side *= 2
        name = f"G_{side}x{side}"
        if arguments["fused_scale"]:
            x = activated(resampled(graph, x, f"{name}_Conv0_up", "up"))
        else:
            x = conv(graph.doubled(x), f"{name}_Conv0")
        x = conv(x, f"{name}_Conv1")
    return graph.add("Tanh", equalized(graph, x, f"{name}_Conv_toRGB", padding="reflect"))


def _correlated(graph: Graph, shown: str, models: np.ndarray, correlation: str) -> str:
    """Logits of fingerprints [N, R, R, 3] with models [R, R, 3, sources]."""
    models = models.reshape(-1, models.shape[3])
    images = graph.reshape(shown, (-1, len(models)))
    if correlation == "inner":
        scale = np.float32(1 / np.sqrt(len(models)))
        return graph.times(graph.add("MatMul", images, graph.constant(models)), scale)
    models = models - models.mean(axis=0)
    models /= np.sqrt(np.maximum((models**2).sum(axis=0), 1e-12))
    images = graph.add("Sub", images, graph.mean(images, [1], keep=True))
    square = graph.add("ReduceSum", graph.add("Mul", images, images), graph.constant([1], np.int64))
    norm = graph.add("Sqrt", graph.add("Max", square, graph.constant(1e-12)))
    return graph.add("MatMul", graph.add("Div", images, norm), graph.constant(models))


GRAPHS: dict[str, Callable[[Graph, Batch, int | str, Any], Values]] = {
    "classifier": headed,
    "residual": residual,
    "cooccurrence": cooccurrence,
    "visnet_autoencoder": autoencoder,
}
"""Kind of network → what adds its graph: (graph, batch, side, arguments) → values."""
