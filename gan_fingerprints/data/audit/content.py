"""Whether what images show, without any detail, names their source: a small machine tries.

It sees 16×16 blurred pixels, in which no fingerprint is left but framing, background, colours and
subjects are. What it reaches, a network reaches without fingerprints; and as images of one latent
or photograph look alike, it is tested on groups that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_fingerprints import metrics
from gan_fingerprints.data import groups
from gan_fingerprints.data.audit.separability import FEWEST, MARGIN, SURE

MOST = 2000  # images in all: 1 s
FOLDS = 5
RIDGE = 0.03  # of kernel ridge regression, whose kernel is 1 at distance 0


class Content(NamedTuple):
    """How often blurred content alone names the source.

    Attributes:
        accuracy: share of images named rightly by a machine that has not seen their groups.
        low, high: 95 % interval, by group.
        surely: lower end of an interval in which all tests of the audit together trust.
        chance: accuracy of guessing, 1 / sources.
        images, groups: number of images, equally many from each source, and of their groups.
    """

    accuracy: float
    low: float
    high: float
    surely: float
    chance: float
    images: int
    groups: int

    def warning(self) -> str | None:
        """What to tell the user; None unless surely 5 points above chance."""
        if self.surely <= self.chance + MARGIN:
            return None
        return (
            f"blurred content alone, 16×16 pixels, names the source of {100 * self.accuracy:.1f} % "
            f"of images [{100 * self.low:.1f}, {100 * self.high:.1f}], chance "
            f"{100 * self.chance:.1f} %: the sources show different things (subjects, framing, "
            "backgrounds, colours), and a classifier's accuracy says something about fingerprints "
            "only as far as it is above that"
        )


def content(
    smalls: Mapping[str, np.ndarray], group_names: Mapping[str, Sequence[str]], seed: int = 0
) -> Content | None:
    """How well blurred content names the sources.

    smalls: source name → uint8 [N, S, S, 3] of `looks.small`; group_names: source name → the group
    of each of them, which are kept together in cross-validation. None when there are fewer than 10
    images or 2 groups of a source.
    """
    count = min(MOST // max(len(smalls), 1), *map(len, smalls.values()))
    if count < FEWEST or min(len(set(x)) for x in group_names.values()) < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = {source: rng.permutation(len(x))[:count] for source, x in smalls.items()}
    pixels = np.concatenate([smalls[source][i] for source, i in drawn.items()])
    named = [group_names[source][i] for source, places in drawn.items() for i in places]
    truth = np.repeat(np.arange(len(smalls)), count)
    right, numbers = _held_out(pixels.reshape(len(truth), -1), truth, named)
    interval = metrics.interval_by_group(right, numbers)
    surely = metrics.interval_by_group(right, numbers, SURE)[0]
    share, different = float(right.mean()), int(numbers.max()) + 1
    return Content(share, *interval, surely, 1 / len(smalls), len(truth), different)


def _held_out(
    pixels: np.ndarray, truth: np.ndarray, named: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Which images are named rightly without their fold, bool [N], and their groups, int [N]."""
    numbers, names = groups.numbers_of(named)
    counts = np.zeros((len(names), int(truth.max()) + 1), int)
    np.add.at(counts, (numbers, truth), 1)
    folds = groups.parts_of(counts, names, [1 / FOLDS] * FOLDS)[numbers]
    inverse = np.linalg.inv(_kernel(pixels) + RIDGE * np.eye(len(truth), dtype=np.float32))
    wanted = np.eye(counts.shape[1])[truth] - 1 / counts.shape[1]
    weights = inverse @ wanted
    answers = np.empty(len(truth), int)
    for fold in range(FOLDS):
        out = np.flatnonzero(folds == fold)
        # What ridge regression without these images says of them, by block inversion: trained
        # once on all, it need not be trained anew for each fold.
        error = np.linalg.solve(inverse[np.ix_(out, out)], weights[out])
        answers[out] = (wanted[out] - error).argmax(axis=1)
    return answers == truth, numbers


def _kernel(pixels: np.ndarray) -> np.ndarray:
    """A Gaussian of the distances of images [N, P], as wide as their median: float [N, N]."""
    pixels = pixels.astype(np.float32)
    pixels -= pixels.mean(axis=0)
    squares = (pixels**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * pixels @ pixels.T, 0)
    return np.exp(-distances / max(float(np.median(distances)), 1e-6))
