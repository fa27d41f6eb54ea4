"""Sources that a network was not trained on, known by the mean of a few images.

What describes an image is z: the network's features, beside principal components of descriptors.
Within each known source z has about the same covariance Σ. Whitened by it, the distance from a
source's mean says how likely the source is, and of a new source the mean is all that is to learn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.scores import softmax

LEAST_SHARE = 1e-6  # a newcomer's probability is at least this, so that logits are numbers


class Space(NamedTuple):
    """Where distances are measured: float32 arrays.

    Attributes:
        described_mean, described_deviation, components: [D], [D] and [D, C], of descriptors; C is
            0 for a network whose features are components of descriptors already.
        mean, deviation: [F], of z.
        whitening: [F, F]: of standardised z, to covariance 1 within sources.
        means: [sources, F]: of the known sources, whitened.
    """

    described_mean: np.ndarray
    described_deviation: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    whitening: np.ndarray
    means: np.ndarray

    def described(self, pixels: np.ndarray) -> np.ndarray:
        """Components of the descriptors of images uint8 [N, H, W, 3]: float32 [N, C]."""
        if not self.components.shape[1]:
            return np.zeros([len(pixels), 0], np.float32)
        standard = (descriptors(pixels) - self.described_mean) / self.described_deviation
        return standard @ self.components

    def places(self, features: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Whitened z: features float [N, F - C] of images uint8 [N, H, W, 3] → float32 [N, F]."""
        z = np.concatenate([features, self.described(pixels)], axis=1)
        return np.asarray((z - self.mean) / self.deviation @ self.whitening, np.float32)


def distances(places: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Squared distances of places [N, F] from one [F]: float64 [N]."""
    return ((np.asarray(places, np.float64) - mean) ** 2).sum(axis=1)


@dataclass(frozen=True)
class Newcomer:
    """An enrolled source.

    Attributes:
        name: of the source.
        sha256: of the files that it was enrolled from.
        places: float32 [k, F], of these images.
        logits: float32 [k, sources], what the network says of them.
        handicap: added to its squared distances, so that few images of known sources are lost.
        reach: squared distance beyond which an image is not like this source at all.
    """

    name: str
    sha256: tuple[str, ...]
    places: np.ndarray
    logits: np.ndarray
    handicap: float = 0.0
    reach: float = 0.0

    @property
    def images(self) -> int:
        """k."""
        return len(self.sha256)

    def distances(self, places: np.ndarray) -> np.ndarray:
        """Squared, of [N, F]: float64 [N], times k / (k + 1), as the mean of k is uncertain too."""
        return distances(places, self.places.mean(axis=0)) * self.images / (self.images + 1)

    def without(self, left_out: int) -> Newcomer:
        """As if one of its images had not been there."""
        kept = [i for i in range(self.images) if i != left_out]
        names = tuple(self.sha256[i] for i in kept)
        return replace(self, sha256=names, places=self.places[kept], logits=self.logits[kept])


@dataclass(frozen=True)
class Enrolment:
    """What a network file keeps for enrolled sources.

    Attributes:
        space: of the training images.
        temperature: divides the logarithms of likelihoods, -½ of squared distances.
        reach: squared distance that hardly any held image has from its own source's mean.
        held_places, held_logits, held_labels: float32 [n, F], [n, sources] and int [n], of
            validation images of the known sources; n may be 0.
        checksum: of the data that the space was learned from.
        newcomers: the enrolled sources.
    """

    space: Space
    temperature: float
    reach: float
    held_places: np.ndarray
    held_logits: np.ndarray
    held_labels: np.ndarray
    checksum: str
    newcomers: tuple[Newcomer, ...] = ()

    def shares(self, places: np.ndarray) -> np.ndarray:
        """Probabilities of the newcomers among all sources: float64 [N, newcomers].

        0 where an image is out of reach.
        """
        known = [distances(places, mean) for mean in self.space.means]
        new = [x.distances(places) for x in self.newcomers]
        handicapped = [d + x.handicap for d, x in zip(new, self.newcomers, strict=True)]
        found = softmax(-0.5 * np.stack([*known, *handicapped], axis=1), self.temperature)
        within = [d <= x.reach for d, x in zip(new, self.newcomers, strict=True)]
        return found[:, len(known) :] * np.stack(within, axis=1)

    def extended(
        self, logits: np.ndarray, places: np.ndarray, temperature: float = 1.0
    ) -> np.ndarray:
        """Logits of known sources [N, K], and with them of the newcomers: float32 [N, K + E].

        Divided by the network's temperature, their softmax gives a newcomer the probability of
        `shares`, and the known sources what the network gives them of the rest.
        """
        if not self.newcomers:
            return logits
        shares = np.clip(self.shares(places), LEAST_SHARE, 1 - LEAST_SHARE)
        shares *= np.minimum(1, (1 - LEAST_SHARE) / shares.sum(axis=1, keepdims=True))
        scaled = np.asarray(logits, np.float64) / temperature
        most = scaled.max(axis=1, keepdims=True)
        whole = most + np.log(np.exp(scaled - most).sum(axis=1, keepdims=True))
        new = whole + np.log(shares) - np.log1p(-shares.sum(axis=1, keepdims=True))
        return np.concatenate([logits, temperature * new], axis=1).astype(np.float32)

    def lost(self, temperature: float) -> float:
        """Share of held images that are rightly named, but for the newcomers."""
        right = self.held_logits.argmax(axis=1) == self.held_labels
        found = self.extended(self.held_logits, self.held_places, temperature).argmax(axis=1)
        return float(np.mean(right & (found != self.held_labels)))

    def alone(self, newcomer: Newcomer) -> Enrolment:
        """With one newcomer only."""
        return replace(self, newcomers=(newcomer,))

    def with_newcomer(self, newcomer: Newcomer, most_lost: float, temperature: float) -> Enrolment:
        """With a new source: its reach, and the least handicap that keeps the loss down.

        most_lost: share of the held images; temperature: of the network.
        """
        apart = [
            float(newcomer.without(i).distances(newcomer.places[[i]])[0])
            for i in range(newcomer.images)
        ]
        newcomer = replace(newcomer, reach=max(self.reach, *apart))
        if len(self.held_labels):
            newcomer = self._handicapped(newcomer, most_lost, temperature)
        return replace(self, newcomers=(*self.newcomers, newcomer))

    def _handicapped(self, newcomer: Newcomer, most_lost: float, temperature: float) -> Newcomer:
        def lost(handicap: float) -> float:
            return self.alone(replace(newcomer, handicap=handicap)).lost(temperature)

        if lost(0.0) <= most_lost:
            return newcomer
        farthest = max(float(distances(self.held_places, m).max()) for m in self.space.means)
        low, high = 0.0, farthest + 2 * self.temperature * -float(np.log(LEAST_SHARE))
        for _ in range(40):  # the loss falls as the handicap rises
            middle = (low + high) / 2
            low, high = (low, middle) if lost(middle) <= most_lost else (middle, high)
        return replace(newcomer, handicap=high)

    def recalled(self, newcomer: Newcomer, temperature: float) -> np.ndarray:
        """Of each of its images, whether the others name it rightly: bool [k]."""
        named = []
        for i in range(newcomer.images):
            rest = self.alone(newcomer.without(i))
            answer = rest.extended(newcomer.logits[[i]], newcomer.places[[i]], temperature)
            named.append(int(answer.argmax()) == newcomer.logits.shape[1])
        return np.array(named)
