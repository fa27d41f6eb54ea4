"""The data audit: which trivial property, rather than a fingerprint, tells the sources apart?

While a data set is written, facts are gathered about a sample of the images, and a digest of each
of them. Afterwards a small decision tree tries to name the source from each property alone, and
images that occur twice are looked for.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints import images, metrics
from gan_fingerprints.data import layout

if TYPE_CHECKING:
    from gan_fingerprints.data.reading import DataSet

SAMPLE = 1000  # images per source whose facts are gathered: seconds, however large the data set
FEWEST = 10  # images per source below which no accuracy is worth printing
MARGIN = 0.05  # how far above chance the interval must lie before it is worth a warning
SURE = 1 - 0.05 / 12  # confidence of that interval: 5 % false alarms over all 12 tests together
EXAMPLES = 5  # copies of one image that a warning names
ADVICE = (
    "a classifier may learn that instead of fingerprints; put every source through the same "
    "processing (file format, size, JPEG quality, value range) before preparing the data"
)


class ImageFacts(NamedTuple):
    """What is trivial about one image: its file, and a few statistics of its pixels.

    Attributes:
        format, mode: as Pillow calls them ("PNG", "RGB").
        width, height: of the file.
        bytes_per_pixel: size of the file over width · height.
        jpeg_quality: 1 to 100, estimated from the quantisation table; 0 when not a JPEG.
        low, high, mean, contrast: extremes, mean and standard deviation of the prepared image.
        saturation: mean difference between the largest and the smallest channel.
        colour_detail: diagonal detail of red − green relative to that of green. Images that went
            through JPEG with subsampled colours have little, whatever they were converted to.
        blocks: how much the strongest column in 8 stands out: 1 = not at all, more after JPEG.
            Measured in the file's own size.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes_per_pixel: float
    jpeg_quality: int
    low: int
    high: int
    mean: float
    contrast: float
    saturation: float
    colour_detail: float
    blocks: float


PROPERTIES = {
    "file format": ("format",),
    "image size": ("width", "height"),
    "colour mode": ("mode",),
    "file size per pixel": ("bytes_per_pixel",),
    "JPEG quality": ("jpeg_quality",),
    "value range": ("low", "high"),
    "mean brightness": ("mean",),
    "contrast": ("contrast",),
    "saturation": ("saturation",),
    "fine colour detail": ("colour_detail",),
    "8-pixel block pattern": ("blocks",),
}
TOGETHER = "all together"


def facts_of(content: bytes, native: np.ndarray, prepared: np.ndarray) -> ImageFacts:
    """Facts about an image file of this content, decoded as `native` and written as `prepared`.

    native: uint8 [H, W, 3]; prepared: uint8 [R, R, 3]. Takes less than 0.1 ms at R = 128.
    """
    with Image.open(io.BytesIO(content), formats=images.FORMATS) as header:
        width, height = header.size
        size = width, height, len(content) / (width * height)
        quality = jpeg_quality(getattr(header, "quantization", None))
        extremes = int(prepared.min()), int(prepared.max())
        return ImageFacts(
            str(header.format), header.mode, *size, quality, *extremes,
            *pixel_statistics(prepared), block_pattern(native),
        )  # fmt: skip


def digest_of(image: np.ndarray) -> bytes:
    """A CRC-32C of each quarter of an image uint8 [R, R, 3], R even: faster than hashing it."""
    return layout.crc32c(image.reshape(4, -1)).astype("<u4").tobytes()


def jpeg_quality(tables: Mapping[int, Sequence[int]] | None) -> int:
    """The libjpeg quality whose luminance table comes closest; 0 without tables.

    Inverts libjpeg's scaling of the standard table (ITU-T T.81, annex K), whose first two rows,
    the least clipped ones, add up to 485.
    """
    if not tables:
        return 0
    scale = 100 * sum(list(tables[0])[:16]) / 485
    quality = (200 - scale) / 2 if scale < 100 else 5000 / scale
    return int(np.clip(round(quality), 1, 100))


def pixel_statistics(image: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, contrast, saturation and colour detail of an image uint8 [H, W, 3], H, W >= 2.

    Every ninth row and the one above it will do, and visit every row of JPEG's 8×8 blocks.
    """
    rows, above = (
        x.transpose(2, 0, 1).astype(np.float32, order="C") for x in (image[1::9], image[:-1:9])
    )
    mean = rows.mean()
    red, green, blue = rows
    largest = np.maximum(np.maximum(red, green), blue)
    smallest = np.minimum(np.minimum(red, green), blue)
    down = rows[:2] - above[:2]
    red_detail, green_detail = down[..., 1:] - down[..., :-1]
    detail = np.abs(red_detail - green_detail).sum() / max(np.abs(green_detail).sum(), 1)
    variance = max(0.0, float(np.square(rows).mean() - mean**2))
    return float(mean), variance**0.5, float((largest - smallest).mean()), float(detail)


def block_pattern(image: np.ndarray) -> float:
    """How much the strongest column in 8 stands out: 1 = not at all; image uint8 [H, W, 3]."""
    # Differences between neighbours jump where two JPEG blocks meet, at every eighth column. The
    # middle of the image is enough, and the phase is left open, as crops move it.
    top, left = (max(0, side - 128) // 2 for side in image.shape[:2])
    green = image[top : top + 128 : 2, left : left + 129, 1].astype(np.int16)
    steps = np.abs(green[:, 1:] - green[:, :-1]).sum(axis=0)
    phases = steps[: len(steps) // 8 * 8].reshape(-1, 8).sum(axis=0)
    return float(8 * phases.max() / max(phases.sum(), 1))


class Separability(NamedTuple):
    """How well one property tells the sources apart.

    Attributes:
        property: the property, or all of them together.
        accuracy: share of images named rightly, each by a tree that was not trained on it.
        low, high: 95 % Wilson interval of the accuracy.
        chance: accuracy of guessing, 1 / sources.
        images: number of images, equally many from each source.
    """

    property: str
    accuracy: float
    low: float
    high: float
    chance: float
    images: int

    def warning(self) -> str | None:
        """What to tell the user; None unless surely 5 points above chance."""
        correct = round(self.accuracy * self.images)
        if metrics.wilson_interval(correct, self.images, SURE)[0] <= self.chance + MARGIN:
            return None
        together = self.property == TOGETHER
        subject = "all these properties together" if together else f"{self.property} alone"
        verb = "can tell" if self.accuracy > (1 + self.chance) / 2 else "can partly tell"
        return (
            f"{subject} {verb} the sources apart (accuracy {100 * self.accuracy:.1f} % "
            f"[{100 * self.low:.1f}, {100 * self.high:.1f}], chance {100 * self.chance:.1f} %)"
        )


def separability(facts: Mapping[str, Sequence[ImageFacts]], seed: int = 0) -> list[Separability]:
    """Held-out accuracy of naming the source from each property, and from all of them together.

    facts: source name → facts of its images. A decision tree of depth 6 is trained and tested in
    five-fold cross-validation on equally many images per source, drawn by `seed`. Empty when a
    source has fewer than 10 images.
    """
    count = min(map(len, facts.values()))
    if count < FEWEST:
        return []
    rng = np.random.default_rng(seed)
    drawn = [source[i] for source in facts.values() for i in rng.permutation(len(source))[:count]]
    truth = np.repeat(np.arange(len(facts)), count)
    columns = dict(zip(ImageFacts._fields, map(_as_numbers, zip(*drawn, strict=True)), strict=True))
    results = []
    for name, group in [*PROPERTIES.items(), (TOGETHER, ImageFacts._fields)]:
        correct = _held_out(np.stack([columns[field] for field in group], axis=1), truth, seed)
        interval = metrics.wilson_interval(correct, len(truth))
        share = correct / len(truth)
        results.append(Separability(name, share, *interval, 1 / len(facts), len(truth)))
    return results


def _as_numbers(values: Sequence[Any]) -> np.ndarray:
    if isinstance(values[0], str):
        return np.unique(values, return_inverse=True)[1].astype(float)
    return np.asarray(values, float)


def _held_out(features: np.ndarray, truth: np.ndarray, seed: int) -> int:
    """Number of images whose source a tree that was not trained on them names rightly."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    if (features == features[0]).all():
        return len(truth) // (int(truth.max()) + 1)  # nothing to go by: exactly chance
    # A tree takes any scale and finds thresholds: 256 pixels or not, brighter than 130 or not. A
    # deeper one, or one with smaller leaves, would learn single images by heart.
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return int((cross_val_predict(tree, features, truth, cv=folds) == truth).sum())


def duplicates(digests: Mapping[str, bytes]) -> list[list[str]]:
    """Groups of two or more files with the same digest, in the order met; file → digest."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for file, digest in digests.items():
        groups[digest].append(file)
    return [files for files in groups.values() if len(files) > 1]


def digests_of(data: DataSet, chunk: int = 256) -> dict[bytes, int]:
    """The digest of each record of a prepared data set → the number of the record."""
    records: dict[bytes, int] = {}
    for start in range(0, data.count, chunk):
        numbers = range(start, min(start + chunk, data.count))
        digests = map(digest_of, data.images(np.array(numbers)))
        records.update(zip(digests, numbers, strict=True))
    return records


def examine(
    facts: Mapping[str, Sequence[ImageFacts]],
    digests: Mapping[str, bytes],
    against: tuple[str, Mapping[bytes, int]] | None = None,
) -> dict[str, Any]:
    """The whole audit as plain data that JSON can hold: sources, separability, copies, warnings.

    facts: source name → facts of (some of) its images; digests: SOURCE/FILE → digest of every
    image; against: the name of another split and its `digests_of`.
    """
    tested = separability(facts)
    groups = duplicates(digests)
    warnings = [warning for one in tested if (warning := one.warning())]
    if warnings:
        warnings.append(ADVICE)
    warnings += _copy_warnings(groups)
    counts = Counter(file.split("/")[0] for file in digests)
    sources = {name: {"images": str(counts[name])} | summary(x) for name, x in facts.items()}
    result = {
        "sources": sources,
        "separability": [one._asdict() for one in tested],
        "copies": groups,
        "warnings": warnings,
    }
    if against:
        other, numbers = against
        shared = {file: numbers[x] for file, x in digests.items() if x in numbers}
        result |= {"against": other, "also_there": shared}
        if shared:
            file, record = next(iter(shared.items()))
            warnings.append(
                f"images that are also in {other}: {len(shared)}, e.g. {file} = record {record}; "
                "what is trained on the one must not be tested on the other"
            )
    return result


def _copy_warnings(groups: Sequence[Sequence[str]]) -> list[str]:
    cases = {
        False: "that occur more than once within a source",
        True: "that occur in several sources, under contradicting labels",
    }
    by_case: dict[bool, list[Sequence[str]]] = defaultdict(list)
    for files in groups:
        by_case[len({file.split("/")[0] for file in files}) > 1].append(files)
    return [
        f"images {cases[case]}: {len(some)}, e.g. {' = '.join(some[0][:EXAMPLES])}"
        for case, some in sorted(by_case.items(), reverse=True)
    ]


def summary(facts: Sequence[ImageFacts]) -> dict[str, str]:
    """One source in words: column → the spread of a property."""
    column = dict(zip(ImageFacts._fields, zip(*facts, strict=True), strict=True))

    def extremes(low: Any, high: Any) -> str:
        return f"{low}" if low == high else f"{low}–{high}"

    def spread(field: str, digits: int = 1) -> str:
        return f"{np.mean(column[field]):.{digits}f} ± {np.std(column[field]):.{digits}f}"

    qualities = [quality for quality in column["jpeg_quality"] if quality]
    sides = (extremes(min(column[side]), max(column[side])) for side in ("width", "height"))
    return {
        "format": "+".join(sorted(set(column["format"]))),
        "size": "×".join(sides),
        "mode": "+".join(sorted(set(column["mode"]))),
        "quality": extremes(min(qualities), max(qualities)) if qualities else "-",
        "range": extremes(min(column["low"]), max(column["high"])),
        "mean": spread("mean"),
        "contrast": spread("contrast"),
        "saturation": spread("saturation"),
        "detail": spread("colour_detail", 2),
        "blocks": spread("blocks", 2),
    }


def text(result: Mapping[str, Any]) -> str:
    """The result of `examine` as the user reads it: two tables, then the warnings."""
    sources, tested = result["sources"], result["separability"]
    header = ["source", *next(iter(sources.values()))]
    rows = [[metrics.shorten(name, 28), *cells.values()] for name, cells in sources.items()]
    lines = ["Data audit", _table([header, *rows]), ""]
    too_few = [f"A source has fewer than {FEWEST} images: too few to test what gives it away."]
    lines += [_separability_text(tested), ""] if tested else too_few
    return "\n".join(lines + [f"warning: {warning}" for warning in result["warnings"]])


def _separability_text(tested: Sequence[Mapping[str, Any]]) -> str:
    rows = [["property alone", "accuracy", "95 % interval"]]
    for one in tested:
        low, high = 100 * one["low"], 100 * one["high"]
        rows.append([one["property"], f"{100 * one['accuracy']:.1f} %", f"{low:.1f}–{high:.1f}"])
    return (
        f"Naming the source of held-out images from one property ({tested[0]['images']} images, "
        f"equally many per source; chance {100 * tested[0]['chance']:.1f} %)\n{_table(rows)}"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)
