"""What fingerprints are compared with: nearest neighbours, Eigenfaces and camera noise.

Each method is fitted on training images, its hyper-parameters chosen by accuracy on validation
images. Images are uint8 [N, H, W, 3], labels int [N]. Array work goes to the GPU where CuPy is
installed; scikit-learn and PyWavelets do the rest.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gan_fingerprints import scores
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks.enrolment_space import evenly
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.training.answers import attacked

CHUNK = 256  # images at a time


class Trial(NamedTuple):
    """One choice of hyper-parameters and its accuracy on the validation images, 0 to 1."""

    parameters: dict[str, float]
    accuracy: float


class Images(NamedTuple):
    """uint8 [N, H, W, 3], labels int [N] from 0 to sources - 1."""

    pixels: np.ndarray
    labels: np.ndarray
    sources: int


def images_of(data: DataSet, most: int, attack: Perturbation | None = None) -> Images:
    """At most so many images, as many of each source as of any as far as there are enough.

    attack: what happens to each first.
    """
    assert data.labels is not None
    labels = data.labels.argmax(axis=1)
    chosen = evenly(labels, most)
    return Images(attacked(data, chosen, attack), labels[chosen], data.labels.shape[1])


class Baseline(ABC):
    """A method of attribution.

    Attributes:
        name: on the command line and in files.
        kept: names of the attributes, arrays all, that `scores` needs.
        parameters: the hyper-parameters that `fit` chose.
    """

    name: ClassVar[str]
    kept: ClassVar[tuple[str, ...]]
    parameters: dict[str, float]

    @abstractmethod
    def fit(self, train: Images, validation: Images) -> list[Trial]:
        """Chooses the parameters, and keeps what `scores` needs."""

    @abstractmethod
    def scores(self, images: np.ndarray) -> np.ndarray:
        """float [N, sources]: the largest is the answer."""

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """float [N, sources]: of methods without, the softmax of scores, for ranking only."""
        return scores.softmax(self.scores(images))


def array_module() -> Any:
    """CuPy where it is installed and has a GPU, else NumPy."""
    try:
        import cupy

        return cupy if cupy.cuda.runtime.getDeviceCount() else np
    except Exception:  # not installed, or no driver
        return np


def _numpy(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else np.asarray(array)


def _chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), CHUNK):
        yield images[start : start + CHUNK]


def trial_of(parameters: dict[str, float], answers: np.ndarray, images: Images) -> Trial:
    return Trial(parameters, float(np.mean(answers == images.labels)))


def best_of(trials: list[Trial]) -> int:
    """Which trial has the highest accuracy: the earliest among equals."""
    return int(np.argmax([trial.accuracy for trial in trials]))


class NearestNeighbours(Baseline):
    """k nearest neighbours by the Euclidean distance of pixels; the scores are shares of votes."""

    name = "knn"
    kept = ("pixels", "labels", "sources")
    choices = (1, 3, 5, 9, 17, 33, 65, 129)

    def fit(self, train: Images, validation: Images) -> list[Trial]:
        self.pixels, self.labels = train.pixels, train.labels
        self.sources = np.array([train.sources])  # an array, as all that a file keeps
        choices = [k for k in self.choices if k <= len(train.pixels)]
        neighbours = self._neighbours(validation.pixels, max(choices))
        trials = []
        for k in choices:
            answers = self._votes(neighbours[:, :k]).argmax(axis=1)
            trials.append(trial_of({"k": k}, answers, validation))
        self.parameters = trials[best_of(trials)].parameters
        return trials

    def scores(self, images: np.ndarray) -> np.ndarray:
        k = int(self.parameters["k"])
        return self._votes(self._neighbours(images, k)) / k

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return self.scores(images)  # shares already

    def _votes(self, neighbours: np.ndarray) -> np.ndarray:
        """Labels of neighbours [N, k] → votes [N, sources]."""
        return np.stack([(neighbours == i).sum(axis=1) for i in range(self.sources[0])], axis=1)

    def _neighbours(self, images: np.ndarray, k: int) -> np.ndarray:
        """Labels of the k nearest training images, nearest first: int [N, k]."""
        xp = array_module()
        train = xp.asarray(self.pixels.reshape(len(self.pixels), -1), np.float64)
        squares = (train**2).sum(axis=1)
        found = []
        for part in _chunks(images):
            x = xp.asarray(part.reshape(len(part), -1), np.float64)
            distances = squares - 2 * x @ train.T  # the images' own squares change no order
            # Only the k nearest are sorted, as there may be thousands of training images.
            nearest = xp.argpartition(distances, min(k, len(train) - 1), axis=1)[:, :k]
            order = xp.argsort(xp.take_along_axis(distances, nearest, axis=1), axis=1)
            found.append(_numpy(xp.take_along_axis(nearest, order, axis=1)))
        return self.labels[np.concatenate(found)]


class Eigenface(Baseline):
    """Principal components of the pixels and a linear support vector machine on them.

    Sirovich and Kirby (1987). At most `most` components are computed: where they hold less of
    the variance than asked for, all of them are used.
    """

    name = "eigenface"
    kept = ("mean", "components", "weights", "bias")
    shares = (0.25, 0.50, 0.75, 0.95)
    penalties = (1e-4, 1e-3, 1e-2, 1e-1)
    most = 1024

    def fit(self, train: Images, validation: Images) -> list[Trial]:
        from sklearn.decomposition import PCA

        x = self._flat(train.pixels)
        pca = PCA(min(self.most, *x.shape), random_state=0).fit(x)
        held = np.cumsum(pca.explained_variance_ratio_)
        features, tested = pca.transform(x), pca.transform(self._flat(validation.pixels))
        trials, machines = [], []
        for share, penalty in itertools.product(self.shares, self.penalties):
            number = min(int(np.searchsorted(held, share)) + 1, len(held))
            machine = self._machine(penalty).fit(features[:, :number], train.labels)
            answers = machine.predict(tested[:, :number])
            trials.append(trial_of({"variance": share, "C": penalty}, answers, validation))
            machines.append((number, machine))
        best = best_of(trials)
        self.parameters, (number, machine) = trials[best].parameters, machines[best]
        self.mean, self.components = pca.mean_, pca.components_[:number]
        self.weights, self.bias = _one_per_source(machine.coef_, machine.intercept_)
        return trials

    @staticmethod
    def _machine(penalty: float) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(C=penalty, dual="auto", random_state=0, max_iter=5000)

    @staticmethod
    def _flat(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1

    def scores(self, images: np.ndarray) -> np.ndarray:
        parts = [
            (self._flat(part) - self.mean) @ self.components.T @ self.weights.T + self.bias
            for part in _chunks(images)
        ]
        return np.concatenate(parts)


def _one_per_source(weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two sources scikit-learn keeps one score only, positive for the second."""
    if len(weights) > 1:
        return weights, bias
    return np.concatenate([-weights, weights]), np.concatenate([-bias, bias])


class Prnu(Baseline):
    """Camera identification applied to GANs: each source's print is its mean noise residual.

    The residual of an image is what an adaptive Wiener filter of its wavelet coefficients takes
    away (Mihçak et al. 1999; Lukáš, Fridrich and Goljan 2006; Marra et al. 2019). The scores are
    normalised correlations of an image's residual and the prints.
    """

    name = "prnu"
    kept = ("prints",)
    levels = (1, 2, 3, 4)
    sigmas = (1.0, 3.0, 5.0, 9.0)

    def fit(self, train: Images, validation: Images) -> list[Trial]:
        import pywt

        deepest = max(1, pywt.dwt_max_level(min(train.pixels.shape[1:3]), "db4"))
        levels = [level for level in self.levels if level <= deepest]
        trials, prints = [], []
        for level, sigma in itertools.product(levels, self.sigmas):
            self.parameters = {"levels": level, "sigma": sigma}
            self.prints = self._prints(train)
            answers = self.scores(validation.pixels).argmax(axis=1)
            trials.append(trial_of(self.parameters, answers, validation))
            prints.append(self.prints)
        best = best_of(trials)
        self.parameters, self.prints = trials[best].parameters, prints[best]
        return trials

    def _prints(self, train: Images) -> np.ndarray:
        """Mean residuals, of zero mean and unit norm: [sources, H·W·3]."""
        sums = np.zeros((train.sources, train.pixels[0].size))
        labels = _chunks(train.labels)
        for part, of_part in zip(_chunks(train.pixels), labels, strict=True):
            np.add.at(sums, of_part, self._residuals(part))
        return _standardized(sums)

    def _residuals(self, images: np.ndarray) -> np.ndarray:
        levels, sigma = int(self.parameters["levels"]), self.parameters["sigma"]
        return noise_residual(images, levels, sigma).reshape(len(images), -1)

    def scores(self, images: np.ndarray) -> np.ndarray:
        xp = array_module()
        prints = xp.asarray(self.prints.T)
        parts = [
            _numpy(xp.asarray(_standardized(self._residuals(part))) @ prints)
            for part in _chunks(images)
        ]
        return np.concatenate(parts)


def _standardized(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def noise_residual(images: np.ndarray, levels: int, sigma: float) -> np.ndarray:
    """What denoising takes away: float64 [N, H, W, C].

    Each detail coefficient c is estimated to hold c·s²/(s² + sigma²) of image, where s² is the
    least of the local means of c² over 3×3, 5×5, 7×7 and 9×9, less sigma², and not below 0.

    Args:
        images: uint8 [N, H, W, C].
        levels: of the wavelet transform (Daubechies, eight taps).
        sigma: deviation of the noise, on the scale of 0 to 255.
    """
    import pywt

    transformed = pywt.wavedec2(images.astype(np.float64), "db4", level=levels, axes=(1, 2))
    noise = [np.zeros_like(transformed[0])]  # the lowest band is the picture itself
    for bands in transformed[1:]:
        noise.append(tuple(band * _noise_share(band, sigma**2) for band in bands))
    height, width = images.shape[1:3]
    return pywt.waverec2(noise, "db4", axes=(1, 2))[:, :height, :width]


def _noise_share(band: np.ndarray, noise_variance: float) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    local = [uniform_filter(band**2, (1, size, size, 1)) for size in (3, 5, 7, 9)]
    signal = np.maximum(np.min(local, axis=0) - noise_variance, 0)
    return noise_variance / (signal + noise_variance)


METHODS = {method.name: method for method in (NearestNeighbours, Eigenface, Prnu)}
