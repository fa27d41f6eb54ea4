"""The baseline of co-occurrences: fitted, chosen by validation, saved as a network."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from classifier import cooccurrence
from classifier.baseline_methods import Images
from classifier.cooccurrence import Cooccurrence, with_copies
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.calibration import negative_log_likelihood
from gan_fingerprints.networks import cooccurrence as networks
from gan_fingerprints.networks import files
from gan_fingerprints.networks.descriptors import descriptors
from gan_fingerprints.networks.discriminant import discriminants
from gan_fingerprints.networks.stored import StoredNetwork
from gan_fingerprints.program import UserError

HEADER = {"source_names": ["a", "b", "c"], "resolution": 32, "data": "4", "validation_data": "5"}
GRAIN = 0.2


def grainy(seed, number, grain=GRAIN):
    """Noise of three grains: of single pixels, a little along rows, a little along columns."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(number) % 3)
    x = rng.normal(0, 6, (number, 32, 32, 3)) + rng.normal(128, 20, (number, 1, 1, 3))
    x[labels == 1] += grain * (np.roll(x[labels == 1], 1, axis=2) - 128)
    x[labels == 2] += grain * (np.roll(x[labels == 2], 1, axis=1) - 128)
    return Images(np.clip(np.rint(x), 0, 255).astype(np.uint8), labels, 3)


@pytest.fixture(scope="module")
def splits():
    return grainy(0, 150), grainy(1, 60), grainy(2, 90)


@pytest.fixture(scope="module")
def fitted(splits):
    method = Cooccurrence()
    return method, method.fit(*splits[:2])


@pytest.mark.slow
def test_the_shrinkage_is_chosen_by_validation(splits, fitted):
    (train, validation, test), (method, trials) = splits, fitted
    labels = np.concatenate([train.labels] * 3)
    machines = discriminants(with_copies(train.pixels), labels, 3, (0.03, 0.1, 0.3))
    x = descriptors(validation.pixels)
    shares = [np.mean(m.answers(x)[0].argmax(1) == validation.labels) for m in machines]
    assert [trial.accuracy for trial in trials] == shares
    assert method.parameters == trials[int(np.argmax(shares))].parameters
    assert np.mean(method.scores(test.pixels).argmax(1) == test.labels) > 0.7


@pytest.mark.slow
def test_copies_are_recompressed_and_resized_and_always_the_same(splits, monkeypatch):
    pixels = splits[0].pixels[:6]
    described = with_copies(pixels)
    np.testing.assert_array_equal(with_copies(pixels), described)
    np.testing.assert_array_equal(described[:6], descriptors(pixels))
    differ = np.abs(described.reshape(3, 6, -1) - described[:6]).max(axis=2)
    assert (differ[1:] > 0.02).all()
    monkeypatch.setattr(cooccurrence, "QUALITIES", (60, 60))
    monkeypatch.setattr(cooccurrence, "SCALES", (1.25, 1.25))
    monkeypatch.setattr(cooccurrence, "KERNELS", (Image.Resampling.BICUBIC,))
    described = with_copies(pixels)
    for image, compressed, resized in zip(pixels, described[6:12], described[12:], strict=True):
        larger = Image.fromarray(image).resize((40, 40), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(descriptors(np.asarray(larger)[None])[0], resized)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=60)
        decoded = np.asarray(Image.open(file).convert("RGB"))
        np.testing.assert_array_equal(descriptors(decoded[None])[0], compressed)


@pytest.mark.slow
def test_shuffled_labels_teach_nothing(splits):
    train, validation, test = splits
    shuffled = np.random.default_rng(3).permutation(train.labels)
    method = Cooccurrence()
    method.fit(Images(train.pixels, shuffled, 3), validation)
    assert 0.15 < np.mean(method.scores(test.pixels).argmax(1) == test.labels) < 0.52


@pytest.mark.slow
def test_probabilities_are_calibrated(splits, fitted):
    (_, validation, _), (method, _) = splits, fitted
    logits, labels = method.scores(validation.pixels), validation.labels
    temperature = method.calibration.temperature
    best = negative_log_likelihood(logits, labels, temperature)
    for other in (0.8 * temperature, 1.25 * temperature):
        assert negative_log_likelihood(logits, labels, other) > best
    scaled = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    expected = scaled / scaled.sum(1, keepdims=True)
    np.testing.assert_allclose(method.probabilities(validation.pixels), expected, rtol=1e-5)


@pytest.mark.slow
def test_the_file_is_a_network_and_read_again_the_same_method(splits, fitted, tmp_path):
    (*_, test), (method, _) = splits, fitted
    path = tmp_path / "c.safetensors"
    method.save(path, HEADER)
    loaded, header = cooccurrence.load(path, "--model_path")
    arguments = {"resolution": 32, "num_sources": 3, "components": 256}
    assert header == {"source_names": ["a", "b", "c"], **arguments}
    assert loaded.parameters == method.parameters
    assert loaded.calibration.checksum == "5"
    assert loaded.calibration.threshold == method.calibration.threshold
    np.testing.assert_array_equal(loaded.scores(test.pixels), method.scores(test.pixels))
    network = files.load(path, files.constructors(), "--model_path").network
    logits = np.asarray(network(test.pixels.astype(np.float32) / 127.5 - 1))
    np.testing.assert_allclose(logits, method.scores(test.pixels), rtol=1e-4, atol=1e-2)


def test_arrays_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    arrays = {"mean": np.zeros(3, np.float32)}
    arguments = {"resolution": 32, "num_sources": 2, "components": 4}
    files.write(path, StoredNetwork("cooccurrence", arguments, arrays, ["a", "b"], {}))
    with pytest.raises(UserError, match=r"--model_path .*mean: found \(3,\), expected \(1872,\)"):
        cooccurrence.load(path, "--model_path")


def mosaic(images, rows, columns):
    """Images uint8 [rows · columns, S, S, 3] side by side, in rows."""
    lines = np.split(images, rows)
    return np.concatenate([np.concatenate(list(line), axis=1) for line in lines])


@pytest.mark.slow
def test_the_map_of_a_spliced_image_tells_its_halves_apart():
    """Half of one source, half of another, each of 3×3 images that were never seen."""
    method = Cooccurrence()
    method.fit(grainy(0, 150, 0.5), grainy(1, 90, 0.5))
    network = networks.Cooccurrence(32, 3, method.discriminant.components.shape[1])
    for variable, array in zip(network.discriminant, method.discriminant, strict=True):
        variable.assign(array)
    scale = method.calibration
    attributor = Attributor(network, ["a", "b", "c"], 32, 16, calibration=scale, mapped=True)
    held = grainy(2, 180, 0.5)
    of_each = [held.pixels[held.labels == i] for i in range(3)]
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    spliced = [
        np.concatenate([mosaic(of_each[x][9 * k : 9 * k + 9], 3, 3) for x in pair], axis=1)
        for k, pair in enumerate(pairs)
    ]
    areas, found = [], []
    for (left, right), one in zip(pairs, attributor.examine(spliced), strict=True):
        halves = [x for x in one.tiles if x.left + x.side <= 96 or x.left >= 96]
        named = one.row.most_probable
        assert named in ("abc"[left], "abc"[right])
        own = [("abc"[left] if tile.left < 96 else "abc"[right]) == named for tile in halves]
        areas.append(roc_auc_score(own, [tile.log10 for tile in halves]))
        found.append(set(one.row.mixed) == {"abc"[left], "abc"[right]})
        assert (one.row.predicted == "mixed") == bool(one.row.mixed)
    assert min(areas) >= 0.9
    assert np.mean(found) >= 0.8
    whole = [mosaic(of_each[i][9:27], 3, 6) for i in range(3)]
    assert not any(row.mixed for row in attributor.attribute(whole))
