"""The program that CramerGAN and MMDGAN are: its options, training, generating."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_fingerprints import images, program, typed
from gan_fingerprints.data.folder import open_images
from gan_fingerprints.ipm import checkpoints, latents
from gan_fingerprints.ipm.config import Config, Intervals, Statistics
from gan_fingerprints.program import UserError, option
from gan_fingerprints.training import begin
from gan_fingerprints.training.run import RUN, Run


@dataclasses.dataclass(frozen=True)
class Gan:
    """What is particular to one of the two GANs.

    Attributes:
        command: how the settings of a run name the program.
        description: of `--help`.
        defaults: of options, by name; those of `Config` otherwise.
        presets: of --preset, as its room declares them: name → numbers by the field of `Config`.
        objectives: `--model` name → a function of the Config that gives its `Objective`.
        elsewhere: `--model` names that belong to another program → that program.
        prefix: of the names of generated images.
        operation: number of the published random operation that draws latents.
        kernels: `--kernel` name → one line about it; empty where there are none.
        options: of the loss, that the other GAN does not have.
    """

    command: str
    description: str
    defaults: Mapping[str, Any]
    presets: Mapping[str, dict[str, Any]]
    objectives: Mapping[str, Callable[[Config], Any]]
    elsewhere: Mapping[str, str]
    prefix: str
    operation: int
    kernels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> type:
        """`Config` with this GAN's defaults."""
        fields = [
            (
                field.name, field.type,
                option(default=self.defaults[field.name], **field.metadata),
            )
            for field in dataclasses.fields(Config)
            if field.metadata and field.name in self.defaults
        ]  # fmt: skip
        return dataclasses.make_dataclass("Config", fields, bases=(Config,), frozen=True)


APP = {
    "--is_train": option(
        typed.toggle, False, "True: train; False: generate with a trained network"
    ),
    "--random_seed": option(typed.seed, 0, "of the training, or of the generated images"),
}
PLACES = {
    "--dataset": option(
        typed.name, "celebA", "mnist, cifar10, lsun, or any name for a folder of images or records"
    ),
    "--data_dir": option(typed.folder, None, "the training images (not used to generate)"),
    "--checkpoint_dir": option(typed.folder, "models", "trained networks and training states"),
    "--sample_dir": option(typed.folder, "samples", "pictures of the progress of training"),
    "--log_dir": option(typed.folder, "logs", "log and TensorBoard events"),
    "--suffix": option(
        typed.text, "", "end of the name of the run's folder in these", advanced=True
    ),
    "--threads": option(typed.positive_int, 2, "parallel workers that read images", advanced=True),
}
SAMPLES = {
    "--no_of_samples": option(typed.positive_int, 10_000, "how many"),
    "--sampling_statistics": option(
        typed.one_of("batch", "population"),
        None,
        "of batch norm: those of each batch as published, or those of a population, with which an "
        "image does not depend on its batch (default: batch for published checkpoints, population "
        "for ours)",
        advanced=True,
    ),
}
FEATURES = {
    "--features_weights": option(typed.file, None, "of Keras's InceptionV3, .h5", advanced=True),
    "--features_model": option(
        typed.file, None, "an attribution classifier of ours instead", advanced=True
    ),
}


def parse_arguments(gan: Gan) -> argparse.Namespace:
    """All flags of a program, with its defaults."""
    name = option(typed.name, gan.defaults["name"], "subfolder of the three folders to write to")
    pngs = option(typed.folder, None, f"where {gan.prefix}_00000000.png … go")
    losses = f"the loss: {', '.join(gan.objectives)}"
    model = {"--model": option(typed.name, gan.defaults["model"], losses)}
    return program.Parser(
        gan.description,
        ("what to do", APP),
        ("where things are", {**PLACES, "--name": name}),
        ("to generate", {"--output_dir_of_test_samples": pngs, **SAMPLES}),
        ("what to train", begin.preset_option(), {**model, **gan.options}, gan.config),
        ("features for the three-sample test of --MMD_lr_scheduler", FEATURES),
        ("what to report", Intervals),
        *RUN,
    ).parse_args()


def main(gan: Gan) -> None:
    """Parses the command line and does what it says."""
    arguments = parse_arguments(gan)
    check_names(gan, arguments)
    config = program.options_from(arguments, gan.config, gan.presets[arguments.preset])
    if arguments.is_train:
        train(gan, arguments, config)
    else:
        generate(gan, arguments, config)


def check_names(gan: Gan, arguments: argparse.Namespace) -> None:
    """UserError unless loss and kernel exist; lists those that do."""
    if arguments.model in gan.elsewhere:
        raise UserError(
            f"--model {arguments.model}: not of this program, use {gan.elsewhere[arguments.model]}"
        )
    _require_known("--model", arguments.model, gan.objectives)
    if gan.kernels:
        if arguments.model != "mmd":
            arguments.kernel = ""
        else:
            _require_known("--kernel", arguments.kernel, gan.kernels)


def _require_known(flag: str, value: str, known: Any) -> None:
    if value in known:
        return
    near = difflib.get_close_matches(value, known, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise UserError(f"{flag} {value}: unknown{hint}; expected one of {', '.join(known)}")


def given_flags() -> set[str]:
    """Names of the flags on the command line."""
    words = (word.partition("=")[0] for word in sys.argv[1:] if word.startswith("--"))
    return {word[2:] for word in words}


def train(gan: Gan, arguments: argparse.Namespace, config: Config) -> None:
    config.check(begin.devices(arguments))
    features = [arguments.features_weights, arguments.features_model]
    if all(features):
        raise UserError("--features_weights and --features_model: found both, expected one")
    for path, flag in zip(features, ("--features_weights", "--features_model"), strict=True):
        if path:
            program.existing_file(path, flag)
    pictures = open_images(
        arguments.dataset, arguments.data_dir, "--data_dir", config.output_size, arguments.threads,
        arguments.verify,
    )  # fmt: skip
    folder = Path(arguments.name, config.description(arguments.dataset, arguments.suffix))
    start = begin.Start(
        arguments, Path(arguments.checkpoint_dir, folder), "--checkpoint_dir",
        command=gan.command, seed=arguments.random_seed, data=pictures,
        config={**dataclasses.asdict(config), "training_seed": arguments.random_seed},
        features=next((path for path in features if path), None),
    )  # fmt: skip
    from gan_fingerprints.ipm import training

    extract = extractor_of(arguments, config)
    objective = gan.objectives[config.model](config)
    seed = arguments.random_seed
    trainer = training.Trainer(config, objective, seed, start.strategy, start.xla)
    if arguments.init_from:
        trainer.start_from(arguments.init_from)
    if run := start.open_run():
        if run.chief:
            place_files(run, Path(arguments.sample_dir, folder), Path(arguments.log_dir, folder))
        intervals = program.options_from(arguments, Intervals)
        training.train(trainer, pictures, run, intervals, extract)


def place_files(run: Run, sample_dir: Path, log_dir: Path) -> None:
    """Sends a run's pictures and log to the folders that the published tool has for them."""
    for folder, flag in ((sample_dir, "--sample_dir"), (log_dir, "--log_dir")):
        program.check_writable(folder, flag)
        folder.mkdir(parents=True, exist_ok=True)
    run.elsewhere = {
        "samples": sample_dir,
        "log.txt": log_dir / "log.txt",
        "tensorboard": log_dir / "tensorboard",
    }


def extractor_of(arguments: argparse.Namespace, config: Config) -> Any:
    """The feature extractor of the three-sample test; None without test or without extractor."""
    if not config.MMD_lr_scheduler:
        return None
    from gan_fingerprints.ipm import features

    if arguments.features_weights:
        return features.of_inception(arguments.features_weights)
    if arguments.features_model:
        return features.of_classifier(arguments.features_model)
    return None


def generate(gan: Gan, arguments: argparse.Namespace, config: Config) -> None:
    if arguments.output_dir_of_test_samples is None:
        raise UserError(
            "--output_dir_of_test_samples is missing: without --is_train, images are generated "
            "into it; see --help"
        )
    folder = program.new_output(
        arguments.output_dir_of_test_samples, "--output_dir_of_test_samples"
    )
    description = config.description(arguments.dataset, arguments.suffix)
    path = checkpoints.find(arguments.checkpoint_dir, arguments.name, description)
    program.load_tensorflow()
    from gan_fingerprints.ipm import sampling

    loaded = checkpoints.load(path, config, given_flags())
    G: Any = loaded.network
    published = "published_file" in loaded.provenance  # also when it was converted since
    total, seed, batch = arguments.no_of_samples, arguments.random_seed, config.batch_size
    statistics: Statistics = arguments.sampling_statistics or (
        "batch" if published else "population"
    )
    print(f"generating with {path} ({statistics} statistics)")
    if published:
        z = latents.published(seed, total, G.z_dim, batch, gan.operation)
        if statistics == "population":
            sampling.collect_statistics(G, seed)
    else:
        z = latents.of_seed(seed, total, G.z_dim)
    pictures = map(sampling.to_uint8, sampling.images_of(G, z, statistics, batch))
    with program.whole_folder(folder) as partial:
        images.write_numbered(partial, gan.prefix, pictures, total)
    print(f"wrote {total} images of {G.output_size}x{G.output_size} pixels to {folder}")
