"""The losses of SNGAN: one value per image; the caller averages over the global batch.

`hinge`: Miyato et al. 2018, equations 16 and 17. `dcgan`: the softplus form of Goodfellow et al.
2014, with the generator's loss that does not saturate.
"""

from __future__ import annotations

import tensorflow as tf


def discriminator_loss(real: tf.Tensor, fake: tf.Tensor, loss_type: str = "hinge") -> tf.Tensor:
    """From the scores float32 [N, 1] of real and generated images: [N]."""
    if loss_type == "hinge":
        return (tf.nn.relu(1 - real) + tf.nn.relu(1 + fake))[:, 0]
    return (tf.nn.softplus(-real) + tf.nn.softplus(fake))[:, 0]


def generator_loss(fake: tf.Tensor, loss_type: str = "hinge") -> tf.Tensor:
    """From the scores float32 [N, 1] of generated images: [N]."""
    return (-fake if loss_type == "hinge" else tf.nn.softplus(-fake))[:, 0]
