"""The losses of MMDGAN: maximum mean discrepancy between features (Bińkowski et al. 2018).

A kernel is a function of two batches, float32 [M, features] and [N, features] → [M, N].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import tensorflow as tf

from MMDGAN.gan.kernels import RBF_SIGMAS, RQ_ALPHAS

Kernel = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Diagonal = Literal["exact", "published"]

UNDER_THE_ROOT = 1e-5


def dot(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """⟨x, y⟩."""
    return tf.matmul(x, y, transpose_b=True)


def squared_distances(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """‖x - y‖², exactly 0 on the diagonal, which differences of products would miss."""
    return tf.reduce_sum(tf.math.squared_difference(x[:, None], y[None]), axis=2)


def mix_rbf(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Σ_σ exp(-‖x - y‖² / 2σ²)."""
    d = squared_distances(x, y)
    return tf.add_n([tf.exp(-d / (2 * sigma**2)) for sigma in RBF_SIGMAS])


def mix_rq(x: tf.Tensor, y: tf.Tensor, dot_weight: float = 0.0) -> tf.Tensor:
    """Σ_α (1 + ‖x - y‖² / 2α)^(-α) + dot_weight·⟨x, y⟩."""
    d = squared_distances(x, y)
    mixture = tf.add_n([tf.exp(-alpha * tf.math.log1p(d / (2 * alpha))) for alpha in RQ_ALPHAS])
    return mixture + dot_weight * dot(x, y) if dot_weight else mixture


def distance(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """√(‖x‖² + 1e-5) + √(‖y‖² + 1e-5) - √(‖x - y‖² + 1e-5): the energy distance's kernel."""
    to_origin = [tf.sqrt(tf.reduce_sum(tf.square(z), 1) + UNDER_THE_ROOT) for z in (x, y)]
    apart = tf.sqrt(squared_distances(x, y) + UNDER_THE_ROOT)
    return to_origin[0][:, None] + to_origin[1][None, :] - apart


def of_tanh(kernel: Kernel, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """A kernel of tanh(x) and tanh(y)."""
    return kernel(tf.tanh(x), tf.tanh(y))


FUNCTIONS: dict[str, Kernel] = {
    "mix_rbf": mix_rbf,
    "mix_rq": mix_rq,
    "mix_rq_dot": partial(mix_rq, dot_weight=0.1),
    "mix_rq_1dot": partial(mix_rq, dot_weight=1.0),
    "mix_rq_10dot": partial(mix_rq, dot_weight=10.0),
    "mix_rq_01dot": partial(mix_rq, dot_weight=0.1),
    "mix_rq_001dot": partial(mix_rq, dot_weight=0.01),
    "tanh_mix_rq": partial(of_tanh, mix_rq),
    "distance": distance,
    "tanh_distance": partial(of_tanh, distance),
    "dot": dot,
}


def constant_diagonal(kernel: str) -> float | None:
    """The part of k(x, x) that does not depend on x, where there is one."""
    if kernel == "mix_rbf":
        return float(len(RBF_SIGMAS))
    return float(len(RQ_ALPHAS)) if "mix_rq" in kernel else None


def mmd2(x: tf.Tensor, y: tf.Tensor, kernel: str, diagonal: Diagonal = "exact") -> tf.Tensor:
    """MMD² between two batches of N features each, a scalar.

    kernel: a name of `kernels.KERNELS`.
    diagonal: what the unbiased estimator takes away from the sums of k(x, x') and k(y, y'):
        "exact", all of k(x, x); "published", only its constant part where there is one, which
        leaves ⟨x, x⟩ in with the mix_rq_*dot kernels.
    """
    k = FUNCTIONS[kernel]
    number = tf.cast(tf.shape(x)[0], tf.float32)
    constant = constant_diagonal(kernel)

    def within(z: tf.Tensor) -> tf.Tensor:
        pairs = k(z, z)
        if diagonal == "published" and constant is not None:
            own = number * constant
        else:
            own = tf.linalg.trace(pairs)
        return (tf.reduce_sum(pairs) - own) / (number * (number - 1))

    return within(x) + within(y) - 2 * tf.reduce_mean(k(x, y))


class MMD:
    """The objective of MMDGAN: the generator minimizes MMD², the discriminator maximizes it.

    Args:
        kernel: a name of `kernels.KERNELS`.
        diagonal: see `mmd2`.
    """

    fake_batches = 1

    def __init__(self, kernel: str = "mix_rq_1dot", diagonal: Diagonal = "exact") -> None:
        self.kernel = kernel
        self.diagonal: Diagonal = diagonal

    def generator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """MMD²."""
        return mmd2(fakes[0], real, self.kernel, self.diagonal)

    def discriminator(self, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """-MMD²."""
        return -self.generator(real, fakes)

    def witness(self, x: tf.Tensor, real: tf.Tensor, fakes: list[tf.Tensor]) -> tf.Tensor:
        """mean_j k(x, real_j) - mean_j k(x, fake_j)."""
        k = FUNCTIONS[self.kernel]
        return tf.reduce_mean(k(x, real), 1) - tf.reduce_mean(k(x, fakes[0]), 1)
