"""The YAML file that describes a training run: read safely, checked key by key.

`fn` and `name` pick one of this project's own entries, called as the release called its own (its
`Updater` is `training.Trainer`); no file that a YAML names is ever run.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gan_fingerprints import typed
from gan_fingerprints.program import UserError, existing_file, option
from gan_fingerprints.training import begin

Check = Callable[[Any], Any]  # the value of a key → the value to use, or ValueError


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes. Fields of the same name as a YAML key mean the same."""

    batchsize: int
    iteration: int
    iteration_decay_start: int
    seed: int
    display_interval: int
    progressbar_interval: int
    snapshot_interval: int
    evaluation_interval: int
    generator: dict[str, Any]  # constructor arguments
    discriminator: dict[str, Any]
    dataset: str  # name of a data set of SNGAN/datasets
    image_list: str | None
    alpha: float
    beta1: float
    beta2: float
    n_dis: int
    n_gen_samples: int
    conditional: bool
    loss_type: str

    @property
    def size(self) -> int:
        """Side of the images."""
        return self.generator["size"]

    @property
    def images_per_iteration(self) -> int:
        """Real images that the discriminator sees between two steps of the generator."""
        return self.n_dis * self.batchsize

    def learning_rate(self, iteration: int) -> float:
        """Adam's rate after `iteration` iterations: constant, then linear to 0 at the end."""
        decay = max(self.iteration - self.iteration_decay_start, 1)
        return self.alpha * min(1.0, max(self.iteration - iteration, 0) / decay)


def whole(minimum: int) -> Check:
    """A whole number of at least `minimum`."""

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise ValueError(f"a whole number of {minimum} or more")
        return value

    return check


def number(minimum: float, below: float = float("inf")) -> Check:
    """A number; also "2e-4", which YAML takes for a text because it has no point."""

    def check(value: Any) -> float:
        try:
            read = float(value) if isinstance(value, (int, float, str)) else float("nan")
        except ValueError:
            read = float("nan")
        # NaN fails every comparison; True would pass as 1.
        if isinstance(value, bool) or not minimum <= read < below:
            limit = "" if below == float("inf") else f", below {below:g}"
            raise ValueError(f"a number from {minimum:g}{limit}")
        return read

    return check


def choice(*values: Any) -> Check:
    """One of some values, of the same type."""

    def check(value: Any) -> Any:
        # The type as well, since True == 1 in Python.
        if not any(value == v and type(value) is type(v) for v in values):
            raise ValueError(" or ".join(repr(v) if isinstance(v, str) else str(v) for v in values))
        return value

    return check


def text_or_none(value: Any) -> str | None:
    """A text, or nothing."""
    if value is not None and not isinstance(value, str):
        raise ValueError("a text or null")
    return value


@dataclasses.dataclass(frozen=True)
class OrElse:
    """A key that may be missing, and what it then is."""

    check: Check
    default: Any


CONFIGS = Path(__file__).resolve().parent / "configs"
PRESETS = {"paper": CONFIGS / "sn_projection_128.yml", "small": CONFIGS / "mini_32.yml"}
OPTIONS = {
    "--config_path": option(
        typed.file,
        None,
        "YAML file with every number; see configs/ (default: the preset's, of 128 or 32 pixels)",
    ),
    **begin.preset_option(", in a file of configs/, unless --config_path names one"),
}
"""Of the programs that train a network, or make images with one that was."""


def path_of(arguments: argparse.Namespace) -> str | Path:
    """The file that the options name."""
    return arguments.config_path or PRESETS[arguments.preset]


SIZES = (32, 64, 128, 256)
GENERATOR = {
    "size": OrElse(choice(*SIZES), 128),
    "ch": OrElse(whole(1), 64),
    "dim_z": OrElse(whole(1), 128),
    "bottom_width": OrElse(choice(4), 4),
    "n_classes": OrElse(whole(0), 0),
    "distribution": OrElse(choice("normal", "uniform"), "normal"),
}
DISCRIMINATOR = {
    "size": OrElse(choice(*SIZES), 128),
    "ch": OrElse(whole(1), 64),
    "n_classes": OrElse(whole(0), 0),
}
UPDATER = {
    "n_dis": OrElse(whole(1), 5),
    "n_gen_samples": OrElse(whole(1), None),  # as many as batchsize
    "conditional": OrElse(choice(True, False), False),
    "loss_type": OrElse(choice("hinge", "dcgan"), "hinge"),
}
DATASETS = {
    "CelebADataset": "datasets/celeba.py",
    "LSUNBedroom200kDataset": "datasets/lsun_bedroom_200k.py",
    "FolderDataset": "datasets/folder.py",
}
SCHEMA: dict[str, Any] = {
    "batchsize": whole(1),
    "iteration": whole(1),
    "iteration_decay_start": whole(0),
    "seed": whole(0),
    "display_interval": whole(1),
    "progressbar_interval": whole(1),
    "snapshot_interval": whole(1),
    "evaluation_interval": whole(1),
    "models": {
        "generator": {
            "fn": choice("gen_models/resnet.py"),
            "name": choice("ResNetGenerator"),
            "args": GENERATOR,
        },
        "discriminator": {
            "fn": choice("dis_models/snresnet.py"),
            "name": choice("SNResNetProjectionDiscriminator"),
            "args": DISCRIMINATOR,
        },
    },
    "dataset": {
        "dataset_fn": choice(*DATASETS.values()),
        "dataset_name": choice(*DATASETS),
        "args": {"image_list": OrElse(text_or_none, None)},
    },
    "adam": {
        "alpha": number(0.0),
        "beta1": number(0.0, below=1.0),
        "beta2": number(0.0, below=1.0),
    },
    "updater": {"fn": choice("updater.py"), "name": choice("Updater"), "args": UPDATER},
}


def checked(tree: Any, schema: dict[str, Any], origin: str, prefix: str = "") -> dict[str, Any]:
    """The values of a YAML mapping after their checks; UserError names the key at fault."""
    place = f"key {prefix[:-1]}" if prefix else "the file"
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise UserError(f"{origin}: {place}: found {tree!r}, expected keys with values")
    for key in tree:
        if key not in schema:
            near = difflib.get_close_matches(str(key), schema, 1, cutoff=0.0)[0]
            raise UserError(
                f"{origin}: key {prefix}{key} is unknown; the nearest is {prefix}{near}"
            )
    return {key: _value(tree, key, rule, origin, f"{prefix}{key}") for key, rule in schema.items()}


def _value(tree: dict[str, Any], key: str, rule: Any, origin: str, path: str) -> Any:
    if isinstance(rule, dict):
        if key not in tree and not all(isinstance(r, OrElse) for r in rule.values()):
            raise UserError(f"{origin}: key {path} is missing; expected {', '.join(rule)} in it")
        return checked(tree.get(key), rule, origin, f"{path}.")
    if key not in tree:
        if isinstance(rule, OrElse):
            return rule.default
        raise UserError(f"{origin}: key {path} is missing; see the files in SNGAN/configs")
    check = rule.check if isinstance(rule, OrElse) else rule
    try:
        return check(tree[key])
    except ValueError as expected:
        raise UserError(f"{origin}: key {path}: found {tree[key]!r}, expected {expected}") from None


def load(path: str | Path, flag: str = "--config_path") -> Config:
    """Reads a configuration.

    Raises:
        UserError: not YAML, an unknown or missing key, a wrong type, or parts that do not fit.
    """
    path = existing_file(path, flag)
    origin = f"{flag} {path}"
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{origin}: not a YAML file ({error}); see SNGAN/configs") from None
    values = checked(tree, SCHEMA, origin)
    models, dataset = values.pop("models"), values.pop("dataset")
    updater, adam = values.pop("updater"), values.pop("adam")
    updater["args"]["n_gen_samples"] = updater["args"]["n_gen_samples"] or values["batchsize"]
    config = Config(
        **values,
        generator=models["generator"]["args"],
        discriminator=models["discriminator"]["args"],
        dataset=dataset["dataset_name"],
        image_list=dataset["args"]["image_list"],
        **adam,
        **updater["args"],
    )
    config.generator.pop("bottom_width")  # one value only
    _require_consistent(config, dataset, origin)
    return config


def _require_consistent(config: Config, dataset: dict[str, Any], origin: str) -> None:
    G, D = config.generator, config.discriminator
    problem = None
    if DATASETS[config.dataset] != dataset["dataset_fn"]:
        problem = f"dataset.dataset_fn: found {dataset['dataset_fn']}, expected " + (
            f"{DATASETS[config.dataset]}, which has {config.dataset}"
        )
    elif G["size"] != D["size"]:
        problem = f"models: a generator of size {G['size']} and a discriminator of size {D['size']}"
    elif config.iteration_decay_start > config.iteration:
        problem = (
            f"iteration_decay_start: found {config.iteration_decay_start}, expected at most "
            f"iteration, {config.iteration}"
        )
    elif config.conditional and not 0 < G["n_classes"] == D["n_classes"]:
        problem = (
            f"updater.args.conditional: needs the same n_classes above 0 in both models; found "
            f"{G['n_classes']} and {D['n_classes']}"
        )
    elif config.seed >= 2**32:
        problem = f"seed: found {config.seed}, expected 0 to 4294967295"
    if problem:
        raise UserError(f"{origin}: {problem}")
