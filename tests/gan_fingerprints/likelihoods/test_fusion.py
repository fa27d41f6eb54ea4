"""Fusion of opinions, on opinions that were drawn from known distributions."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from gan_fingerprints import likelihood
from gan_fingerprints.likelihoods.fitted import Likelihoods, fitted
from gan_fingerprints.likelihoods.fusion import Cases, Fusion, fused
from gan_fingerprints.scores import softmax

SOURCES = 3


def drawn(images, seed, spoilt=0.5, apart=2.0, sources=SOURCES):
    """Two opinions on each image, from features of their own; of some images from noise alone.

    Features are normal around `apart` times the unit vector of the source. Scores of images whose
    opinions are noise are -1 to -0.5, of the others 0.3 to 1.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(sources, size=images)
    bad = rng.random(images) < spoilt
    centres = apart * np.eye(sources)[labels] * ~bad[:, None]
    features = rng.normal(centres[:, None], 1, (images, 2, sources))
    opinions = softmax(apart * features.reshape(-1, sources)).reshape(features.shape)
    scores = np.where(bad, rng.uniform(-1, -0.5, images), rng.uniform(0.3, 1, images))
    cases = Cases(opinions, scores, labels, np.arange(images))
    return cases, apart * features.sum(axis=1), bad


def test_independent_opinions_are_multiplied_and_noise_is_worth_nothing():
    # Of two sources the odds are likelihood ratios, and those of independent opinions multiply.
    found = fused(drawn(3000, 1, apart=1.5, sources=2)[0])
    new, logits, bad = drawn(600, 2, apart=1.5, sources=2)
    ratios = found(new.opinions, new.scores)
    assert np.abs(ratios[bad]).mean() < 0.15
    true = likelihood.log_odds(logits[~bad]) / likelihood.LN10
    np.testing.assert_allclose(ratios[~bad], np.clip(true, found.low, found.high), atol=0.25)
    assert np.abs(ratios[~bad] - np.clip(true, found.low, found.high)).mean() < 0.06


def test_it_is_calibrated_where_ratios_of_typical_images_alone_mislead():
    cases, *_ = drawn(2000, 3)
    typical = cases.scores > 0
    alone = fused(Cases(*(x[typical] for x in cases)))
    new, *_ = drawn(2000, 4)
    own = np.arange(SOURCES) == new.labels[:, None]

    def loss(found):
        both = (found(new.opinions, new.scores)[x] for x in (own, ~own))
        same, other = both
        return likelihood.cllr(same, other) - likelihood.cllr_min(same, other)

    assert loss(fused(cases)) < 0.03
    assert loss(alone) > 0.1


def test_bounds_are_what_groups_support():
    cases, *_ = drawn(300, 5, spoilt=0.0, apart=8.0)  # nothing is ever confused
    assert 2 < fused(cases).high <= np.log10(301) + 0.01
    in_groups = fused(cases._replace(groups=np.arange(300) // 10))
    assert in_groups.high == pytest.approx(np.log10(31), abs=0.03)
    assert in_groups.groups == 30


def test_more_of_an_opinion_never_speaks_against_its_source():
    one = Fusion(0.0, ((1.0, 0.5, 5.0, -9.0),), -4.0, -3.0, 3.0, 9000, 9000, 9000)
    opinions = np.array([[[0.9, 0.05, 0.05]]] * 6)
    ratios = one(opinions, np.array([0.0, -1.0, -3.0, 0.1, 0.2, 0.9]))[:, 0]
    slopes = [1, 0.5, 0, 1.5, 0.6, 0]  # linear between -4, 0, 0.1 and 0.3, and never below 0
    np.testing.assert_allclose(ratios, np.log10(9.0) * np.array(slopes), atol=1e-9)


def test_a_sure_opinion_of_a_float_is_no_infinite_ratio():
    one = Fusion(0.0, ((1.0, 0.0, 0.0, 0.0),), 0.0, -2.0, 2.0, 9000, 9000, 9000)
    ratios = one(np.array([[[1.0, 0.0, 0.0]]]), np.zeros(1))
    np.testing.assert_array_equal(ratios, [[2, -2, -2]])


@pytest.fixture(scope="module")
def header():
    cases, logits, _ = drawn(600, 6)
    return fitted(logits, cases.labels, cases=cases).header()


def test_a_file_keeps_it(header):
    found = Likelihoods.read(copy.deepcopy(header))
    assert found.header() == header
    assert "1,200 cases" not in found.describe()
    assert "600 cases, of images as they are and degraded, in 600 groups" in found.describe()
    cases, logits, _ = drawn(5, 7)
    expected = found.fusion(cases.opinions, cases.scores)
    for i in range(5):
        ratios = found.of_image(logits[i], cases.opinions[i], cases.scores[i])
        np.testing.assert_allclose(ratios, expected[i], rtol=1e-12)
    plain = replace(found, fusion=None)
    np.testing.assert_array_equal(
        plain.of_image(logits[0], cases.opinions[0], 1.0), plain.of_sources(logits)[0]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"slopes": []}, {"slopes": [[1.0, 2.0]]}, {"slopes": [[1.0, 2.0, 3.0, float("nan")]]},
        {"slopes": [[1.0, 2.0, 3.0, 4.0]] * 9}, {"slopes": "x"}, {"least": 0.1}, {"least": None},
        {"high": 9.0}, {"a": float("inf")}, {"same": 0}, {"groups": 10**9}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_no_fusion_is_refused(header, wrong):
    changed = copy.deepcopy(header)
    changed["fusion"] |= wrong
    with pytest.raises(ValueError, match=r"expected|fusion|likelihood"):
        Likelihoods.read(changed)


def test_opinions_that_differ_by_rounding_are_no_evidence_and_files_keep_that():
    """As of a network that hardly learned: each opinion is 1/2, and by chance right."""
    labels = np.arange(40) % 2
    rounding = np.where(labels == 0, 1e-9, -1e-9)
    opinions = np.stack([0.5 + rounding, 0.5 - rounding], axis=1)[:, None]
    cases = Cases(opinions, np.linspace(-1e5, 1, 40), labels, np.arange(40))
    found = fused(cases)
    assert np.all(found(opinions, cases.scores) == 0)
    assert Fusion.read(found.header()) == found


def test_steep_fits_are_none():
    labels = np.arange(60) % 2
    sure = np.where(labels == 0, 0.6, 0.4)
    opinions = np.stack([sure, 1 - sure], axis=1)[:, None]
    scores = np.where(np.arange(60) < 30, 0.0, 1e-7)  # of which a fit could make anything
    found = fused(Cases(opinions, scores, labels, np.arange(60)))
    assert Fusion.read(found.header()) == found
