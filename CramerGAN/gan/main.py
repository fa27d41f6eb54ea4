"""Trains a CramerGAN, or generates images with a trained one."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

from typing import Any

from gan_fingerprints import program
from gan_fingerprints.ipm import main as ipm
from gan_fingerprints.ipm.config import SMALL, Config
from gan_fingerprints.ipm.main import Gan

DESCRIPTION = """\
Trains a CramerGAN on images, or generates images with a trained one.

  python3 gan/main.py --is_train True --dataset celebA --data_dir ../celeba_align_png_cropped/ \\
      --checkpoint_dir models/ --sample_dir samples/ --log_dir logs/ \\
      --model cramer --name cramer_gan --architecture g_resnet5 --output_size 128 --dof_dim 256 \\
      --gradient_penalty 10. --MMD_lr_scheduler --random_seed 0
  python3 gan/main.py --checkpoint_dir models/ --name cramer_gan \\
      --output_dir_of_test_samples gen/celeba_align_png_cropped/ --no_of_samples 10000

The defaults are the publication's configuration (128 px, 150,000 iterations: days on a GPU)."""


PRESETS = {
    "paper": {},
    "small": {**SMALL, "learning_rate": 0.0004, "max_iteration": 3000},
}


def objective(config: Config) -> Any:
    from CramerGAN.gan.core.cramer import OBJECTIVES

    return OBJECTIVES[config.model]()


CRAMER_GAN = Gan(
    command="CramerGAN/gan/main.py --is_train",
    description=DESCRIPTION,
    defaults={"model": "cramer", "name": "cramer_gan", "dof_dim": 256, "gradient_penalty": 10.0},
    presets=PRESETS,
    objectives={"cramer": objective, "reddit_cramer": objective},
    elsewhere={"mmd": "MMDGAN/gan/main.py", "wgan_gp": "MMDGAN/gan/main.py"},
    prefix="CRAMER",
    operation=60,
)


def main() -> None:
    ipm.main(CRAMER_GAN)


if __name__ == "__main__":
    program.run(main)
