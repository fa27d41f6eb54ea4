"""What training steps share: random keys, Adam in one operation, no step that is not finite."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, updating in one pass over the weights where Keras takes about eight."""

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        # As Keras counts: `iterations` is raised after all variables were updated.
        step = tf.cast(self.iterations + 1, tf.float32)
        index = self._get_variable_index(variable)
        weights = variable if isinstance(variable, tf.Variable) else variable.value
        tf.raw_ops.ResourceApplyAdam(
            var=weights.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )


def adam(beta_1: float, beta_2: float, epsilon: float, decay: float = 0.0) -> FusedAdam:
    """Adam whose rate the training loop assigns before each step.

    decay: share of the rate by which each step also shrinks matrices and kernels (Loshchilov and
        Hutter 2019), not what a layer adds nor the gains of a normalisation.
    """
    optimizer = FusedAdam(
        0.0, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, weight_decay=decay or None
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def apply_if_finite(
    strategy: tf.distribute.Strategy,
    optimizer: keras.optimizers.Optimizer,
    gradients: list[Any],
    variables: list[Any],
    skipped: tf.Variable,
) -> None:
    """Applies gradients that `strategy.run` returned, or skips and counts a non-finite step."""

    def finite(parts: list[tf.Tensor]) -> tf.Tensor:
        return tf.cast(
            tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in parts]), tf.float32
        )

    # All replicas skip or none does: weights that differ from device to device never meet again.
    share = strategy.reduce("MEAN", strategy.run(finite, (gradients,)), axis=None)

    def apply() -> tf.Tensor:
        strategy.run(lambda parts: optimizer.apply(parts, variables), (gradients,))
        return tf.constant(0, tf.int64)

    skipped.assign_add(tf.cond(share == 1.0, apply, lambda: tf.constant(1, tf.int64)))


def random_key(seed: int, steps: tf.Variable, stream: int = 0) -> tf.Tensor:
    """int64 [2], of the random numbers of one step, the same on all replicas.

    What is drawn is for the whole minibatch; `replicas.own_share` gives each replica its rows.

    steps: int64 variable that no two steps see the same; stream: added, to draw several kinds.
    """
    # From the counter, not from a generator with a state: an interrupted run draws the same, with
    # nothing more to save. 64 keys a step, of which a step that draws twice takes another by a
    # `stream` of 32. Further kinds of numbers add 2^32 to the whole key, which no seed reaches, or
    # have a `stream` of 2^48, which no count of steps does.
    number = steps.read_value() * 64 + stream
    return tf.stack([tf.constant(seed, tf.int64), number])


def update_average(average: keras.Model, network: keras.Model, decay: float) -> None:
    """Moves a network's running average towards it: decay·average + (1 - decay)·weight."""
    for mean, value in zip(average.variables, network.variables, strict=True):
        # In this order: a decay of 0 copies every bit of the network.
        mean.assign(value + (mean - value) * decay)
