"""Records against the networks' own numbers."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gan_fingerprints import Attributor, images
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.conftest import NAMES, SIDE
from tests.published import Network, pickled, published_variables, relative_error

RULES = Rules(least_probability=0.75, least_size=0.5)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.5, "0.5000"), (0.99994, "0.9999"), (0.99996, ">0.9999"), (1.0, ">0.9999"),
     (0.0, "<0.0001"), (0.00006, "0.0001"), (None, None)],
)  # fmt: skip
def test_probabilities_are_never_rounded_to_certainty(probability, text):
    assert examination.rounded(probability) == text


@pytest.fixture(scope="module")
def examined(networks, pictures):
    """For both networks: the network, and the records of all pictures, by name."""
    paths = find([pictures], "PATH").paths
    found = {}
    for name in ("classifier", "visnet"):
        one = getattr(networks, name)
        model = Model.load(one.path, "--model", batch=4, rules=RULES)
        rows = [examination.record(x, model) for x in examination.examine(model, paths)]
        assert [row["path"] for row in rows] == [str(path) for path in paths]
        by_name = {Path(row["path"]).name: row for row in rows}
        found[name] = SimpleNamespace(network=one, model=model, rows=by_name, paths=paths)
    return found


def seen(path):
    """float32 [1, R, R, 3] in [-1, 1], what a network is shown."""
    pixels = images.resize(images.read_image(path), SIDE)
    return (pixels / np.float32(127.5) - 1).astype(np.float32)[None]


def good(found):
    """Pairs of path and record of what could be read."""
    pairs = [(path, found.rows[path.name]) for path in found.paths]
    pairs = [(path, row) for path, row in pairs if row["error"] is None]
    assert len(pairs) == 6
    return pairs


def test_probabilities_have_the_temperature_and_scores_are_energies(examined):
    found = examined["classifier"]
    verdicts = set()
    for path, row in good(found):
        logits = found.network.network(seen(path)).numpy()[0].astype(np.float64)
        powers = np.exp(logits / 0.25)
        assert list(row["probabilities"]) == NAMES
        expected = powers / powers.sum()
        np.testing.assert_allclose(list(row["probabilities"].values()), expected, atol=1e-6)
        assert row["most_probable"] == NAMES[int(expected.argmax())]
        assert row["probability"] == pytest.approx(expected.max(), abs=1e-6)
        assert row["score"] == pytest.approx(0.25 * np.log(powers.sum()), abs=1e-5)
        assert (row["score_name"], row["threshold"]) == ("energy", 0.5)
        assert (row["verdict"] == "unknown") == (min(row["size"]) >= 8 and row["score"] < 0.5)
        assert row["correlations"] is None
        verdicts.add(row["verdict"])
    assert {"unknown", "inconclusive"} <= verdicts


def test_without_a_threshold_it_is_plain_softmax_and_never_unknown(examined):
    found = examined["visnet"]
    for path, row in good(found):
        powers = np.exp(found.network.network(seen(path)).numpy()[0].astype(np.float64))
        expected = powers / powers.sum()
        np.testing.assert_allclose(list(row["probabilities"].values()), expected, atol=1e-6)
        assert (row["score"], row["score_name"], row["threshold"]) == (None, None, None)
        assert row["verdict"] != "unknown"


def test_correlations_are_sums_of_products(examined):
    found = examined["visnet"]
    network = found.network.network
    models = network.model_fingerprints.weight.numpy().astype(np.float64)
    for path, row in good(found):
        image = seen(path)
        fingerprint = image - network.decode(network.encode(image)).numpy()
        products = fingerprint[0][..., None] * models
        expected = products.sum(axis=(0, 1, 2)) / np.sqrt(3 * SIDE * SIDE)
        assert list(row["correlations"]) == NAMES
        assert relative_error(list(row["correlations"].values()), expected) < 1e-4


def test_records_identify_file_and_model(examined):
    for found in examined.values():
        content = found.network.path.read_bytes()
        for path in found.paths:
            row = found.rows[path.name]
            assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert row["model"]["sha256"] == hashlib.sha256(content).hexdigest()
            assert row["model"]["network"] == found.network.network.name
            assert (row["least_probability"], row["least_size"]) == (0.75, 0.5)
        assert found.rows["oblong.png"]["size"] == [24, 20]
        assert found.rows["turned.jpg"]["preprocessing"]["resized_from"] == [12, 24]
        assert found.rows["small.bmp"]["verdict"] == "inconclusive"


def test_bad_files_are_records_with_the_reason(examined):
    row = examined["classifier"].rows["cut.jpg"]
    assert (row["verdict"], row["probabilities"], row["probability"], row["score"]) == (None,) * 4
    assert (row["format"], row["size"], row["preprocessing"]) == ("JPEG", [24, 24], None)
    assert row["error"] == row["reason"] != ""
    assert examined["classifier"].rows["text called.png"]["format"] is None


def test_a_record_is_one_line_whatever_the_name_of_the_file():
    line = examination.json_line({"path": "ä\n\udcff.png", "verdict": None})
    assert line == '{"path": "ä\\n\\udcff.png", "verdict": null}\n'.encode()
    assert json.loads(line)["path"] == "ä\n\udcff.png"


def test_an_attributor_is_loaded_in_one_line(networks, pictures):
    one = networks.classifier
    attributor = Attributor.load(one.path, batch=4)
    by_hand = Attributor(one.network, NAMES, SIDE, 4, one.calibration)
    paths = [pictures / "fits.png", pictures / "text called.png"]
    rows = list(attributor.attribute(paths))
    assert rows == list(by_hand.attribute(paths))
    assert rows[0].score is not None
    visnet = Attributor.load(networks.visnet.path, batch=4)
    assert list(next(visnet.attribute(paths)).probabilities) == NAMES
    with pytest.raises(UserError, match="network wrong: found nothing, expected a file"):
        Attributor.load("wrong")


@pytest.fixture(scope="module")
def published(networks, tmp_path_factory):
    """A pickle of the 2019 release, which names no sources."""
    arguments = {"resolution": SIDE, "num_channels": 3, "fmap_base": 64, "fmap_max": 16,
                 "label_size": 3, "latent_res": -1}  # fmt: skip
    variables = published_variables(networks.classifier.network)
    path = tmp_path_factory.mktemp("published") / "CelebA.pkl"
    path.write_bytes(pickled(Network("C_patch", arguments, variables)))
    return path


def test_a_published_network_has_assumed_names_or_given_ones(published):
    with pytest.warns(UserWarning, match="source names are assumed"):
        assert Attributor.load(published).source_names == [f"source_{i}" for i in range(3)]
    assert "source_0 to source_2" in Model.load(published, "--model").names_assumed
    named = Model.load(published, "--model", "a,b,c")
    assert (named.names_assumed, named.source_names) == ("", ["a", "b", "c"])
    assert named.provenance["published_file"] == "CelebA.pkl"


def test_a_source_that_is_named_as_a_verdict_is_refused(networks, published, tmp_path):
    with pytest.raises(UserError, match="source named 'unknown', which would be mistaken"):
        Model.load(published, "--model", "a,unknown,c")
    shutil.copy(networks.visnet.path, tmp_path / "x.safetensors")
    files.save(tmp_path / "x.safetensors", networks.visnet.network, {}, ["a", "b", "inconclusive"])
    with pytest.raises(UserError, match="source named 'inconclusive'"):
        Model.load(tmp_path / "x.safetensors", "--model")
