"""How far a classifier's names in bfloat16 are those in float32: on its validation images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gan_fingerprints.calibration import Calibration
from gan_fingerprints.networks import precision
from gan_fingerprints.networks.precision import BFLOAT16, FLOAT32
from gan_fingerprints.networks.recasting import recast
from gan_fingerprints.training.answers import Answers

if TYPE_CHECKING:
    import keras


def of_bfloat16(
    network: keras.Model, answers: Callable[..., Answers], scale: Calibration, logits: np.ndarray,
    features: np.ndarray,
) -> dict[str, int]:  # fmt: skip
    """How many validation `images` there are, and how many have `equal` names in both.

    A name is the most probable source, or that none is known.

    Args:
        answers: of=another network → what that says of the validation images.
        logits, features: float32 [N, sources] and [N, F], what the network says of them.
    """
    other = FLOAT32 if precision.of(network) == BFLOAT16 else BFLOAT16
    said = answers(of=recast(network, other))
    equal = named(scale, logits, features) == named(scale, said.logits, said.features)
    return {"images": len(equal), "equal": int(equal.sum())}


def named(scale: Calibration, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """int [N]: number of the most probable source; -1 where none is known."""
    known = scale.scores(logits, features) >= scale.threshold
    return np.where(known, logits.argmax(axis=1), -1)
