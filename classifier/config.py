"""Every number of a classifier training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses
from typing import Any

from gan_fingerprints import perturbations
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import (
    UserError,
    count,
    kimg,
    non_negative,
    one_of,
    option,
    positive_int,
    power_of_two,
    seed,
    share,
    switch,
)

COMPONENTS = ("full", "low_frequency", "high_frequency", "patch")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; each field is a flag of `run.py --app train`."""

    training_seed: int = option(1000, seed, "seed of weights and data order")
    fmap_base: int = option(1024, positive_int, "channels at stage s: min(fmap_base/2^s, fmap_max)")
    fmap_max: int = option(512, positive_int, "most channels of a layer")
    component: str = option(
        "full", one_of(*COMPONENTS), "which part of the images the network sees (fig. 2): all; "
        "what blurring and shrinking to component_res leaves; only the highest band of that; or "
        "patches, not mixed below component_res. One of " + ", ".join(COMPONENTS), "PART",
    )  # fmt: skip
    component_res: int | None = option(None, power_of_two, "see component", "PIXELS")
    attack: str = option(
        "none", one_of("none", *perturbations.NAMES), "train on, or test, images after this "
        "attack: " + ", ".join(perturbations.NAMES), "NAME",
    )  # fmt: skip
    attack_seed: int = option(0, seed, "with each image's place or name it decides the parameters")
    total_kimg: float = option(100_000.0, kimg, "length, in thousand images shown")
    minibatch: int = option(32, positive_int, "images per step")
    learning_rate: float = option(0.001, non_negative, "Adam's rate")
    rampdown_kimg: float = option(
        0.0, kimg, "over the last so many the rate falls linearly to 0; 0, as published, "
        "for never", "KIMG",
    )  # fmt: skip
    beta_1: float = option(0.0, non_negative, "Adam's decay of the mean")
    beta_2: float = option(0.99, non_negative, "Adam's decay of the variance")
    epsilon: float = option(1e-8, non_negative, "Adam's epsilon")
    mirror: bool = option(True, switch, "1: flip each image left to right half of the time")
    tick_kimg: float = option(1.0, kimg, "a line in the log this often")
    accuracy_ticks: int = option(10, positive_int, "measure accuracy every N ticks")
    accuracy_images: int = option(5000, positive_int, "most images of each split to measure it on")
    snapshots: int = option(100, count, "network snapshots over the run")
    false_alarms: float = option(
        0.05, share, "share of images of known sources to be answered \"unknown\", which sets the "
        "threshold after training", "SHARE",
    )  # fmt: skip

    def perturbation(self) -> Perturbation | None:
        """The attack, if there is one."""
        return None if self.attack == "none" else Perturbation(self.attack, self.attack_seed)

    def network_arguments(self, resolution: int) -> dict[str, Any]:
        """Of `networks.Classifier`, but for resolution and sources.

        Raises:
            UserError: component and component_res do not fit each other or the resolution.
        """
        side = self.component_res
        if (side is None) != (self.component == "full"):
            found = "none" if side is None else side
            expected = "none" if side else "the side at which the component is taken"
            raise UserError(
                f"--component_res: found {found} with --component {self.component}, expected "
                f"{expected}"
            )
        if side and side > resolution:
            raise UserError(
                f"--component_res {side}: expected at most {resolution}, the resolution of the data"
            )
        whole = {"mode": "postpool", "switching_res": 4, "latent_res": -1}
        view = {
            "full": {},
            "low_frequency": {"mode": "predownscale", "switching_res": side},
            "high_frequency": {"mode": "predownscale_residual", "switching_res": side},
            "patch": {"latent_res": side},
        }[self.component]
        return {"fmap_base": self.fmap_base, "fmap_max": self.fmap_max, **whole, **view}
