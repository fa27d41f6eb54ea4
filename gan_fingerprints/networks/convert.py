"""Turns a network file of the 2019 release into one of ours, or any into one of ONNX; shows it."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_fingerprints import program, typed
from gan_fingerprints.networks import files
from gan_fingerprints.networks.header import require_plausible
from gan_fingerprints.networks.published.source_names import source_names
from gan_fingerprints.networks.stored import Refused, StoredNetwork, clipped
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Turns a network file of the 2019 release into a .safetensors file, and shows what a file holds.
Nothing in a file is run. Converting is not needed to use a published file: every command reads it.
A generator, or a network that names sources, becomes a .onnx file for other programs: it is run by
ONNX Runtime, and compared with TensorFlow where that is installed.

  gan-fingerprints convert celeba_align_png_cropped.pkl generator.safetensors
  gan-fingerprints convert ResNetGenerator_150000.npz generator.safetensors
  gan-fingerprints convert generator.safetensors ResNetGenerator_150000.npz
  gan-fingerprints convert CramerGAN/models/cramer_gan/ generator.safetensors
  gan-fingerprints convert network-final.safetensors network-final.onnx
  gan-fingerprints convert --show celeba_align_png_cropped.pkl"""

ONNX = ".onnx"
IN_ONNX = (*files.NAMING, "generator", "ResNetGenerator", "ipm_generator")
"""Kinds of network that have a graph, see `graphs.exported`."""
OPTIONS = {
    "input": option(
        typed.path.of("IN"), REQUIRED, "a .pkl, .npz or .safetensors file, or checkpoint folder"
    ),
    "output": option(
        typed.several(typed.path.of("OUT"), "?"),
        None,
        "a new .safetensors, or .onnx, or for an SNGAN .npz",
    ),
    "--show": option(typed.given, False, "print what IN holds, and write nothing"),
    "--network": option(
        typed.name, None, "which of IN, e.g. G, D or Gs (default: the averaged one, the last)"
    ),
    "--source_names": option(
        typed.names, None, "of a classifier's outputs, in their order, to write into OUT"
    ),
}


def show(path: Path, networks: list[StoredNetwork]) -> None:
    """Prints networks, arguments, parameter counts, source names, arrays and origin."""
    for network in networks:
        shapes = {name: tuple(array.shape) for name, array in network.arrays.items()}
        number = sum(math.prod(shape) for shape in shapes.values())
        called = f", published as {network.published_as}" if network.published_as else ""
        print(f"{path}: {clipped(network.kind)}{called}, {number:,} parameters")
        for name, value in network.arguments.items():
            print(f"  {clipped(name)} = {clipped(value)}")
        outputs = network.arguments.get("num_sources")
        if outputs is not None:
            known, line = source_names(outputs, network.source_names, path.name)
            print(f"  sources: {line or ', '.join(clipped(name) for name in known)}")
        for name, array in network.arrays.items():
            print(f"    {clipped(name)} {list(array.shape)} {array.dtype}")
        for name, value in network.provenance.items():
            print(f"  {clipped(name)}: {clipped(value)}")


def choose(networks: list[StoredNetwork], name: str | None, path: Path) -> StoredNetwork:
    """The network that was asked for, or the last, which is the averaged one."""
    if name is None:
        return networks[-1]
    names = [network.published_as.partition(" ")[0] or network.kind for network in networks]
    if name not in names:
        raise UserError(f"--network {name}: {path} holds {', '.join(names)}; expected one of them")
    return networks[names.index(name)]


def write(output: Path, network: StoredNetwork, origin: str) -> str:
    """Writes a network in the format that the ending of the file asks for; what to say of it."""
    try:
        require_plausible(network)
        arrays = {name: _single(np.asarray(array)) for name, array in network.arrays.items()}
    except Refused as error:
        raise UserError(f"{origin}: refused: {error}") from None
    network = replace(network, arrays=arrays)
    if output.suffix == ONNX:
        from gan_fingerprints.networks.graphs import checked  # here, as it needs ONNX

        return f"; {checked.write(output, network, origin)}"
    files.write(output, network)
    return ""


def _single(array: np.ndarray) -> np.ndarray:
    """Weights in the precision of ours; counters stay whole numbers."""
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def check_output(output: Path, network: StoredNetwork) -> None:
    """UserError unless OUT is a new file in a format that the network can be written in."""
    program.new_output(output, "OUT")
    endings = [x.ending for x in files.FORMATS if x.write and network.kind in x.kinds]
    endings += [ONNX] if network.kind in IN_ONNX else []
    if output.suffix not in endings:
        raise UserError(
            f"OUT {output}: found the ending {output.suffix!r}, expected {' or '.join(endings)} "
            f"for a {network.kind}"
        )


def main(arguments: argparse.Namespace) -> None:
    """Shows a file, or converts a network of it."""
    path = Path(arguments.input)
    if not arguments.show and arguments.output is None:
        raise UserError("OUT is missing: name a new .safetensors file, or use --show; see --help")
    networks = files.read(path, "IN")
    if arguments.show:
        show(path, networks)
        return
    network, output = choose(networks, arguments.network, path), Path(arguments.output)
    check_output(output, network)
    outputs = network.arguments.get("num_sources")
    if outputs is not None and (network.source_names is None or arguments.source_names):
        names, line = source_names(outputs, arguments.source_names, path.name)
        print(line or f"sources: {', '.join(names)}")
        network = network if line else replace(network, source_names=names)
    elif arguments.source_names:
        raise UserError(f"--source_names: a {network.kind} names no sources; leave the flag out")
    said = write(output, network, f"IN {path}")
    print(f"wrote {output}: {clipped(network.kind)}{said}")
