"""Published ProGANs, classifiers and visNets: their functions and variables under our names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gan_fingerprints.networks.header import require_arguments, require_lod
from gan_fingerprints.networks.published import pickle_reader
from gan_fingerprints.networks.published.pickled_arrays import Array, described
from gan_fingerprints.networks.stored import Refused, StoredArray, StoredNetwork, clipped

MAX_NETWORKS = 3
COMMON = {"resolution": None, "fmap_base": 8192, "fmap_max": 512}
PROGAN = {**COMMON, "label_size": 0, "fused_scale": True}
TRUNK = {**COMMON, "mode": "postpool", "switching_res": 4, "fused_scale": False}

# Function of the release → kind of ours, and the values of arguments that a file does not give.
# None: a file has to give it.
FUNCTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "G_paper": ("generator", PROGAN),
    "D_paper": ("discriminator", {**PROGAN, "mbstd_group_size": 4}),
    "C_patch": ("classifier", {**TRUNK, "label_size": None, "latent_res": 4}),
    "EG": ("visnet_autoencoder", {**TRUNK, "label_size": None, "latent_res": -1,
                                  "use_pixelnorm": False, "normalize_latents": False}),
    "D_patch": ("visnet_critic", {**TRUNK, "latent_res": -1, "mbstd_group_size": 4}),
}  # fmt: skip
OUR_ARGUMENTS = {"C_patch": {"label_size": "num_sources"}, "EG": {"label_size": "num_sources"}}

# Arguments that would change the network in a way that ours does not have, with the only value
# that is understood.
FIXED = {"num_channels": 3, "fmap_decay": 1, "use_wscale": True, "use_leakyrelu": True}
FIXED_PROGAN = {**FIXED, "use_pixelnorm": True, "normalize_latents": True}
FIXED_CLASSIFIER = {**FIXED, "mbstd_group_size": 0}
FIXED_OF = {"G_paper": FIXED_PROGAN, "C_patch": FIXED_CLASSIFIER}


def read(path: Path) -> list[StoredNetwork]:
    """The networks of a published pickle, in its order; the last is the one to use.

    Raises:
        Refused: the file holds anything but networks, or is damaged.
    """
    content = pickle_reader.read(path)
    records = content if type(content) is tuple else (content,)
    if not 0 < len(records) <= MAX_NETWORKS:
        raise Refused(f"{len(records)} values, expected one network or a tuple of three")
    return [_network(record) for record in records]


def our_name(name: str) -> str:
    """`8x8/Conv1/weight` → `8x8_Conv1/weight`."""
    layer, _, role = name.rpartition("/")
    return f"{layer.replace('/', '_')}/{role}" if layer else role


def _network(record: Any) -> StoredNetwork:
    if type(record) is not pickle_reader.Network or record.state is None:
        raise Refused(f"{described(record)} where a network with its state is expected")
    state = record.state
    function = state.get("build_func_name")
    if type(function) is not str or function not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise Refused(f"a network made by {clipped(function)}; expected one of {known}")
    kind, _ = FUNCTIONS[function]
    given = state.get("static_kwargs")
    if type(given) is not dict:
        raise Refused("a network without its arguments (static_kwargs)")
    arguments = our_arguments(function, given)
    published_as = f"{clipped(state.get('name'))} ({function})"
    arrays = _arrays(state.get("variables"))
    network = StoredNetwork(kind, arguments, arrays, published_as=published_as)
    require_lod(network)
    return network


def our_arguments(function: str, given: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments of ours for the keyword arguments of a published function.

    Those that the function did not know are left out, as it did.

    Raises:
        Refused: an argument that our network does not have, or a value that makes no sense.
    """
    given = {name: _plain(value) for name, value in given.items()}
    for name, expected in FIXED_OF.get(function, FIXED).items():
        if given.get(name, expected) != expected:
            raise Refused(f"{name}={clipped(given[name])}; only {expected} is understood")
    renamed = OUR_ARGUMENTS.get(function, {})
    arguments = {}
    for name, default in FUNCTIONS[function][1].items():
        arguments[renamed.get(name, name)] = given.get(name, default)
    require_arguments(FUNCTIONS[function][0], arguments)
    if arguments.get("mode") == "predownscale_residual":  # ours alone
        raise Refused("mode=predownscale_residual; expected postpool or predownscale")
    return arguments


def _plain(value: Any) -> Any:
    """A keyword argument as a plain value; NumPy's scalars become Python's."""
    if type(value) is Array and value.content is not None and value.content.shape == ():
        return np.asarray(value.content).item()
    return value


def _arrays(variables: Any) -> dict[str, StoredArray]:
    if type(variables) is not list:
        raise Refused("a network without its list of variables")
    arrays: dict[str, StoredArray] = {}
    for entry in variables:
        if type(entry) is not tuple or len(entry) != 2 or type(entry[0]) is not str:
            raise Refused("a variable that is not a name with an array")
        name, value = our_name(entry[0]), entry[1]
        content = value.content if type(value) is Array else None
        if content is None and type(value) in (int, float):
            content = _constant(value)
        if content is None or name in arrays:
            what = "twice" if name in arrays else "without an array"
            raise Refused(f"variable {clipped(entry[0])} {what}")
        arrays[name] = content
    return arrays


def _constant(value: float) -> StoredArray:
    array = np.asarray(value, np.float64)
    return StoredArray((), array.dtype, lambda: array)
