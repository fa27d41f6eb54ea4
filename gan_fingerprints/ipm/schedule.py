"""When the learning rate falls: by the three-sample test of generated images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from gan_fingerprints.ipm import three_samples
from gan_fingerprints.ipm.config import Config

SMALLEST_RATE = 1e-6
LEVEL = 0.1  # a p above this is a failure to improve


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
        length = three_samples.sums_length(len(real))
        self._sums = tf.Variable(tf.zeros([config.MMD_sdlr_past_sample, length], tf.float64))
        self._kept, self._failures = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
        self.state = [self._sums, self._kept, self._failures]

    def evaluate(self, fake: np.ndarray, rate: float, log: Callable[[str], None]) -> float:
        """The rate to go on with, after a look at features of generated images [m, dim]."""
        config = self.config
        new = three_samples.kernel_sums(self.real, fake)
        kept = list(self._sums.numpy()[: int(self._kept)])  # oldest first
        if len(kept) == config.MMD_sdlr_past_sample:
            difference, ratio = three_samples.relative_test(new, kept[0])
            p = three_samples.probability(ratio)
            self._failures.assign(int(self._failures) + 1 if p > LEVEL else 0)
            log(f"three-sample test: difference {difference:.5f} p {p:.4f} failures in a row "
                f"{int(self._failures)} of {config.MMD_sdlr_num_test}")  # fmt: skip
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
