"""What became of images, as JSON and back: what a data set's finished shards are kept with."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from gan_fingerprints.data.audit.facts import ImageFacts
from gan_fingerprints.data.audit.looks import Look
from gan_fingerprints.data.preparing import Prepared, Sampled
from gan_fingerprints.images import ImageError

Outcome = Prepared | ImageError | None
"""Of a file: what it gave, why it was left out, or nothing that is to be known."""


def packed(outcome: Outcome) -> Any:
    """JSON that `unpacked` makes the same of, bit for bit."""
    if isinstance(outcome, ImageError):
        return str(outcome)
    if outcome is None:
        return None
    kept = outcome._asdict()
    if outcome.shapes is not None:
        kept["shapes"] = _packed_array(outcome.shapes)
    if outcome.sampled is not None:
        facts, look = outcome.sampled
        kept["sampled"] = {
            "facts": list(facts), "small": _packed_array(look.small),
            "patch": _packed_array(look.patch), "in_blocks": bool(look.in_blocks),
        }  # fmt: skip
    return kept


def unpacked(kept: Any) -> Outcome:
    """What `packed` was given. Raises LookupError, TypeError or ValueError for anything else."""
    if kept is None:
        return None
    if isinstance(kept, str):
        return ImageError(kept)
    shapes, sampled = kept["shapes"], kept["sampled"]
    if sampled is not None:
        look = _array(sampled["small"]), _array(sampled["patch"]), sampled["in_blocks"]
        sampled = Sampled(ImageFacts(*sampled["facts"]), Look(*look))
    corners = [(x, y) for x, y in kept["corners"]]
    shapes = None if shapes is None else _array(shapes)
    return Prepared(corners, shapes, sampled, kept["first"], kept["squeezed"])


def _packed_array(array: np.ndarray) -> list[Any]:
    content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return [array.dtype.str, list(array.shape), content]


def _array(kept: list[Any]) -> np.ndarray:
    dtype, shape, content = kept
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape)
