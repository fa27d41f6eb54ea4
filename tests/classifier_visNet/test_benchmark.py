"""The multiply-adds that visNet's benchmark counts."""

import argparse

import pytest
import tensorflow as tf

from benchmarks.machine import multiply_adds, needed
from benchmarks.visnet import step_of
from classifier_visNet.networks import AutoEncoder, Critic


def forward_work(network):
    images = tf.zeros([8, 32, 32, 3])
    return multiply_adds(needed(tf.function(network).get_concrete_function(images).graph))


@pytest.mark.slow
def test_a_step_is_so_many_passes_through_its_networks():
    size = {"resolution": 32, "fmap_base": 128}
    EG, D = forward_work(AutoEncoder(num_sources=3, **size)), forward_work(Critic(**size))
    by_hand = 8 * 9 * sum(
        side**2 * channels
        for side, channels in ((32, 3 * 8 + 8 * 16), (16, 16 * 16 + 16 * 32),
                               (8, 32 * 32 + 32 * 64), (4, 65 * 64))
    ) + 8 * (64 * 16 * 128 + 128)  # fmt: skip
    assert by_hand == D
    arguments = argparse.Namespace(size=32, fmap_base=128, batch=8, sources=3)
    step, work, images = step_of(arguments)
    assert images == 8
    # Critic: R(I); real and reconstructed 3 each; the penalty 6. Auto-encoder: 3, and 2 of the
    # critic. The first layers have no gradient for their images, the last have small extras.
    assert work == pytest.approx(4 * EG + 14 * D, rel=0.05)
    losses = step().numpy()
    assert losses.shape == (4,)
    assert all(abs(losses) < 100)
