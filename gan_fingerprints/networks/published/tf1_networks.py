"""Networks of CramerGAN and MMDGAN in a TensorFlow 1 checkpoint, described without TensorFlow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_fingerprints.networks.published import tf1_checkpoint
from gan_fingerprints.networks.stored import Refused, StoredArray, StoredNetwork, clipped
from gan_fingerprints.program import UserError

PREFIXES = {"ipm_generator": "generator/", "ipm_discriminator": "discriminator/"}
DOUBLINGS = {"g_resnet5": 5, "resnet5": 5, "dcgan": 4, "dcgan5": 5, "d_fullconv5": 5}
"""Architecture → how often the side of the image doubles from the generator's first side on."""
DESCRIBED = re.compile(rf"_({'|'.join(sorted(DOUBLINGS, key=len, reverse=True))})_dc_")


def read(prefix: Path, flag: str) -> list[StoredNetwork]:
    """Discriminator and generator of a checkpoint, the generator last.

    Raises:
        UserError: damaged, or without such networks.
    """
    try:
        arrays = tf1_checkpoint.arrays(prefix)
        networks = _networks(prefix, arrays)
    except Refused as error:
        raise UserError(f"{flag} {prefix}: refused: {error}; damaged, or not published") from None
    provenance: dict[str, Any] = {"published_file": prefix.name}
    for file in sorted(prefix.parent.glob(f"{prefix.name}.data-*")):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        provenance.setdefault("published_sha256", digest)
    return [
        StoredNetwork(kind, arguments, weights, None, dict(provenance), PREFIXES[kind][:-1])
        for kind, arguments, weights in networks
    ]


def our_name(name: str) -> str:
    """`g_res1.Conv1/g_res1.Conv1.Filters` → `g_res1.Conv1/Filters`, `g_h4.scale` → `g_h4/scale`."""
    name = re.sub(r"^(.+)/\1\.(Filters|Biases)$", r"\1/\2", name)
    return re.sub(r"\.(offset|scale|moving_mean|moving_variance)$", r"/\1", name)


def _networks(
    prefix: Path, arrays: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any], dict[str, StoredArray]]]:
    architecture = _architecture(prefix, arrays)
    shape = generator_arguments(arrays, DOUBLINGS[architecture])
    if shape is None:
        held = ", ".join(clipped(name) for name in list(arrays)[:3]) or "nothing"
        raise Refused(f"arrays of no generator of the release ({held} …)")
    weights = {kind: _below(arrays, start) for kind, start in PREFIXES.items()}
    critic = weights["ipm_discriminator"]
    networks = [
        ("ipm_generator", {"architecture": architecture, **shape}, weights["ipm_generator"])
    ]
    last = next((a for name, a in critic.items() if re.match(r"d_h\w_(lin/Matrix|conv/w)$", name)
                 and ("_lin" in name or "hF" in name)), None)  # fmt: skip
    if "d_h0_conv/w" in critic and last is not None:
        arguments = {
            "architecture": architecture,
            "output_size": shape["output_size"],
            "df_dim": critic["d_h0_conv/w"].shape[-1],
            "dof_dim": last.shape[-1],
            "batch_norm": "d_bn1/scale" in critic,
        }
        networks.insert(0, ("ipm_discriminator", arguments, critic))
    return networks


def _below(arrays: Mapping[str, StoredArray], start: str) -> dict[str, StoredArray]:
    return {
        our_name(name.removeprefix(start)): array
        for name, array in arrays.items()
        if name.startswith(start)
    }


def _architecture(prefix: Path, arrays: Mapping[str, StoredArray]) -> str:
    """As the folder's name says, else as the weights' names do."""
    described = DESCRIBED.search(prefix.parent.name)
    if described:
        return described[1]
    if "generator/g_res1.Conv1/g_res1.Conv1.Filters" in arrays:
        residual = any(name.startswith("discriminator/d_res1") for name in arrays)
        return "resnet5" if residual else "g_resnet5"
    if "discriminator/d_hF_conv/w" in arrays:
        return "d_fullconv5"
    return "dcgan5" if "generator/g_h5/w" in arrays else "dcgan"


def generator_arguments(arrays: Mapping[str, Any], doublings: int) -> dict[str, int] | None:
    """output_size, gf_dim and z_dim of a published generator; None without its weights' shapes."""
    first = arrays.get("generator/g_h0_lin/Matrix")
    last = arrays.get(f"generator/g_h{doublings}/w")
    if first is None or last is None or len(first.shape) != 2 or len(last.shape) != 4:
        return None
    # The dense layer makes side² places of the widest maps, which halve in width each doubling.
    gf_dim = last.shape[3]
    side = round((first.shape[1] / (gf_dim * 2 ** (doublings - 1))) ** 0.5)
    return {"output_size": side * 2**doublings, "gf_dim": gf_dim, "z_dim": first.shape[0]}
