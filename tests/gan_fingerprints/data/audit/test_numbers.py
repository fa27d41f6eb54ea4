"""The audit's numbers against plain versions of them, and every line of its text."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from gan_fingerprints.data import layout, writing
from gan_fingerprints.data.audit import report
from gan_fingerprints.data.audit.copies import Known, digest_of, known
from gan_fingerprints.data.audit.facts import (
    ImageFacts,
    block_pattern,
    facts_of,
    jpeg_quality,
    pixel_statistics,
)
from gan_fingerprints.data.audit.report import Gathered
from gan_fingerprints.data.audit.separability import (
    PROPERTIES,
    SURE,
    TOGETHER,
    Separability,
    separability,
)

PLAIN = ImageFacts("PNG", "RGB", 64, 48, 2.0, 0, 3, 250, 110.0, 55.0, 40.0, 0.4, 1.1)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_facts_are_in_their_places():
    native, prepared, file = noise(40, 56), noise(16, 16, 1), io.BytesIO()
    Image.fromarray(native).save(file, "PNG")
    found = facts_of(file.getvalue(), native, prepared)
    assert (found.width, found.height) == (56, 40)
    assert found.bytes_per_pixel == len(file.getvalue()) / (56 * 40)
    assert (found.low, found.high) == (int(prepared.min()), int(prepared.max()))
    statistics = (found.mean, found.contrast, found.saturation, found.colour_detail)
    assert statistics == pixel_statistics(prepared)
    assert found.blocks == block_pattern(native)


@pytest.mark.parametrize("side", [4, 32])
def test_a_digest_is_the_checksum_of_the_record_as_far_as_each_quarter(side):
    pictures = noise(3 * side, side).reshape(3, side, side, 3)
    (records,), digests = writing.encode(pictures, 3, [side])
    for picture, record, digest in zip(pictures, records, digests, strict=True):
        start, quarter = len(record["head"]), 3 * side**2 // 4
        ends = [start + k * quarter for k in (1, 2, 3, 4)]
        parts = [np.frombuffer(record.tobytes()[layout.FRAME : end], np.uint8) for end in ends]
        assert digest.tolist() == [int(layout.crc32c(part[None])[0]) for part in parts]
        assert digest_of(picture) == digest.tobytes()


@pytest.mark.parametrize(
    ("total", "quality"),
    [
        (485, 50),
        (970, 25),
        (194, 80),
        (0, 100),
        (2, 100),
        (10**7, 1),
        # Where an error of 1 % or less would round to another quality.
        (34, 96),
        (63, 94),
        (500, 48),
        (683, 36),
    ],
)
def test_jpeg_quality_follows_from_the_first_two_rows(total, quality):
    table = [total, *[0] * 15, *[77] * 48]
    assert jpeg_quality({0: table, 1: [1] * 64}) == quality


@pytest.mark.parametrize("height", [2, 10, 11, 29])
def test_pixel_statistics_row_by_row(height):
    image = noise(height, 7)
    chosen = [i for i in range(1, height) if i % 9 == 1]
    rows, above = (image[np.array(chosen) - k].astype(float) for k in (0, 1))
    down = rows - above
    steps = down[:, 1:] - down[:, :-1]
    expected = (
        rows.mean(),
        rows.std(),
        (rows.max(axis=2) - rows.min(axis=2)).mean(),
        np.abs(steps[..., 0] - steps[..., 1]).sum() / np.abs(steps[..., 1]).sum(),
    )
    assert pixel_statistics(image) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("value", range(256))
def test_an_image_of_one_colour_has_no_contrast(value):
    """Where rounding makes a variance of less than nothing."""
    found = pixel_statistics(np.full((100, 37, 3), value, np.uint8))
    assert all(type(x) is float for x in found)
    assert found == pytest.approx((value, 0, 0, 0), abs=0.2)


def test_colour_detail_where_green_has_none():
    image = np.zeros((2, 3, 3), np.uint8)
    image[1, 1, 0] = 5
    assert pixel_statistics(image)[3] == 10  # two steps of 5, over no less than 1


@pytest.mark.parametrize("shape", [(40, 30), (128, 129), (300, 200), (201, 301), (5, 7)])
def test_block_pattern_column_by_column(shape):
    """Of the middle 128 rows, every second, and 129 columns; green alone."""
    image = noise(*shape)
    top, left = ((side - 128) // 2 if side > 128 else 0 for side in shape)
    green = image[top : top + 128, left : left + 129, 1].astype(int)[::2]
    phases = np.zeros(8)
    whole = (green.shape[1] - 1) // 8 * 8
    for column in range(whole):
        phases[column % 8] += np.abs(green[:, column + 1] - green[:, column]).sum()
    expected = 8 * phases.max() / max(phases.sum(), 1)
    assert block_pattern(image) == pytest.approx(expected)
    assert expected > 1 or whole == 0


def test_confidence_is_shared_among_all_tests():
    assert 1 - 0.05 / len([*PROPERTIES, TOGETHER, "content", "grids"]) == SURE


def wilson_low(correct: int, number: int) -> float:
    """Lower end of the interval of 14 tests that together give 5 % false alarms."""
    z, p = stats.norm.ppf(1 - 0.05 / 14 / 2), correct / number
    middle, half = p + z**2 / (2 * number), math.sqrt(p * (1 - p) / number + (z / 2 / number) ** 2)
    return (middle - z * half) / (1 + z**2 / number)


@pytest.mark.parametrize(("number", "chance"), [(200, 0.5), (90, 1 / 3)])
def test_warned_is_from_5_points_surely_above_chance(number, chance):
    for correct in range(number + 1):
        one = Separability("contrast", correct / number, 0.2, 0.8, chance, number)
        warned = wilson_low(correct, number) > chance + 0.05
        assert (one.warning() is not None) == warned, correct
        if warned:
            partly = correct / number <= (1 + chance) / 2
            assert ("can partly tell" in one.warning()) == partly, correct
    assert (
        "all these properties together can tell"
        in Separability(TOGETHER, 1.0, 0.9, 1.0, chance, number).warning()
    )


def drawn(number: int, shift: float, seed: int) -> list[ImageFacts]:
    rng = np.random.default_rng(seed)
    columns = {
        "format": rng.choice(["PNG", "JPEG"], number),
        "width": rng.integers(60, 70, number),
        "mean": rng.normal(110 + 20 * shift, 25, number),
        "contrast": rng.normal(55, 10, number),
        "blocks": rng.normal(1.1 + 0.02 * shift, 0.05, number),
    }
    rows = zip(*columns.values(), strict=True)
    return [PLAIN._replace(**dict(zip(columns, row, strict=True))) for row in rows]


def plain_separability(facts, seed):
    """Accuracy by property: a tree of depth 6 with leaves of 5, five folds, equally many each."""
    count = min(len(source) for source in facts.values())
    rng = np.random.default_rng(seed)
    chosen = [source[i] for source in facts.values() for i in rng.permutation(len(source))[:count]]
    truth = np.arange(len(facts)).repeat(count)
    result = {}
    for name, group in [*PROPERTIES.items(), (TOGETHER, ImageFacts._fields)]:
        columns = [[getattr(one, field) for one in chosen] for field in group]
        for column in columns:
            if isinstance(column[0], str):
                column[:] = [sorted(set(column)).index(value) for value in column]
        features, right = np.array(columns, float).T, 0
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        for learned, tested in folds.split(features, truth):
            tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=seed)
            tree.fit(features[learned], truth[learned])
            right += int((tree.predict(features[tested]) == truth[tested]).sum())
        constant = np.ptp(features, axis=0).max() == 0
        result[name] = 1 / len(facts) if constant else right / len(truth)
    return result


@pytest.mark.parametrize("seed", [0, 3])
def test_separability_property_by_property(seed):
    facts = {"a": drawn(150, 0, 0), "b": drawn(120, 0.5, 1), "c": drawn(130, 1, 2)}
    found = separability(facts, seed)
    assert {one.property: one.accuracy for one in found} == plain_separability(facts, seed)
    assert found == separability(facts) or seed
    for one in found:
        assert (one.images, one.chance) == (360, 1 / 3)
        p, z, n = one.accuracy, stats.norm.ppf(0.975), 360
        half = z * math.sqrt(p * (1 - p) / n + (z / 2 / n) ** 2)
        ends = [(p + z**2 / 2 / n + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
        assert (one.low, one.high) == pytest.approx(ends)


def test_ten_images_of_a_source_are_enough():
    assert len(separability({"a": drawn(10, 0, 0), "b": drawn(12, 0, 1)})) == 12
    assert separability({"a": drawn(9, 0, 0), "b": drawn(12, 0, 1)}) == []


def test_digests_of_more_than_one_chunk():
    pixels = noise(600, 2).reshape(300, 2, 2, 3)
    asked = []

    def images(numbers):
        asked.append(len(numbers))
        return pixels[numbers]

    there = known(SimpleNamespace(count=300, resolution=2, folder="x", images=images))
    assert there.records == {digest_of(x): i for i, x in enumerate(pixels)}
    assert there.shapes is None
    assert asked == [256, 44]


def test_copies_are_counted_and_five_of_them_named():
    digests = {f"a/{i}": b"x" for i in range(7)} | {"a/8": b"y", "b/8": b"y", "b/9": b"z"}
    facts = {"a": [PLAIN] * 8, "b": [PLAIN] * 2}
    result = report.examine(Gathered(facts, digests), Known("test", {b"x": 5, b"z": 6}))
    assert result["separability"] == []
    assert result["warnings"] == [
        "images that occur in several sources, under contradicting labels: 1, e.g. a/8 = b/8",
        "images that occur more than once within a source: 1, e.g. a/0 = a/1 = a/2 = a/3 = a/4",
        "images that are also in test: 8, e.g. a/0 = record 5; what is trained on the one must "
        "not be tested on the other",
    ]
    assert [result["sources"][name]["images"] for name in "ab"] == ["8", "2"]
    assert "against" not in report.examine(Gathered(facts, digests))


def test_the_summary_of_a_source():
    other = PLAIN._replace(
        format="JPEG", mode="L", width=32, height=200, jpeg_quality=90, low=1, high=252,
        mean=120.0, contrast=57.0, saturation=46.5, colour_detail=0.5, blocks=1.3,
    )  # fmt: skip
    assert report.summary([PLAIN, other, other._replace(jpeg_quality=75)]) == {
        "format": "JPEG+PNG",
        "size": "32–64×48–200",
        "mode": "L+RGB",
        "quality": "75–90",
        "range": "1–252",
        "mean": "116.7 ± 4.7",
        "contrast": "56.3 ± 0.9",
        "saturation": "44.3 ± 3.1",
        "detail": "0.47 ± 0.05",
        "blocks": "1.23 ± 0.09",
    }
    alone = report.summary([PLAIN])
    assert (alone["size"], alone["quality"], alone["range"]) == ("64×48", "-", "3–250")


def test_the_text_line_by_line():
    tested = [{"property": "contrast", "accuracy": 0.75, "low": 0.7, "high": 0.8, "chance": 0.5,
               "images": 40}]  # fmt: skip
    result = {
        "sources": {"real": {"images": "7"}, "x" * 40: {"images": "12"}},
        "separability": tested,
        "content": None,
        "grids": {"real": ["", ""]},
        "warnings": ["mind this", "and that"],
    }
    assert report.text(result).splitlines() == [
        "Data audit",
        "source                        images",
        "real                          7",
        f"{'x' * 14}…{'x' * 13}  12",
        "",
        "Naming the source of held-out images from one property (40 images, equally many per "
        "source; chance 50.0 %)",
        "property alone  accuracy  95 % interval",
        "contrast        75.0 %    70.0–80.0",
        "",
        "warning: mind this",
        "warning: and that",
    ]
    assert report.text(result | {"separability": [], "warnings": []}).splitlines()[4:] == [
        "",
        "A source has fewer than 10 images: too few to test what gives it away.",
    ]
