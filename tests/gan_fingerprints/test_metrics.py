import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from gan_fingerprints import metrics

NAMES = ["CelebA_real_data", *(f"ProGAN_seed_{seed}_generated_data" for seed in range(10))]


@pytest.mark.parametrize(("correct", "total"), [(0, 8), (8, 8), (15, 16), (983, 1000), (1, 3)])
def test_wilson_interval_agrees_with_scipy(correct, total):
    from scipy.stats import binomtest

    for confidence in (0.9, 0.95):
        expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
        found = metrics.wilson_interval(correct, total, confidence)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_at_the_ends():
    assert metrics.wilson_interval(0, 0) == (0, 1)
    assert metrics.wilson_interval(0, 10)[0] == 0
    assert metrics.wilson_interval(10, 10)[1] == 1
    for correct, total in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="correct <= total"):
            metrics.wilson_interval(correct, total)


def test_confusion_matrix_has_truth_in_rows():
    matrix = metrics.confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], 4)
    expected = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == np.int64


def test_confusion_matrix_and_scores_agree_with_sklearn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, (2, 200))
    matrix = metrics.confusion_matrix(truth, predicted, 5)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(truth, predicted))
    precision, recall = metrics.precision_recall(matrix)
    expected = reference.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(precision, expected[0])
    np.testing.assert_allclose(recall, expected[1])


def test_undefined_precision_and_recall_are_nan():
    precision, recall = metrics.precision_recall(np.array([[0, 0], [3, 0]]))
    np.testing.assert_array_equal(precision, [0, np.nan])
    np.testing.assert_array_equal(recall, [np.nan, 0])


@pytest.mark.parametrize("labels", [([0, 1], [0]), ([0, 2], [0, 1]), ([0, 1], [-1, 1])])
def test_confusion_matrix_refuses_wrong_labels(labels):
    with pytest.raises(ValueError, match="labels"):
        metrics.confusion_matrix(*labels, 2)


def test_calibration_error_of_closed_forms():
    four_of_five = np.tile([[0.8, 0.2]], (5, 1))
    assert metrics.expected_calibration_error(four_of_five, [0, 0, 0, 0, 1]) == pytest.approx(0)
    assert metrics.expected_calibration_error(four_of_five, [1] * 5) == pytest.approx(0.8)
    two_bins = np.array([[0.9, 0.1], [0.3, 0.7]])  # right at 0.9, wrong at 0.7
    assert metrics.expected_calibration_error(two_bins, [0, 0]) == pytest.approx(0.4)
    assert metrics.expected_calibration_error(np.eye(2), [0, 1]) == 0
    assert np.isnan(metrics.expected_calibration_error(np.zeros([0, 2]), []))


def test_real_or_generated():
    real = [True, False, True, False]
    assert metrics.real_or_generated(real, [0.1, 0.9, 0.2, 0.8]) == (1, 1)
    precision, area = metrics.real_or_generated(real, [0.1, 0.9, 0.5, 0.4])
    assert (precision, area) == pytest.approx(((1 + 2 / 3) / 2, 0.75))
    assert np.isnan(metrics.real_or_generated([True, True], [0, 1])).all()


def test_shorten_keeps_both_ends():
    assert metrics.shorten("abcdef", 6) == "abcdef"
    assert metrics.shorten("abcdefg", 6) == "abc…fg"
    assert all(len(metrics.shorten("x" * 50, width)) == width for width in (5, 30, 32))


@pytest.mark.parametrize("n", [2, 5, 11])
def test_confusion_text_is_aligned_and_narrow(n):
    matrix = np.full((n, n), 7) + 9000 * np.eye(n, dtype=int)
    lines = metrics.confusion_text(matrix, NAMES[:n]).splitlines()
    assert len(lines) == n + 2
    assert len({len(line) for line in lines[:-1]}) == 1
    assert len(lines[0]) <= 120
    recall = 100 * 9007 / (9007 + 7 * (n - 1))
    assert lines[1].startswith(" 1 CelebA_real_data ")
    assert lines[1].split()[2:4] == ["9007", "7"]
    assert lines[1].endswith(f"{recall:.1f} %")
    assert lines[-1].split()[2:] == [f"{recall:.1f}"] * n


def test_confusion_text_marks_what_is_undefined():
    lines = metrics.confusion_text(np.array([[0, 0], [3, 0]]), ["a", "b"]).splitlines()
    assert lines[1].split() == ["1", "a", "0", "0", "-"]
    assert lines[3].split() == ["precision", "(%)", "0.0", "-"]


@pytest.mark.parametrize("n", [2, 11])
def test_confusion_png_grows_with_the_sources(tmp_path, n):
    path = tmp_path / "new" / "confusion.png"
    metrics.confusion_png(path, 100 * np.eye(n, dtype=int), NAMES[:n])
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 90 * n
        dark = np.asarray(picture.convert("L")) < 80
    assert dark.mean() > 0.02  # the diagonal is filled
    assert [file.name for file in path.parent.iterdir()] == ["confusion.png"]


def test_brier_score_by_hand():
    """((0.7 - 1)² + 0.2² + 0.1² + 0.4² + (0.5 - 1)² + 0.1²) / 2."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1]])
    assert metrics.brier_score(probabilities, [0, 1]) == pytest.approx(0.28)
    assert metrics.brier_score(np.eye(3), [0, 1, 2]) == 0
    assert metrics.brier_score(np.eye(3), [1, 2, 0]) == 2


def test_reliability_bins():
    probabilities = np.array([[0.95, 0.05], [0.91, 0.09], [0.35, 0.65]])
    number, confidence, accuracy = metrics.reliability(probabilities, [0, 1, 1], bins=10)
    assert number.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 2]
    assert confidence[9] == pytest.approx(0.93)
    assert accuracy[9] == 0.5
    assert accuracy[6] == 1
    assert np.isnan(confidence[0])


def test_fifteen_bins_of_the_confidence_unless_said_otherwise():
    """10/15 lies between 0.65 and 0.68, where neither 14 nor 16 bins have a border."""
    probabilities, truth = np.array([[0.65, 0.35], [0.68, 0.32], [1 + 1e-12, 0]]), [0, 1, 0]
    number, _, _ = metrics.reliability(probabilities, truth)
    assert len(number) == 15
    assert np.flatnonzero(number).tolist() == [9, 10, 14]  # more than 1 by rounding is the last
    apart = metrics.expected_calibration_error(probabilities, truth)
    assert apart == pytest.approx((0.35 + 0.68) / 3)
    together = metrics.expected_calibration_error(probabilities, truth, bins=14)
    assert together == pytest.approx(2 * (0.665 - 0.5) / 3)
    assert metrics.expected_calibration_error(probabilities, truth, 16) == pytest.approx(together)


def test_confusion_text_letter_by_letter():
    matrix = np.array([[1234567, 0], [5, 15]])
    assert metrics.confusion_text(matrix, ["real", "ProGAN"]).splitlines() == [
        "truth \\ predicted       1       2   recall",
        " 1 real           1234567       0  100.0 %",
        " 2 ProGAN               5      15   75.0 %",
        "precision (%)       100.0   100.0",
    ]
    small = metrics.confusion_text(np.array([[3, 0], [0, 2]]), ["real", "ProGAN"])
    assert small.splitlines()[1] == " 1 real               3     0  100.0 %"


def test_confusion_figure_shows_the_share_of_each_row():
    axes = metrics.confusion_figure(np.array([[6, 2], [0, 0]]), ["a", "b"]).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 0]])
    texts = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert texts == {
        (0, 0): ("6\n75.0 %", "white"), (1, 0): ("2\n25.0 %", "black"),
        (0, 1): ("0\n0.0 %", "black"), (1, 1): ("0\n0.0 %", "black"),
    }  # fmt: skip


# Intervals by group


def test_groups_of_one_image_change_nothing():
    right = [True] * 30 + [False] * 10
    expected = metrics.wilson_interval(30, 40)
    assert metrics.interval_by_group(right, None) == expected
    assert metrics.interval_by_group(right, range(40)) == pytest.approx(expected, abs=1e-9)
    by_name = [f"z{i}" for i in range(40)]
    assert metrics.interval_by_group(right, by_name) == pytest.approx(expected, abs=1e-9)


def test_groups_that_are_right_or_wrong_as_a_whole_count_as_groups():
    """Closed form: V = p(1 - p) / (k - 1), so n* = n(k - 1) / (n - 1) · (t(n-1) / t(k-1))²."""
    from scipy.stats import t

    groups = np.repeat(np.arange(20), 15)
    right = groups < 14
    n, k = 300, 20
    for confidence in (0.95, 0.999):
        quantiles = [t.ppf((1 + confidence) / 2, free) for free in (n - 1, k - 1)]
        effective = n * (k - 1) / (n - 1) * (quantiles[0] / quantiles[1]) ** 2
        expected = metrics.wilson_interval(0.7 * effective, effective, confidence)
        found = metrics.interval_by_group(right, groups, confidence)
        assert found == pytest.approx(expected, abs=1e-12)
    naive = metrics.wilson_interval(210, 300)
    found = metrics.interval_by_group(right, groups)
    assert found[1] - found[0] > 3.5 * (naive[1] - naive[0])


def test_groups_of_different_size_by_hand():
    from scipy.stats import t

    groups, right = [0, 0, 0, 1, 2, 2], [1, 1, 1, 0, 1, 0]
    p = 4 / 6
    between = 3 / 2 * ((3 - 3 * p) ** 2 + (0 - p) ** 2 + (1 - 2 * p) ** 2) / 36
    effect = between / (p * (1 - p) / 5)
    effective = 6 / effect * (t.ppf(0.975, 5) / t.ppf(0.975, 2)) ** 2
    expected = metrics.wilson_interval(p * effective, effective)
    assert effect > 1
    assert metrics.interval_by_group(right, groups) == pytest.approx(expected, abs=1e-12)


def test_groups_never_say_more_than_images_would():
    right = np.tile([True, False], 50)
    groups = np.repeat(np.arange(50), 2)  # one of each: V is 0
    low, high = metrics.interval_by_group(right, groups)
    assert high - low >= np.subtract(*metrics.wilson_interval(50, 100)[::-1])


def test_all_right_is_as_sure_as_groups_are_many():
    from scipy.stats import t

    groups = np.repeat(np.arange(30), 10)
    low, high = metrics.interval_by_group(np.ones(300, bool), groups)
    effective = 30 * (t.ppf(0.975, 299) / t.ppf(0.975, 29)) ** 2
    assert (low, high) == pytest.approx(metrics.wilson_interval(effective, effective))
    assert high == 1
    assert metrics.interval_by_group(np.zeros(300, bool), groups)[0] == 0


def test_one_group_says_nothing():
    assert metrics.interval_by_group([True] * 9, [5] * 9) == (0, 1)
    assert metrics.interval_by_group([], []) == (0, 1)
    assert metrics.interval_by_group([], None) == (0, 1)
    with pytest.raises(ValueError, match="got 2 answers and groups for 3"):
        metrics.interval_by_group([True, False], [0, 1, 2])


def test_intervals_by_group_hold_what_they_promise():
    """Drawn 600 times: they contain the truth nearly as often as they say, those by image do not.

    30 groups of 2 to 18 images, whose rates are drawn from a beta distribution of mean 0.8.
    """
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(600):
        groups = np.repeat(np.arange(30), rng.integers(2, 19, 30))
        right = rng.random(groups.size) < rng.beta(1.6, 0.4, 30)[groups]
        for i, by in enumerate((groups, None)):
            low, high = metrics.interval_by_group(right, by)
            covered[i] += low <= 0.8 <= high
    by_group, by_image = covered / 600
    assert 0.92 < by_group < 0.98
    assert by_image < 0.65
