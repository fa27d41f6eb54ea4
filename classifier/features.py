"""Writes the image fingerprints of images, says how far apart their sources lie, and maps them."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from classifier import feature_spaces
from gan_fingerprints import images, metrics, program, typed
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown_lines

DESCRIPTION = """\
Writes the image fingerprints of images, says how far apart their sources lie, and maps them.

  python3 features.py --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path ../GAN_classifier_datasets/test/ --out_features features.npz \\
      --out_json distances.json --out_map map.png

The FD ratio is the mean Fréchet distance between two sources over the mean distance between two
halves of one source: above 1, sources are further from each other than from themselves. All sets
have the same number of images. It falls with that number, so compare ratios of equal ones only."""

FEWEST = 4  # images of a source: two halves of two
MAPS = (".png", ".pdf")
OPTIONS = {
    "--testing_data_path": option(typed.folder, REQUIRED, "one subfolder of images per source"),
    "--space": option(
        typed.one_of("fingerprint", "inception"),
        "fingerprint",
        "features of --model_path before its last layer, or of Keras's InceptionV3",
    ),
    "--model_path": option(typed.file, None, "a network of ours, or a published one"),
    **feature_spaces.INCEPTION,
    "--images": option(
        typed.positive_int,
        None,
        "most of each source, at random; each set has half of the smallest",
    ),
    "--out_features": option(typed.new_file(".npz"), None, "write features, paths and sources"),
    "--out_json": option(typed.new_file(".json"), None, "write ratio and distances as JSON"),
    "--out_map": option(typed.new_file(*MAPS), None, "draw a map by t-SNE"),
    **program.OVERWRITE,
    "--map_images": option(typed.positive_int, 200, "most of each source on the map, at random"),
    "--seed": option(typed.seed, 0, "of what is drawn at random, the halves, and the map"),
}


class Space(NamedTuple):
    """A space of features: how images get there, their side, how many at once, and whose it is."""

    extractor: feature_spaces.Extractor
    side: int
    batch: int
    model: str


def check(arguments: argparse.Namespace) -> None:
    """UserError unless the space has what it needs and the outputs can be written."""
    needed, other = "--model_path", "--inception_weights"
    given = {needed: arguments.model_path, other: arguments.inception_weights}
    if arguments.space == "inception":
        needed, other = other, needed
    elif given[needed] is None:
        raise UserError(f"{needed} is missing: --space fingerprint needs it; see --help")
    if given[other] is not None:
        raise UserError(f"{other}: not used with --space {arguments.space}; leave one of them out")
    if given[needed] is not None:
        program.existing_file(given[needed], needed)
    for flag in ("out_features", "out_json", "out_map"):
        if getattr(arguments, flag):
            program.new_file(getattr(arguments, flag), f"--{flag}", arguments.overwrite)


def drawn(total: int, number: int | None, seed: int) -> np.ndarray:
    """So many of `total` numbers, or all if None, at random, in ascending order."""
    order = np.random.default_rng(seed).permutation(total)
    return np.sort(order[:number])


def require_enough(folder: str, counts: Mapping[str, int], what: str) -> None:
    """UserError unless there are two sources, and images enough for two halves of each."""
    if len(counts) < 2:
        raise UserError(
            f"--testing_data_path {folder}: found one subfolder, expected two sources or more"
        )
    for name, number in counts.items():
        if number < FEWEST:
            raise UserError(
                f"--testing_data_path {folder}: found {number} {what} of {name}, expected "
                f"{FEWEST} or more of every source"
            )


def find_images(arguments: argparse.Namespace) -> dict[str, list[Path]]:
    """Source → the images that are used, in the order of their names."""
    sources = images.list_sources(arguments.testing_data_path, "--testing_data_path")
    chosen = {
        name: [paths[i] for i in drawn(len(paths), arguments.images, arguments.seed)]
        for name, paths in sources.items()
    }
    counts = {name: len(paths) for name, paths in chosen.items()}
    require_enough(arguments.testing_data_path, counts, "images")
    return chosen


def open_space(arguments: argparse.Namespace) -> Space:
    """The space of --space; TensorFlow is loaded here."""
    program.load_tensorflow()
    if arguments.space == "inception":
        model = arguments.inception_weights or "InceptionV3 as fetched by Keras"
        extractor, side = feature_spaces.inception_space(arguments)
        return Space(extractor, side, 16, model)
    import tensorflow as tf

    from gan_fingerprints.networks.layers import in_halves

    kinds = files.constructors("classifier", "cooccurrence")
    loaded = files.load(arguments.model_path, kinds, "--model_path", batch=64)
    extractor = tf.function(in_halves(loaded.network.fingerprints))
    return Space(extractor, loaded.arguments["resolution"], 64, arguments.model_path)


def features_of(
    space: Space, sources: Mapping[str, list[Path]]
) -> tuple[dict[str, np.ndarray], list[Path]]:
    """Source → features float32 [N, D], and the files they are of; the others are printed."""
    truth = {path: name for name, paths in sources.items() for path in paths}
    paths, used = list(truth), []
    rows: dict[str, list[np.ndarray]] = {name: [] for name in sources}
    for i, x in feature_spaces.readable(space.extractor, paths, space.side, space.batch):
        rows[truth[paths[i]]].append(x)
        used.append(paths[i])
    return {name: np.array(own, np.float32) for name, own in rows.items()}, used


def text_of(ratio: feature_spaces.FdRatio, names: list[str]) -> str:
    """The table of distances, and the ratio."""
    labels = [f"{i:>2} {metrics.shorten(name, 32)}" for i, name in enumerate(names, 1)]
    left = max(map(len, labels))
    lines = [" " * left + "".join(f"{i:>10}" for i in range(1, len(names) + 1))]
    for label, one in zip(labels, names, strict=True):
        pairs = ((one, other) if (one, other) in ratio.distances else (other, one)
                 for other in names)  # fmt: skip
        cells = "".join(f"{ratio.distances[pair]:>10.4g}" for pair in pairs)
        lines.append(label.ljust(left) + cells)
    return "\n".join([
        "Fréchet distances between sources and, on the diagonal, between halves of a source:",
        *lines,
        f"FD ratio: {ratio.between:.4g} between / {ratio.within:.4g} within = {ratio.ratio:.4g} "
        f"({ratio.images} images in each set)",
    ])  # fmt: skip


def write_json(
    arguments: argparse.Namespace, space: Space, ratio: feature_spaces.FdRatio, dimensions: int
) -> None:
    origin = {"space": arguments.space, "model": space.model, "dimensions": dimensions}
    numbers = ratio._asdict()
    # JSON has no pairs as keys.
    pairs = [{"sources": pair, "distance": x} for pair, x in numbers.pop("distances").items()]
    content = {**origin, "seed": arguments.seed, **numbers, "pairs": pairs}
    with program.whole_file(arguments.out_json) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_features(path: Path, features: Mapping[str, np.ndarray], paths: list[Path]) -> None:
    """An .npz of features float32 [N, D], paths and sources, text [N] each."""
    sources = np.repeat(list(features), [len(x) for x in features.values()])
    with program.whole_file(path) as partial, open(partial, "wb") as file:
        np.savez(
            file,
            features=np.concatenate(list(features.values())),
            paths=np.array([str(path) for path in paths]),
            sources=sources,
        )


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    check(arguments)
    sources = find_images(arguments)
    space = open_space(arguments)
    features, paths = features_of(space, sources)
    counts = {name: len(x) for name, x in features.items()}
    require_enough(arguments.testing_data_path, counts, "images that can be read")
    ratio = feature_spaces.fd_ratio(features, arguments.seed)
    print(shown_lines(text_of(ratio, list(features))))
    if arguments.out_features:
        write_features(Path(arguments.out_features), features, paths)
        print(f"features: {arguments.out_features}")
    if arguments.out_json:
        write_json(arguments, space, ratio, next(iter(features.values())).shape[1])
        print(f"JSON: {arguments.out_json}")
    if arguments.out_map:
        shown = {
            name: x[drawn(len(x), arguments.map_images, arguments.seed)]
            for name, x in features.items()
        }
        feature_spaces.write_map(arguments.out_map, shown, arguments.seed)
        print(f"map: {arguments.out_map}")


if __name__ == "__main__":
    program.run(main)
