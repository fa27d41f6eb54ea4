"""Every number of a ProGAN training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses
import math

from gan_fingerprints.program import (
    count,
    kimg,
    ladder,
    non_negative,
    option,
    positive_int,
    power_of_two,
    seed,
    step_of,
    switch,
)

MINIBATCH = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 256: 16, 512: 8, 1024: 4}
LEARNING_RATE = {4: 0.001, 128: 0.0015, 256: 0.002, 512: 0.003}


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(1000, seed, "seed of weights, latents and data order")
    resolution: int | None = option(
        None, power_of_two, "side of the finished images (default: the data set's largest)"
    )
    fmap_base: int = option(8192, positive_int, "channels at stage s: min(fmap_base/2^s, fmap_max)")
    fmap_max: int = option(512, positive_int, "most channels of a layer, and the latent size")
    fused_scale: bool = option(True, switch, "1: resample inside strided convolutions")
    mbstd_group_size: int = option(4, count, "images per group of the minibatch stddev")
    use_labels: bool = option(False, switch, "1: condition on the data set's labels")
    total_kimg: float = option(12000.0, kimg, "length, in thousand real images shown")
    lod_initial_resolution: int = option(4, power_of_two, "resolution to start at")
    lod_training_kimg: float = option(600.0, kimg, "stabilise each resolution for this long")
    lod_transition_kimg: float = option(600.0, kimg, "fade to the next one for this long")
    minibatch: dict[int, int] = option(
        MINIBATCH, ladder(int), "images per step from each resolution up, or one number", "RES:N,…"
    )
    minibatch_repeats: int = option(4, positive_int, "steps between two readings of the schedule")
    learning_rate: dict[int, float] = option(
        LEARNING_RATE,
        ladder(float),
        "Adam's rate from each resolution up, or one number",
        "RES:X,…",
    )
    beta_1: float = option(0.0, non_negative, "Adam's decay of the mean")
    beta_2: float = option(0.99, non_negative, "Adam's decay of the variance")
    epsilon: float = option(1e-8, non_negative, "Adam's epsilon")
    average_decay: float = option(0.999, non_negative, "decay of the generator's running average")
    gp_weight: float = option(10.0, non_negative, "weight of the gradient penalty")
    drift_weight: float = option(0.001, non_negative, "weight of the drift penalty")
    tick_kimg: float = option(1.0, kimg, "a line in the log this often")
    image_ticks: int = option(20, positive_int, "a grid of generated images every N ticks")
    snapshot_ticks: int = option(100, positive_int, "a network snapshot every N ticks")


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
    phase = math.floor(kimg / period) if period else resolution
    into_fade = max(kimg - phase * period - config.lod_training_kimg, 0.0)
    fade = into_fade / config.lod_transition_kimg if config.lod_transition_kimg else 0.0
    lod = max(math.log2(resolution / config.lod_initial_resolution) - phase - fade, 0.0)
    side = resolution // 2 ** math.floor(lod)
    return Schedule(lod, step_of(config.minibatch, side), step_of(config.learning_rate, side))


def level_sides(config: Config, resolution: int) -> list[int]:
    """The resolutions that a run passes through, e.g. [4, 8, …, 128]."""
    sides, side = [], min(config.lod_initial_resolution, resolution)
    while side <= resolution:
        sides.append(side)
        side *= 2
    return sides
