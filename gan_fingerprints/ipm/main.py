"""What the entry points of CramerGAN and MMDGAN do: train, or generate."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gan_fingerprints import images, program
from gan_fingerprints.data.folder import open_images
from gan_fingerprints.ipm import checkpoints, flags, latents
from gan_fingerprints.ipm.config import Config, Statistics
from gan_fingerprints.ipm.flags import Gan
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from gan_fingerprints.training.run import Execution, Run, data_facts, open_run, set_up_tensorflow


def main(gan: Gan) -> None:
    """Parses the command line and does what it says."""
    arguments = flags.parser_of(gan).parse_args()
    check_names(gan, arguments)
    config = flags.config_of(arguments)
    if arguments.is_train:
        train(gan, arguments, config)
    else:
        generate(gan, arguments, config)


def check_names(gan: Gan, arguments: argparse.Namespace) -> None:
    """UserError unless loss and kernel exist; lists those that do."""
    if arguments.model in gan.elsewhere:
        raise UserError(f"--model {arguments.model}: not of this program, use "
                        f"{gan.elsewhere[arguments.model]}")  # fmt: skip
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
    execution = program.options_from(arguments, Execution)
    config.check(max(1, execution.num_gpus or 1))
    features = [arguments.features_weights, arguments.features_model]
    if all(features):
        raise UserError("--features_weights and --features_model: found both, expected one")
    for path, flag in zip(features, ("--features_weights", "--features_model"), strict=True):
        if path:
            program.existing_file(path, flag)
    pictures = open_images(
        arguments.dataset, arguments.data_dir, "--data_dir", config.output_size, arguments.threads
    )
    settings = {
        "command": gan.command,
        "config": {**dataclasses.asdict(config), "training_seed": arguments.random_seed},
        "mixed_precision": execution.mixed_precision,
        "num_gpus": execution.num_gpus,
        "init_from": arguments.init_from,
        "features": next((path for path in features if path), None),
        "data": data_facts(pictures),
    }
    print(json.dumps(settings, indent=2))
    strategy = set_up_tensorflow(execution)
    from gan_fingerprints.ipm import training, updates

    extract = extractor_of(arguments, config)
    objective = gan.objectives[config.model](config)
    updater = updates.Updater(config, objective, arguments.random_seed, strategy, execution.xla)
    if arguments.init_from:
        start_from(updater.G, arguments.init_from)
    if arguments.dry_run:
        print("dry run: everything fits; nothing was written")
        return
    folder = Path(arguments.name, config.description(arguments.dataset, arguments.suffix))
    checkpoint_dir = Path(arguments.checkpoint_dir, folder)
    run = open_run(checkpoint_dir, settings, execution, arguments.resume, "--checkpoint_dir")
    if run is None:
        print(f"{checkpoint_dir}: this run is finished")
        return
    place_files(run, Path(arguments.sample_dir, folder), Path(arguments.log_dir, folder))
    intervals = training.Intervals(
        arguments.log_interval, arguments.sample_interval, arguments.snapshot_interval
    )
    training.train(updater, pictures, run, intervals, extract)


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


def start_from(G: Any, path: str) -> None:
    """Fills a generator with old weights of the same shape."""
    from gan_fingerprints.ipm.networks import Generator

    old = files.load(path, {checkpoints.KIND: Generator}, "--init_from")
    files.fill(G, files.arrays_of(old.network), f"--init_from {path}")


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
    found = checkpoints.find(arguments.checkpoint_dir, arguments.name, description)
    program.load_tensorflow()
    from gan_fingerprints.ipm import sampling

    loaded = checkpoints.load(found, config, given_flags())
    G = loaded.G
    total, seed, batch = arguments.no_of_samples, arguments.random_seed, config.batch_size
    statistics: Statistics = arguments.sampling_statistics or (
        "batch" if loaded.published else "population"
    )
    print(f"generating with {found} ({statistics} statistics)")
    if loaded.published:
        z = latents.published(seed, total, G.z_dim, batch, gan.operation)
        if statistics == "population":
            sampling.collect_statistics(G, seed)
    else:
        z = latents.of_seed(seed, total, G.z_dim)
    with (
        program.whole_folder(folder) as partial,
        ThreadPoolExecutor() as writers,
        tqdm(total=total, unit="image", dynamic_ncols=True) as bar,
    ):
        for part in sampling.images_of(G, z, statistics, batch):
            pixels = sampling.to_uint8(part)[: total - bar.n]
            names = [f"{gan.prefix}_{bar.n + i:08d}.png" for i in range(len(pixels))]
            list(writers.map(images.write_png, [partial / name for name in names], pixels))
            bar.update(len(pixels))
    print(f"wrote {total} images of {G.output_size}x{G.output_size} pixels to {folder}")
