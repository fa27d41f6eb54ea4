"""Spaces of features: of image files, how well sources are separated in them, and a map."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution import answering
from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.attribution.asking import padded, require_finite
from gan_fingerprints.attribution.seeing import Whole
from gan_fingerprints.program import option
from gan_fingerprints.shown import drawn, shown

INCEPTION = {
    "--inception_weights": option(
        typed.file, None, "weights of InceptionV3, .h5; without, Keras fetches them"
    )
}

Extractor = Callable[[np.ndarray], Any]
"""Images float32 [N, R, R, 3] in [-1, 1] → features [N, D], a NumPy array or a tensor."""


def inception_space(arguments: argparse.Namespace) -> tuple[Extractor, int]:
    """InceptionV3 with the weights that were asked for, and the side of its images."""
    from gan_fingerprints.networks import inception

    return inception.extractor(arguments.inception_weights, "--inception_weights"), inception.SIDE


def extract(
    extractor: Extractor, paths: Iterable[Path], side: int, batch: int
) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Yields each image file, in order, with its features float32 [D] or why it has none.

    The whole image is resized to `side` pixels. The extractor always gets `batch` images, so that
    what it says of an image does not depend on how many others there are, and on its place among
    them by rounding at most.
    """

    def features_of(pictures: Sequence[Picture]) -> np.ndarray:
        pixels = np.concatenate([x.pixels for x in pictures])
        whole = extractor(images.from_uint8(padded(pixels, batch)))
        features = np.asarray(whole, np.float32)[: len(pixels)]
        require_finite(features)
        return features

    read = partial(answering.read, seeing=Whole(side))
    for picture, features in answering.answered(read, paths, features_of, batch):
        yield picture.path, picture.error if features is None else features


def readable(
    extractor: Extractor, paths: Sequence[Path], side: int, batch: int, what: str | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number of each image that can be read, and its features; prints the others."""
    answers = extract(extractor, paths, side, batch)
    bar = tqdm(answers, what, total=len(paths), unit="image", dynamic_ncols=True)
    for i, (path, features) in enumerate(bar):
        if isinstance(features, str):
            tqdm.write(shown(f"skipped: {path}: {features}"))
        else:
            yield i, features


class Gaussian(NamedTuple):
    """Its mean [D], and R [min(N, D), D] with RᵀR its covariance."""

    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """The one that features float [N, D] would come from; N at least 2."""
        x = np.asarray(features, np.float64)
        mean = x.mean(axis=0)
        return cls(mean, np.linalg.qr((x - mean) / np.sqrt(len(x) - 1), mode="r"))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁) + tr(Σ₂) - 2·tr((Σ₁Σ₂)^½), Dowson and Landau (1982)."""
    # With Σ = RᵀR the last trace is the sum of the singular values of R₁R₂ᵀ: no root of a matrix
    # is needed, and equal sets give 0 to rounding even with fewer features than dimensions.
    shared = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
    spread = (a.root**2).sum() + (b.root**2).sum()
    return float(((a.mean - b.mean) ** 2).sum() + spread - 2 * shared)


class FdRatio(NamedTuple):
    """The ratio, the two means it is made of, and what those are means of.

    Attributes:
        images: the number in each set.
        distances: two sources → their Fréchet distance; a source twice → that of its halves.
    """

    ratio: float
    between: float
    within: float
    images: int
    distances: dict[tuple[str, str], float]


def fd_ratio(features: Mapping[str, np.ndarray], seed: int = 0) -> FdRatio:
    """Mean Fréchet distance between sources / that between two halves of the same source.

    Above 1, sources are further from each other than from themselves (the publication, section
    on uniqueness). All sets have the same number of images, half of the smallest source, since
    the distance is biased by the number.

    features: source name → float [N, D]; two sources or more with 4 images or more. Raises
        ValueError otherwise.
    """
    number = min(map(len, features.values()), default=0) // 2
    if len(features) < 2 or number < 2:
        raise ValueError(f"got {len(features)} sources, the smallest of {2 * number} images")
    rng = np.random.default_rng(seed)
    halves = {}
    for name, x in features.items():
        order = rng.permutation(len(x))
        halves[name] = [Gaussian.of(x[order[i * number : (i + 1) * number]]) for i in range(2)]
    distances = {(name, name): frechet_distance(*pair) for name, pair in halves.items()}
    within = np.mean(list(distances.values()))
    apart = {
        (one, other): frechet_distance(halves[one][0], halves[other][0])
        for one, other in itertools.combinations(halves, 2)
    }
    between = np.mean(list(apart.values()))
    means = float(between / within), float(between), float(within)
    return FdRatio(*means, number, distances | apart)


def map_of(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """A map of features float [N, D] in two dimensions, [N, 2], by t-SNE (van der Maaten 2008)."""
    from sklearn.manifold import TSNE

    # t-SNE asks for a perplexity below the number of points; 30 is its usual one.
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def write_map(path: str | Path, features: Mapping[str, np.ndarray], seed: int = 0) -> None:
    """Writes `map_of` all sources together as a PNG or, by the path's ending, a PDF."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    places = map_of(np.concatenate(list(features.values())), seed)
    figure = Figure(figsize=(7, 5.5), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    ends = np.cumsum([len(x) for x in features.values()])[:-1]
    colours = colormaps["tab20" if len(features) > 10 else "tab10"]
    for i, (name, part) in enumerate(zip(features, np.split(places, ends), strict=True)):
        colour, label = colours(i % colours.N), drawn(name)
        axes.scatter(part[:, 0], part[:, 1], s=6, color=colour, label=label, linewidths=0)
    axes.set(xticks=[], yticks=[])
    figure.legend(loc="outside right upper", markerscale=2.5, frameon=False)
    with program.whole_file(path) as partial:
        figure.savefig(partial, format=Path(path).suffix[1:] or "png")
