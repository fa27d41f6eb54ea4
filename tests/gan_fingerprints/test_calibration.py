"""Calibration against closed forms and simulated classifiers whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from gan_fingerprints import calibration, scores
from gan_fingerprints.metrics import expected_calibration_error

SOURCES, WIDTH = 4, 16


def calibrated_logits(rng, number):
    """Logits whose softmax is exactly the distribution that the labels are drawn from."""
    logits = rng.normal(size=(number, SOURCES)) * 2
    probabilities = scores.softmax(logits)
    labels = (probabilities.cumsum(axis=1) < rng.random((number, 1))).sum(axis=1)
    return logits, np.minimum(labels, SOURCES - 1)


def classifier(rng, number, unknown=False):
    """Features around one mean per source (or none of them), and logits from their distances."""
    means = np.random.default_rng(42).normal(size=(SOURCES + 1, WIDTH)) * 2
    labels = np.full(number, SOURCES) if unknown else np.arange(number) % SOURCES
    features = means[labels] + rng.normal(size=(number, WIDTH))
    logits = features @ means[:SOURCES].T - (means[:SOURCES] ** 2).sum(axis=1) / 2
    return logits, features, labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_scaled_logits_give_their_factor_as_temperature(factor):
    logits, labels = calibrated_logits(np.random.default_rng(0), 20000)
    temperature = calibration.fit_temperature(logits * factor, labels)
    assert temperature == pytest.approx(factor, rel=0.05)
    before = expected_calibration_error(scores.softmax(logits * factor), labels)
    scaled = scores.softmax(logits * factor, temperature)
    after = expected_calibration_error(scaled, labels)
    assert after < 0.02
    assert after <= before + 0.005
    np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))


def test_likelihood_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    found = calibration.negative_log_likelihood(logits, np.array([0, 2]), 1.0)
    assert found == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_fresh_known_images_are_rejected_at_the_stated_rate(rate):
    rng = np.random.default_rng(1)
    made = calibration.calibrate(*classifier(rng, 8000), checksum="c", false_alarms=rate)
    logits, features, _ = classifier(rng, 4000)
    rejected = int((made.scores(logits, features) < made.threshold).sum())
    # The threshold itself is a quantile of 8,000 scores, which adds half as much variance again.
    spread = np.sqrt(4000 * rate * (1 - rate) * 1.5)
    assert abs(rejected - 4000 * rate) < stats.norm.ppf(0.9995) * spread


def test_unknown_images_are_found_and_accuracy_stays():
    rng = np.random.default_rng(2)
    made = calibration.calibrate(*classifier(rng, 2000), checksum="c")
    logits, _, labels = classifier(rng, 1000)
    strange = classifier(rng, 1000, unknown=True)
    assert np.mean(made.scores(*strange[:2]) < made.threshold) > 0.8
    answers = made.probabilities(logits).argmax(axis=1)
    np.testing.assert_array_equal(answers, logits.argmax(axis=1))
    assert np.mean(answers == labels) > 0.95


def test_scores_by_hand():
    logits = np.array([[0.0, 0.0], [np.log(3), 0.0]])
    features = np.array([[1.0, 2.0], [4.0, 0.0]])
    centres = scores.Centres(np.array([[1.0, 0.0], [9.0, 9.0]]), np.array([1.0, 2.0]))
    found = scores.scores(logits, features, 1.0, centres)
    np.testing.assert_allclose(found["energy"], np.log([2, 4]))
    np.testing.assert_allclose(found["max_softmax"], [0.5, 0.75])
    np.testing.assert_allclose(found["feature_distance"], [-np.sqrt(0.5), -np.sqrt(4.5)])
    assert tuple(found) == scores.SCORES


def test_roc_threshold_and_true_negatives():
    known, unknown = np.arange(100.0), np.array([-5.0, 4.5, 5.5, 99.5])
    assert calibration.area_under_roc(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == 0.875
    assert calibration.threshold_for(known, 0.05) == 5
    assert np.mean(known < calibration.threshold_for(known, 0.05)) == 0.05
    assert calibration.threshold_for(known, 0.0) == 0
    assert calibration.true_negatives_at(known, unknown) == 0.5


def test_leave_one_out_prefers_the_score_that_tells_apart():
    """Logits that know nothing of features: only the distance can tell."""
    rng = np.random.default_rng(3)
    _, features, labels = classifier(rng, 1200)
    logits = rng.normal(size=(1200, SOURCES))
    areas = calibration.leave_one_out(logits, features, labels, 1.0)
    assert areas["feature_distance"] > 0.95
    assert areas["energy"] == pytest.approx(0.5, abs=0.05)
    made = calibration.calibrate(logits, features, labels, "c")
    assert made.score == "feature_distance"


def test_stored_and_read_again():
    rng = np.random.default_rng(4)
    made = calibration.calibrate(*classifier(rng, 400), checksum="sum")
    again = calibration.Calibration.of(made.header(), made.arrays())
    logits, features, _ = classifier(rng, 300)
    known = [x.scores(logits, features) >= x.threshold for x in (made, again)]
    np.testing.assert_array_equal(*known)
    assert again.checksum == "sum"


def test_a_source_without_images_is_refused():
    logits, features, labels = classifier(np.random.default_rng(5), 40)
    kept = labels != 2
    with pytest.raises(ValueError, match=r"numbered \[2\]"):
        calibration.calibrate(logits[kept], features[kept], labels[kept], "c")


def test_risk_and_coverage_by_hand():
    coverage, risk = calibration.risk_and_coverage(
        np.array([0.2, 0.9, 0.5]), np.array([True, True, False])
    )
    np.testing.assert_allclose(coverage, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3])
    _, risk = calibration.risk_and_coverage(np.array([0.2, 0.9]), np.array([False, True]))
    np.testing.assert_allclose(risk, [0, 1 / 2])


def test_scores_divide_by_the_temperature_and_energy_multiplies_again():
    logits = np.array([[0.0, 0.0], [np.log(9), 0.0]])
    found = scores.scores(
        logits, np.zeros((2, 1)), 2.0, scores.Centres(np.zeros((2, 1)), np.ones(1))
    )
    np.testing.assert_allclose(found["energy"], 2 * np.log([2, 4]))
    np.testing.assert_allclose(found["max_softmax"], [0.5, 0.75])


def test_temperature_stays_within_its_bounds():
    sure, labels = np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 0, 1])
    assert calibration.fit_temperature(sure / 10, labels) == pytest.approx(0.01, rel=1e-3)
    assert calibration.fit_temperature(-sure, labels) == pytest.approx(100, rel=1e-3)


def test_large_logits_do_not_overflow():
    logits, labels = np.array([[1e5, 1e5 - np.log(3)], [1e5, 0]]), np.array([0, 0])
    np.testing.assert_allclose(scores.softmax(logits), [[0.75, 0.25], [1, 0]])
    found = calibration.negative_log_likelihood(logits, labels, 1.0)
    assert found == pytest.approx(-np.log(0.75) / 2)


def test_centres_by_hand():
    features = np.array([[0.0, 5.0], [2.0, 5.0], [10.0, 5.0], [14.0, 5.0]])
    made = scores.centres_of(features, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(made.means, [[1, 5], [12, 5]])
    np.testing.assert_allclose(made.deviations, [np.sqrt((1 + 1 + 4 + 4) / 4), 1e-6])


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, 0), (0.09, 0), (0.1, 1), (0.29, 2), (0.3, 3), (0.7, 7), (1.0, 9)]
)
def test_threshold_of_ten_scores(rate, expected):
    shuffled = np.random.default_rng(0).permutation(10).astype(float)
    assert calibration.threshold_for(shuffled, rate) == expected
    assert calibration.threshold_for(np.arange(1000.0), 0.29) == 290  # not 289.99999999999994


def test_true_negatives_lie_below_the_score_that_most_known_images_reach():
    known = np.arange(100.0)
    assert calibration.true_negatives_at(known, np.array([4.0, 5.0, 6.0])) == pytest.approx(1 / 3)
    assert calibration.true_negatives_at(known, np.array([49.0, 50.0]), kept=0.5) == 0.5


def plain_held_out(logits, features, labels, temperature, folds):
    """`held_out_scores`, image by image: the k-th image of a source is in fold k modulo `folds`."""
    found = {name: np.empty(len(labels)) for name in scores.SCORES}
    places = [int((labels[:i] == label).sum()) for i, label in enumerate(labels)]
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if places[j] % folds != places[i] % folds]
        if folds == 1:
            others = list(range(len(labels)))
        centres = scores.centres_of(features[others], labels[others], logits.shape[1])
        one = scores.scores(logits[i : i + 1], features[i : i + 1], temperature, centres)
        for name, value in one.items():
            found[name][i] = value[0]
    return found


@pytest.mark.parametrize(("fewest", "folds"), [(7, 5), (5, 5), (3, 3), (2, 2), (1, 1)])
def test_held_out_scores_image_by_image(fewest, folds):
    rng = np.random.default_rng(6)
    labels = rng.permutation(np.repeat([0, 1, 2], [9, fewest, 11]))
    logits, features = rng.normal(size=(len(labels), 3)), rng.normal(size=(len(labels), 4))
    found = scores.held_out_scores(logits, features, labels, 1.7)
    for name, expected in plain_held_out(logits, features, labels, 1.7, folds).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, err_msg=name)


def test_leave_one_out_source_by_source():
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.repeat([0, 1, 2], [8, 9, 10]))
    logits, features = rng.normal(size=(27, 3)), rng.normal(size=(27, 4))
    areas = []
    for left_out in range(3):
        others = [i for i in range(3) if i != left_out]
        means = np.stack([features[labels == i].mean(axis=0) for i in others])
        kept = [i for i in range(27) if labels[i] != left_out]
        apart = [features[i] - features[labels == labels[i]].mean(axis=0) for i in kept]
        centres = scores.Centres(means, np.std(apart, axis=0))
        found = scores.scores(logits[:, others], features, 1.3, centres)
        known = labels != left_out
        pairs = {k: v[known][:, None] - v[~known] for k, v in found.items()}
        areas.append({k: (d > 0).mean() + (d == 0).mean() / 2 for k, d in pairs.items()})
    for name, area in calibration.leave_one_out(logits, features, labels, 1.3).items():
        assert area == pytest.approx(np.mean([one[name] for one in areas])), name


def test_what_calibrate_chooses():
    rng = np.random.default_rng(8)
    logits, features, labels = classifier(rng, 200)
    logits = logits + 5 * rng.normal(size=logits.shape)
    made = calibration.calibrate(logits, features, labels, "c")
    areas = calibration.leave_one_out(logits, features, labels, made.temperature)
    assert made.score == max(areas, key=areas.get)
    assert made.temperature == calibration.fit_temperature(logits, labels)
    assert (made.false_alarms, made.checksum) == (0.05, "c")
    held_out = scores.held_out_scores(logits, features, labels, made.temperature)
    assert (held_out[made.score] < made.threshold).sum() == 10
    assert made.centres.means.dtype == np.float32
    expected = scores.centres_of(features, labels, SOURCES)
    np.testing.assert_allclose(made.centres.means, expected.means, rtol=1e-6)


@pytest.mark.parametrize(("sources", "score"), [(2, "energy"), (3, "feature_distance")])
def test_with_two_sources_none_can_be_left_out(sources, score):
    """Distances alone tell apart here; with two sources there is no telling that they do."""
    rng = np.random.default_rng(9)
    labels = np.arange(60) % sources
    features = 20 * np.eye(3)[labels] + rng.normal(size=(60, 3))
    made = calibration.calibrate(rng.normal(size=(60, sources)), features, labels, "c")
    assert made.score == score


def by_softmax(**changes):
    centres = scores.Centres(np.zeros((2, 3)), np.ones(3))
    values = {"temperature": 1.0, "score": "max_softmax", "threshold": 0.75, "false_alarms": 0.05,
              "checksum": "c", "centres": centres}  # fmt: skip
    return calibration.Calibration(**values | changes)


def test_an_image_at_the_threshold_is_known():
    logits = np.log([[3.0, 1.0], [2.9, 1.0]])
    made = by_softmax(threshold=float(scores.softmax(logits)[0, 0]))
    known = made.scores(logits, np.zeros((2, 3))) >= made.threshold
    assert known.tolist() == [True, False]
    halved = by_softmax(temperature=2.0).probabilities(2 * logits)
    np.testing.assert_allclose(halved, scores.softmax(logits))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"score": "entropy"}, "entropy"),
     ({"temperature": 0.0}, r"temperature 0\.0"), ({"temperature": np.inf}, "temperature inf"),
     ({"threshold": np.nan}, "threshold nan"), ({"threshold": -np.inf}, "threshold -inf"),
     ({"false_alarms": -0.1}, r"false_alarms -0\.1"), ({"false_alarms": 1.1}, "false_alarms 1"),
     ({"checksum": "c" * 201}, "no short text"), ({"checksum": "\n"}, "no short text"),
     ({"centres": scores.Centres(np.array([[0, np.nan]]), np.ones(2))}, "out of range"),
     ({"centres": scores.Centres(np.zeros((2, 2)), np.array([1.0, 0]))}, "out of range"),
     ({"centres": scores.Centres(np.zeros((2, 2)), np.array([1, np.inf]))}, "out of range"),
     ({"centres": scores.Centres(np.zeros((2, 3)), np.ones(2))}, r"means \(2, 3\)"),
     ({"centres": scores.Centres(np.zeros(3), np.ones(()))}, r"means \(3,\)")],
)  # fmt: skip
def test_calibrations_that_cannot_be(changes, message):
    good, bad = by_softmax(), by_softmax(**changes)
    assert calibration.Calibration.of(good.header(), good.arrays()).header() == good.header()
    with pytest.raises(ValueError, match=message):
        calibration.Calibration.of(bad.header(), bad.arrays())


def test_a_calibration_is_whole_and_nothing_more():
    made = by_softmax(checksum="c" * 200)
    header, arrays = made.header(), made.arrays()
    assert calibration.Calibration.of(header, arrays).checksum == "c" * 200
    for wrong in (
        ({**header, "more": 1}, arrays),
        ({key: header[key] for key in header if key != "score"}, arrays),
        (header, {**arrays, "more": np.ones(1)}),
        (header, {"means": arrays["means"]}),
    ):
        with pytest.raises(ValueError, match="with more or less than temperature, "):
            calibration.Calibration.of(*wrong)


def test_the_default_temperature_is_one():
    logits = np.log([[0.5, 0.25, 0.25]])
    np.testing.assert_allclose(scores.softmax(logits), [[0.5, 0.25, 0.25]])


def test_risk_takes_the_first_of_equals_first():
    coverage, risk = calibration.risk_and_coverage(np.array([0.5, 0.5]), np.array([False, True]))
    np.testing.assert_allclose((coverage, risk), [[0.5, 1], [1, 0.5]])


def two_sources(number=4000, seed=0):
    """Logits and features of two sources with correlated features, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, number)
    spread = np.array([[2.0, 0.0], [1.9, 0.5]])  # the features go together
    features = rng.normal(size=(number, 2)) @ spread.T + np.array([[0.0, 0.0], [9.0, 0.0]])[labels]
    logits = 5.0 * np.eye(2)[labels] + rng.normal(size=(number, 2))
    return logits, features, labels


def test_whitened_features_have_the_unit_covariance():
    _, features, labels = two_sources()
    means = scores.centres_of(features, labels, 2).means
    whitening = scores.whitening_of(features, labels, means)
    covariance = np.cov(((features - means[labels]) @ whitening.T).T)
    # Shrunk by 5 % towards the diagonal: along the correlation there is a little more than 1.
    inverse = np.linalg.inv(whitening)
    within = np.cov((features - means[labels]).T)
    expected = 0.95 * within + 0.05 * np.diag(np.diag(within))
    np.testing.assert_allclose(inverse @ inverse.T, expected, rtol=1e-3)
    assert covariance[0, 0] == pytest.approx(1, rel=1e-3)


def test_either_score_rejects_what_one_of_two_finds_strange():
    logits, features, labels = two_sources()
    scale = calibration.calibrate(logits, features, labels, "x", 0.05, either=True)
    assert scale.score == "lower_rank"
    new = two_sources(4000, seed=1)
    scores = scale.scores(new[0], new[1])
    for source in range(2):  # each source's images are rejected alike
        assert np.mean(scores[new[2] == source] < scale.threshold) == pytest.approx(0.05, abs=0.02)
    # Typical logits and strange features; and the other way round. Against the correlation, the
    # distance in single deviations is not even large.
    across, weak = np.add(features[:100], [2.0, -2.0]), 0.2 * logits[:100]
    assert np.mean(scale.scores(logits[:100], across) < scale.threshold) > 0.9
    assert np.mean(scale.scores(weak, features[:100]) < scale.threshold) > 0.9
    plain = calibration.calibrate(logits, features, labels, "x", 0.05)
    assert np.mean(plain.scores(logits[:100], across) < plain.threshold) < 0.5


def test_either_score_of_a_closed_form():
    ranks = np.stack([np.linspace(0, 10, 101), np.linspace(-4, 0, 101)])
    either = scores.Either(np.eye(2), np.stack([ranks, ranks], axis=1))
    centres = scores.Centres(np.array([[0.0, 0.0], [10.0, 0.0]]), np.ones(2))
    logits = np.array([[8.0, -100], [8.0, -100], [-100, -2.0], [5.0, -100]])
    features = np.array([[0.0, 0.0], [2.0, 2.0], [10.0, 0.0], [10.0, 8 * 2**0.5]])
    # Ranks of the energies 8, 8, -2, 5: 0.8, 0.8, -0.2, 0.5; of the distances 0, 2, 0, 8: 1, 0.5,
    # 1, and as far below 0 again.
    found = either.score(logits, features, 1.0, centres)
    np.testing.assert_allclose(found, [0.8, 0.5, -0.2, -1.0], atol=1e-6)


def test_distances_are_measured_in_the_judged_features_alone():
    logits, features, labels = two_sources()
    noise = np.random.default_rng(1).normal(size=(len(labels), 3))
    wide = np.concatenate([noise, features, noise], axis=1)
    how = {"checksum": "x", "either": True}
    scale = calibration.calibrate(logits, wide, labels, judged=slice(3, 5), **how)
    narrow = calibration.calibrate(logits, features, labels, **how)
    assert scale.either.whitening.shape == (2, 8)
    assert scale.threshold == pytest.approx(narrow.threshold, rel=1e-5)
    wide[:, :3] += 1000  # which nobody looks at
    np.testing.assert_allclose(
        scale.scores(logits, wide), narrow.scores(logits, features), rtol=1e-4, atol=1e-6
    )
    again = calibration.Calibration.of(scale.header(), scale.arrays())
    np.testing.assert_array_equal(again.scores(logits, wide), scale.scores(logits, wide))


def test_either_is_kept_and_what_is_wrong_with_it_is_refused():
    logits, features, labels = two_sources(400)
    scale = calibration.calibrate(logits, features, labels, "x", either=True)
    again = calibration.Calibration.of(scale.header(), scale.arrays())
    np.testing.assert_array_equal(again.scores(logits, features), scale.scores(logits, features))
    arrays = scale.arrays()
    for name, wrong in (
        ("ranks", arrays["ranks"][:, :, ::-1]),
        ("ranks", arrays["ranks"][:1]),
        ("whitening", arrays["whitening"] * np.nan),
        ("whitening", arrays["whitening"][:0]),
        ("whitening", arrays["whitening"][:, :1]),
    ):
        with pytest.raises(ValueError, match="a calibration with"):
            calibration.Calibration.of(scale.header(), arrays | {name: wrong})
    with pytest.raises(ValueError, match="more or less"):
        calibration.Calibration.of(scale.header(), scale.centres._asdict())


def test_images_of_one_group_are_scored_without_each_other():
    """Sixty groups of twenty equal images: split by image, new groups are rejected too often."""
    rng = np.random.default_rng(0)

    def draw(count):
        labels = np.arange(count) % 2
        centres = rng.normal(size=(count, 40)) + 3 * np.eye(40)[labels]
        groups = np.repeat(np.arange(count), 20)
        features = centres[groups] + 0.01 * rng.normal(size=(len(groups), 40))
        return 5.0 * np.eye(2)[labels[groups]], features, labels[groups], groups

    logits, features, labels, groups = draw(60)
    new_logits, new_features, *_ = draw(400)
    rejected = []
    for by in (None, groups):
        scale = calibration.calibrate(logits, features, labels, "x", 0.05, True, by)
        rejected.append(np.mean(scale.scores(new_logits, new_features) < scale.threshold))
    assert rejected[0] > 0.5
    assert rejected[1] < 0.15
