"""Every number of a visNet training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses

from gan_fingerprints import typed
from gan_fingerprints.program import option
from gan_fingerprints.training.classifying import Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """What a run computes; each field is a flag of `run.py --app train`."""

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
    total_kimg: float = option(
        typed.kimg, 25_000.0, "length, in thousand images shown", advanced=False
    )
    average_decay: float = option(typed.non_negative, 0.999, "decay of the auto-encoder's average")
    image_ticks: int = option(typed.positive_int, 20, "grids of images every N ticks")


PRESETS = {
    "paper": {},
    "small": {  # 32 px, a few minutes of two CPU cores; a short run cannot outgrow more noise
        "fmap_base": 128,
        "minibatch": 8,
        "learning_rate": 0.006,
        "fingerprint_init": 0.0,
        "rec_weight": 4.0,
        "mirror": False,
        "total_kimg": 30.0,
        "snapshots": 0,
        "accuracy_images": 600,
    },
}
