"""Every number of a classifier training run. The defaults are the publication's configuration."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from gan_fingerprints import perturbations, typed
from gan_fingerprints.data.augmentation import Augmentation
from gan_fingerprints.perturbations import Perturbation
from gan_fingerprints.program import UserError, option
from gan_fingerprints.training.classifying import Settings

NETWORKS = ("paper", "residual")
LEAST = 32  # pixels: of smaller images the residual network's last layer would see but borders
ATTACKS = typed.one_of("none", *perturbations.NAMES)


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """What a run computes; each field is a flag of `run.py --app train`."""

    network: str = option(
        typed.one_of(*NETWORKS),
        "paper",
        "paper: the publication's; residual: for fine traces, images of any size, and few images, "
        "trained on crops; its defaults are of its own, see above",
        advanced=False,
    )
    component: str = option(
        typed.one_of("full", "low_frequency", "high_frequency", "patch"),
        "full",
        "which part of the images the network sees (fig. 2): all; what blurring and shrinking to "
        "component_res leaves; only the highest band of that; or patches, not mixed below "
        "component_res",
    )
    component_res: int | None = option(typed.power_of_two, None, "see component")
    attack: str = option(
        ATTACKS, "none", "train on, or test, images after this attack", advanced=False
    )
    attack_seed: int = option(typed.seed, 0, "of the parameters, with each image's place or name")
    total_kimg: float = option(
        typed.kimg, 100_000.0, "length, in thousand images shown", advanced=False
    )
    rampdown_kimg: float = option(
        typed.kimg, 0.0, "linear fall of the rate to 0 over the last so many; 0, as published: none"
    )
    warmup_kimg: float = option(typed.kimg, 0.0, "linear rise of the rate over the first so many")
    weight_decay: float = option(
        typed.non_negative, 0.0, "share of the rate by which a step shrinks the weights"
    )
    average_decay: float = option(
        typed.share, 0.0, "of the running average of the weights, which is what is kept; 0: none"
    )
    keep_best: bool = option(
        typed.switch, False, "1: network-final is the one with the best validation accuracy"
    )
    patience: int = option(
        typed.count, 0, "stop after N measurements of accuracy without a better one; 0: never"
    )
    width: int = option(typed.positive_int, 16, "residual: channels of the first convolution")
    members: int = option(
        typed.one_of(1, 2, 3), 1, "residual: networks, built differently, that answer together"
    )
    descriptors: bool = option(
        typed.switch,
        False,
        "residual: 1: beside it a discriminant of co-occurrences, which is found in the end",
    )
    crop: int | None = option(
        typed.number(int, lambda x: x >= 32, "a whole number of 32 or more", "PIXELS"),
        None,
        "train on crops of this side (default: whole images; with residual, half a side, but 32 "
        "or more)",
        advanced=False,
    )
    aligned: float = option(
        typed.between(0, 1, "SHARE"), 1.0, "share of the crops that begin on the grid of 8 pixels"
    )
    contrast: float = option(
        typed.non_negative, 0.0, "random change of contrast: deviation of the gain's logarithm"
    )
    tint: float = option(typed.non_negative, 0.0, "the same, of each colour channel by itself")
    brightness: float = option(
        typed.non_negative, 0.0, "random shift of brightness: deviation, in halves of the range"
    )
    shading: float = option(typed.non_negative, 0.0, "the same, slowly changing across the crop")
    recompress: float = option(
        typed.between(0, 1, "SHARE"), 0.0, "share of crops saved as JPEG again, its grid moved"
    )
    rescale: float = option(
        typed.between(0, 1, "SHARE"), 0.0, "share of crops resized, by a factor of their own"
    )
    rescale_most: float = option(
        typed.number(float, lambda x: 1 <= x <= 2, "a number from 1 to 2"),
        1.1,
        "that factor is at most so much, and at least 1 / so much",
    )
    noise: float = option(
        typed.non_negative, 0.0, "white noise of a deviation from 0 up to this, in grey levels"
    )

    def perturbation(self) -> Perturbation | None:
        """The attack, if there is one."""
        return None if self.attack == "none" else Perturbation(self.attack, self.attack_seed)

    def rate(self, shown: int) -> float:
        """The learning rate after so many images."""
        left, rate = self.total_kimg * 1000 - shown, self.learning_rate
        if self.warmup_kimg:
            rate *= min(1.0, (shown + self.minibatch) / (self.warmup_kimg * 1000))
        if self.rampdown_kimg:
            rate *= min(1.0, left / (min(self.rampdown_kimg, self.total_kimg) * 1000))
        return rate

    def augmentation(self, resolution: int) -> Augmentation | None:
        """What happens to training images of this side, if anything.

        Raises:
            UserError: crops that are larger than the images.
        """
        crop = self.crop
        if crop is None:
            crop = resolution if self.network == "paper" else max(LEAST, resolution // 2)
        if crop > resolution:
            raise UserError(
                f"--crop {crop}: expected at most {resolution}, the resolution of the data"
            )
        if crop < resolution and self.network == "paper":
            raise UserError(
                f"--crop {crop}: the paper's network takes whole images, of {resolution} pixels; "
                "add --network residual"
            )
        change = Augmentation(
            crop, self.aligned, self.contrast, self.tint, self.brightness, self.shading,
            self.recompress, self.rescale, self.noise, self.rescale_most,
        )  # fmt: skip
        same = Augmentation(resolution, most=self.rescale_most)
        return None if change == same else change

    def network_arguments(self, resolution: int) -> dict[str, Any]:
        """Of the network's class, but for resolution and sources.

        Raises:
            UserError: component and component_res do not fit each other, the network or the
                resolution.
        """
        if self.network == "residual":
            return self._residual_arguments(resolution)
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

    def _residual_arguments(self, resolution: int) -> dict[str, Any]:
        if self.component != "full":
            raise UserError(
                f"--component {self.component}: only of the paper's network; add --network paper"
            )
        if resolution < LEAST:
            raise UserError(
                f"--training_data_dir: images of {resolution} pixels, expected {LEAST} or more "
                "for --network residual; prepare them with --resolution, or add --network paper"
            )
        return {"width": self.width, "members": self.members}


DEFAULTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "residual": {  # ten to twenty minutes of one CPU core at 64 pixels; see docs/robust.md
        "total_kimg": 100.0,
        "minibatch": 32,
        "learning_rate": 0.002,
        "warmup_kimg": 5.0,
        "rampdown_kimg": 100.0,
        "beta_1": 0.9,
        "weight_decay": 0.001,
        "average_decay": 0.99,
        "keep_best": True,
        "snapshots": 0,
        "accuracy_images": 2000,
        "either": True,
        "guard": True,
        "descriptors": True,
        "likelihoods": True,
        "enrollable": True,
        "contrast": 0.15,
        "tint": 0.06,
        "brightness": 0.25,
        "shading": 0.1,
        "aligned": 0.75,
        "recompress": 0.25,
        "rescale": 0.25,
        "noise": 1.0,
    },
}
"""Network → what its training has by default, where that is not what a field says."""
PRESETS = {
    "paper": DEFAULTS,
    "small": {  # 32 px, a few minutes of two CPU cores
        "paper": {
            "fmap_base": 256,
            "learning_rate": 0.003,
            "mirror": False,
            "total_kimg": 60.0,
            "rampdown_kimg": 30.0,
            "snapshots": 0,
            "accuracy_images": 600,
        },
        "residual": {**DEFAULTS["residual"], "total_kimg": 30.0, "accuracy_images": 600},
    },
}
"""The same for each preset."""


def flags_of(network: str) -> str:
    """The defaults of a network's own as they would be typed, wrapped for a help text."""
    words = (f"--{name} {float(value):g}" for name, value in DEFAULTS[network].items())
    return textwrap.fill(" ".join(words), 96, initial_indent="  ", subsequent_indent="  ")
