"""Whether a network is as large as its file can honestly say, asked before it is built or read.

A file's arguments decide how much memory the network takes, and a few bytes may ask for more than
there is. The estimates are upper bounds, up to a factor of two for published configurations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from gan_fingerprints.legacy.stored import Refused, StoredNetwork, clipped

ALWAYS_ALLOWED = 40_000_000  # parameters; no published configuration needs more
MAX_RATIO = 4  # of the parameters that are built to those in the file, beyond that
MAX_EXCESS = 2  # of the parameters in the file to those that are built
SLACK = 1_000_000  # parameters, for networks so narrow that the estimates do not hold
WIDTHS = ("ch", "gf_dim", "df_dim")


def require_plausible(network: StoredNetwork) -> None:
    """Refused when the network would be far larger, or smaller, than what its file holds."""
    for name, value in network.arguments.items():
        if not isinstance(value, str | int | float | None):
            raise Refused(f"{clipped(name)} is a {type(value).__name__}, expected a plain value")
        if isinstance(value, int | float) and not -1 <= value <= 2**24:
            raise Refused(f"{clipped(name)}={clipped(value)}; expected at most {2**24:,}")
    stored = sum(math.prod(array.shape) for array in network.arrays.values())
    needed = parameters_at_most(network.arguments)
    too_large = needed > max(ALWAYS_ALLOWED, MAX_RATIO * stored)
    if too_large or stored > MAX_EXCESS * needed + SLACK:
        shown = ", ".join(f"{clipped(k)}={clipped(v)}" for k, v in network.arguments.items())
        raise Refused(
            f"its arguments ({shown}) are of a network of some {needed:,} parameters, but it "
            f"holds {stored:,}"
        )


def parameters_at_most(arguments: Mapping[str, Any]) -> int:
    """An upper bound on the parameters of a network of any kind."""
    numbers = {k: int(v) for k, v in arguments.items() if isinstance(v, int | float)}
    side = max(numbers.get(name, 4) for name in ("resolution", "size", "output_size"))
    outputs = max(numbers.get(n, 0) for n in ("label_size", "num_sources", "n_classes", "dof_dim"))
    if "fmap_base" in numbers:
        maps = [
            min(numbers["fmap_base"] >> stage, numbers.get("fmap_max", 512))
            for stage in range(max(side, 4).bit_length())
        ]
        convolutions = sum(9 * b * (a + b) for a, b in itertools.pairwise(maps))
        dense = 17 * maps[1] * (max(maps[0], maps[1], outputs) + outputs)
        return 2 * convolutions + dense + 3 * side * side * numbers.get("num_sources", 0)
    width = max((numbers.get(name, 0) for name in WIDTHS), default=0)
    latent = max(numbers.get(name, 0) for name in ("dim_z", "z_dim"))
    first = max(4, side // 16)  # side of the first features, or twice that
    return 8000 * width * width + 16 * width * (first * first * latent + 16 * outputs)
