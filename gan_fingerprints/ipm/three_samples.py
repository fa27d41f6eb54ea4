"""The relative MMD test of two samples against a reference, from kernel sums that can be kept.

Bounliphone et al. 2016: which of two samples is closer to the reference? With the polynomial
kernel k(x, y) = (⟨x, y⟩ / dim + 1)³ of the kernel Inception distance. All samples have the same
number m of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from gan_fingerprints.ipm.config import Config

SMALLEST_VARIANCE = 1e-12
SMALLEST_RATE = 1e-6
LEVEL = 0.1  # a p above this is a failure to improve


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[M, dim] and [N, dim] → [M, N]."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def kernel_sums(reference: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """All that the test needs of a sample: float64 [3m + 2].

    Args:
        reference, sample: features, float [m, dim] each.

    Returns:
        With i running over the sample: Σ_j≠i k(s_i, s_j) [m]; Σ_j k(r_j, s_i) [m]; with j running
        over the reference: Σ_i k(r_j, s_i) [m]; and the sums of squares of both kinds of k.
    """
    reference, sample = reference.astype(np.float64), sample.astype(np.float64)
    within = kernel(sample, sample)
    np.fill_diagonal(within, 0)
    across = kernel(reference, sample)
    squares = [np.sum(within**2), np.sum(across**2)]
    return np.concatenate([within.sum(1), across.sum(0), across.sum(1), squares])


def _parts(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    m = (len(sums) - 2) // 3
    return sums[:m], sums[m : 2 * m], sums[2 * m : 3 * m], sums[-2], sums[-1]


def _mmd2_without_reference(sums: np.ndarray) -> float:
    within, across, _, _, _ = _parts(sums)
    m = len(within)
    return within.sum() / (m * (m - 1)) - 2 * across.sum() / m**2


def _variance(sums: np.ndarray) -> float:
    """Of the unbiased Σ k(s, s') / m(m - 1) - 2 Σ k(r, s) / m², from unbiased moments."""
    # Var(A - 2B) = Var A + 4 Var B - 4 Cov(A, B), with A the mean of k within the sample and B
    # that across: the variances of U-statistics (Hoeffding 1948), at full length. Products of two
    # kernels are averaged over distinct images only, (Σ_i (Σ_j k_ij)² - Σ_ij k_ij²) / …: the
    # squares k_ij² in the first sum would make it too large.
    within, across, to_reference, within2, across2 = _parts(sums)
    m = len(within)
    pairs = m * (m - 1)
    mean_within, mean_across = within.sum() / pairs, across.sum() / m**2
    # How the mean over partners varies, E[k(s, s') k(s, s'')] - E[k]²; how single pairs vary.
    first = (within @ within - within2) / (pairs * (m - 2)) - mean_within**2
    second = within2 / pairs - mean_within**2
    # Each of m(m - 1)/2 pairs has one image in common with 2(m - 2) others, two with itself.
    of_within = (4 * (m - 2) * first + 2 * second) / pairs
    # Each of m² pairs has its image of the sample in common with m - 1 others, and its image of
    # the reference with as many.
    by_sample = (across @ across - across2) / (m * pairs) - mean_across**2
    by_reference = (to_reference @ to_reference - across2) / (m * pairs) - mean_across**2
    of_pairs = across2 / m**2 - mean_across**2
    of_across = ((m - 1) * (by_sample + by_reference) + of_pairs) / m**2
    # A and B have the sample in common: a pair of A has two images of it, a pair of B one.
    both = 2 / m * (within @ across / (m * pairs) - mean_within * mean_across)
    return of_within + 4 * of_across - 4 * both


def relative_test(new: np.ndarray, old: np.ndarray) -> tuple[float, float]:
    """Compares two samples, given by their `kernel_sums` with the same reference.

    Returns:
        MMD²(reference, new) - MMD²(reference, old), and that divided by its standard deviation.
    """
    difference = _mmd2_without_reference(new) - _mmd2_without_reference(old)
    m = (len(new) - 2) // 3
    a, b = _parts(new)[2], _parts(old)[2]
    # Cov(B, B') of the two samples, which have nothing but the reference in common. It enters
    # Var((A - 2B) - (A' - 2B')) 2·2·2 times, with a minus.
    shared = (a @ b / m**3 - a.sum() * b.sum() / m**4) / m
    variance = _variance(new) + _variance(old) - 8 * shared
    return difference, difference / math.sqrt(max(variance, SMALLEST_VARIANCE))


def probability(ratio: float) -> float:
    """p of a ratio this low if the new sample were not closer to the reference."""
    return 0.5 * math.erfc(-ratio / math.sqrt(2))


class TestedRate:
    """The learning rate of `--MMD_lr_scheduler` (Bińkowski et al. 2018, section 4).

    Every evaluation compares features of newly generated images with those of
    `MMD_sdlr_past_sample` evaluations ago, as to their distance from real ones. After
    `MMD_sdlr_num_test` failures to improve in a row the rate falls.

    Args:
        config: how many evaluations are kept, how many failures count, by how much the rate falls.
        real: features of real images, float [m, dim].

    Attributes:
        state: variables that belong to the training state.
    """

    __test__ = False  # its name is no test's

    def __init__(self, config: Config, real: np.ndarray) -> None:
        self.config = config
        self.real = real
        shape = [config.MMD_sdlr_past_sample, 3 * len(real) + 2]  # rows as of `kernel_sums`
        self._sums = tf.Variable(tf.zeros(shape, tf.float64))
        self._kept, self._failures = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.state = [self._sums, self._kept, self._failures]

    def evaluate(self, fake: np.ndarray, rate: float, log: Callable[[str], None]) -> float:
        """The rate to go on with, after a look at features of generated images [m, dim]."""
        config = self.config
        new = kernel_sums(self.real, fake)
        kept = list(self._sums.numpy()[: int(self._kept)])  # oldest first
        if len(kept) == config.MMD_sdlr_past_sample:
            difference, ratio = relative_test(new, kept[0])
            p = probability(ratio)
            self._failures.assign(int(self._failures) + 1 if p > LEVEL else 0)
            log(
                f"three-sample test: difference {difference:.5f} p {p:.4f} failures in a row "
                f"{int(self._failures)} of {config.MMD_sdlr_num_test}"
            )
        kept = [*kept, new][-config.MMD_sdlr_past_sample :]
        if int(self._failures) >= config.MMD_sdlr_num_test:
            rate = max(rate * config.decay_rate, SMALLEST_RATE)
            log(f"learning rate {rate:.3g} from here on")
            kept = kept[-config.MMD_sdlr_num_test :]
            self._failures.assign(0)
        self._keep(kept)
        return rate

    def _keep(self, sums: list[np.ndarray]) -> None:
        stored = np.zeros(self._sums.shape)
        stored[: len(sums)] = sums
        self._sums.assign(stored)
        self._kept.assign(len(sums))
