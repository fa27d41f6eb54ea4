"""Sources that are asked for again after mild changes."""

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.attribution import stability
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.seeing import Tiles, Whole
from gan_fingerprints.attribution.stability import CHANGES, again, changed
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.perturbations import compress

SEEN = Tiles(64, 32)


def noise(number, side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def test_the_changes_are_what_they_are_called():
    (view,) = noise(1)
    np.testing.assert_array_equal(np.asarray(changed(view, "jpeg90")), compress(view, 90))
    assert changed(view, "resize95").size == (61, 61)
    assert changed(view, "resize105").size == (67, 67)
    # The high frequencies of noise get weaker in between; its mean does not change.
    for change in ("resize95", "resize105"):
        after = np.asarray(changed(view, change), float)
        assert after.mean() == pytest.approx(view.mean(), abs=1.5)
        assert after.std() < 0.95 * view.std()


def test_the_shift_is_by_one_to_seven_pixels_that_the_image_decides():
    shifts = set()
    for view in noise(200, side=40):
        after = np.asarray(changed(view, "shift"))
        np.testing.assert_array_equal(after, np.asarray(changed(view.copy(), "shift")))
        down, right = (40 - size for size in after.shape[:2])
        np.testing.assert_array_equal(after, view[down:, right:])
        shifts.add((right, down))
    assert {x for pair in shifts for x in pair} == set(range(1, 8))
    assert len(shifts) > 40  # of 49: either direction by itself


def test_the_first_change_that_takes_the_name_is_told():
    """Of three pictures, one survives, one is turned by the second change, one by the last."""
    shapes = []

    def probabilities(asked):
        shapes.extend(views.shape for views in asked)
        found = np.full((len(asked), 2), 0.5)
        found[1 * 4 + 1] = (0.29, 0.71)
        found[2 * 4 + 3] = (0.71, 0.29)
        found[0] = (0.3, 0.7)  # the bound itself is enough
        return found

    pictures = [*noise(1)[None], noise(3, seed=1), noise(2, side=32, seed=2)]
    assert again(pictures, [0, 0, 1], SEEN, probabilities) == [None, "shift", "resize105"]
    sides = [(64, 56, 56, 64), (64, 56, 56, 64), (32, 32, 32, 32)]
    expected = [(len(x), side, side, 3) for x, own in zip(pictures, sides, strict=True)
                for side in own]  # fmt: skip
    assert shapes == expected
    assert again([], [], SEEN, probabilities) == []
    (seen,) = noise(1, side=16)
    assert again([seen[None]], [0], Whole(16), lambda x: np.ones((4, 2))) == [None]


def test_changes_that_leave_too_little_are_left_out():
    asked = []

    def probabilities(views):
        asked.extend(views)
        return np.ones((len(views), 2))

    (small,), (large,) = noise(1, side=32), noise(1, side=40)
    again([small[None], large[None]], [0, 0], SEEN, probabilities, 32)
    same = [x.shape == small[None].shape and (x == small).all() for x in asked[:4]]
    assert same == [False, True, True, False]  # a shift and resizing by 0.95 leave less than 32
    assert [x.shape[1] for x in asked[4:]] == [40, 32, 32, 40]  # of 40 pixels 33 or more are left


class Treble(tf.Module):
    """Two sources: of fine checkerboards, and of all else."""

    least_side = 16

    def __call__(self, x, training=False):
        steps = tf.reduce_mean(tf.abs(x[:, :, 1:] - x[:, :, :-1]), [1, 2, 3])
        return tf.stack([40 * (steps - 1.6), tf.zeros_like(steps)], axis=1)

    def answers(self, x):
        return self(x), tf.zeros([len(x), 1])


def checkerboard(side):
    whole = np.indices((side, side)).sum(axis=0) % 2 * 255
    return np.repeat(whole[..., None], 3, axis=2).astype(np.uint8)


def test_a_verdict_that_does_not_survive_is_inconclusive():
    pictures = [checkerboard(32), np.zeros((32, 32, 3), np.uint8), checkerboard(70)]
    how = {"batch": 4, "rules": Rules(0.9)}
    plain = Attributor(Treble(), ["fine", "flat"], 32, stability=False, **how)
    before = list(plain.attribute(pictures))
    assert [x.predicted for x in before] == ["fine", "flat", "fine"]
    assert {(x.stable, x.turned_by) for x in before} == {(None, None)}
    one = Attributor(Treble(), ["fine", "flat"], 32, **how)
    assert one.stability  # as the network takes images of any size
    after = list(one.attribute(pictures))
    assert [x.predicted for x in after] == ["inconclusive", "flat", "inconclusive"]
    assert [(x.stable, x.turned_by) for x in after] == [
        (False, "resize95"), (True, None), (False, "resize95")
    ]  # fmt: skip
    assert [x.probabilities for x in after] == [x.probabilities for x in before]
    assert after[0].reason == (
        "its most probable source, fine, does not survive resizing by 0.95: after it, its "
        "probability is less than 0.3"
    )
    assert [x.predicted for x in one.attribute(pictures[::-1])] == [
        x.predicted for x in after[::-1]
    ]


def test_what_is_not_named_is_not_asked_for_again(monkeypatch):
    asked = []
    monkeypatch.setattr(stability, "changed", lambda view, change: asked.append(change))
    centres = Centres(np.zeros([2, 1]), np.ones(1))
    strict = Calibration(1.0, "energy", 1e9, 0.05, centres, "sum")
    one = Attributor(Treble(), ["a", "b"], 32, 4, calibration=strict, stability=True)
    (row,) = one.attribute(checkerboard(32))
    assert (row.predicted, row.stable, asked) == ("unknown", None, [])
    assert set(CHANGES) == {"jpeg90", "shift", "resize95", "resize105"}
