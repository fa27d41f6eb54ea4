"""The figures hold the numbers of the results, and are there to be looked at."""

import numpy as np
import pytest
from PIL import Image

from experiments import figures
from tests.experiments.example_results import attacks, example, frequency, open_set, seeds

FIGURES = {
    "architectures": ["accuracy", "confusion", "reliability"],
    "training_sets": ["accuracy", "confusion", "reliability"],
    "seeds": ["accuracy", "confusion", "reliability"],
    "frequency": ["sides"],
    "patches": ["sides"],
    "artifact_free": ["accuracy", "confusion", "reliability"],
    "attacks": ["attacks"],
    "open_set": ["accuracy", "curve_1_risk_and_coverage"],
}


@pytest.mark.slow
@pytest.mark.parametrize("given", example(), ids=lambda given: given["table"])
def test_figures_are_there_and_not_blank(given, tmp_path):
    names = FIGURES[given["table"]]
    written = figures.write(given, tmp_path)
    assert [path.name for path, _ in written] == [f"{name}.png" for name in names]
    assert all(caption.endswith(".") for _, caption in written)
    for path, _ in written:
        with Image.open(path) as image:
            width, height = image.size
            pixels = np.asarray(image.convert("L"), float)
        assert 600 <= width <= 2000
        assert 300 <= height <= 2000
        assert pixels.std() > 10
        data = path.with_suffix(".pdf").read_bytes()
        assert data.startswith(b"%PDF-")
        assert data.rstrip().endswith(b"%%EOF")
    assert len(list(tmp_path.iterdir())) == 2 * len(names)


def points_of(axes):
    """Label → x, y, and the ends of the bars, of everything drawn with error bars."""
    return {
        drawn.get_label(): (*drawn.lines[0].get_data(), np.array(drawn.lines[2][0].get_segments()))
        for drawn in axes.containers
    }


def drawn(results, name):
    """The axes of the figure of that name."""
    return next(x.figure.axes[0] for x in figures.drawings(results) if x.name == name)


def test_accuracies_are_drawn_where_they_are():
    given = seeds()
    axes = drawn(given, "accuracy")
    x, y, bars = points_of(axes)["this run"]
    np.testing.assert_allclose(x, [100 * row["accuracy"] for row in given["rows"]])
    np.testing.assert_array_equal(y, range(5))
    ends = [[100 * row["low"], 100 * row["high"]] for row in given["rows"]]
    np.testing.assert_allclose(bars[:, :, 0], ends)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Nearest neighbours", "Eigenfaces", "PRNU", "Classifier", "visNet"]
    marks = {line.get_label(): line.get_data() for line in axes.lines}
    np.testing.assert_allclose(
        marks["publication †, CelebA"][0], [10.88, 23.12, 89.4, 99.14, 97.07]
    )
    np.testing.assert_allclose(
        marks["publication †, LSUN"], [[10.58, 69.73, 97.04, 96.58], [0, 2, 3, 4]]
    )
    chance = next(x for x in axes.collections if x.get_label() == "chance here")
    np.testing.assert_allclose(np.array(chance.get_segments())[:, :, 0], 20)


def test_sides_are_drawn_from_small_to_large():
    given = frequency()
    axes = drawn(given, "sides")
    points = points_of(axes)
    assert list(points) == ["low frequencies", "high frequencies"]
    for kind, rows in (("low", given["rows"][:6]), ("high", given["rows"][6:])):
        x, y, _ = points[f"{kind} frequencies"]
        np.testing.assert_array_equal(x, [4, 8, 16, 32, 64, 128])
        np.testing.assert_allclose(y, [100 * row["accuracy"] for row in rows[::-1]])
    marks = {line.get_label(): line.get_data() for line in axes.lines}
    published = marks["publication †, CelebA, high frequencies"]
    np.testing.assert_allclose(published[1], [48.42, 78.74, 92.9, 98.52, 98.64, 99.14])
    np.testing.assert_allclose(marks["chance here"][1], 20)
    assert axes.get_xscale() == "log"


def test_attacks_are_drawn_before_and_after():
    given = attacks()
    axes = drawn(given, "attacks")
    points = points_of(axes)
    for i, moment in enumerate(("before", "after")):
        x, y, _ = points[moment]
        np.testing.assert_array_equal(np.round(x), range(6))
        np.testing.assert_allclose(y, [100 * row["accuracy"] for row in given["rows"][1 + i :: 2]])
    marks = {line.get_label(): line.get_data() for line in axes.lines}
    old = marks["publication †, CelebA, after"]
    np.testing.assert_allclose(old[1], [93.02, 97.20, 98.28, 88.02, 98.66, 72.64])
    np.testing.assert_array_equal(np.round(old[0]), range(6))
    np.testing.assert_allclose(marks["no attack"][1], 98.75)
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names[:2] == ["noise", "blur"]


def test_reliability_and_curves_are_drawn_as_given():
    row = seeds()["rows"][3]
    heights = [bar.get_height() for bar in drawn(seeds(), "reliability").patches]
    np.testing.assert_allclose(heights, row["reliability"]["accuracy"])
    given = open_set()
    lines = drawn(given, "curve_1_risk_and_coverage").lines
    for line, expected in zip(lines, given["curves"][0]["lines"], strict=True):
        np.testing.assert_allclose(line.get_data(), [expected["x"], expected["y"]])
        assert line.get_label() == expected["name"]


@pytest.mark.slow
@pytest.mark.parametrize("given", example(), ids=lambda given: given["table"])
def test_published_marks_never_stand_without_the_note(given):
    figure = next(figures.drawings(given)).figure
    names = [text.get_text() for text in figure.legends[0].texts]
    marked = any("publication †" in name for name in names)
    assert marked is (given["table"] != "open_set")
    assert ("† as readers remember the figures, not checked" in figure.get_suptitle()) is marked
    order = sorted(names, key=lambda name: "publication" in name)
    assert names == order  # what was measured here comes first
