"""What these tests share: the reference runs of both GANs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from CramerGAN.gan.core.cramer import Cramer
from gan_fingerprints.ipm import training
from gan_fingerprints.ipm.config import Config
from gan_fingerprints.networks import files
from gan_fingerprints.networks.published.tf1_networks import PREFIXES, our_name
from MMDGAN.gan.core.mmd import MMD

CONFIGS = {
    "cramer": Config(model="cramer", output_size=32, gf_dim=8, df_dim=8, dof_dim=256,
                     gradient_penalty=10.0, gradient_norm="rows"),
    "mmd": Config(model="mmd", kernel="mix_rq_1dot", output_size=32, gf_dim=8, df_dim=8,
                  dof_dim=16, gradient_penalty=1.0, L2_discriminator_penalty=1.0,
                  gradient_norm="rows"),
}  # fmt: skip
OBJECTIVES = {"cramer": Cramer(), "mmd": MMD("mix_rq_1dot", "published")}


@dataclass
class Reference:
    """One of the published programs' runs."""

    model: str
    folder: Path
    config: Config
    objective: Any

    def numbers(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"ref_{name}.npz") as file:
            return {key: file[key] for key in file.files}

    def fill(self, network: Any) -> None:
        stored = files.read(self.folder / "models", "--checkpoint_dir")
        (arrays,) = (found.arrays for found in stored if found.kind == network.name)
        files.fill(network, arrays, "published")

    def variables(self, network: Any) -> dict[str, Any]:
        """The network's trainable variables by their published names."""
        info = json.loads((self.folder / "info.json").read_text())
        prefix = PREFIXES[network.name]
        known = [name for name in info["g_vars"] + info["d_vars"] if name.startswith(prefix)]
        ours = files.named_variables(network)
        return {name: ours[our_name(name.removeprefix(prefix))] for name in known}

    def trainer(self, config: Config | None = None) -> training.Trainer:
        made = training.Trainer(
            config or self.config, self.objective, 0, tf.distribute.get_strategy()
        )
        for network in (made.G, made.D):
            self.fill(network)
        return made

    def latents(self, numbers: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [numbers["z"], numbers["z2"]][: self.objective.fake_batches]


@pytest.fixture(scope="module", params=["cramer", "mmd"])
def published_run(request, oracles) -> Reference:
    model = request.param
    folder = oracles / "gan" / f"{model}_r32_g8"
    return Reference(model, folder, CONFIGS[model], OBJECTIVES[model])
