"""A network once more, of layers that compute in another precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_fingerprints.networks import files
from gan_fingerprints.networks.precision import computing

if TYPE_CHECKING:
    import keras


def recast(network: keras.Model, precision: str) -> keras.Model:
    """The same network, with the same weights, in "float32" or "bfloat16"."""
    with computing(precision):
        made = files.constructors()[network.name](**network.arguments)
    files.fill(made, files.arrays_of(network), precision)
    return made
