"""A classifier for fine traces: high frequencies beside the image, small windows, any size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan_fingerprints.networks import replicas
from gan_fingerprints.networks.cooccurrence import described, discriminant_of
from gan_fingerprints.networks.discriminant import STRONGEST, Discriminant
from gan_fingerprints.networks.plans import (
    BLURS,
    FAMILIES,
    FOLDS,
    GAIN,
    LEAST,
    MOST,
    NORM_EPSILON,
    PLANS,
    SLOPE,
)

DESCRIPTORS = "descriptors_"  # begins the names of the discriminant's arrays
DROPOUT = 0.3  # of the features that the last layer sees


class Residual(keras.Model):
    """Convolutions over the image and what two blurs take from it, averaged over all places.

    What the last layer says of each place is averaged, so images may have any size from 32
    pixels up, and none need be resized; the network is trained on crops. Members are networks of
    their own, built differently; their answers are averaged. A linear discriminant of descriptors,
    which is found afterwards (`classifier.together`), may answer beside them.

    Args:
        resolution: side of the images of its data set, and of the tiles that large images are
            seen in.
        num_sources: number of outputs.
        width: channels of the first convolution; later ones have multiples.
        members: networks whose logits are averaged, 1 to 3.
        components: of the descriptors, which are features too; 0 without descriptors.

    Attributes:
        least_side: of the images that it takes; see `attribution.attributor.Attributor`.
        judged: which features tell images of other origin; see `calibration.calibrate`.
        families: names of what answers by itself, in the order of `opinions`; empty without
            descriptors.
        discriminant, scales: arrays of the discriminant, and what the convolutions' logits and its
            log probabilities are multiplied by, before they are added up.

    Call: images float [N, H, W, 3] in [-1, 1] → logits float32 [N, num_sources].
    Raises ValueError for sizes out of range.
    """

    least_side = LEAST

    def __init__(
        self, resolution: int = 64, num_sources: int = 5, width: int = 16, members: int = 1,
        components: int = 0, **kwargs: Any,
    ) -> None:  # fmt: skip
        # Its residuals and descriptors need all bits of the images; layers cast what they take.
        super().__init__(name="residual", autocast=False, **kwargs)
        if resolution < LEAST or not 1 <= members <= len(PLANS):
            raise ValueError(
                f"resolution={resolution}, members={members}; expected {LEAST} or more, and 1 to "
                f"{len(PLANS)}"
            )
        self.arguments = {
            "resolution": resolution, "num_sources": num_sources, "width": width,
            "members": members, "components": components,
        }  # fmt: skip
        self.members = [Member(i, width, num_sources) for i in range(members)]
        self.discriminant = self.judged = None
        self.families: tuple[str, ...] = ()
        if components:
            self.discriminant = discriminant_of(self, num_sources, components, DESCRIPTORS)
            self.scales = self.add_weight(
                shape=(2,),
                initializer="zeros",
                dtype="float32",
                autocast=False,
                trainable=False,
                name="scales",
            )
            self.families = FAMILIES
            first = members * PLANS[0][-1][0] * width
            self.judged = slice(first, first + min(STRONGEST, components))
        self(tf.zeros([1, LEAST, LEAST, 3]))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor has called every layer."""

    def of_members(
        self, images: tf.Tensor, key: tf.Tensor | None = None
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Of each member, the logits [N, sources] and the features [N, F] that they come from.

        key: int64 [2], of the random numbers of a training step; None outside of training.
        """
        seen = view(tf.cast(images, tf.float32))
        return [member(seen, key) for member in self.members]

    def answers(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits float32 [N, sources], and the features of all members side by side.

        With descriptors, their components are the last features.
        """
        if self.discriminant is not None:
            return self.opinions(images)[:2]
        logits, features = self._convolved(images)
        return logits, tf.concat(features, axis=1)

    def opinions(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """As `answers`, and log probabilities [N, sources] of each of the `families` alone.

        Each has the temperature that fits validation images by itself; only with descriptors.
        """
        assert self.discriminant is not None
        logits, features = self._convolved(images)
        own, components = self.discriminant.answers(described(images))
        described_logits, share = tf.nn.log_softmax(own), self.scales[1]
        together = self.scales[0] * logits + share * described_logits
        # `together.py` has multiplied the share of convolutions into their temperature.
        convolved = tf.nn.log_softmax(tf.math.divide_no_nan(self.scales[0], 1 - share) * logits)
        return together, tf.concat([*features, components], axis=1), convolved, described_logits

    def _convolved(self, images: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """The members' mean logits, and the features of each."""
        of_each, features = zip(*self.of_members(images), strict=True)
        return tf.add_n(of_each) / len(of_each), features

    def fill_descriptors(self, discriminant: Discriminant, scales: np.ndarray) -> None:
        """Sets the arrays that training does not reach; `scales` float [2]."""
        assert self.discriminant is not None
        for variable, array in zip(self.discriminant, discriminant, strict=True):
            variable.assign(array)
        self.scales.assign(scales)

    def map_of(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of each place before they are averaged: float32 [N, H/4, W/4, sources].

        Of the convolutions alone: descriptors are counts over the whole image.
        """
        seen = view(tf.cast(images, tf.float32))
        maps = [member.to_logits(member.places(seen)) for member in self.members]
        return tf.add_n(maps) / len(maps)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.answers(images)[0]


class Member(keras.layers.Layer):
    """One network of `Residual`: what `view` made → logits and features, float32."""

    def __init__(self, number: int, width: int, num_sources: int) -> None:
        super().__init__(name=f"member{number}")
        self.fold = FOLDS[number]
        self.convs, self.norms = [], []
        for i, (times, stride) in enumerate(PLANS[number]):
            conv = keras.layers.Conv2D(
                times * width, 3, stride, "same", use_bias=False,
                kernel_initializer="he_normal", name=f"conv{i}",
            )  # fmt: skip
            self.convs.append(conv)
            # The mean of few steps: a training is some thousand steps long, not a million.
            norm = keras.layers.BatchNormalization(
                momentum=0.95, epsilon=NORM_EPSILON, name=f"norm{i}",
                synchronized=replicas.to_come() > 1,
            )  # fmt: skip
            self.norms.append(norm)
        self.to_logits = keras.layers.Dense(num_sources, dtype="float32", name="logits")

    def places(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features of each place: float32 [N, H/4, W/4, channels of the last convolution]."""
        if self.fold > 1:
            x = tf.nn.space_to_depth(x, self.fold)
        x = tf.cast(x, self.compute_dtype)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = tf.nn.leaky_relu(norm(conv(x), training=training), SLOPE)
        return tf.cast(x, tf.float32)

    def call(self, x: tf.Tensor, key: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.reduce_mean(self.places(x, training=key is not None), axis=[1, 2])
        if key is None:
            return self.to_logits(features), features
        # Keyed, as a layer of Keras's would have a state of its own that files need not keep.
        return self.to_logits(dropped(features, key)), features


def dropped(x: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Dropout of features [N, F], the same for an image on whichever replica it is."""
    if (number := replicas.number()) == 1:
        return tf.nn.experimental.stateless_dropout(x, DROPOUT, key, rng_alg="philox")
    whole = tf.ones([x.shape[0] * number, x.shape[1]], x.dtype)
    kept = tf.nn.experimental.stateless_dropout(whole, DROPOUT, key, rng_alg="philox")
    return x * replicas.own_share(kept)


def view(images: tf.Tensor) -> tf.Tensor:
    """Images float32 [N, H, W, 3], and beside them what each blur takes away: [N, H, W, 9].

    The residuals alone would lose what distinguishes sources in smooth parts; the image alone
    leaves it to the first layer to find out that content is a hundred times as strong.
    """
    residuals = [
        tf.clip_by_value(GAIN * (images - _blurred(images, taps)), -MOST, MOST)
        for taps in BLURS.values()
    ]
    return tf.concat([images, *residuals], axis=3)


def _blurred(images: tf.Tensor, taps: tuple[int, ...]) -> tf.Tensor:
    one = np.array(taps, np.float32) / sum(taps)
    kernel = np.tile(np.outer(one, one)[:, :, None, None], (1, 1, 3, 1))
    border = len(taps) // 2
    around = [[0, 0], [border, border], [border, border], [0, 0]]
    return tf.nn.depthwise_conv2d(tf.pad(images, around, "REFLECT"), kernel, [1] * 4, "VALID")
