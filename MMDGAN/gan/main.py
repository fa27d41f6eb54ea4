"""Trains an MMDGAN, or generates images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

from typing import Any

from gan_fingerprints import program, typed
from gan_fingerprints.ipm import main as ipm
from gan_fingerprints.ipm.config import SMALL, Config
from gan_fingerprints.ipm.main import Gan
from gan_fingerprints.program import option
from MMDGAN.gan.kernels import DEFAULT, KERNELS

DESCRIPTION = """\
Trains an MMDGAN on images, or generates images with a trained one.

  python3 gan/main.py --is_train True --dataset celebA --data_dir ../celeba_align_png_cropped/ \\
      --checkpoint_dir models/ --sample_dir samples/ --log_dir logs/ \\
      --model mmd --name mmd --kernel mix_rq_1dot --architecture g_resnet5 --output_size 128 \\
      --dof_dim 16 --gradient_penalty 1. --L2_discriminator_penalty 1. --MMD_lr_scheduler \\
      --random_seed 0
  python3 gan/main.py --checkpoint_dir models/ --name mmd \\
      --output_dir_of_test_samples gen/celeba_align_png_cropped/ --no_of_samples 10000

The defaults are the publication's configuration (128 px, 150,000 iterations: days on a GPU)."""

OPTIONS = {
    "--kernel": option(
        typed.name,
        DEFAULT,
        "of --model mmd. " + "; ".join(f"{name}: {about}" for name, about in KERNELS.items()),
    ),
    "--mmd_diagonal": option(
        typed.one_of("exact", "published"),
        "exact",
        "what MMD² leaves out: k(x, x), or a constant",
        advanced=True,
    ),
}


PRESETS = {
    "paper": {},
    "small": {**SMALL, "learning_rate": 0.0004, "max_iteration": 4000},
}


def mmd(config: Config) -> Any:
    from MMDGAN.gan.core.mmd import MMD

    return MMD(config.kernel, config.mmd_diagonal)


def wgan_gp(config: Config) -> Any:
    from MMDGAN.gan.core.wgan_gp import WassersteinGP

    return WassersteinGP()


MMD_GAN = Gan(
    command="MMDGAN/gan/main.py --is_train",
    description=DESCRIPTION,
    defaults={
        "model": "mmd",
        "name": "mmd",
        "kernel": DEFAULT,
        "dof_dim": 16,
        "gradient_penalty": 1.0,
        "L2_discriminator_penalty": 1.0,
    },
    presets=PRESETS,
    objectives={"mmd": mmd, "wgan_gp": wgan_gp},
    elsewhere=dict.fromkeys(("cramer", "reddit_cramer"), "CramerGAN/gan/main.py"),
    prefix="MMD",
    operation=59,
    kernels=KERNELS,
    options=OPTIONS,
)


def main() -> None:
    ipm.main(MMD_GAN)


if __name__ == "__main__":
    program.run(main)
