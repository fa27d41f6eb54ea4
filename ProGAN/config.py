"""Every number of a ProGAN training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gan_fingerprints import typed
from gan_fingerprints.program import option

MINIBATCH = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 256: 16, 512: 8, 1024: 4}
LEARNING_RATE = {4: 0.001, 128: 0.0015, 256: 0.002, 512: 0.003}


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(
        typed.seed, 1000, "seed of weights, latents and data order", advanced=False
    )
    resolution: int | None = option(
        typed.power_of_two,
        None,
        "side of the finished images (default: the data set's largest)",
        advanced=False,
    )
    fmap_base: int = option(typed.positive_int, 8192, "channels: min(fmap_base/2^stage, fmap_max)")
    fmap_max: int = option(typed.positive_int, 512, "most channels of a layer, and the latent size")
    fused_scale: bool = option(typed.switch, True, "1: resample inside strided convolutions")
    mbstd_group_size: int = option(typed.count, 4, "images per group of the minibatch stddev")
    use_labels: bool = option(typed.switch, False, "1: condition on the data set's labels")
    total_kimg: float = option(
        typed.kimg, 12000.0, "length, in thousand real images shown", advanced=False
    )
    lod_initial_resolution: int = option(typed.power_of_two, 4, "resolution to start at")
    lod_training_kimg: float = option(typed.kimg, 600.0, "stabilise each resolution for this long")
    lod_transition_kimg: float = option(typed.kimg, 600.0, "fade to the next one for this long")
    minibatch: dict[int, int] = option(
        typed.ladder(int),
        MINIBATCH,
        "images per step from each resolution up, or one number",
        advanced=False,
    )
    minibatch_repeats: int = option(typed.positive_int, 4, "steps between looks at the schedule")
    learning_rate: dict[int, float] = option(
        typed.ladder(float),
        LEARNING_RATE,
        "Adam's rate from each resolution up, or one number",
        advanced=False,
    )
    beta_1: float = option(typed.non_negative, 0.0, "Adam's decay of the mean")
    beta_2: float = option(typed.non_negative, 0.99, "Adam's decay of the variance")
    epsilon: float = option(typed.non_negative, 1e-8, "Adam's epsilon")
    average_decay: float = option(typed.non_negative, 0.999, "of the generator's running average")
    gp_weight: float = option(typed.non_negative, 10.0, "weight of the gradient penalty")
    drift_weight: float = option(typed.non_negative, 0.001, "weight of the drift penalty")
    tick_kimg: float = option(typed.kimg, 1.0, "a line in the log this often")
    image_ticks: int = option(typed.positive_int, 20, "a grid of generated images every N ticks")
    snapshot_ticks: int = option(typed.positive_int, 100, "a network snapshot every N ticks")


PRESETS = {
    "paper": {},
    "small": {  # 32 px faces in ten to twenty minutes on two CPU cores
        "resolution": 32,
        "fmap_base": 256,
        "fmap_max": 64,
        "total_kimg": 120.0,
        "lod_initial_resolution": 8,
        "lod_training_kimg": 12.0,
        "lod_transition_kimg": 12.0,
        "minibatch": {4: 16},
        "learning_rate": {4: 0.002},
        "average_decay": 0.995,
        "tick_kimg": 0.5,
    },
}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What the schedule says at one moment of a run."""

    lod: float
    minibatch: int
    learning_rate: float


def schedule(config: Config, resolution: int, shown: int) -> Schedule:
    """The schedule after `shown` images: stabilise a resolution, then fade to the next.

    Source: section 3 and appendix A of Karras et al. 2018.
    """
    kimg = shown / 1000
    period = config.lod_training_kimg + config.lod_transition_kimg
    # Without phases the full resolution is there at once: as if all of them were over.
    phase = math.floor(kimg / period) if period else resolution
    into_fade = max(kimg - phase * period - config.lod_training_kimg, 0.0)
    fade = into_fade / config.lod_transition_kimg if config.lod_transition_kimg else 0.0
    lod = max(math.log2(resolution / config.lod_initial_resolution) - phase - fade, 0.0)
    side = resolution // 2 ** math.floor(lod)
    return Schedule(lod, step_of(config.minibatch, side), step_of(config.learning_rate, side))


def step_of(values: dict[int, Any], resolution: int) -> Any:
    """The value of a ladder (see `typed.ladder`) at a resolution."""
    return values[max(side for side in values if side <= resolution)]


def level_sides(config: Config, resolution: int) -> list[int]:
    """The resolutions that a run passes through, e.g. [4, 8, …, 128]."""
    first = min(config.lod_initial_resolution, resolution)
    return [2**level for level in range(first.bit_length() - 1, resolution.bit_length())]
