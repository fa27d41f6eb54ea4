"""Networks written as files of ONNX, which are run and compared with TensorFlow's answers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_fingerprints import program, rooms
from gan_fingerprints.networks import files
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.graphs import exported
from gan_fingerprints.networks.graphs.generators import GENERATORS
from gan_fingerprints.networks.plans import LEAST
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped
from gan_fingerprints.program import UserError, whole_file

if TYPE_CHECKING:
    import onnx

MOST = 1e-3  # difference from TensorFlow's logits or images
STATISTICS = "gan_fingerprints.ipm.sampling"  # which stands above this
TRIED = 3  # images, and at last one
Arrays = Mapping[str, np.ndarray]


def write(path: Path, stored: StoredNetwork, origin: str) -> str:
    """Writes a generator or a network that names sources, runs it, and says how far it is off.

    origin: flag and file, for messages.

    Raises:
        UserError: arrays that make no such network; answers that differ by more than `MOST`. Then
            there is no file.
    """
    network = None
    if importlib.util.find_spec("tensorflow"):
        program.load_tensorflow()
        network = files.constructors(stored.kind)[stored.kind](**stored.arguments)
        files.fill(network, stored.arrays, origin)
    if stored.kind == "ipm_generator":
        stored = replace(stored, arrays=_of_population(network, origin))
    model = _model_of(stored, origin)
    with whole_file(path) as partial_path:
        partial_path.write_bytes(model.SerializeToString())
        largest = max(_differences(partial_path, stored, network, origin))
        if not largest <= MOST:
            raise UserError(
                f"{origin}: ONNX Runtime's answers differ by {largest:.2g} from TensorFlow's, "
                f"expected at most {MOST}; nothing was written, use the network as it is"
            )
    if network is None:
        return "runs in ONNX Runtime; not compared with TensorFlow, which is not installed"
    return f"runs in ONNX Runtime; largest difference from TensorFlow: {largest:.2g}"


def _of_population(network: Any, origin: str) -> dict[str, np.ndarray]:
    """Arrays with which an image does not depend on those that are made beside it."""
    if network is None:
        raise UserError(
            f"{origin}: its images depend on their batch until statistics are collected, which "
            "needs TensorFlow: pip install 'gan-fingerprints[train]'"
        )
    rooms.module(STATISTICS).collect_statistics(network, 0)
    return files.arrays_of(network)


def _model_of(stored: StoredNetwork, origin: str) -> onnx.ModelProto:
    kind, arguments = stored.kind, stored.arguments
    try:
        if kind in GENERATORS:
            model = exported.generator_of(kind, arguments, stored.arrays, "batch")
        else:
            side = "side" if kind == "residual" else arguments["resolution"]
            names = stored.source_names
            model, _ = exported.model_of(kind, arguments, stored.arrays, "batch", side, names)
    except Refused as error:
        raise UserError(f"{origin}: {error}") from None
    except ValueError as error:  # shapes that do not fit each other
        raise UserError(f"{origin}: makes no {kind} ({clipped(str(error))})") from None
    more = {"provenance": json.dumps(stored.provenance)}
    if stored.calibration:
        more["temperature"] = repr(stored.calibration.temperature)
    if kind == "ipm_generator":
        more["statistics"] = "population, of 6,400 images"
    for name, value in more.items():
        model.metadata_props.add(key=name, value=value)
    return model


def _differences(path: Path, stored: StoredNetwork, network: Any, origin: str) -> Iterator[float]:
    """Of some random inputs each; 0 without a network to compare with."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say is raised, too
    try:
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        for feed in _inputs(stored, {x.name: x.shape for x in session.get_inputs()}):
            given = {x.name: feed[x.name] for x in session.get_inputs()}
            names = [x.name for x in session.get_outputs()]
            found = dict(zip(names, session.run(names, given), strict=True))
            expected = _expected(network, feed) if network is not None else {}
            yield max([0.0, *(float(np.abs(found[x] - y).max()) for x, y in expected.items())])
    except Exception as error:  # ONNX Runtime's are of many kinds
        raise UserError(f"{origin}: makes no {stored.kind} ({clipped(str(error))})") from None


def _inputs(stored: StoredNetwork, shapes: Mapping[str, Any]) -> Iterator[Arrays]:
    rng = np.random.default_rng(0)
    if stored.kind in GENERATORS:
        for number in (TRIED, 1):
            feed = {x: rng.uniform(-1, 1, (number, n[1])) for x, n in shapes.items()}
            if "classes" in feed:
                classes = shapes["classes"][1]
                feed["classes"] = np.eye(classes)[rng.integers(0, classes, number)]
            yield {name: np.asarray(x, np.float32) for name, x in feed.items()}
        return
    sides = {stored.arguments["resolution"]}
    sides |= {LEAST, 2 * LEAST} if stored.kind == "residual" else set()
    for number, side in zip((TRIED, 1, 2, 2), (*sides, *sides), strict=False):
        pixels = rng.integers(0, 256, (number, side, side, 3), np.uint8)
        feed = {"images": pixels}
        if "descriptors" in shapes:
            feed["descriptors"] = np.asarray(descriptors(pixels), np.float32)
        yield feed


def _expected(network: Any, feed: Arrays) -> Arrays:
    """What TensorFlow answers: images of a generator, or logits, and visNet's fingerprints."""
    if network.name in GENERATORS:
        how = {"statistics": "population"} if network.name == "ipm_generator" else {}
        return {"images": np.asarray(network(*feed.values(), **how))}
    images = feed["images"].astype(np.float32) / np.float32(127.5) - 1
    if network.name == "visnet_autoencoder":
        made = network.outputs(images)
        return {"logits": np.asarray(made.logits), "fingerprints": np.asarray(made.fingerprints)}
    return {"logits": np.asarray(network.answers(images)[0])}
