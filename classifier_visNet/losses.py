"""The losses of visNet: classification and reconstruction, and WGAN-GP for the critic.

Each returns one value per image; the caller averages over the global batch. Sources: section 3.3
of the paper; Gulrajani et al. 2017; Karras et al. 2018, appendix A.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

CriticFunction = Callable[[tf.Tensor], tf.Tensor]


class Parts(NamedTuple):
    """The three parts of the auto-encoder's loss, before their weights; float32 [N] each."""

    rec: tf.Tensor
    adv: tf.Tensor
    cls: tf.Tensor


def autoencoder_losses(
    D: CriticFunction, reals: tf.Tensor, reconstructions: tf.Tensor, logits: tf.Tensor,
    labels: tf.Tensor,
) -> Parts:  # fmt: skip
    """mean |R(I) − I|, −D(R(I)) and the softmax cross-entropy of the logits.

    reals, reconstructions: float32 [N, R, R, 3]; logits, one-hot labels: float32 [N, sources].
    """
    return Parts(
        rec=tf.reduce_mean(tf.abs(reconstructions - reals), axis=[1, 2, 3]),
        adv=-D(reconstructions)[:, 0],
        cls=tf.nn.softmax_cross_entropy_with_logits(labels, logits),
    )


def critic_loss(
    D: CriticFunction, reals: tf.Tensor, reconstructions: tf.Tensor, mix: tf.Tensor, *,
    gp_weight: float = 10.0, drift_weight: float = 0.001,
) -> tf.Tensor:  # fmt: skip
    """D(R(I)) − D(I) + λ·(‖∇D(x̂)‖ − 1)² + ε·D(I)²: [N].

    Args:
        D: images → scores [N, 1].
        reals, reconstructions: float32 [N, R, R, 3] in [-1, 1].
        mix: float32 [N, 1, 1, 1] in [0, 1); x̂ = reals + mix·(reconstructions - reals).
    """
    real_scores, fake_scores = D(reals)[:, 0], D(reconstructions)[:, 0]
    mixed = reals + (reconstructions - reals) * mix
    # One call for all gradients: D takes each image by itself, but for the minibatch deviation.
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        mixed_scores = tf.reduce_sum(D(mixed))
    gradients = tape.gradient(mixed_scores, mixed)
    norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]))
    loss = fake_scores - real_scores + gp_weight * tf.square(norms - 1)
    # The critic's scores may all drift off together, which the rest of the loss does not see.
    return loss + drift_weight * tf.square(real_scores)
