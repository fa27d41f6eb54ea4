"""The losses of ProGAN: WGAN-GP with drift (Gulrajani et al. 2017; Karras et al. 2018, app. A.1).

Each returns one value per image; the caller averages over the global batch.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Discriminator = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def label_loss(label_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor | float:
    """Softmax cross-entropy [N], or 0 without labels."""
    if labels.shape[1] == 0:
        return 0.0
    return tf.nn.softmax_cross_entropy_with_logits(labels, label_logits)


def generator_loss(D: Discriminator, fakes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-D(fake), plus the label loss: [N].

    fakes: float32 [N, H, W, 3]; labels: float32 one-hot [N, label_size].
    """
    scores, label_logits = D(fakes)
    return -scores[:, 0] + label_loss(label_logits, labels)


def discriminator_loss(
    D: Discriminator,
    reals: tf.Tensor,
    fakes: tf.Tensor,
    labels: tf.Tensor,
    mix: tf.Tensor,
    *,
    upscaling: int = 1,
    gp_weight: float = 10.0,
    drift_weight: float = 0.001,
) -> tf.Tensor:
    """D(fake) - D(real) + λ·(‖∇D(x̂)‖ - 1)² + ε·D(real)², plus the label losses: [N].

    Args:
        D: images → (scores [N, 1], label logits [N, label_size]).
        reals, fakes: float32 [N, H, W, 3] in [-1, 1].
        mix: float32 [N, 1, 1, 1] in [0, 1); x̂ = reals + mix·(fakes - reals).
        upscaling: R / H. The published norm is over the pixels of the full-size image; an image
            repeated `upscaling` times on each side has a gradient norm that much smaller.
    """
    real_scores, real_logits = D(reals)
    fake_scores, fake_logits = D(fakes)
    mixed = reals + (fakes - reals) * mix
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        # Each score depends on its own image, but for the minibatch stddev: as published, the sum.
        mixed_scores = tf.reduce_sum(D(mixed)[0])
    gradients = tape.gradient(mixed_scores, mixed)
    norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3])) / upscaling
    loss = fake_scores[:, 0] - real_scores[:, 0]
    loss += gp_weight * tf.square(norms - 1)
    loss += drift_weight * tf.square(real_scores[:, 0])
    return loss + label_loss(real_logits, labels) + label_loss(fake_logits, labels)
