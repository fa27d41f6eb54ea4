"""Every number of a CramerGAN or MMDGAN; needs no TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from gan_fingerprints import typed
from gan_fingerprints.networks.published.tf1_networks import DOUBLINGS
from gan_fingerprints.program import UserError, option

Statistics = Literal["batch", "population", "collect"]  # see `layers.BatchNorm`


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A pair of networks.

    Attributes:
        generator: "dcgan" (transposed convolutions) or "resnet" (residual blocks).
        discriminator: "dcgan" (strided convolutions), "fullconv" (the same without a dense
            layer) or "resnet" (residual blocks with layer norm).
        about: one line for `--help`.
        doublings: how often the image side doubles from the generator's first side on.
    """

    generator: str
    discriminator: str
    about: str
    doublings: int


_PAIRS = {
    "g_resnet5": ("resnet", "dcgan", "residual generator, 5-layer discriminator"),
    "resnet5": ("resnet", "resnet", "both residual, layer norm in the second"),
    "dcgan": ("dcgan", "dcgan", "4 layers each"),
    "dcgan5": ("dcgan", "dcgan", "5 layers each"),
    "d_fullconv5": ("dcgan", "fullconv", "5-layer generator, discriminator without a dense layer"),
}
ARCHITECTURES = {name: Architecture(*pair, DOUBLINGS[name]) for name, pair in _PAIRS.items()}


def require_size(architecture: str, output_size: int) -> None:
    """UserError unless the architecture can make images of this side."""
    step = 2 ** ARCHITECTURES[architecture].doublings
    if output_size % step:
        near = max(step, output_size // step * step)
        raise UserError(
            f"--output_size {output_size}: --architecture {architecture} makes sizes that are "
            f"multiples of {step}; expected for instance {near} or {near + step}"
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; a field made by `option` is a flag of both programs."""

    model: str
    kernel: str = ""
    mmd_diagonal: str = "exact"
    architecture: str = option(
        typed.one_of(*ARCHITECTURES),
        "g_resnet5",
        "; ".join(f"{name}: {pair.about}" for name, pair in ARCHITECTURES.items()),
        advanced=False,
    )
    output_size: int = option(
        typed.positive_int.of("PIXELS"), 128, "side of the images", advanced=False
    )
    z_dim: int = option(typed.positive_int, 100, "length of the latents")
    gf_dim: int = option(typed.positive_int, 64, "width of the generator")
    df_dim: int = option(typed.positive_int, 64, "width of the discriminator")
    dof_dim: int = option(
        typed.positive_int, 16, "number of features that are compared", advanced=False
    )
    batch_norm: bool = option(
        typed.toggle, True, "batch norm in the discriminator where it has no gradient penalty"
    )
    batch_size: int = option(
        typed.positive_int, 32, "real, and generated, images of a step", advanced=False
    )
    max_iteration: int = option(
        typed.positive_int, 150_000, "length, in iterations", advanced=False
    )
    dsteps: int = option(typed.positive_int, 5, "discriminator steps of an iteration")
    start_dsteps: int = option(typed.positive_int, 5, "in the first 20 iterations and every 100th")
    gsteps: int = option(typed.positive_int, 1, "generator steps of an iteration")
    learning_rate: float = option(typed.non_negative, 1e-4, "of Adam", advanced=False)
    beta1: float = option(typed.share.of("X"), 0.5, "of Adam")
    beta2: float = option(typed.share.of("X"), 0.9, "of Adam")
    gradient_penalty: float = option(
        typed.non_negative, 1.0, "weight of the gradient penalty", advanced=False
    )
    gradient_norm: str = option(
        typed.one_of("all", "rows"), "all", "over an image's values, or, as published, its rows"
    )
    L2_discriminator_penalty: float = option(
        typed.non_negative, 0.0, "weight of the discriminator's mean squared activations"
    )
    decay_rate: float = option(
        typed.part, 0.5, "factor on the rate when it falls: each fifth, or by --MMD_lr_scheduler"
    )
    gp_decay_rate: float = option(
        typed.part, 1.0, "factor on --gradient_penalty at each fifth of the run"
    )
    MMD_lr_scheduler: bool = option(
        typed.toggle,
        False,
        "lower the rate when generated images stop getting closer to real ones, by the "
        "three-sample test; needs one of --features_*, else the rate stays constant",
        advanced=False,
    )
    MMD_sdlr_freq: int = option(typed.positive_int, 2000, "iterations from test to test")
    MMD_sdlr_past_sample: int = option(
        typed.positive_int, 10, "tests ago: the images that the newest are compared with"
    )
    MMD_sdlr_num_test: int = option(typed.positive_int, 3, "failures in a row that lower the rate")
    MMD_sdlr_images: int = option(typed.positive_int, 2048, "images of a test")

    @property
    def generator(self) -> dict[str, Any]:
        """The generator's constructor arguments."""
        names = ("architecture", "output_size", "gf_dim", "z_dim")
        return {name: getattr(self, name) for name in names}

    @property
    def discriminator(self) -> dict[str, Any]:
        """The discriminator's constructor arguments."""
        # As published: batch norm would tie the slopes of an image to its neighbours.
        batch_norm = self.batch_norm and not self.gradient_penalty
        names = ("architecture", "output_size", "df_dim", "dof_dim")
        return {name: getattr(self, name) for name in names} | {"batch_norm": batch_norm}

    def d_steps(self, iteration: int) -> int:
        """Discriminator steps of an iteration: `start_dsteps` in the first 20 and every 100th."""
        return self.start_dsteps if iteration < 20 or iteration % 100 == 0 else self.dsteps

    @property
    def total_images(self) -> int:
        """Real images that the whole run uses."""
        d_steps = sum(self.d_steps(i) for i in range(self.max_iteration))
        return (d_steps + self.gsteps * self.max_iteration) * self.batch_size

    def description(self, dataset: str, suffix: str = "") -> str:
        """The published name of a run's folder."""
        parts = [
            f"{dataset}{self.gf_dim}x{self.df_dim}",
            self.architecture,
            f"dc_{self.kernel}d{self.dsteps}-{self.start_dsteps}-{self.gsteps}",
            str(self.batch_size),
            str(self.output_size),
            f"lr{self.learning_rate:.8f}",
        ]
        return "_".join(parts) + ("_bn" if self.batch_norm else "") + suffix

    def check(self, devices: int = 1) -> None:
        """UserError unless the numbers fit each other."""
        require_size(self.architecture, self.output_size)
        if self.batch_size % devices or self.batch_size // devices < 2:
            raise UserError(
                f"--batch_size {self.batch_size}: expected a multiple of {devices} devices with 2 "
                "or more images on each, as batches are compared"
            )
        if self.model == "wgan_gp" and self.dof_dim != 1:
            raise UserError(f"--dof_dim {self.dof_dim}: --model wgan_gp has one output, expected 1")


@dataclasses.dataclass(frozen=True)
class Intervals:
    """How often a run reports; each field is a flag, too."""

    log_interval: int = option(typed.positive_int, 50, "iterations from report to report")
    sample_interval: int = option(typed.positive_int, 500, "iterations from picture to picture")
    snapshot_interval: int = option(
        typed.positive_int, 10_000, "iterations from network to network"
    )


SMALL = {  # 32 px, a few minutes of two CPU cores; each room adds its rate and length
    "architecture": "dcgan",
    "output_size": 32,
    "gf_dim": 24,
    "df_dim": 16,
    "dsteps": 2,
    "decay_rate": 0.6,
}
