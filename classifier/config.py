"""Every number of a classifier training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses
from typing import Any

from gan_fingerprints import perturbations, typed
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError, option
from gan_fingerprints.training.classifying import Settings

ATTACKS = typed.one_of("none", *perturbations.NAMES)


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """What a run computes; each field is a flag of `run.py --app train`."""

    component: str = option(
        typed.one_of("full", "low_frequency", "high_frequency", "patch"),
        "full",
        "which part of the images the network sees (fig. 2): all; what blurring and shrinking to "
        "component_res leaves; only the highest band of that; or patches, not mixed below "
        "component_res",
    )
    component_res: int | None = option(typed.power_of_two, None, "see component")
    attack: str = option(ATTACKS, "none", "train on, or test, images after this attack")
    attack_seed: int = option(typed.seed, 0, "of the parameters, with each image's place or name")
    total_kimg: float = option(typed.kimg, 100_000.0, "length, in thousand images shown")
    rampdown_kimg: float = option(
        typed.kimg, 0.0, "linear fall of the rate to 0 over the last so many; 0, as published: none"
    )

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
        # What was published as pre-downscaling and its residual, in the words of the figure.
        whole = {"mode": "postpool", "switching_res": 4, "latent_res": -1}
        view = {
            "full": {},
            "low_frequency": {"mode": "predownscale", "switching_res": side},
            "high_frequency": {"mode": "predownscale_residual", "switching_res": side},
            "patch": {"latent_res": side},
        }[self.component]
        return {"fmap_base": self.fmap_base, "fmap_max": self.fmap_max, **whole, **view}
