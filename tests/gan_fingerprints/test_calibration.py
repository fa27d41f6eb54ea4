"""Calibration against closed forms and simulated classifiers whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from gan_fingerprints import calibration
from gan_fingerprints.metrics import expected_calibration_error

SOURCES, WIDTH = 4, 16


def calibrated_logits(rng, number):
    """Logits whose softmax is exactly the distribution that the labels are drawn from."""
    logits = rng.normal(size=(number, SOURCES)) * 2
    probabilities = calibration.softmax(logits)
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
    before = expected_calibration_error(calibration.softmax(logits * factor), labels)
    scaled = calibration.softmax(logits * factor, temperature)
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
    rejected = int((~made.known(logits, features)).sum())
    # The threshold itself is a quantile of 8,000 scores, which adds half as much variance again.
    spread = np.sqrt(4000 * rate * (1 - rate) * 1.5)
    assert abs(rejected - 4000 * rate) < stats.norm.ppf(0.9995) * spread


def test_unknown_images_are_found_and_accuracy_stays():
    rng = np.random.default_rng(2)
    made = calibration.calibrate(*classifier(rng, 2000), checksum="c")
    logits, _, labels = classifier(rng, 1000)
    strange = classifier(rng, 1000, unknown=True)
    assert np.mean(~made.known(*strange[:2])) > 0.8
    answers = made.probabilities(logits).argmax(axis=1)
    np.testing.assert_array_equal(answers, logits.argmax(axis=1))
    assert np.mean(answers == labels) > 0.95


def test_scores_by_hand():
    logits = np.array([[0.0, 0.0], [np.log(3), 0.0]])
    features = np.array([[1.0, 2.0], [4.0, 0.0]])
    centres = calibration.Centres(np.array([[1.0, 0.0], [9.0, 9.0]]), np.array([1.0, 2.0]))
    found = calibration.scores(logits, features, 1.0, centres)
    np.testing.assert_allclose(found["energy"], np.log([2, 4]))
    np.testing.assert_allclose(found["max_softmax"], [0.5, 0.75])
    np.testing.assert_allclose(found["feature_distance"], [-np.sqrt(0.5), -np.sqrt(4.5)])
    assert tuple(found) == calibration.SCORES


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
    np.testing.assert_array_equal(again.known(logits, features), made.known(logits, features))
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
