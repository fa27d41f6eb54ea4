"""A linear discriminant whose covariance is shrunk: learned in seconds, from few images, of many
numbers that nearly follow from each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

LEAST_DEVIATION = 1e-6  # of a number that never changes
MOST_COMPONENTS = 256
STRONGEST = 32  # components in which images of other origin lie far away; see docs/robust.md
CHUNK = 2048  # images at a time


class Discriminant(NamedTuple):
    """Arrays float32, as a network file keeps them.

    Attributes:
        mean, deviation: [D], of what describes the training images.
        weight, bias: [D, sources] and [sources], of standardised descriptions.
        components: [D, C]: principal components, scaled to variance 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    components: np.ndarray

    @classmethod
    def shapes(cls, length: int, sources: int, components: int) -> dict[str, tuple[int, ...]]:
        """Of each array, where so many numbers describe an image."""
        shapes = (length,), (length,), (length, sources), (sources,), (length, components)
        return dict(zip(cls._fields, shapes, strict=True))

    def answers(self, described: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits and features: [N, D] → float32 [N, sources] and [N, C].

        Logits are logarithms of likelihoods, up to a constant of each image; features, the
        principal components, are what distances are measured in: there are less of them, and none
        that hardly ever changes.
        """
        standard = (described - self.mean) / self.deviation
        return standard @ self.weight + self.bias, standard @ self.components

    def tempered(self, temperature: float) -> Discriminant:
        """The same with logits divided by a number."""
        parts = (np.asarray(x / temperature, np.float32) for x in (self.weight, self.bias))
        return self._replace(**dict(zip(("weight", "bias"), parts, strict=True)))


def discriminants(
    described: np.ndarray, labels: np.ndarray, sources: int, shrinkages: Sequence[float]
) -> list[Discriminant]:
    """One for each shrinkage: what the variances' mean, times identity, weighs in the covariance.

    Equal priors, whatever the numbers of images. Friedman (1989), with a pooled covariance.

    described: float32 [N, D]; labels: int [N], at least one of each source.
    """
    from scipy.linalg import solve

    mean, deviation, total = moments(described)
    own = np.stack([described[labels == i].mean(axis=0, dtype=np.float64) for i in range(sources)])
    means = (own - mean) / deviation  # [sources, D]
    shares = np.bincount(labels, minlength=sources) / len(labels)
    within = total - (means.T * shares) @ means
    components = principal_components(total, len(described))
    found = []
    for shrinkage in shrinkages:
        shrunk = (1 - shrinkage) * within
        shrunk[np.diag_indices_from(shrunk)] += shrinkage * np.trace(within) / len(within)
        weight = solve(shrunk, means.T, assume_a="pos", overwrite_a=True)  # [D, sources]
        bias = -(weight.T * means).sum(axis=1) / 2
        arrays = mean, deviation, weight, bias, components
        found.append(Discriminant(*(np.asarray(x, np.float32) for x in arrays)))
    return found


class Moments(NamedTuple):
    """Mean [D], deviation [D], and the covariance [D, D] of standardised descriptions."""

    mean: np.ndarray
    deviation: np.ndarray
    covariance: np.ndarray


def moments(described: np.ndarray) -> Moments:
    """Of descriptions [N, D], float64."""
    mean = described.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(described.std(axis=0, dtype=np.float64), LEAST_DEVIATION)
    total = sum(x.T @ x for x in _standard(described, mean, deviation)) / len(described)
    return Moments(mean, deviation, total)


def _standard(
    described: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> Iterator[np.ndarray]:
    """Standardised, float64 [n, D] of some images at a time: all would take gigabytes."""
    for start in range(0, len(described), CHUNK):
        yield (described[start : start + CHUNK] - mean) / deviation


def principal_components(covariance: np.ndarray, images: int) -> np.ndarray:
    """[D, C]: those with the largest variances, at most 256, each divided by its deviation.

    images: how many the covariance [D, D] is of.
    """
    from scipy.linalg import eigh

    number = len(covariance)
    kept = max(1, min(MOST_COMPONENTS, number, images - 1))
    variances, vectors = eigh(covariance, subset_by_index=[number - kept, number - 1])
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(kept)])  # else by chance
    return vectors[:, ::-1] / np.sqrt(np.maximum(variances[::-1], LEAST_DEVIATION))
