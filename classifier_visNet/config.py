"""Every number of a visNet training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses

from gan_fingerprints import typed
from gan_fingerprints.program import option


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(typed.seed, 1000, "seed of weights and data order")
    fmap_base: int = option(typed.positive_int, 1024, "channels: min(fmap_base/2^stage, fmap_max)")
    fmap_max: int = option(typed.positive_int, 512, "most channels of a layer")
    correlation: str = option(
        typed.one_of("inner", "normalized"),
        "inner",
        "of image and model fingerprint: inner (product), or normalized (zero mean, unit norm) as "
        "the paper's text has it",
    )
    fingerprint_init: float = option(
        typed.non_negative,
        1.0,
        "standard deviation of the model fingerprints at the start; 0 suits short runs, which "
        "cannot outgrow the noise",
    )
    use_pixelnorm: bool = option(typed.switch, False, "1: pixel norm in the decoder")
    rec_weight: float = option(typed.non_negative, 20.0, "weight of the reconstruction error")
    adv_weight: float = option(typed.non_negative, 0.1, "weight of the critic's opinion")
    cls_weight: float = option(typed.non_negative, 1.0, "weight of the classification loss")
    gp_weight: float = option(typed.non_negative, 10.0, "weight of the critic's gradient penalty")
    drift_weight: float = option(typed.non_negative, 0.001, "weight of the critic's drift penalty")
    mbstd_group_size: int = option(typed.count, 4, "images per group of minibatch stddev; 0: none")
    total_kimg: float = option(typed.kimg, 25_000.0, "length, in thousand images shown")
    minibatch: int = option(typed.positive_int, 32, "images per step")
    learning_rate: float = option(typed.non_negative, 0.001, "Adam's rate")
    beta_1: float = option(typed.non_negative, 0.0, "Adam's decay of the mean")
    beta_2: float = option(typed.non_negative, 0.99, "Adam's decay of the variance")
    epsilon: float = option(typed.non_negative, 1e-8, "Adam's epsilon")
    average_decay: float = option(typed.non_negative, 0.999, "decay of the auto-encoder's average")
    mirror: bool = option(typed.switch, True, "1: flip each image left to right half of the time")
    tick_kimg: float = option(typed.kimg, 1.0, "a line in the log this often")
    accuracy_ticks: int = option(typed.positive_int, 10, "measure accuracy every N ticks")
    accuracy_images: int = option(typed.positive_int, 5000, "most images per split to measure on")
    image_ticks: int = option(typed.positive_int, 20, "grids of images every N ticks")
    snapshots: int = option(typed.count, 100, "network snapshots over the run")
    false_alarms: float = option(
        typed.share, 0.05, 'of images of known sources to answer "unknown"; sets the threshold'
    )
