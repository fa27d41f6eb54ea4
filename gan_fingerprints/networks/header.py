"""What a network file may say of itself: one set of rules for every format, without TensorFlow.

All of it is checked before a network is built, so that a file that lies costs no time or memory.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_fingerprints import card
from gan_fingerprints.likelihoods.fitted import Likelihoods
from gan_fingerprints.networks import descriptors, precision, stored_enrolment
from gan_fingerprints.networks.discriminant import MOST_COMPONENTS, STRONGEST, Discriminant
from gan_fingerprints.networks.published.tf1_networks import DOUBLINGS
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import SOURCE_NAMES, are_source_names, is_source_name

ALWAYS_ALLOWED = 40_000_000  # parameters; no published configuration needs more
MAX_RATIO = 4  # of the parameters that are built to those in the file, beyond that
MAX_EXCESS = 2  # of the parameters in the file to those that are built
SLACK = 1_000_000  # parameters, for networks so narrow that the estimates do not hold
RESIDUAL_FEATURES = 8  # of a member, in multiples of its width
WIDTHS = ("ch", "gf_dim", "df_dim")
SIDE_NAMES = ("resolution", "size", "output_size")
LARGE_AT_ONCE = 3  # arrays as large as the largest activation that are in memory together
ACTIVATIONS = (2**31, 2**33)  # bytes: what every network may take, and what none may exceed
ACTIVATIONS_RATIO = 64  # between these: of the activations to the weights
MAX_DEPTH = 6  # of objects within each other


@dataclass(frozen=True)
class Rule:
    """Which values are allowed, and how messages say so."""

    holds: Callable[[Any], bool]
    expected: str


def _whole(low: int, high: int) -> Rule:
    expected = f"a whole number from {low:,} to {high:,}"
    return Rule(lambda x: type(x) is int and low <= x <= high, expected)


def _one_of(*values: Any) -> Rule:
    listed = ", ".join(map(str, values))
    return Rule(lambda x: type(x) is type(values[0]) and x in values, f"one of {listed}")


def _plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether JSON holds no more than texts and numbers, in a few levels."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_plain(x, depth - 1) for x in inner)
    return value is None or isinstance(value, str) or abs(value) < math.inf


OBJECT = Rule(lambda x: type(x) is dict, "an object")
PLAIN = Rule(lambda x: type(x) is dict and _plain(x), f"texts and numbers in an object, "
             f"at most {MAX_DEPTH} levels deep")  # fmt: skip
SWITCH = _one_of(False, True)
SIDES = [2**i for i in range(2, 13)]
SIDE = _one_of(*SIDES)
WIDTH, LENGTH = _whole(1, 2**12), _whole(1, 2**16)  # of a network; of latents and features
CLASSES, GROUP = _whole(0, 2**16), _whole(0, 2**16)
ARCHITECTURE = _one_of(*DOUBLINGS)
PROGRESSIVE = {"resolution": SIDE, "fmap_base": _whole(1, 2**20), "fmap_max": _whole(1, 2**14),
               "fused_scale": SWITCH}  # fmt: skip
TRUNK = {
    **PROGRESSIVE,
    "mode": _one_of("postpool", "predownscale", "predownscale_residual"),
    "switching_res": SIDE,
    "latent_res": _one_of(-1, *SIDES),
}
SOURCES = _whole(1, 2**16)
NAMING = {**TRUNK, "num_sources": SOURCES}  # the source of an image
SNGAN = {"size": _one_of(32, 64, 128, 256), "ch": WIDTH, "n_classes": CLASSES}
IPM = {"architecture": ARCHITECTURE, "output_size": _whole(4, SIDES[-1])}
ARGUMENTS: dict[str, dict[str, Rule]] = {
    "generator": {**PROGRESSIVE, "label_size": CLASSES},
    "discriminator": {**PROGRESSIVE, "label_size": CLASSES, "mbstd_group_size": GROUP},
    "ResNetGenerator": {
        **SNGAN,
        "dim_z": LENGTH,
        "distribution": _one_of("normal", "uniform"),
    },
    "SNResNetProjectionDiscriminator": SNGAN,
    "ipm_generator": {**IPM, "gf_dim": WIDTH, "z_dim": LENGTH},
    "ipm_discriminator": {**IPM, "df_dim": WIDTH, "dof_dim": LENGTH, "batch_norm": SWITCH},
    "classifier": NAMING,
    "residual": {
        "resolution": _whole(32, SIDES[-1]),
        "num_sources": SOURCES,
        "width": WIDTH,
        "members": _whole(1, 3),
        "components": _whole(0, MOST_COMPONENTS),
    },
    "cooccurrence": {"resolution": SIDE, "num_sources": NAMING["num_sources"], "components": WIDTH},
    "visnet_autoencoder": {
        **NAMING,
        "use_pixelnorm": SWITCH,
        "normalize_latents": SWITCH,
        "correlation": _one_of("inner", "normalized"),
    },
    "visnet_critic": {**TRUNK, "mbstd_group_size": GROUP},
}
"""Kind of network → its constructor's arguments."""
NOT_PUBLISHED = ("distribution", "correlation")  # arguments that published files do not have
FIELDS = {
    "network": _one_of(*ARGUMENTS),
    "arguments": OBJECT,
    "input_range": Rule(lambda x: json.dumps(x) == "[-1, 1]", "[-1, 1]"),
    "source_names": Rule(lambda x: x is None or type(x) is list, "a list of names, or null"),
    "provenance": PLAIN,
    "calibration": OBJECT,
    "enrolment": OBJECT,
    "likelihoods": OBJECT,
    "card": PLAIN,
    "bfloat16": OBJECT,
    "sha256": Rule(lambda x: type(x) is str and bool(re.fullmatch("[0-9a-f]{64}", x)),
                   "64 hexadecimal digits"),
}  # fmt: skip
PROVENANCE = {"images_shown": _whole(0, 2**53), "seed": _whole(0, 2**63)}


def require(
    values: Mapping[str, Any], rules: Mapping[str, Rule], optional: Collection[str]
) -> None:
    """Refused unless all values are there, none besides, and each as its rule says."""
    for name in values:
        if name not in rules:
            raise Refused(f"{clipped(name)}: unknown; expected only {', '.join(rules)}")
    for name, rule in rules.items():
        if name not in values and name not in optional:
            raise Refused(f"no {name}; expected {rule.expected}")
        if name in values and not rule.holds(values[name]):
            raise Refused(f"{name}={clipped(values[name])}; expected {rule.expected}")


def read(text: str) -> dict[str, Any]:
    """The header that a JSON text states.

    Raises:
        Refused: a field is missing, unknown, there twice or of another type or range.
        ValueError, RecursionError: no JSON.
    """
    header = loaded(text)
    require(header, FIELDS, ["calibration", "enrolment", "likelihoods", "card", "bfloat16"])
    kind, arguments, names = (header[x] for x in ("network", "arguments", "source_names"))
    require_arguments(kind, arguments)
    known = {name: x for name, x in header["provenance"].items() if name in PROVENANCE}
    require(known, PROVENANCE, PROVENANCE)
    if names is not None:
        if "num_sources" not in arguments:
            raise Refused(f"source_names of a {kind}, which names no sources; expected null")
        require_names(names, arguments["num_sources"])
    elif not {"calibration", "enrolment", "bfloat16"}.isdisjoint(header):
        raise Refused("a calibration, enrolment or bfloat16 without source names")
    try:
        if "enrolment" in header:
            stored_enrolment.require(header["enrolment"], is_source_name, names or [])
        if "likelihoods" in header:
            Likelihoods.read(header["likelihoods"])
        if "card" in header:
            card.require(header["card"])
        precision.require(header.get("bfloat16"))
    except ValueError as error:
        raise Refused(clipped(str(error))) from None
    if "likelihoods" in header and "calibration" not in header:
        raise Refused("likelihoods without the calibration that they are about")
    return header


def loaded(text: str) -> dict[str, Any]:
    """The object that a JSON text states; raises as `read`."""
    header = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    if type(header) is not dict:
        raise Refused("a header that is no object")
    return header


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Refused(f"a name twice among {', '.join(clipped(name) for name in made)}"[:200])
    return made


def _no_number(text: str) -> None:
    raise Refused(f"{text} in the header; expected numbers")


def require_arguments(kind: str, arguments: Mapping[str, Any]) -> None:
    """Refused unless these are the constructor's arguments of a kind of network, each in range."""
    require(arguments, ARGUMENTS[kind], NOT_PUBLISHED)
    if "fmap_base" in arguments and arguments["fmap_base"] < _first_side(kind, arguments) // 2:
        raise Refused(
            f"fmap_base={arguments['fmap_base']}; expected so many that the first convolution "
            "has channels"
        )
    if "architecture" in arguments:
        step = 2 ** DOUBLINGS[arguments["architecture"]]
        if arguments["output_size"] % step:
            raise Refused(f"output_size={arguments['output_size']}; expected a multiple of {step}")


def require_names(names: Sequence[Any], outputs: int) -> None:
    """Refused unless each of a network's outputs has a source name of its own.

    They become parts of file names, lines of tables and labels of figures.
    """
    if len(names) != outputs or not are_source_names(names):
        shown = ", ".join(clipped(name) for name in names[:outputs])[:200]
        raise Refused(
            f"found {len(names)} names ({shown}), expected {outputs} different ones of "
            f"{SOURCE_NAMES}"
        )


def require_lod(network: StoredNetwork) -> None:
    """Refused unless a generator's stored lod is one of the resolutions' that it has."""
    lod = network.arrays.get("lod")
    if network.kind == "generator" and lod is not None and lod.shape == ():
        highest = network.arguments["resolution"].bit_length() - 3
        if not 0 <= float(np.asarray(lod)) <= highest:
            raise Refused(f"lod {float(np.asarray(lod))}; expected 0 to {highest}")


def features_of(network: StoredNetwork) -> int:
    """Length of the features that a classifier's or auto-encoder's calibration is about."""
    arguments = network.arguments
    sources = arguments["num_sources"]
    if network.kind == "residual":
        of_members = RESIDUAL_FEATURES * arguments["width"] * arguments["members"]
        return of_members + arguments["components"]
    if network.kind == "cooccurrence":
        return arguments["components"]
    if network.kind != "classifier":
        return sources
    stage = max(arguments["latent_res"], 4).bit_length() - 2
    return max(min(arguments["fmap_base"] >> stage, arguments["fmap_max"]), sources)


def judged_of(network: StoredNetwork) -> int:
    """How many of the features its calibration measures distances in."""
    components = network.arguments["components"] if network.kind == "residual" else 0
    return min(STRONGEST, components) if components else features_of(network)


def require_plausible(network: StoredNetwork) -> None:
    """Refused when the network would be far larger, or smaller, than what its file holds."""
    require_arguments(network.kind, network.arguments)
    stored = _stored(network)
    needed = parameters_at_most(network.kind, network.arguments)
    too_large = needed > max(ALWAYS_ALLOWED, MAX_RATIO * stored)
    if too_large or stored > MAX_EXCESS * needed + SLACK:
        shown = ", ".join(f"{clipped(k)}={clipped(v)}" for k, v in network.arguments.items())
        raise Refused(
            f"its arguments ({shown}) are of a network of some {needed:,} parameters, but it "
            f"holds {stored:,}"
        )


def _stored(network: StoredNetwork) -> int:
    return sum(math.prod(array.shape) for array in network.arrays.values())


def parameters_at_most(kind: str, arguments: Mapping[str, Any]) -> int:
    """An upper bound on the parameters of a network of any kind."""
    if kind == "cooccurrence":
        return _of_discriminant(arguments)
    numbers = {k: int(v) for k, v in arguments.items() if isinstance(v, int | float)}
    side = _side(arguments)
    outputs = max(numbers.get(n, 0) for n in ("label_size", "num_sources", "n_classes", "dof_dim"))
    if "fmap_base" in numbers:
        maps = [
            min(numbers["fmap_base"] >> stage, numbers.get("fmap_max", 512))
            for stage in range(max(side, 4).bit_length())
        ]
        convolutions = sum(9 * b * (a + b) for a, b in itertools.pairwise(maps))
        dense = 17 * maps[1] * (max(maps[0], maps[1], outputs) + outputs)
        return 2 * convolutions + dense + 3 * side * side * numbers.get("num_sources", 0)
    if "members" in numbers:
        width = numbers["width"]
        features = RESIDUAL_FEATURES * width
        one = 1500 * width * width + 400 * width + features * outputs
        return numbers["members"] * one + _of_discriminant(arguments)
    width = max((numbers.get(name, 0) for name in WIDTHS), default=0)
    latent = max(numbers.get(name, 0) for name in ("dim_z", "z_dim"))
    first = max(4, side // 16)  # side of the first features, or twice that
    return 8000 * width * width + 16 * width * (first * first * latent + 16 * outputs)


def _of_discriminant(arguments: Mapping[str, Any]) -> int:
    sizes = descriptors.length(), arguments["num_sources"], arguments["components"]
    return sum(map(math.prod, Discriminant.shapes(*sizes).values()))


def require_memory(network: StoredNetwork, batch: int, origin: str, flag: str) -> None:
    """UserError when a batch's activations take more than the budget; `flag` gives the batch.

    The budget is 2 GiB, or 64 times the weights, at most 8 GiB.
    """
    least, most = ACTIVATIONS
    budget = min(max(least, ACTIVATIONS_RATIO * 4 * _stored(network)), most)
    one = LARGE_AT_ONCE * 4 * _largest_activation(network.kind, network.arguments)
    if one * batch > budget:
        advice = f"lower {flag} to {budget // one}" if budget >= one else "use a smaller network"
        raise UserError(
            f"{origin}: images of {_side(network.arguments)} pixels take some "
            f"{one * batch / 2**30:.1f} GiB in batches of {batch}, expected at most "
            f"{budget / 2**30:.1f} GiB for a network of its size; {advice}"
        )


def _largest_activation(kind: str, arguments: Mapping[str, Any]) -> int:
    """Numbers of an image in the largest layer, about."""
    side = _side(arguments)
    if "members" in arguments:
        return side * side * max(27, 2 * arguments["width"])
    if kind == "cooccurrence":
        return 3 * side * side  # the image itself; few images are described at once
    if "fmap_base" not in arguments:
        width = next(arguments[name] for name in WIDTHS if name in arguments)
        return side * side * 2 * width
    first = _first_side(kind, arguments)
    unfused = not arguments["fused_scale"]  # then a layer has the channels of half its side
    largest = 3 * side * side
    for stage in range(2, first.bit_length()):
        channels = min(arguments["fmap_base"] >> (stage - 1 - unfused), arguments["fmap_max"])
        largest = max(largest, 4**stage * channels)
    return largest


def _side(arguments: Mapping[str, Any]) -> int:
    return next(arguments[name] for name in SIDE_NAMES if name in arguments)


def _first_side(kind: str, arguments: Mapping[str, Any]) -> int:
    """Largest side at which a progressive network convolves."""
    shrinks = arguments.get("mode", "postpool") != "postpool" and kind != "visnet_autoencoder"
    return arguments["switching_res" if shrinks else "resolution"]
