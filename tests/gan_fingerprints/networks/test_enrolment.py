"""Enrolment against closed forms: whitened distances, odds, the handicap, leaving one out."""

from dataclasses import replace

import numpy as np
import pytest

from gan_fingerprints.networks import stored_enrolment
from gan_fingerprints.networks.enrolment import Enrolment, Newcomer, Space
from gan_fingerprints.scores import softmax, whitening_of
from gan_fingerprints.shown import is_source_name

NONE = np.zeros(0), np.ones(0), np.zeros((0, 0))


def test_whitened_lengths_are_mahalanobis_distances():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    z = rng.normal(size=(90, 5)) @ rng.normal(size=(5, 5)) + 3 * labels[:, None]
    pooled = sum(np.cov(z[labels == i].T, bias=True) for i in range(3)) / 3
    sigma = 0.95 * pooled + 0.05 * np.diag(np.diag(pooled))
    apart = rng.normal(size=(7, 5))
    expected = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(sigma), apart)
    means = np.stack([z[labels == i].mean(axis=0) for i in range(3)])
    found = ((apart @ whitening_of(z, labels, means).T) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def plain(held=60, temperature=1.0):
    """Two known sources at (0, 0) and (8, 0), with held images of deviation 1 around them."""
    means = np.array([[0.0, 0.0], [8.0, 0.0]])
    space = Space(*NONE, np.zeros(2), np.ones(2), np.eye(2), means)
    labels = np.arange(held) % 2
    places = np.random.default_rng(1).normal(size=(held, 2)) + means[labels]
    logits = np.stack([-((places - m) ** 2).sum(axis=1) / 2 for m in means], axis=1)
    return Enrolment(space, temperature, 20.0, places, logits, labels, "c")


def newcomer(mean, number=20, spread=1.0, seed=2):
    x = np.random.default_rng(seed).normal(size=(number, 2)) * spread
    x += mean - x.mean(axis=0)
    logits = np.stack([-((x - m) ** 2).sum(axis=1) / 2 for m in ((0, 0), (8, 0))], axis=1)
    return Newcomer("new", tuple(f"{i:064x}" for i in range(number)), x, logits, 0.0, 1e9)


def test_scores_are_distances_times_k_over_k_plus_1():
    one = newcomer((0, 6), number=5)
    np.testing.assert_allclose(
        one.distances(np.array([[3.0, 2.0], [0, 6]])), [125 / 6, 0], atol=1e-12
    )


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_probabilities_are_the_shares_and_the_networks_of_the_rest(temperature):
    enrolled = plain(temperature=2.0).alone(newcomer((0, 6), number=4))
    places, logits = np.array([[1.0, 4.0], [7.0, 1.0]]), np.array([[1.0, -2.0], [0.5, 3.0]])
    squares = np.array([[17, 65, 5 * 4 / 5], [50, 2, 74 * 4 / 5]])
    share = softmax(-squares / 4)[:, 2:]
    np.testing.assert_allclose(enrolled.shares(places), share, rtol=1e-12)
    found = softmax(enrolled.extended(logits, places, temperature), temperature)
    share = np.maximum(share, 1e-6)
    expected = np.concatenate([(1 - share) * softmax(logits, temperature), share], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_nothing_is_shared_beyond_reach_and_without_newcomers():
    near = replace(newcomer((0, 6)), reach=4.0)
    shares = plain().alone(near).shares(np.array([[0.0, 7.9], [0.0, 9.0]]))
    assert shares[0, 0] > 0.99
    assert shares[1, 0] == 0
    logits = np.array([[1.0, 2.0]])
    assert plain().extended(logits, np.zeros((1, 2))) is logits


def test_the_handicap_keeps_the_loss_down_and_no_further():
    enrolment, one = plain(held=400), newcomer((1.0, 1.0))
    free = enrolment.alone(replace(one, reach=1e9)).lost(1.0)
    assert free > 0.1  # of a source so near much would be lost
    found = enrolment.with_newcomer(one, 0.05, 1.0)
    (kept,) = found.newcomers
    assert 0.03 < found.lost(1.0) <= 0.05
    assert kept.handicap > 0
    less = replace(kept, handicap=0.97 * kept.handicap)
    assert enrolment.alone(less).lost(1.0) >= found.lost(1.0)
    far = enrolment.with_newcomer(newcomer((0, 12)), 0.05, 1.0).newcomers[0]
    assert far.handicap == 0


def test_the_reach_is_that_of_held_images_or_of_its_own():
    assert plain().with_newcomer(newcomer((0, 12)), 0.05, 1.0).newcomers[0].reach == 20
    wide = newcomer((0, 40), spread=9)
    reach = plain().with_newcomer(wide, 0.05, 1.0).newcomers[0].reach
    each = [
        ((wide.places[i] - np.delete(wide.places, i, axis=0).mean(axis=0)) ** 2).sum() * 19 / 20
        for i in range(20)
    ]
    assert reach == pytest.approx(max(each))
    assert reach > 20


def test_leaving_one_out_tells_a_source_from_its_neighbour():
    enrolment = plain()
    far = enrolment.with_newcomer(newcomer((0, 12)), 0.05, 1.0)
    assert far.recalled(far.newcomers[0], 1.0).all()
    on_top = enrolment.with_newcomer(newcomer((0, 0)), 0.0, 1.0)  # like a known source
    assert on_top.recalled(on_top.newcomers[0], 1.0).mean() < 0.3


WRONG = {
    "temperature": (None, True, 0.001, 1e9, "1"),
    "reach": (-1.0, None, [1]),
    "components": (-1, 2.0, 10**9, True),
    "held": (-1, 10**9, "3"),
    "checksum": (3, "x" * 201, "\n"),
    "newcomers": (None, {}, [None], [{}]),
}
WRONG_NEWCOMER = {
    "name": (3, "", "real", "../x", None),
    "sha256": ([], ["0" * 64] * 4, ["x"] * 9, None, "0" * 64),
    "handicap": (-1.0, None, 1e31),
    "reach": (-1.0, "1"),
}


def test_what_a_header_may_not_say_of_an_enrolment():
    enrolment = plain().with_newcomer(newcomer((0, 12)), 0.05, 1.0)
    header = stored_enrolment.header_of(enrolment)
    stored_enrolment.require(header, is_source_name, ["real"])
    changed = [header | {name: x} for name, values in WRONG.items() for x in values]
    changed += [header | {"more": 1}, {k: x for k, x in header.items() if k != "held"}, None]
    (one,) = header["newcomers"]
    newcomers = [[one | {name: x}] for name, values in WRONG_NEWCOMER.items() for x in values]
    changed += [header | {"newcomers": x} for x in [*newcomers, [one, one]]]
    for lie in changed:
        with pytest.raises(ValueError, match=r".") as error:
            stored_enrolment.require(lie, is_source_name, ["real"])
        assert len(str(error.value)) < 400


def test_what_is_stored_is_read_again():
    enrolment = plain().with_newcomer(newcomer((0, 12)), 0.05, 1.0)
    header, arrays = stored_enrolment.header_of(enrolment), stored_enrolment.arrays_of(enrolment)
    assert stored_enrolment.shapes(header, 2, 2) == {k: x.shape for k, x in arrays.items()}
    again = stored_enrolment.read(header, arrays)
    places = np.random.default_rng(3).normal(size=(9, 2)) * 8
    np.testing.assert_allclose(again.shares(places), enrolment.shares(places), atol=1e-5)
    assert again.newcomers[0].sha256 == enrolment.newcomers[0].sha256
    none = plain(held=0)
    parts = stored_enrolment.header_of(none), stored_enrolment.arrays_of(none)
    empty = stored_enrolment.read(*parts)
    assert empty.held_places.shape == (0, 2)
    with pytest.raises(ValueError, match="labels of no source"):
        stored_enrolment.read(header, arrays | {"held_labels": arrays["held_labels"] + 1})
    with pytest.raises(ValueError, match="deviations"):
        stored_enrolment.read(header, arrays | {"deviation": np.zeros(2, np.float32)})
