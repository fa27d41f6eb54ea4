"""The stream of minibatches: every image once per epoch, the same for the same seed, anywhere."""

import itertools

import numpy as np
import pytest

from gan_fingerprints import program
from gan_fingerprints.data import pipeline
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import Writer
from gan_fingerprints.perturbations import Perturbation

COUNT, SIDE = 23, 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    rng = np.random.RandomState(0)
    with program.whole_folder(folder) as partial:
        writer = Writer(partial, "set", SIDE, every_level=True)
        pictures = [rng.randint(256, size=(SIDE, SIDE, 3)).astype(np.uint8) for _ in range(COUNT)]
        writer.add_all(lambda picture: (picture, None), pictures)
        labels = np.eye(COUNT, dtype=np.float32)
        writer.finish(labels, [f"s{i}" for i in range(COUNT)], "test", {})
    return DataSet.open(folder, "--data")


def take(dataset, batches):
    pairs = [(x.numpy(), y.numpy()) for x, y in itertools.islice(dataset, batches)]
    return [np.concatenate(part) for part in zip(*pairs, strict=True)]


def test_every_epoch_shows_every_image_once_in_another_order():
    order = pipeline.stream_indices(COUNT, 5, 0, 3 * COUNT)
    epochs = order.reshape(3, COUNT)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(COUNT))
    assert (epochs[0] != epochs[1]).any()
    assert (pipeline.stream_indices(COUNT, 6, 0, COUNT) != epochs[0]).any()


def test_a_stream_can_start_anywhere(data):
    whole, _ = take(pipeline.minibatches(data, 4, seed=1, start=0, mirror=True), 12)
    rest, _ = take(pipeline.minibatches(data, 4, seed=1, start=28, mirror=True), 5)
    np.testing.assert_array_equal(whole[28:], rest)


def test_images_come_with_their_labels(data):
    images, labels = take(pipeline.minibatches(data, 5, seed=2, start=0), 9)
    assert images.shape == (45, SIDE, SIDE, 3)
    np.testing.assert_array_equal(images, data.images(labels.argmax(axis=1)))


def test_other_levels_show_the_same_images(data):
    halves, labels = take(pipeline.minibatches(data, 5, seed=2, start=0, resolution=4), 3)
    np.testing.assert_array_equal(halves, data.images(labels.argmax(axis=1), 4))


def test_half_of_the_images_are_mirrored(data):
    images, labels = take(pipeline.minibatches(data, 10, seed=3, start=0, mirror=True), 60)
    plain = data.images(labels.argmax(axis=1))
    same = (images == plain).all(axis=(1, 2, 3))
    flipped = (images == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ flipped).all()
    assert abs(flipped.mean() - 0.5) < 0.09  # four standard errors of 600 draws


def test_data_without_labels(data):
    bare = DataSet.open(data.folder, "--data")
    bare.labels = None
    _, labels = take(pipeline.minibatches(bare, 4, seed=0, start=0), 1)
    assert labels.shape == (4, 0)


def test_attacks_in_the_stream_are_those_outside_of_it(data):
    """The parameters follow from the position alone, wherever the stream starts."""
    attack = Perturbation("combination", seed=4)
    plain = pipeline.minibatches(data, 4, seed=1, start=0)
    hit = pipeline.minibatches(data, 4, seed=1, start=0, attack=attack)
    changed = 0
    batches = list(zip(plain.take(3), hit.take(3), strict=True))
    for i, ((images, labels), (attacked, same)) in enumerate(batches):
        np.testing.assert_array_equal(labels, same)
        for j, (image, found) in enumerate(zip(images.numpy(), attacked.numpy(), strict=True)):
            expected, _ = attack(image, 4 * i + j)
            np.testing.assert_array_equal(found, expected)
            changed += not np.array_equal(image, found)
    assert changed >= 6
    later = pipeline.minibatches(data, 4, seed=1, start=8, attack=attack)
    (continued, _), *_ = later.take(1)
    np.testing.assert_array_equal(continued, batches[2][1][0])
