"""Whether an answer survives what happens to an image when somebody passes it on.

A fingerprint lies in the finest detail, so an answer may hang on how the image came to be saved. A
source that is named is asked for again after mild changes that a carrier makes; an answer that one
of them turns is no evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from gan_fingerprints import workers
from gan_fingerprints.perturbations import compress

CHANGES = {
    "jpeg90": "JPEG of quality 90",
    "shift": "a shift of the crop grid by a few pixels",
    "resize95": "resizing by 0.95",
    "resize105": "resizing by 1.05",
}
"""What a change is called in rows → and in sentences."""
KEPT = 0.3  # probability that the named source must keep; see docs/attribute.md
FARTHEST = 7  # pixels of a shift: eight would be the grid of JPEG again

Probabilities = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Pictures uint8 [views, S, S, 3] → probabilities float [N, sources]."""


def changed(view: np.ndarray, change: str) -> Image.Image:
    """A view uint8 [S, S, 3] after a change; the same for the same pixels."""
    if change == "jpeg90":
        return Image.fromarray(compress(view, 90))
    if change == "shift":
        # By what the image holds, so that neither its name nor its place among others matters.
        drawn = hashlib.sha256(view.tobytes()).digest()
        right, down = (1 + number % FARTHEST for number in drawn[:2])
        return Image.fromarray(view[down:, right:])
    side = round(len(view) * int(change.removeprefix("resize")) / 100)
    return Image.fromarray(view).resize((side, side), Image.Resampling.LANCZOS)


def again(
    pictures: Sequence[np.ndarray], named: Sequence[int],
    seeing: Callable[[Image.Image], np.ndarray], probabilities: Probabilities, least: int = 0,
) -> list[str | None]:  # fmt: skip
    """The first change that turns each answer, None where it survives all.

    Each view is changed by itself, so that large images cost no more than their views.

    Args:
        pictures: uint8 [views, S, S, 3], what the answers are about.
        named: the number of the source that each is attributed to.
        seeing: what the network sees of an image, see `seeing`.
        least: smallest side that it sees as it is. A change that leaves less is left out: that the
            rest must then be enlarged would turn any answer.
    """

    def seen(view: np.ndarray, change: str) -> np.ndarray:
        image = changed(view, change)
        return view if min(image.size) < least else seeing(image)[0]

    def of_all_changes(picture: np.ndarray) -> list[np.ndarray]:
        return [np.stack([seen(x, change) for x in picture]) for change in CHANGES]

    if not pictures:
        return []
    with ThreadPoolExecutor(min(8, workers.cores())) as threads:
        asked = [views for sets in threads.map(of_all_changes, pictures) for views in sets]
    found = probabilities(asked).reshape(len(pictures), len(CHANGES), -1)
    kept = found[np.arange(len(named)), :, list(named)] >= KEPT
    return [next((x for x, y in zip(CHANGES, row, strict=True) if not y), None) for row in kept]
