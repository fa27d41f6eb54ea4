"""Runs in an interpreter of its own: some steps of a trainer, on one device, on two, or on workers.

`steps.py FOLDER NAME… HOW` writes FOLDER/NAME-HOW.npz: the variables of the networks before and
after, and the losses. HOW is "one", "two" (devices of this process), or "worker-I" of those that
TF_CONFIG names. TensorFlow's devices can be divided only before anything else has used them.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

STEPS = 3
SIDE = 32
ROOT = Path(__file__).resolve().parents[3]


class Pictures:
    """Images that are what `data.pipeline.Source` says; `read` counts how often each was read."""

    name, count, resolution, checksum = "noise", 40, SIDE, ""
    source_names = ("a", "b", "c")

    def __init__(self):
        rng = np.random.RandomState(0)
        self.pixels = rng.randint(256, size=(self.count, SIDE, SIDE, 3)).astype(np.uint8)
        self.labels = np.eye(3, dtype=np.float32)[rng.randint(3, size=self.count)]
        self.read = np.zeros(self.count, int)

    def images(self, indices, resolution=None):
        self.read[indices] += 1
        side = resolution or SIDE
        part = self.pixels[indices].reshape(len(indices), side, SIDE // side, side, SIDE // side, 3)
        return part.mean(axis=(2, 4)).astype(np.uint8)


def classifier(strategy, network="paper"):
    from classifier.config import PRESETS, Config
    from classifier.training import Trainer

    small = {"fmap_base": 64, "fmap_max": 16, "width": 4, "members": 2, "minibatch": 8}
    config = Config(**{**PRESETS["paper"][network], **small})
    trainer = Trainer(config, SIDE, 3, strategy)
    trainer.set_learning_rate(0.001)
    how = {"mirror": config.mirror, "augmentation": config.augmentation(SIDE)}
    return trainer, [trainer.C], how


def residual(strategy):
    return classifier(strategy, "residual")


def visnet(strategy):
    from classifier_visNet.config import Config
    from classifier_visNet.training import Trainer

    config = Config(fmap_base=64, fmap_max=16, minibatch=8)
    trainer = Trainer(config, SIDE, 3, strategy)
    how = {"group": config.mbstd_group_size, "mirror": True}
    return trainer, [trainer.EG, trainer.D, trainer.EGs], how


def progan(strategy):
    from ProGAN.config import Config, Schedule
    from ProGAN.training import Trainer

    config = Config(fmap_base=64, fmap_max=16, use_labels=True)
    trainer = Trainer(config, SIDE, 3, strategy)
    trainer.follow(Schedule(lod=1.4, minibatch=8, learning_rate=0.001))
    how = {"group": config.mbstd_group_size, "resolution": SIDE // 2}
    return trainer, [trainer.G, trainer.D, trainer.Gs], how


def sngan(strategy):
    from SNGAN import config as configuration
    from SNGAN.training import Trainer

    config = configuration.load(str(ROOT / "SNGAN" / "configs" / "sn_projection_celeba.yml"))
    small = {"size": SIDE, "ch": 2, "n_classes": 3}
    config = dataclasses.replace(
        config, batchsize=8, n_gen_samples=8, n_dis=2, conditional=True,
        generator={**small, "dim_z": 8}, discriminator=small,
    )  # fmt: skip
    trainer = Trainer(config, strategy)
    trainer.set_learning_rate(0.001)
    return trainer, [trainer.G, trainer.D], {}


def ipm(strategy, objective, **more):
    from gan_fingerprints.ipm.config import Config
    from gan_fingerprints.ipm.training import Trainer

    config = Config(
        architecture="dcgan", output_size=SIDE, gf_dim=4, df_dim=4, z_dim=8, dof_dim=4,
        batch_size=8, learning_rate=0.001, dsteps=2, start_dsteps=2, **more,
    )  # fmt: skip
    trainer = Trainer(config, objective, 0, strategy)
    return trainer, [trainer.G, trainer.D], {}


def cramergan(strategy):
    from CramerGAN.gan.core.cramer import Cramer

    return ipm(strategy, Cramer(), model="cramer", gradient_penalty=10.0)


def mmdgan(strategy):
    from MMDGAN.gan.core.mmd import MMD

    more = {"gradient_penalty": 1.0, "L2_discriminator_penalty": 1.0}
    return ipm(strategy, MMD(), model="mmd", **more)


def mmdgan_norm(strategy):
    """Without gradient penalty, so that the discriminator has batch norm too."""
    from MMDGAN.gan.core.mmd import MMD

    return ipm(strategy, MMD(), model="mmd", gradient_penalty=0.0)


TRAINERS = {
    f.__name__: f
    for f in (classifier, residual, visnet, progan, sngan, cramergan, mmdgan, mmdgan_norm)
}


def run(strategy, name):
    from gan_fingerprints.data import pipeline

    trainer, networks, how = TRAINERS[name](strategy)
    data = Pictures()

    def values():
        return {
            f"{i} {v.path}": tf.convert_to_tensor(v.value).numpy()
            for i, network in enumerate(networks)
            for v in network.variables
        }

    before = values()
    stream = pipeline.shared(strategy, data, 8, seed=1, start=0, **how)
    losses = np.array([np.ravel(trainer.step(stream)) for _ in range(STEPS)])
    assert int(trainer.skipped) == 0
    after = values()
    for network in networks:
        for variable in network.variables:  # the same on all devices of this process
            first, *others = getattr(variable.value, "values", [variable.value])
            for other in others:
                np.testing.assert_array_equal(first.numpy(), other.numpy(), variable.path)
    return {
        **{f"before {k}": v for k, v in before.items()},
        **{f"after {k}": v for k, v in after.items()},
        "losses": losses, "read": data.read,
    }  # fmt: skip


def main():
    folder, *names, how = sys.argv[1:]
    if how == "two":
        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif how == "one":
        strategy = tf.distribute.get_strategy()
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    for name in names:
        np.savez(Path(folder, f"{name}-{how}.npz"), **run(strategy, name))


if __name__ == "__main__":
    main()
