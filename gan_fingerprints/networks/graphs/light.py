"""Networks that answer without TensorFlow, by ONNX Runtime.

Their graphs are made here, from a file's kind, arguments and weights; no graph of anybody else is
ever loaded. Answers are those of TensorFlow up to rounding, some 1e-5 of a logit.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.plans import FAMILIES, LEAST
from gan_fingerprints.networks.stored import Refused, clipped
from gan_fingerprints.program import UserError
from gan_fingerprints.workers import cores

AT_ONCE = 4  # images: a single one costs no 64, and of more none is much faster
PACKAGES = ("onnx", "onnxruntime")
RUNTIME = "GAN_FINGERPRINTS_RUNTIME"
AUTO, LIGHT, TENSORFLOW = "auto", "light", "tensorflow"
GPU = Path("/proc/driver/nvidia/version")  # is there where there are NVIDIA GPUs and their driver


def chosen() -> bool:
    """Whether networks answer without TensorFlow: where that can be had, unless told otherwise.

    Where TensorFlow and a GPU are there, and ONNX Runtime is the one for processors, they answer.

    Raises:
        UserError: the variable asks for something else, or for what is not installed.
    """
    asked = os.environ.get(RUNTIME) or AUTO
    if asked not in (AUTO, LIGHT, TENSORFLOW):
        raise UserError(f"{RUNTIME}: found {asked!r}, expected {AUTO}, {LIGHT} or {TENSORFLOW}")
    missing = [name for name in PACKAGES if not importlib.util.find_spec(name)]
    if asked == LIGHT and missing:
        raise UserError(
            f"{RUNTIME}={LIGHT}: needs the packages {' and '.join(missing)}: "
            f"pip install {' '.join(missing)}"
        )
    if asked == TENSORFLOW and not importlib.util.find_spec("tensorflow"):
        raise UserError(
            f"{RUNTIME}={TENSORFLOW}: needs TensorFlow: pip install 'gan-fingerprints[train]'"
        )
    if asked == AUTO and GPU.exists() and importlib.util.find_spec("tensorflow"):
        return not missing and _for_gpus()
    return asked != TENSORFLOW and not missing


def _for_gpus() -> bool:
    import onnxruntime

    return PROVIDERS[0] in onnxruntime.get_available_providers()


def constructors(kinds: tuple[str, ...]) -> dict[str, Callable[..., Network]]:
    """What `files.load` builds networks of some kinds with."""
    return {kind: partial(Network, kind) for kind in kinds}


class Network:
    """A network of a file, without weights before `fill`.

    Args:
        name: the kind of network; arguments: of its constructor.

    Attributes:
        least_side, families: as those of the Keras models have.
        at_once: images that it is given in one go; sources: number of its logits.
        model_fingerprints: of visNet only; its `weight` is float32 [R, R, 3, sources].
    """

    at_once = AT_ONCE
    model_fingerprints: Any

    def __init__(self, name: str, **arguments: Any) -> None:
        self.name, self.arguments = name, arguments
        self.sources: int = arguments["num_sources"]
        self.families = FAMILIES if arguments.get("components") and "members" in arguments else ()
        if "members" in arguments:
            self.least_side = LEAST
        elif name == "cooccurrence":
            self.least_side = min(LEAST, arguments["resolution"])
        self._arrays: Mapping[str, Any] = {}
        self._sessions: dict[int, Any] = {}

    def fill(self, arrays: dict[str, Any], origin: str) -> None:
        """Takes the weights, and leaves none. Raises UserError unless they make this network."""
        self._origin, self._arrays = origin, arrays
        if hasattr(self, "least_side"):
            self._arrays = MappingProxyType(dict(arrays))  # further sides will be asked for
        if self.name == "visnet_autoencoder" and "Conv_fingerprints/weight" in arrays:
            weight = np.asarray(arrays["Conv_fingerprints/weight"])
            self.model_fingerprints = SimpleNamespace(weight=weight)
        self._session(self.arguments["resolution"])  # finds out

    def outputs_for(
        self, side: int, features: bool = False, fingerprints: bool = False
    ) -> Callable[[np.ndarray], list[np.ndarray]]:
        """uint8 [at_once, side, side, 3] → float32 outputs, see `asking.Asked.outputs`."""
        from gan_fingerprints.networks.graphs import exported

        session = self._session(side)
        inputs = [x.name for x in session.get_inputs()]
        wanted = ["logits"]
        if self.families or features:
            wanted += ["features", *map(exported.ALONE.format, self.families)]
        if fingerprints:
            wanted = ["logits", "logits", "fingerprints"]
        names = list(dict.fromkeys(wanted))

        def outputs(pixels: np.ndarray) -> list[np.ndarray]:
            feed = {"images": pixels} if "images" in inputs else {}
            if "descriptors" in inputs:
                feed["descriptors"] = np.asarray(descriptors(pixels), np.float32)
            found = dict(zip(names, session.run(names, feed), strict=True))
            return [found[name] for name in wanted]

        return outputs

    def _session(self, side: int) -> Any:
        """What runs the graph for images of a side; it is made once."""
        if side not in self._sessions:
            self._sessions[side] = self._made(side)
        return self._sessions[side]

    def _made(self, side: int) -> Any:
        import onnxruntime

        from gan_fingerprints.networks.graphs import exported

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it has to say is raised, too
        options.intra_op_num_threads = cores()
        # Threads that wait by spinning take the core from those that read images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [x for x in PROVIDERS if x in onnxruntime.get_available_providers()]
        try:
            model, weights = exported.model_of(
                self.name, self.arguments, self._arrays, AT_ONCE, side, beside=True
            )
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(x) for x in weights.values()]
            options.add_external_initializers(list(weights), values)
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=providers
            )
        except Refused as error:
            raise UserError(f"{self._origin}: {error}") from None
        except Exception as error:  # ONNX Runtime's are of many kinds
            raise UserError(
                f"{self._origin}: weights that make no {self.name} ({clipped(error)}); use the "
                "settings that the file's network was trained with"
            ) from None
        return session


PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
