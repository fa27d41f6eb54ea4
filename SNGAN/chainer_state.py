"""A training state that Chainer wrote (`snapshot_iter_N`): networks, Adam's moments, iteration.

Chainer's random state is not in it, so training goes on with other latents and another order of
the images than it would have had there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints.networks import files
from gan_fingerprints.networks.published import npz
from gan_fingerprints.networks.published.chainer_snapshot import in_our_order
from gan_fingerprints.networks.stored import Refused
from gan_fingerprints.program import UserError, existing_file

if TYPE_CHECKING:
    import keras

    from SNGAN.training import Trainer


def read(path: str, flag: str) -> dict[str, np.ndarray]:
    """All arrays of a training state, in our order; UserError unless it is one."""
    origin = f"{flag} {path}"
    try:
        stored = npz.read(existing_file(path, flag))
        arrays = {key: np.asarray(in_our_order(array)) for key, array in stored.items()}
    except Refused as error:
        raise UserError(
            f"{origin}: not a training state of Chainer's, or damaged ({error}); expected a file "
            "snapshot_iter_ITERATION"
        ) from None
    if "updater/iteration" not in arrays:
        raise UserError(
            f"{origin}: not a training state of Chainer's (no array updater/iteration); for a "
            "network's snapshot use --init_from, for a run of ours --resume"
        )
    return arrays


def restore(trainer: Trainer, path: str) -> None:
    """Fills networks, optimizers and counters from a `snapshot_iter_N`.

    Raises:
        UserError: not such a state, or of networks of another shape.
    """
    arrays, origin = read(path, "--snapshot"), f"--snapshot {path}"
    sides = {"gen": (trainer.G, trainer.G_adam), "dis": (trainer.D, trainer.D_adam)}
    for side, (network, _) in sides.items():
        files.fill(network, _below(arrays, f"updater/model:opt_{side}/"), origin)
    for side, (network, optimizer) in sides.items():
        _fill_adam(optimizer, network, _below(arrays, f"updater/optimizer:opt_{side}/"), origin)
    # Chainer counts iterations; here the images and the steps of either kind are counted.
    iteration = int(arrays["updater/iteration"])
    trainer.shown.assign(iteration * trainer.config.images_per_iteration)
    trainer.steps.assign(iteration * (1 + trainer.config.n_dis))


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}


def _fill_adam(optimizer: keras.optimizers.Adam, network: keras.Model,
               moments: Mapping[str, np.ndarray], origin: str) -> None:  # fmt: skip
    # Keras lists the moments in the order of the weights, Chainer names them by the weights.
    names = {id(v): name for name, v in files.named_variables(network).items()}
    optimizer.iterations.assign(moments["t"])
    weights = optimizer._trainable_variables
    for variable, m, v in zip(weights, optimizer._momentums, optimizer._velocities, strict=True):
        name = names[id(variable)]
        try:
            m.assign(moments[f"{name}/m"])
            v.assign(moments[f"{name}/v"])
        except KeyError as error:
            raise UserError(f"{origin}: array {error} of Adam is missing") from None
