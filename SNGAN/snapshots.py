"""Snapshots in Chainer's layout: one npz whose keys are link paths, e.g. `block2/c1/W`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints.networks import files
from gan_fingerprints.networks.files import named_variables
from gan_fingerprints.networks.published import npz
from gan_fingerprints.networks.published.chainer_snapshot import chainer_order, our_order
from gan_fingerprints.networks.stored import Refused, clipped
from gan_fingerprints.program import UserError, existing_file, whole_file

if TYPE_CHECKING:
    import keras


def arrays_of(network: keras.Model) -> dict[str, np.ndarray]:
    """What a snapshot of the network holds: key → array."""
    found = {name: np.asarray(v) for name, v in named_variables(network).items()}
    return {name: chainer_order(array).copy() for name, array in found.items()}


def write(path: str | Path, network: keras.Model) -> None:
    """Writes a snapshot, whole or not at all."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays_of(network))


def read(path: str | Path, flag: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file, in Chainer's order; nothing in it can run code.

    A `.safetensors` file that `gan_fingerprints.convert` made of one is read too.

    Raises:
        UserError: no such file, or not an npz of plain arrays.
    """
    path = existing_file(path, flag)
    if files.is_ours(path):
        (stored,) = files.read(path, flag)
        return {key: chainer_order(np.asarray(array)) for key, array in stored.arrays.items()}
    try:
        return {key: np.asarray(array) for key, array in npz.read(path).items()}
    except Refused as error:
        raise UserError(
            f"{flag} {path}: not a snapshot, or damaged ({error}); expected an .npz file of "
            "plain arrays that SNGAN/train.py or Chainer wrote"
        ) from None


def fill(network: keras.Model, arrays: Mapping[str, np.ndarray], origin: str) -> None:
    """Sets every variable of a network from a snapshot's arrays.

    Raises:
        UserError: unless keys and shapes agree exactly; `origin` begins the message.
    """
    variables = named_variables(network)
    for key in [*variables, *arrays]:
        wanted = chainer_shape(variables[key]) if key in variables else "no such array"
        found = arrays[key].shape if key in arrays else "nothing"
        if wanted != found:
            raise UserError(
                f"{origin}: array {clipped(key)}: found {found}, expected {wanted} for the "
                f"{network.name} of the configuration; use the configuration it was trained with"
            )
    for key, variable in variables.items():
        variable.assign(our_order(arrays[key]))


def chainer_shape(variable: keras.Variable) -> tuple[int, ...]:
    """The shape of a variable in a snapshot."""
    shape = tuple(variable.shape)
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape
