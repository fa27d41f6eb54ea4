"""What a network that was trained says of validation images, as they are and degraded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gan_fingerprints import perturbations
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.calibration import Calibration
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.degradations import DEGRADATIONS, QUALITIES, SCALES
from gan_fingerprints.likelihoods.fusion import Cases
from gan_fingerprints.training.answers import BATCH

MOST = 2000  # images, each of which is asked about in each way
PART = 256  # images in memory at once
WAYS = {
    "as they are": (),
    "saved again": tuple(f"jpeg{quality}" for quality in QUALITIES),
    "resized": tuple(f"resize{share}" for share in SCALES),
    "on a screen": ("screenshot",),
}
"""What happens to every image in turn → names of `DEGRADATIONS`, one of which is drawn by lot."""


def cases_of(
    network: Any, names: Sequence[str], data: DataSet, scale: Calibration, scores: np.ndarray,
    seed: int,
) -> Cases:  # fmt: skip
    """Of up to 2,000 images, each in every one of `WAYS`.

    scores: float [N] of the data's images as they are, which had no part in what they are scored
        by.
    seed: chooses images and degradations.
    """
    from gan_fingerprints.data import pipeline  # imports TensorFlow, which takes seconds

    assert data.labels is not None
    chosen = np.sort(pipeline.epoch_order(data.count, seed, 0)[:MOST])
    how = data.resolution, BATCH, scale
    attributor = Attributor(network, names, *how, mapped=False, stability=False)
    opinions, found = [], []
    for way in WAYS.values():
        for one in attributor.examine(_degraded(data, chosen, way, attributor.least_side, seed)):
            assert one.logits is not None
            opinions.append(attributor.opinions_of(one.row, one.logits))
            found.append(one.row.score)
    measured = np.array(found, np.float64)
    measured[: len(chosen)] = scores[chosen]
    labels = data.labels.argmax(axis=1)
    of_each = (np.tile(x[chosen], len(WAYS)) for x in (labels, data.independent))
    return Cases(np.stack(opinions), measured, *of_each)


def _degraded(
    data: DataSet, chosen: np.ndarray, names: Sequence[str], least: int | None, seed: int
) -> Iterator[np.ndarray]:
    """Images uint8 [H, W, 3], none of them smaller than the network takes."""
    ways = [DEGRADATIONS[name] for name in names]
    ways = [way for way in ways if round(way.scale * data.resolution) >= (least or 1)]
    for start in range(0, len(chosen), PART):
        part = chosen[start : start + PART]
        for index, image in zip(part.tolist(), data.images(part), strict=True):
            if ways:
                rng = perturbations.keyed_random(seed, "degraded", str(index))
                image = ways[int(rng.integers(len(ways)))].apply(image, str(index))
            yield image
