"""Networks as models of ONNX, with the names of sources and what is done to images in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gan_fingerprints.networks.graphs.classifiers import GRAPHS, Batch
from gan_fingerprints.networks.graphs.generators import GENERATORS, RANGES
from gan_fingerprints.networks.graphs.graph import Graph
from gan_fingerprints.networks.plans import FAMILIES
from gan_fingerprints.networks.stored import Refused, clipped

if TYPE_CHECKING:
    import numpy as np
    import onnx

PREPROCESSING = "RGB, 0 to 255; other sizes are resized as gan-fingerprints resizes them"
NATIVE = "RGB, 0 to 255, not resized"
ALONE = "{}_alone"  # output: what a family of evidence says
DESCRIPTORS = "gan_fingerprints.networks.descriptors.descriptors of the same images"


def model_of(
    kind: str, arguments: Mapping[str, Any], arrays: Mapping[str, Any], batch: Batch,
    side: int | str, source_names: Sequence[str] | None = None, beside: bool = False,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:  # fmt: skip
    """The graph of a network that names sources.

    Its inputs are `images` uint8 [batch, H, W, 3] and, of networks that look at descriptors,
    `descriptors` float32 [batch, D]; its outputs `logits`, `features`, and `fingerprints`, or the
    log probabilities of each family of evidence, where there are some.

    batch, side: numbers, or names of dimensions of any size; beside: see `Graph`, whose constants
    are given, too.

    Raises:
        Refused: arrays that are missing, superfluous or of another shape.
    """
    graph = Graph(arrays, beside)
    made = _added(kind, graph, lambda: GRAPHS[kind](graph, batch, side, arguments))
    outputs: dict[str, tuple[str, list[int | str]]] = {
        "logits": (made.logits, [batch, arguments["num_sources"]]),
        "features": (made.features, [batch, "features"]),
    }
    if made.fingerprints:
        sides = [side, side] if isinstance(side, int) else ["height", "width"]
        outputs["fingerprints"] = (made.fingerprints, [batch, *sides, 3])
    for name, value in zip(FAMILIES, made.of_families, strict=False):
        outputs[ALONE.format(name)] = (value, [batch, arguments["num_sources"]])
    native = kind in ("residual", "cooccurrence")
    metadata = {
        **_described(kind, arguments),
        "source_names": json.dumps(list(source_names or [])),
        "images": NATIVE if native else PREPROCESSING,
    }
    if kind == "cooccurrence" or arguments.get("components"):
        metadata["descriptors"] = DESCRIPTORS
    return graph.model(outputs, metadata), graph.constants


def generator_of(
    kind: str, arguments: Mapping[str, Any], arrays: Mapping[str, Any], batch: Batch
) -> onnx.ModelProto:
    """The graph of a generator.

    Its inputs are `latents` float32 [batch, L], with the label appended where ProGAN has labels,
    and, of an SNGAN of several classes, `classes` float32 [batch, classes], the weight of each; its
    output is `images` float32 [batch, R, R, 3], in the range that its metadata say.

    Raises:
        Refused: as `model_of`; also a ProGAN that has not grown to its full resolution.
    """
    graph = Graph(arrays)
    made = _added(kind, graph, lambda: GENERATORS[kind](graph, batch, arguments))
    images = graph.transposed(made, (0, 2, 3, 1))
    side = next(arguments[x] for x in ("resolution", "size", "output_size") if x in arguments)
    metadata = {**_described(kind, arguments), "images": f"RGB, {RANGES[kind]}"}
    return graph.model({"images": (images, [batch, side, side, 3])}, metadata)


def _added(kind: str, graph: Graph, add: Callable[[], Any]) -> Any:
    """What `add` gives; Refused unless it used every array, and there was each that it wants."""
    try:
        made = add()
    except KeyError as error:
        raise Refused(f"array {clipped(error.args[0])} is missing for this {kind}") from None
    if rest := graph.unused():
        raise Refused(f"array {clipped(rest[0])}: found it, expected no such array in a {kind}")
    return made


def _described(kind: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    return {"network": kind, "arguments": json.dumps(dict(arguments))}
