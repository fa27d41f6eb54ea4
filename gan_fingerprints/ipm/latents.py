"""Latents of a seed, uniform in [-1, 1): our own, and exactly those of the 2019 release."""

from __future__ import annotations

import numpy as np

# Constants of Philox4x32 as its paper gives them. In 64 bits, so that products keep both halves.
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
LOW = np.uint64(0xFFFFFFFF)
ROUNDS = 10
COUNTERS_PER_VALUE = 256  # by which TensorFlow 1 moves the counter on after each value


def of_seed(seed: int, number: int, z_dim: int) -> np.ndarray:
    """float32 [number, z_dim]; more of them begin with the same ones."""
    values = np.random.RandomState(seed).uniform(-1, 1, [number, z_dim])
    return values.astype(np.float32)


def philox(counter: np.ndarray, key: int) -> np.ndarray:
    """Philox4x32-10 (Salmon et al. 2011): uint64 [N, 4] counter words → uint64 [N, 4] below 2³²."""
    words = counter.astype(np.uint64).T
    keys = [np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)]
    for _ in range(ROUNDS):
        products = [MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]]
        # Crosswise: of each product the high half, with the other pair's second word and a key,
        # then the low half.
        words = np.stack([
            (products[1] >> np.uint64(32)) ^ words[1] ^ keys[0], products[1] & LOW,
            (products[0] >> np.uint64(32)) ^ words[3] ^ keys[1], products[0] & LOW,
        ])  # fmt: skip
        keys = [(k + step) & LOW for k, step in zip(keys, KEY_STEPS, strict=True)]
    return words.T


def published(seed: int, number: int, z_dim: int, batch_size: int, operation: int) -> np.ndarray:
    """The latents that the 2019 release draws for `--random_seed seed`.

    operation: number of the random operation in the release's graph, 60 for CramerGAN and 59 for
        MMDGAN.

    Returns:
        float32 [n, z_dim], n the smallest multiple of `batch_size` that is at least `number`.
    """
    # What TensorFlow 1 does with a graph seed, an operation's number and a batch: the seed is the
    # key, the number the counter's upper half, the values so far its lower half.
    graph_seed = int(np.random.RandomState(seed).randint(1 << 31))
    size = batch_size * z_dim
    blocks = np.arange(-(-size // 4), dtype=np.uint64)  # of four values each
    batches = []
    for batch in range(-(-number // batch_size)):
        start = np.uint64(batch * size * COUNTERS_PER_VALUE)
        counter = np.zeros([len(blocks), 4], np.uint64)
        counter[:, 0] = (blocks + start) & LOW
        counter[:, 1] = (blocks + start) >> np.uint64(32)
        counter[:, 2] = operation
        bits = philox(counter, graph_seed).reshape(-1)[:size].astype(np.uint32)
        # 23 random bits as the fraction of a number in [1, 2), as TensorFlow makes floats.
        unit = ((bits & 0x7FFFFF) | 0x3F800000).view(np.float32) - np.float32(1)  # in [0, 1)
        batches.append(unit.reshape(batch_size, z_dim) * np.float32(2) - np.float32(1))
    return np.concatenate(batches)
