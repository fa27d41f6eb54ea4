"""What the weights of a checkpoint of the 2019 release say about its generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIXES = {"ipm_generator": "generator/", "ipm_discriminator": "discriminator/"}


def generator_arguments(arrays: Mapping[str, Any], doublings: int) -> dict[str, int] | None:
    """Size and width of a published generator, from the shapes of its first and last weights.

    Returns:
        output_size, gf_dim and z_dim, or None when these weights are not there.
    """
    first = arrays.get("generator/g_h0_lin/Matrix")
    last = arrays.get(f"generator/g_h{doublings}/w")
    if first is None or last is None or len(first.shape) != 2 or len(last.shape) != 4:
        return None
    gf_dim = last.shape[3]
    side = round((first.shape[1] / (gf_dim * 2 ** (doublings - 1))) ** 0.5)
    return {"output_size": side * 2**doublings, "gf_dim": gf_dim, "z_dim": first.shape[0]}
