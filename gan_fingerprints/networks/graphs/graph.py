"""A graph of ONNX's operations that grows by method calls; images are [N, C, H, W] in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gan_fingerprints.networks.stored import Refused

OPSET = 18  # of December 2022; runtimes of the last years have it
IR = 8
SQRT2 = float(np.sqrt(2))
BINOMIAL = (1, 4, 6, 4, 1)
LARGE = 1024  # numbers: smaller constants are never beside a model


class Graph:
    """Nodes and constants of one network; values are known by their names.

    Args:
        arrays: the network's weights by name, as its file has them. Each is used exactly once.
        beside: whether large constants stay beside the model, in `constants`, for a session that
            takes them as they are; else they are copied into it. Then arrays of a dict are taken
            out of it when they are used.

    Attributes:
        constants: name → array float32, of a model that is not complete without them.
    """

    def __init__(self, arrays: Mapping[str, Any], beside: bool = False) -> None:
        self._arrays, self._beside = arrays, beside
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the arrays that were used
        self.constants: dict[str, np.ndarray] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def has(self, name: str) -> bool:
        """Whether the network has an array of that name."""
        return name in self._arrays

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """An array of the network, of a shape if one is given.

        Raises KeyError when it has none of that name, Refused when it has another shape.
        """
        found = np.asarray(self._arrays[name], np.float32)
        self._shapes[name] = found.shape
        self.require(name, shape in (None, found.shape))
        if self._beside and isinstance(self._arrays, dict):
            del self._arrays[name]  # a large network is in memory once
        return found

    def layer(
        self, name: str, axis: int = 3, roles: tuple[str, str] = ("weight", "bias")
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias of a layer whose outputs are an axis of its weight.

        roles: what the two are called. Raises Refused where they do not fit each other.
        """
        names = [f"{name}/{role}" for role in roles]
        weight, bias = map(self.weight, names)
        self.require(names[0], weight.ndim in (2, axis + 1, 4) and weight.ndim > axis)
        self.require(names[1], bias.shape == (weight.shape[axis],))
        return weight, bias

    def require_outputs(self, name: str, number: int) -> None:
        """Refused unless a layer that is still to come has so many outputs."""
        found = tuple(self._arrays[f"{name}/bias"].shape)
        if found != (number,):
            raise Refused(f"array {name}/bias: found {found}, expected {(number,)}")

    def require(self, name: str, fits: bool) -> None:
        """Refused unless an array has the shape that it must have."""
        if not fits:
            found = self._shapes[name]
            raise Refused(f"array {name}: found {found}, which does not fit the others")

    def unused(self) -> list[str]:
        """Names of arrays that nothing asked for."""
        return [name for name in self._arrays if name not in self._shapes]

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        self._inputs.append(_described(name, shape, kind))
        return name

    def constant(self, array: Any, dtype: type = np.float32) -> str:
        name = f"constant{len(self._constants)}"
        value: np.ndarray = np.ascontiguousarray(array, dtype)
        if self._beside and value.size >= LARGE:
            self.constants[name] = value
            made = TensorProto(name=name, dims=value.shape, data_type=TensorProto.FLOAT)
            made.data_location = TensorProto.EXTERNAL
            made.external_data.add(key="location", value=name)
        else:
            made = numpy_helper.from_array(value, name)
        self._constants.append(made)
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Appends an operation with one output, whose name is returned."""
        name = f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def times(self, x: str, by: Any) -> str:
        return self.add("Mul", x, self.constant(by))

    def plus(self, x: str, y: Any) -> str:
        return self.add("Add", x, self.constant(y))

    def leaky(self, x: str, slope: float = 0.2) -> str:
        return self.add("LeakyRelu", x, alpha=slope)

    def mean(self, x: str, axes: Sequence[int], keep: bool = False) -> str:
        return self.add("ReduceMean", x, self.constant(axes, np.int64), keepdims=int(keep))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        return self.add("Reshape", x, self.constant(shape, np.int64))

    def transposed(self, x: str, order: Sequence[int]) -> str:
        return self.add("Transpose", x, perm=list(order))

    def reflected(self, x: str, border: int) -> str:
        """Mirrors a border around images, the edge not repeated."""
        pads = [0, 0, border, border] * 2
        return self.add("Pad", x, self.constant(pads, np.int64), mode="reflect")

    def conv(self, x: str, kernel: np.ndarray, bias: np.ndarray | None = None, **how: Any) -> str:
        """Convolution with a kernel [k, k, in, out], as TensorFlow has it."""
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1))]
        inputs += [] if bias is None else [self.constant(bias)]
        return self.add("Conv", *inputs, **how)

    def blurred(self, x: str, taps: Sequence[int], stride: int = 1, gain: float = 1.0) -> str:
        """Every one of three channels by a separable kernel, padded by reflection."""
        one = np.array(taps, np.float32) / sum(taps)
        kernel = np.tile(gain * np.outer(one, one)[None, None], (3, 1, 1, 1))
        x = self.reflected(x, len(taps) // 2)
        return self.add("Conv", x, self.constant(kernel), group=3, strides=[stride] * 2)

    def normalized(self, x: str, epsilon: float = 1e-8) -> str:
        """Pixel norm: x / √(mean over channels of x² + epsilon)."""
        square = self.mean(self.add("Mul", x, x), [1], keep=True)
        return self.add("Div", x, self.add("Sqrt", self.plus(square, epsilon)))

    def pooled(self, x: str, factor: int = 2) -> str:
        """Mean over factor×factor pixels."""
        if factor == 1:
            return x
        return self.add("AveragePool", x, kernel_shape=[factor] * 2, strides=[factor] * 2)

    def doubled(self, x: str) -> str:
        """Every pixel four times."""
        scales = self.constant([1, 1, 2, 2])
        return self.add(
            "Resize", x, "", scales, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def dense(self, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        return self.plus(self.add("MatMul", x, self.constant(weight)), bias)

    def model(
        self, outputs: Mapping[str, tuple[str, Sequence[int | str]]], metadata: Mapping[str, str]
    ) -> onnx.ModelProto:
        """The finished model.

        outputs: name → the value that it is of, and its shape.
        """
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name], name))
        made = helper.make_graph(
            self._nodes,
            "network",
            self._inputs,
            [_described(name, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            made, opset_imports=opsets, ir_version=IR, producer_name="gan-fingerprints"
        )
        helper.set_model_props(model, dict(metadata))
        return model


def _described(
    name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
