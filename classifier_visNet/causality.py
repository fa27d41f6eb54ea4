"""Adds model fingerprints to images, or takes them away, and sees whether the attribution follows.

A fingerprint that decides must be decisive wherever it is: an image of source A plus a little of
the model fingerprint of B should be attributed to B, one of A minus that of A no longer to A, and a
random pattern of the same norm should do neither.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from classifier_visNet import figures
from classifier_visNet.figures import GREEN, RED, wrapped
from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.attribution.flags import model_options
from gan_fingerprints.attribution.tables import load_network
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Adds model fingerprints to images, or takes them away, and sees whether the attribution follows.

  python3 causality.py --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path ../GAN_classifier_datasets/test/ --out_dir causality/

For each strength α: an image of A plus α times the model fingerprint of B, scaled to norm 1 over
all pixels and channels of an image in [-1, 1]; an image of A minus α times that of A; and the same
with a random pattern of norm 1. The changed images are rounded to 8 bits."""

STRENGTHS = typed.Kind(lambda text: sorted(map(typed.non_negative, text.split(","))), "X,…")
OPTIONS = {
    **model_options(REQUIRED),
    "--out_dir": option(typed.folder, REQUIRED, "new folder for the numbers and a figure"),
    "--alphas": option(STRENGTHS, "0.5,1,2,3,4,6,8,12,16", "strengths to try"),
    "--num_images": option(typed.positive_int, 100, "most images of each source"),
    "--example": option(
        typed.non_negative, None, "strength of the examples (default: the least that moves 90%)"
    ),
}

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Effect:
    """What strength `alpha` did, over all images that were right before.

    Attributes:
        psnr: of the images with a fingerprint added, in decibels (mean).
        added: share attributed to B after B's fingerprint was added.
        added_random: share attributed to B after a random pattern was added.
        removed: share no longer attributed to A after A's fingerprint was taken away.
        removed_random: the same with a random pattern.
    """

    alpha: float
    psnr: float
    added: float
    added_random: float
    removed: float
    removed_random: float


def unit_patterns(patterns: np.ndarray) -> np.ndarray:
    """float [N, R, R, 3], each scaled to norm 1."""
    return patterns / np.sqrt(np.sum(np.square(patterns), axis=(1, 2, 3), keepdims=True))


def changed(pixels: np.ndarray, pattern: np.ndarray, alpha: float) -> np.ndarray:
    """Images uint8 [N, R, R, 3] plus α times a pattern [R, R, 3] on the scale [-1, 1]; uint8."""
    return images.to_uint8(images.from_uint8(pixels) + alpha * pattern)


def psnr(pixels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Peak signal to noise ratio in decibels of each of N pairs of uint8 images."""
    errors = np.square(pixels.astype(np.float64) - others).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(errors, 1e-12))


def measure(
    predict: Predict, pixels: np.ndarray, labels: np.ndarray, models: np.ndarray,
    alphas: Sequence[float], seed: int = 0,
) -> list[Effect]:  # fmt: skip
    """The effect of each strength, on the images that are attributed rightly to begin with.

    Args:
        predict: uint8 [N, R, R, 3] → labels [N].
        pixels, labels: uint8 [N, R, R, 3] and int [N].
        models: model fingerprints, float [sources, R, R, 3].
        alphas: the strengths.
        seed: of the random patterns, one for each source.
    """
    right = predict(pixels) == labels
    pixels, labels = pixels[right], labels[right]
    patterns = unit_patterns(models)
    # The control: if any disturbance of this size moved the answers, fingerprints would not count.
    noise = unit_patterns(np.random.default_rng(seed).standard_normal(models.shape))
    return [_effect(predict, pixels, labels, patterns, noise, alpha) for alpha in alphas]


def _effect(
    predict: Predict, pixels: np.ndarray, labels: np.ndarray, patterns: np.ndarray,
    noise: np.ndarray, alpha: float,
) -> Effect:  # fmt: skip
    names = ("added", "added_random", "removed", "removed_random")
    shares: dict[str, list[np.ndarray]] = {name: [] for name in names}
    ratios = []
    for k in range(len(patterns)):
        own, others = pixels[labels == k], pixels[labels != k]
        for kind, pattern in (("", patterns[k]), ("_random", noise[k])):
            more = changed(others, pattern, alpha)
            shares[f"added{kind}"].append(predict(more) == k)
            shares[f"removed{kind}"].append(predict(changed(own, pattern, -alpha)) != k)
            if not kind:
                ratios.append(psnr(others, more))

    def mean(parts: list[np.ndarray]) -> float:
        return round(float(np.concatenate(parts).mean()), 4)

    return Effect(alpha, mean(ratios), **{name: mean(parts) for name, parts in shares.items()})


def read_sources(path: str, names: Sequence[str], resolution: int, most: int):
    """Up to `most` images of each known source: uint8 [N, R, R, 3] and labels [N]."""
    paths, truth = find_testing_images(path)
    chosen = [
        [p for p, name in zip(paths, truth or [], strict=bool(truth)) if name == source][:most]
        for source in names
    ]
    if (number := sum(map(bool, chosen))) < 2:
        raise UserError(
            f"--testing_data_path {path}: found subfolders of {number} sources of this "
            f"network, expected two or more of {', '.join(names)}"
        )
    resize = partial(images.resize, resolution=resolution)
    pixels = [images.read_changed(path, resize) for part in chosen for path in part]
    return np.stack(pixels), np.repeat(np.arange(len(names)), [len(part) for part in chosen])


def least_strong(effects: Sequence[Effect]) -> Effect:
    """The effect of the least strength that moves 90 % of the images, or of the greatest."""
    return next((effect for effect in effects if effect.added >= 0.9), effects[-1])


def table(effects: Sequence[Effect]) -> str:
    """The effects as text."""
    lines = ["  alpha  PSNR/dB   + B   + random    - A   - random"]
    for e in effects:
        parts = (e.added, e.added_random, e.removed, e.removed_random)
        cells = [f"{100 * part:6.1f} %" for part in parts]
        lines.append(f"{e.alpha:7.2f} {e.psnr:8.2f} " + " ".join(cells))
    return "\n".join(lines)


def curves(path: Path, effects: Sequence[Effect]) -> None:
    """Writes a PNG: shares of images that follow, by strength and PSNR."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    ratios = [effect.psnr for effect in effects]
    panels = (
        ("added", "attributed to B", "model fingerprint of B added to images of others"),
        ("removed", "no longer attributed to A", "model fingerprint of A taken away from its own"),
    )
    for axes, (name, label, title) in zip(figure.subplots(1, 2), panels, strict=True):
        for kind, text, style in (("", "fingerprint", "o-"), ("_random", "random pattern", "s--")):
            shares = [100 * getattr(effect, name + kind) for effect in effects]
            axes.plot(ratios, shares, style, label=text, color=RED if kind else GREEN)
        axes.set(xlabel="PSNR of the changed image (dB)", ylabel=f"{label} (%)", ylim=(-4, 104))
        axes.set_title(title, fontsize=9)
        axes.invert_xaxis()  # further right: stronger
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=9)
    figures.write(path, figure)


def examples(
    path: Path, predict: Predict, names: Sequence[str], pixels: np.ndarray, labels: np.ndarray,
    changes: np.ndarray,
) -> None:  # fmt: skip
    """Writes a PNG: an image of each source, and the same with each change, and its attribution.

    pixels: uint8 [N, R, R, 3], attributed rightly to labels [N]; changes: float [sources, R, R, 3]
    on the scale [-1, 1].
    """
    shown = [k for k in range(len(names)) if (labels == k).any()]
    columns = 1 + len(names)
    size = 1.45 * columns + 0.9, 1.6 * len(shown) + 0.5
    figure, grid = figures.grid_of(len(shown), columns, size)
    for line, k in zip(grid, shown, strict=True):
        original = pixels[labels == k][:1]
        others = images.to_uint8(images.from_uint8(original) + changes)
        batch = np.concatenate([original, others])
        for j, (axes, answer) in enumerate(zip(line, predict(batch), strict=True)):
            axes.imshow(batch[j], interpolation="nearest")
            wanted = k if j == 0 else j - 1
            axes.set_xlabel(wrapped(names[answer]), fontsize=7, labelpad=2,
                            color=GREEN if answer == wanted else RED)  # fmt: skip
        figures.label_row(line[0], names[k])
    for axes, text in zip(grid[0], ("unchanged", *(f"+ {name}" for name in names)), strict=True):
        axes.set_title(wrapped(text, 18), fontsize=8)
    figure.tight_layout(pad=0.5, w_pad=0.3, h_pad=1.2)
    figures.write(path, figure)


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    program.existing_file(arguments.model_path, "--model_path")
    out_dir = program.new_output(arguments.out_dir, "--out_dir")
    program.load_tensorflow()
    from classifier_visNet.networks import AutoEncoder

    loaded = load_network(arguments, {"visnet_autoencoder": AutoEncoder}, arguments.batch)
    attributor = Attributor.of(
        loaded, arguments.batch, fingerprints=True, precision=arguments.precision
    )
    names = attributor.source_names
    pixels, labels = read_sources(
        arguments.testing_data_path, names, attributor.resolution, arguments.num_images
    )

    def predict(pixels: np.ndarray) -> np.ndarray:
        return np.array(
            [answer.logits.argmax() for answer in attributor.answers(pixels[:, None])], int
        )

    models = np.moveaxis(attributor.model_fingerprints, 3, 0)
    effects = measure(predict, pixels, labels, models, arguments.alphas)
    print(table(effects))
    strength = least_strong(effects).alpha if arguments.example is None else arguments.example
    with program.whole_folder(out_dir) as folder:
        numbers = json.dumps([asdict(effect) for effect in effects], indent=1)
        (folder / "causality.json").write_text(numbers + "\n")
        curves(folder / "causality.png", effects)
        right = predict(pixels) == labels
        examples(
            folder / "examples.png", predict, names, pixels[right], labels[right],
            strength * unit_patterns(models),
        )  # fmt: skip
    print(f"numbers and figures: {out_dir}")


if __name__ == "__main__":
    program.run(main)
