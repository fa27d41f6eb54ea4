"""Names of the architectures and which image sizes they can make; needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_fingerprints.commands import UserError

Statistics = Literal["batch", "population", "collect"]  # see `layers.BatchNorm`


@dataclass(frozen=True)
class Architecture:
    """A pair of networks.

    Attributes:
        generator: "dcgan" (transposed convolutions) or "resnet" (residual blocks).
        discriminator: "dcgan" (strided convolutions), "fullconv" (the same without a dense
            layer) or "resnet" (residual blocks with layer norm).
        doublings: how often the image side doubles from the generator's first side on.
        about: one line for `--help`.
    """

    generator: str
    discriminator: str
    doublings: int
    about: str


ARCHITECTURES = {
    "g_resnet5": Architecture("resnet", "dcgan", 5, "residual generator, 5-layer discriminator"),
    "resnet5": Architecture("resnet", "resnet", 5, "both residual, layer norm in the second"),
    "dcgan": Architecture("dcgan", "dcgan", 4, "4 layers each"),
    "dcgan5": Architecture("dcgan", "dcgan", 5, "5 layers each"),
    "d_fullconv5": Architecture(
        "dcgan", "fullconv", 5, "5-layer generator, discriminator without a dense layer"
    ),
}


def require_size(architecture: str, output_size: int) -> None:
    """UserError unless the architecture can make images of this side."""
    step = 2 ** ARCHITECTURES[architecture].doublings
    if output_size % step:
        near = max(step, output_size // step * step)
        raise UserError(
            f"--output_size {output_size}: --architecture {architecture} makes sizes that are "
            f"multiples of {step}; expected for instance {near} or {near + step}"
        )
