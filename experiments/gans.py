"""The GANs of the study: how each is trained, and how it generates. A new one is declared here.

The plan, the scales, the order of the help pages and the tests read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Gan:
    """One GAN: a folder of this name, with a page in docs and tests of the same name.

    In commands, `{settings}` stands for the flags that a scale has under the GAN's name, `{model}`
    for the folder of the training run and `{network}` for the file that it ends with.

    Attributes:
        name: of the folder.
        train: command that trains it on `{photos}`, a folder, or on `{records}`, the same prepared
            by dataset_tool.py; with `{seed}` where the study varies that.
        generate: command that makes `{number}` images of a `{seed}` in the new folder `{out}`.
        images: how the names of its images begin, before `_00000000.png`.
        network: in `{model}`; `{iteration}` is what the configuration file in `{settings}` says.
    """

    name: str
    train: str
    generate: str
    images: str
    network: str = "network-final.safetensors"

    @property
    def source(self) -> str:
        """Its images where the architectures are compared."""
        return f"{self.name}_seed_v0" if "{seed}" in self.train else self.name

    def command(self, command: str, settings: str, **places: object) -> str:
        """`train` or `generate` with everything put in its place."""
        network = self.network
        if "{iteration}" in network:
            configuration = yaml.safe_load((PROJECT / settings).read_text())
            network = network.format(iteration=configuration["iteration"])
        return command.format(name=self.name, network=network, settings=settings, **places)


TRAIN_IPM = (
    "{name}/gan/main.py --is_train True --dataset photos --data_dir {photos} "
    "--checkpoint_dir {model}/models --sample_dir {model}/samples --log_dir {model}/logs "
    "--name {name} {settings}"
)
GENERATE_IPM = (
    "{name}/gan/main.py --is_train False --checkpoint_dir {model}/models --name {name} "
    "--output_dir_of_test_samples {out} --no_of_samples {number} --random_seed {seed}"
)
GANS = {
    gan.name: gan
    for gan in (
        Gan(
            "ProGAN",
            "ProGAN/run.py --app train {settings} --training_data_dir {records} "
            "--out_model_dir {model} --training_seed {seed}",
            "ProGAN/run.py --app gen --model_path {model}/{network} --out_image_dir {out} "
            "--num_pngs {number} --gen_seed {seed}",
            "ProGAN",
        ),
        Gan(
            "SNGAN",
            "SNGAN/train.py --config_path {settings} --data_dir {photos} --results_dir {model}",
            "SNGAN/evaluations/gen_images.py --config_path {settings} "
            "--snapshot {model}/{network} --results_dir {out} --num_pngs {number} --seed {seed} "
            "--round 1",
            "SNGAN",
            "ResNetGenerator_{iteration}.npz",
        ),
        Gan("CramerGAN", TRAIN_IPM, GENERATE_IPM, "CRAMER"),
        Gan("MMDGAN", TRAIN_IPM, GENERATE_IPM, "MMD"),
    )
}
