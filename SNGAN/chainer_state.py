"""A training state that Chainer wrote (`snapshot_iter_N`): networks, Adam's moments, iteration.

Chainer's random state is not in it, so training goes on with other latents and another order of
the images than it would have had there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints.program import UserError
from SNGAN import snapshots

if TYPE_CHECKING:
    import keras

    from SNGAN.training import Trainer


def restore(trainer: Trainer, arrays: Mapping[str, np.ndarray], path: str) -> None:
    """Fills networks, optimizers and counters from the arrays of a `snapshot_iter_N`.

    Raises:
        UserError: not such a state, or of networks of another shape.
    """
    origin = f"--snapshot {path}"
    if "updater/iteration" not in arrays:
        raise UserError(
            f"{origin}: not a training state of Chainer's (no array updater/iteration); for a "
            "network's snapshot use --init_from, for a run of ours --resume"
        )
    sides = {"gen": (trainer.G, trainer.G_adam), "dis": (trainer.D, trainer.D_adam)}
    for side, (network, _) in sides.items():
        snapshots.fill(network, _below(arrays, f"updater/model:opt_{side}/"), origin)
    for side, (network, optimizer) in sides.items():
        _fill_adam(optimizer, network, _below(arrays, f"updater/optimizer:opt_{side}/"), origin)
    iteration = int(arrays["updater/iteration"])
    trainer.shown.assign(iteration * trainer.config.images_per_iteration)
    trainer.steps.assign(iteration * (1 + trainer.config.n_dis))


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}


def _fill_adam(optimizer: keras.optimizers.Adam, network: keras.Model,
               moments: Mapping[str, np.ndarray], origin: str) -> None:  # fmt: skip
    names = {id(v): name for name, v in snapshots.named_variables(network).items()}
    optimizer.iterations.assign(moments["t"])
    weights = optimizer._trainable_variables
    for variable, m, v in zip(weights, optimizer._momentums, optimizer._velocities, strict=True):
        name = names[id(variable)]
        try:
            m.assign(snapshots.our_order(moments[f"{name}/m"]))
            v.assign(snapshots.our_order(moments[f"{name}/v"]))
        except KeyError as error:
            raise UserError(f"{origin}: array {error} of Adam is missing") from None
