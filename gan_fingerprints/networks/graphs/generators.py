"""The graphs of generators; each is what its Keras model computes of one latent by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan_fingerprints.networks.graphs.classifiers import Batch, equalized, resampled, to_4x4
from gan_fingerprints.networks.graphs.graph import Graph
from gan_fingerprints.networks.published.tf1_networks import DOUBLINGS
from gan_fingerprints.networks.stored import Refused

IPM_EPSILON, SNGAN_EPSILON = 1e-5, 2e-5


def progressive(graph: Graph, batch: Batch, arguments: Mapping[str, Any]) -> str:
    """ProGAN's at its full resolution, see `ProGAN.networks.Generator`."""
    resolution, lod = arguments["resolution"], float(graph.weight("lod"))
    if lod:
        raise Refused(
            f"lod {lod:g}: this network has not grown to its {resolution}×{resolution} pixels; "
            "train it to the end first"
        )
    for below in range(1, resolution.bit_length() - 2):
        graph.layer(f"ToRGB_lod{below}")  # of the way there
    latents = min(arguments["fmap_base"], arguments["fmap_max"]) + arguments["label_size"]
    x = graph.normalized(graph.input("latents", [batch, latents]))
    x = _activated(graph, to_4x4(graph, x, "4x4_Dense"))
    x = _activated(graph, equalized(graph, x, "4x4_Conv", padding="zeros"))
    side = 4
    while side < resolution:
        side *= 2
        name = f"{side}x{side}_Conv"
        if arguments["fused_scale"]:
            x = resampled(graph, x, f"{name}0_up", "up")
        else:
            x = equalized(graph, graph.doubled(x), f"{name}0", padding="zeros")
        x = _activated(graph, x)
        x = _activated(graph, equalized(graph, x, f"{name}1", padding="zeros"))
    return equalized(graph, x, "ToRGB_lod0", padding="zeros", gain=1.0)


def _activated(graph: Graph, x: str) -> str:
    return graph.normalized(graph.leaky(x))


def residual(graph: Graph, batch: Batch, arguments: Mapping[str, Any]) -> str:
    """SNGAN's, see `SNGAN.gen_models.resnet.ResNetGenerator`.

    Of several classes there is the input `classes`, float32 [N, n_classes]: the weight of each.
    """
    number = arguments["n_classes"]
    x = graph.input("latents", [batch, arguments["dim_z"]])
    classes = graph.input("classes", [batch, number]) if number > 1 else None
    weight, bias = graph.layer("l1", 0, roles=("W", "b"))
    x = graph.reshape(graph.dense(x, weight.T, bias), (-1, len(bias) // 16, 4, 4))
    side, block = 4, 2
    while side < arguments["size"]:
        side, name = side * 2, f"block{block}"
        h = graph.add("Relu", _normalized(graph, x, f"{name}/b1", number, classes))
        h = doubling(graph, h, *graph.layer(f"{name}/c1", roles=("W", "b")))
        h = graph.add("Relu", _normalized(graph, h, f"{name}/b2", number, classes))
        h = same(graph, h, *graph.layer(f"{name}/c2", roles=("W", "b")))
        shortcut = same(graph, x, *graph.layer(f"{name}/c_sc", roles=("W", "b")))
        x, block = graph.add("Add", h, graph.doubled(shortcut)), block + 1
    x = graph.add("Relu", _normalized(graph, x, f"b{block}", 0, None))
    return graph.add("Tanh", same(graph, x, *graph.layer(f"l{block}", roles=("W", "b"))))


def _normalized(graph: Graph, x: str, name: str, number: int, classes: str | None) -> str:
    """Batch norm by running statistics, with a scale and an offset for each class if any."""
    mean, variance = graph.weight(f"{name}/avg_mean"), graph.weight(f"{name}/avg_var")
    graph.weight(f"{name}/N")  # a counter
    roles = ("gammas/W", "betas/W") if number else ("gamma", "beta")
    gamma, beta = (graph.weight(f"{name}/{role}") for role in roles)
    by = np.float32(1) / np.sqrt(variance + np.float32(SNGAN_EPSILON))
    if classes is None:
        return affine(graph, x, gamma.reshape(-1) * by, beta.reshape(-1), mean)
    x = affine(graph, x, by, np.zeros_like(by), mean)
    scale, offset = (_of_classes(graph, classes, rows) for rows in (gamma, beta))
    return graph.add("Add", graph.add("Mul", x, scale), offset)


def _of_classes(graph: Graph, classes: str, rows: np.ndarray) -> str:
    row = graph.add("MatMul", classes, graph.constant(rows))
    return graph.reshape(row, (-1, rows.shape[1], 1, 1))


def independent(graph: Graph, batch: Batch, arguments: Mapping[str, Any]) -> str:
    """CramerGAN's or MMDGAN's with population statistics, see `ipm.networks.Generator`."""
    doublings = DOUBLINGS[arguments["architecture"]]
    first = arguments["gf_dim"] << (doublings - 1)
    side = arguments["output_size"] >> doublings
    weight, bias = graph.layer("g_h0_lin", 1, roles=("Matrix", "bias"))
    x = graph.input("latents", [batch, arguments["z_dim"]])
    x = graph.dense(x, weight, bias)
    if graph.has("g_res1.Conv1/Filters"):
        x = graph.reshape(x, (-1, first, side, side))
        for i in range(1, doublings):
            x = _block(graph, x, f"g_res{i}")
        x = _standard(graph, x, "g_h4")
    else:
        x = graph.transposed(graph.reshape(x, (-1, side, side, first)), (0, 3, 1, 2))
        x = _standard(graph, x, "g_bn0")
        for i in range(1, doublings):
            x = _standard(graph, _transposed(graph, x, f"g_h{i}"), f"g_bn{i}")
    return graph.add("Sigmoid", _transposed(graph, x, f"g_h{doublings}"))


def _block(graph: Graph, x: str, name: str) -> str:
    roles = ("Filters", "Biases")
    h = doubling(graph, _standard(graph, x, f"{name}.BN1"), graph.weight(f"{name}.Conv1/Filters"))
    h = _standard(graph, h, f"{name}.BN2")
    h = same(graph, h, *graph.layer(f"{name}.Conv2", roles=roles))
    shortcut = same(graph, x, *graph.layer(f"{name}.Shortcut", roles=roles))
    return graph.add("Add", h, graph.doubled(shortcut))


def _standard(graph: Graph, x: str, name: str) -> str:
    """ReLU of batch norm by `moving_mean` and `moving_variance`."""
    roles = ("scale", "offset", "moving_mean", "moving_variance")
    scale, offset, mean, variance = (graph.weight(f"{name}/{role}") for role in roles)
    by = scale / np.sqrt(variance + np.float32(IPM_EPSILON))
    return graph.add("Relu", affine(graph, x, by, offset, mean))


def _transposed(graph: Graph, x: str, name: str) -> str:
    """`ipm.layers.Deconv2D`; where "SAME" cuts off three pixels, one is at the beginning."""
    weight, bias = graph.layer(name, 2, roles=("w", "biases"))
    turned = graph.constant(weight.transpose(3, 2, 0, 1))  # [in, out, 5, 5]
    pads = [1, 1, 2, 2]
    return graph.add("ConvTranspose", x, turned, graph.constant(bias), strides=[2, 2], pads=pads)


def affine(graph: Graph, x: str, by: np.ndarray, offset: np.ndarray, mean: np.ndarray) -> str:
    """(x - mean)·by + offset, of channels."""
    return graph.plus(graph.times(x, by[:, None, None]), (offset - mean * by)[:, None, None])


def same(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """Convolution that keeps the side, padded by zeros; weight [k, k, in, out]."""
    return graph.conv(x, weight, bias, pads=[weight.shape[0] // 2] * 4)


def doubling(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
    """Zero-padded 3×3 convolution of the ×2 repeated image, as `layers.upscale_conv2d_3x3`."""
    padded = np.pad(weight[::-1, ::-1], [(1, 1), (1, 1), (0, 0), (0, 0)])
    kernel = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
    inputs = [x, graph.constant(kernel.transpose(2, 3, 0, 1))]  # [in, out, 4, 4]
    inputs += [] if bias is None else [graph.constant(bias)]
    return graph.add("ConvTranspose", *inputs, strides=[2, 2], pads=[1] * 4)


GENERATORS: dict[str, Callable[[Graph, Batch, Any], str]] = {
    "generator": progressive,
    "ResNetGenerator": residual,
    "ipm_generator": independent,
}
"""Kind of network → what adds its graph: (graph, batch, arguments) → images [N, 3, H, W]."""
RANGES = {
    "generator": "-1 to 1, not clipped",
    "ResNetGenerator": "-1 to 1",
    "ipm_generator": "0 to 1",
}
