"""Every number of a classifier training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses

from gan_fingerprints.commands import (
    count,
    kimg,
    non_negative,
    option,
    positive_int,
    seed,
    switch,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(1000, seed, "seed of weights and data order")
    fmap_base: int = option(1024, positive_int, "channels at stage s: min(fmap_base/2^s, fmap_max)")
    fmap_max: int = option(512, positive_int, "most channels of a layer")
    total_kimg: float = option(100_000.0, kimg, "length, in thousand images shown")
    minibatch: int = option(32, positive_int, "images per step")
    learning_rate: float = option(0.001, non_negative, "Adam's rate")
    beta_1: float = option(0.0, non_negative, "Adam's decay of the mean")
    beta_2: float = option(0.99, non_negative, "Adam's decay of the variance")
    epsilon: float = option(1e-8, non_negative, "Adam's epsilon")
    mirror: bool = option(True, switch, "1: flip each image left to right half of the time")
    tick_kimg: float = option(1.0, kimg, "a line in the log this often")
    accuracy_ticks: int = option(10, positive_int, "measure accuracy every N ticks")
    accuracy_images: int = option(5000, positive_int, "most images of each split to measure it on")
    snapshots: int = option(100, count, "network snapshots over the run")
