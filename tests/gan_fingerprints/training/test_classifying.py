"""What the programs of both classifiers share."""

import numpy as np
import pytest

from gan_fingerprints.training.answers import accuracy


class Answers:
    """As a tensor: has .numpy()."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def numpy(self):
        return self.values


class Data:
    """130 images of four sources, whose first pixel is the number of their source."""

    count = 130
    labels = np.eye(4, dtype=np.float32)[np.arange(130) % 4]

    def images(self, indices):
        return (np.asarray(indices) % 4).astype(np.uint8)[:, None, None, None]


@pytest.mark.parametrize("most", [5000, 100, 64])
def test_accuracy_counts_each_chosen_image_once(most):
    asked = []

    def predict(pixels):
        asked.append(pixels)
        answers = pixels[:, 0, 0, 0].astype(int)
        return Answers(np.where(answers == 3, 0, answers))  # never says 3

    found = accuracy(predict, Data(), most, seed=1)
    chosen = np.random.default_rng([1, 0]).permutation(130)[:most] % 4
    assert found == pytest.approx(np.mean(chosen != 3))
    assert {part.shape for part in asked} == {(64, 1, 1, 1)}
