"""How well sources are separated in a space of features: Fréchet distances, and a map of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_fingerprints import commands


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the Gaussians that two sets of features would come from.

    a, b: float [N, D] and [M, D], N and M at least 2. Raises ValueError otherwise.
    |μ₁ - μ₂|² + tr(Σ₁) + tr(Σ₂) - 2·tr((Σ₁Σ₂)^½), Dowson and Landau (1982). With Σ = RᵀR the last
    trace is the sum of the singular values of R₁R₂ᵀ: no root of a matrix is needed, and equal sets
    give 0 to rounding even when there are fewer features than dimensions.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"got features {a.shape} and {b.shape}, expected [N, D], [M, D], N, M > 1")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    roots = [_root_of_covariance(x) for x in (a, b)]
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return float(shift + sum((root**2).sum() for root in roots) - 2 * shared)


def _root_of_covariance(x: np.ndarray) -> np.ndarray:
    """R with RᵀR = Σ of features [N, D]."""
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"))


class FdRatio(NamedTuple):
    """The ratio, the two means it is made of, and the number of images in each set."""

    ratio: float
    between: float
    within: float
    images: int


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
        halves[name] = x[order[:number]], x[order[number : 2 * number]]
    within = np.mean([frechet_distance(*pair) for pair in halves.values()])
    between = np.mean([
        frechet_distance(halves[one][0], halves[other][0])
        for one, other in itertools.combinations(halves, 2)
    ])  # fmt: skip
    return FdRatio(float(between / within), float(between), float(within), number)


def map_of(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """A map of features float [N, D] in two dimensions, [N, 2], by t-SNE (van der Maaten 2008)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def write_map(path: str | Path, features: Mapping[str, np.ndarray], seed: int = 0) -> None:
    """Writes `map_of` all sources together as a PNG or, by the path's ending, a PDF."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = map_of(np.concatenate(list(features.values())), seed)
    figure = Figure(figsize=(7, 5.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ends = np.cumsum([len(x) for x in features.values()])[:-1]
    colours = colormaps["tab20" if len(features) > 10 else "tab10"]
    for i, (name, part) in enumerate(zip(features, np.split(places, ends), strict=True)):
        axes.scatter(
            part[:, 0], part[:, 1], s=6, color=colours(i % colours.N), label=name, linewidths=0
        )
    axes.set(xticks=[], yticks=[])
    figure.legend(loc="outside right upper", markerscale=2.5, frameon=False)
    with commands.whole_file(path) as partial:
        figure.savefig(partial, format=Path(path).suffix[1:] or "png")
