"""The command line that CramerGAN and MMDGAN share; needs no TensorFlow."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gan_fingerprints import program
from gan_fingerprints.ipm.config import ARCHITECTURES, Config
from gan_fingerprints.training.run import add_run_flags


@dataclasses.dataclass(frozen=True)
class Gan:
    """What is particular to one of the two GANs.

    Attributes:
        command: how the settings of a run name the program.
        description: of `--help`.
        defaults: of flags, by name; those of `Config` otherwise.
        objectives: `--model` name → a function of the Config that gives its `Objective`.
        elsewhere: `--model` names that belong to another program → that program.
        kernels: `--kernel` name → one line about it; empty where there are none.
        prefix: of the names of generated images.
        operation: number of the published random operation that draws latents.
    """

    command: str
    description: str
    defaults: Mapping[str, Any]
    objectives: Mapping[str, Callable[[Config], Any]]
    elsewhere: Mapping[str, str]
    kernels: Mapping[str, str]
    prefix: str
    operation: int


def rate(text: str) -> float:
    """A flag's type: a number above 0 and up to 1."""
    value = program.non_negative(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0 and up to 1")
    return value


def momentum(text: str) -> float:
    """A flag's type: a number from 0 to below 1."""
    value = program.non_negative(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 0, below 1")
    return value


class _Flags:
    """Adds flags in groups, with a program's defaults."""

    def __init__(self, parser: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> None:
        self._parser = parser
        self._defaults = defaults

    def group(self, title: str) -> None:
        self._group = self._parser.add_argument_group(title)

    def value(
        self, name: str, kind: Callable[[str], Any], help: str, metavar: str = "N",
        default: Any = None, choices: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        self._group.add_argument(
            f"--{name}", type=kind, default=self._defaults.get(name, default),
            metavar=None if choices else metavar, choices=choices, help=help,
        )  # fmt: skip

    def switch(self, name: str, help: str) -> None:
        default = self._defaults.get(name, False)
        self._group.add_argument(
            f"--{name}", nargs="?", const=True, default=default, type=program.switch,
            metavar="True|False", help=f"{help}; --no{name} for False",
        )  # fmt: skip
        self._group.add_argument(
            f"--no{name}", dest=name, action="store_false", help=argparse.SUPPRESS
        )


def parser_of(gan: Gan) -> argparse.ArgumentParser:
    """All flags; unknown ones and abbreviations are errors."""
    parser = program.Parser(description=gan.description)
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    add = _Flags(parser, {**fields, **gan.defaults})

    add.group("what to do")
    add.switch("is_train", "True: train; False: generate images with a trained network")
    add.value("random_seed", program.seed, "seed of the training instance, or of the generated "
              "images", "SEED", default=0)  # fmt: skip

    add.group("where things are")
    add.value("dataset", str, "mnist, cifar10, lsun (its database), or a name of your choice for "
              "a folder of images or TFRecords", "NAME", default="celebA")  # fmt: skip
    add.value("data_dir", str, "the training images (not used to generate)", "DIR")
    add.value("checkpoint_dir", str, "trained networks and training states", "DIR",
              default="models")  # fmt: skip
    add.value("sample_dir", str, "pictures of the progress of training", "DIR", default="samples")
    add.value("log_dir", str, "log and TensorBoard events", "DIR", default="logs")
    add.value("name", str, "subfolder of these three", "NAME")
    add.value("suffix", str, "end of the name of the run's folder in them", "TEXT", default="")
    add.value("threads", program.positive_int, "parallel workers that read images", default=2)

    add.group("to generate")
    add.value("output_dir_of_test_samples", str,
              f"where {gan.prefix}_00000000.png … go", "DIR")  # fmt: skip
    add.value("no_of_samples", program.positive_int, "how many", default=10_000)
    add.value("sampling_statistics", str, "of batch norm: those of each batch as published, or "
              "those of a population, with which an image does not depend on its batch (default: "
              "batch for published checkpoints, population for ours)",
              choices=("batch", "population"))  # fmt: skip

    _add_network(add, gan)
    _add_training(add)
    add_run_flags(parser)
    return parser


def _add_network(add: _Flags, gan: Gan) -> None:
    add.group("network and loss")
    add.value("model", str, f"the loss: {', '.join(gan.objectives)}", "NAME")
    if gan.kernels:
        kernels = "; ".join(f"{name}: {about}" for name, about in gan.kernels.items())
        add.value("kernel", str, f"of --model mmd. {kernels}", "NAME")
        add.value("mmd_diagonal", str, "what the unbiased MMD² leaves out: k(x, x), or, as "
                  "published, only its constant part", choices=("exact", "published"))  # fmt: skip
    about = "; ".join(f"{name}: {a.about}" for name, a in ARCHITECTURES.items())
    add.value("architecture", str, about, choices=tuple(ARCHITECTURES))
    add.value("output_size", program.positive_int, "side of the images", "PIXELS")
    add.value("z_dim", program.positive_int, "length of the latents")
    add.value("gf_dim", program.positive_int, "width of the generator")
    add.value("df_dim", program.positive_int, "width of the discriminator")
    add.value("dof_dim", program.positive_int, "number of features that are compared")
    add.switch("batch_norm", "batch norm in the discriminator where it has no gradient penalty")
    add.value("gradient_penalty", program.non_negative, "weight of the gradient penalty", "X")
    add.value("gradient_norm", str, "over all values of an image, or, as published, over rows "
              "only", choices=("all", "rows"))  # fmt: skip
    add.value("L2_discriminator_penalty", program.non_negative,
              "weight of the discriminator's mean squared activations", "X")  # fmt: skip


def _add_training(add: _Flags) -> None:
    add.group("training")
    add.value("max_iteration", program.positive_int, "length, in iterations")
    add.value("batch_size", program.positive_int, "real, and generated, images of a step")
    add.value("dsteps", program.positive_int, "discriminator steps of an iteration")
    add.value("start_dsteps", program.positive_int,
              "those of the first 20 iterations and of every 100th")  # fmt: skip
    add.value("gsteps", program.positive_int, "generator steps of an iteration")
    add.value("learning_rate", program.non_negative, "of Adam", "X")
    add.value("beta1", momentum, "of Adam", "X")
    add.value("beta2", momentum, "of Adam", "X")
    add.value("decay_rate", rate, "factor on the learning rate when it falls: at each fifth of "
              "the run, or as --MMD_lr_scheduler finds", "X")  # fmt: skip
    add.value("gp_decay_rate", rate, "factor on --gradient_penalty at each fifth of the run", "X")
    add.value("log_interval", program.positive_int, "iterations from report to report", default=50)
    add.value("sample_interval", program.positive_int, "iterations from picture to picture",
              default=500)  # fmt: skip
    add.value("snapshot_interval", program.positive_int, "iterations from network to network",
              default=10_000)  # fmt: skip

    add.group("learning rate by the three-sample test")
    add.switch("MMD_lr_scheduler", "lower the rate when generated images stop getting closer to "
               "real ones; needs one of the next two, else the rate stays constant")  # fmt: skip
    add.value("features_weights", str, "weights of Keras's InceptionV3, .h5", "FILE")
    add.value("features_model", str, "an attribution classifier of ours instead", "FILE")
    add.value("MMD_sdlr_freq", program.positive_int, "iterations from test to test")
    add.value("MMD_sdlr_past_sample", program.positive_int,
              "how many tests ago the images are that the newest are compared with")  # fmt: skip
    add.value("MMD_sdlr_num_test", program.positive_int,
              "failures to improve in a row that lower the rate")  # fmt: skip
    add.value("MMD_sdlr_images", program.positive_int, "images of a test")


def config_of(arguments: argparse.Namespace) -> Config:
    """The numbers of the run, from flags of the same names."""
    names = [field.name for field in dataclasses.fields(Config)]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return Config(**given)
