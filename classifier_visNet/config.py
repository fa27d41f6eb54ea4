"""Every number of a visNet training run. The defaults are the publication's configuration."""

from __future__ import annotations

import argparse
import dataclasses

from gan_fingerprints.program import (
    count,
    kimg,
    non_negative,
    option,
    positive_int,
    seed,
    share,
    switch,
)


def correlation(text: str) -> str:
    """A flag's type: how image and model fingerprints are compared."""
    if text not in ("inner", "normalized"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected inner or normalized")
    return text


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(1000, seed, "seed of weights and data order")
    fmap_base: int = option(1024, positive_int, "channels at stage s: min(fmap_base/2^s, fmap_max)")
    fmap_max: int = option(512, positive_int, "most channels of a layer")
    correlation: str = option(
        "inner", correlation, "of image and model fingerprint: inner (product), or normalized "
        "(zero mean, unit norm) as the paper's text has it", "KIND",
    )  # fmt: skip
    fingerprint_init: float = option(
        1.0, non_negative, "standard deviation of the model fingerprints at the start; 0 suits "
        "short runs, which cannot outgrow the noise",
    )  # fmt: skip
    use_pixelnorm: bool = option(False, switch, "1: pixel norm in the decoder")
    rec_weight: float = option(20.0, non_negative, "weight of the reconstruction error")
    adv_weight: float = option(0.1, non_negative, "weight of the critic's opinion")
    cls_weight: float = option(1.0, non_negative, "weight of the classification loss")
    gp_weight: float = option(10.0, non_negative, "weight of the critic's gradient penalty")
    drift_weight: float = option(0.001, non_negative, "weight of the critic's drift penalty")
    mbstd_group_size: int = option(4, count, "images per group of the minibatch stddev; 0: none")
    total_kimg: float = option(25_000.0, kimg, "length, in thousand images shown")
    minibatch: int = option(32, positive_int, "images per step")
    learning_rate: float = option(0.001, non_negative, "Adam's rate")
    beta_1: float = option(0.0, non_negative, "Adam's decay of the mean")
    beta_2: float = option(0.99, non_negative, "Adam's decay of the variance")
    epsilon: float = option(1e-8, non_negative, "Adam's epsilon")
    average_decay: float = option(
        0.999, non_negative, "decay of the auto-encoder's running average"
    )
    mirror: bool = option(True, switch, "1: flip each image left to right half of the time")
    tick_kimg: float = option(1.0, kimg, "a line in the log this often")
    accuracy_ticks: int = option(10, positive_int, "measure accuracy every N ticks")
    accuracy_images: int = option(5000, positive_int, "most images of each split to measure it on")
    image_ticks: int = option(20, positive_int, "grids of images every N ticks")
    snapshots: int = option(100, count, "network snapshots over the run")
    false_alarms: float = option(
        0.05, share, "share of images of known sources to be answered \"unknown\", which sets the "
        "threshold after training", "SHARE",
    )  # fmt: skip
