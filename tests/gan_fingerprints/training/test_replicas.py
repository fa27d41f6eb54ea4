"""Steps on two devices and on two workers against those on one: all trainers."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gan_fingerprints.data import pipeline
from gan_fingerprints.networks.replicas import shares
from tests.conftest import PROJECT
from tests.gan_fingerprints.training.steps import STEPS, TRAINERS, Pictures
from tests.gan_fingerprints.training.workers import together

STEPS_OF = "tests.gan_fingerprints.training.steps"
FAST = ["classifier"]
# Of the distance that the weights have moved. Adam's first steps have the size of the rate whatever
# the gradient's, so where that is nearly zero its rounding decides; other latents give about 1.
CLOSE = 0.02


def test_shares_are_whole_groups():
    np.testing.assert_array_equal(shares(8, 2), [[0, 1, 2, 3], [4, 5, 6, 7]])
    # Groups of 4 of 16: image n is in group n mod 4.
    expected = [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]]
    np.testing.assert_array_equal(shares(16, 2, 4), expected)
    np.testing.assert_array_equal(shares(16, 1, 4), [range(16)])
    # In a share of two groups, image n is in group n mod 2: the same four are together.
    for share, first in zip(expected, (0, 2), strict=True):
        for group in range(2):
            assert {n % 4 for n in share[group::2]} == {first + group}
    # One group cannot be divided: each replica has one of its own.
    np.testing.assert_array_equal(shares(4, 2, 4), [[0, 1], [2, 3]])


@pytest.mark.parametrize("number", [1, 2, 4])
def test_shares_of_a_minibatch_are_the_rows_of_the_whole(number):
    data = Pictures()
    how = {"seed": 3, "start": 36, "mirror": True}  # reaches into the next epoch
    whole = next(iter(pipeline.minibatches(data, 8, **how)))
    data.read[:] = 0
    for rows in shares(8, number, 2):
        images, labels = next(iter(pipeline.minibatches(data, 8, rows=rows, **how)))
        np.testing.assert_array_equal(images, whole[0].numpy()[rows])
        np.testing.assert_array_equal(labels, whole[1].numpy()[rows])


NORMED = ("mmdgan_norm",)


def run_steps(folder, *words, **variables):
    command = [sys.executable, "-m", STEPS_OF, str(folder), *words]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def compare(folder, name, how):
    """The share of the weights' way in which two runs differ, and the largest of the losses'."""
    one, other = (np.load(folder / f"{name}-{x}.npz") for x in ("one", how))
    assert one.files == other.files
    away = moved = 0.0
    for key in one.files:
        # A bias before batch norm has no gradient but rounding, of which Adam makes whole steps.
        if not key.startswith("after") or (name in NORMED and "bias" in key.rpartition("/")[2]):
            continue
        before = one[key.replace("after", "before")]
        np.testing.assert_array_equal(before, other[key.replace("after", "before")])
        away += np.sum((one[key] - other[key]) ** 2)
        moved += np.sum((one[key] - before) ** 2)
    assert moved > 0
    assert len(one["losses"]) == STEPS
    scale = np.abs(one["losses"]).max()
    return float(np.sqrt(away / moved)), float(
        np.abs(one["losses"] - other["losses"]).max() / scale
    )


@pytest.fixture(scope="module")
def on_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    run_steps(folder, *TRAINERS, "one")
    return folder


@pytest.mark.slow
def test_two_devices_take_the_same_steps_as_one(on_one):
    run_steps(on_one, *TRAINERS, "two")
    found = {name: compare(on_one, name, "two") for name in TRAINERS}
    print(found)
    assert max(away for away, _ in found.values()) < CLOSE, found
    assert max(losses for _, losses in found.values()) < 1e-3, found


@pytest.mark.slow
def test_two_workers_take_the_same_steps_as_one_and_read_their_share_only(on_one):
    for done in together(["-m", STEPS_OF, on_one, *TRAINERS, "worker-@"]):
        assert done.returncode == 0, done.stderr[-3000:]
    found = {name: compare(on_one, name, "worker-0") for name in TRAINERS}
    print(found)
    assert max(away for away, _ in found.values()) < CLOSE, found
    assert max(losses for _, losses in found.values()) < 1e-3, found
    for name in TRAINERS:
        one, *both = (np.load(on_one / f"{name}-{x}.npz") for x in ("one", "worker-0", "worker-1"))
        for key in one.files:
            if key != "read":
                np.testing.assert_array_equal(both[0][key], both[1][key], key)
        # Some minibatches are read ahead of the steps.
        ahead = 8 * (pipeline.READ_AHEAD + 2)
        for part in both:
            assert part["read"].sum() <= (8 * 2 * STEPS * 2 + ahead) / 2
