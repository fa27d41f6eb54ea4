"""Network files: a round trip loses nothing, and damage is always noticed."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from classifier.networks import Classifier
from gan_fingerprints.calibration import calibrate
from gan_fingerprints.networks import files, own_format
from gan_fingerprints.program import UserError
from ProGAN.networks import Generator
from tests.gan_fingerprints.networks.test_enrolment import plain
from tests.published import Network, pickled, published_variables

KINDS = {"classifier": Classifier}
PROVENANCE = {"seed": 3}


@pytest.fixture
def network():
    return Classifier(16, 3, fmap_base=64, fmap_max=16)


@pytest.fixture
def saved(network, tmp_path):
    path = tmp_path / "network.safetensors"
    files.save(path, network, PROVENANCE, ["real", "a", "b"])
    return path


def test_round_trip(network, saved):
    loaded = files.load(saved, KINDS, "--model_path")
    assert loaded.source_names == ["real", "a", "b"]
    assert loaded.provenance == PROVENANCE
    assert loaded.arguments == network.arguments
    x = tf.random.normal([2, 16, 16, 3])
    np.testing.assert_array_equal(loaded.network(x), network(x))


@pytest.fixture
def calibration():
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(60, 3)), rng.normal(size=(60, 16))
    return calibrate(logits, features, np.arange(60) % 3, "checksum of the split")


def test_a_calibration_is_kept(network, tmp_path, calibration):
    path = tmp_path / "network.safetensors"
    files.save(path, network, PROVENANCE, ["real", "a", "b"], calibration)
    loaded = files.load(path, KINDS, "--model_path")
    assert loaded.calibration.header() == calibration.header()
    for found, expected in zip(loaded.calibration.centres, calibration.centres, strict=True):
        np.testing.assert_array_equal(found, expected)
    x = tf.random.normal([2, 16, 16, 3])
    np.testing.assert_array_equal(loaded.network(x), network(x))


def test_a_network_without_calibration_loads(saved):
    assert files.load(saved, KINDS, "--model_path").calibration is None


@pytest.mark.parametrize(
    "change", [{"score": "mood"}, {"temperature": 0.0}, {"threshold": float("nan")}]
)
def test_a_calibration_that_means_nothing_is_refused(network, tmp_path, calibration, change):
    path = tmp_path / "network.safetensors"
    bad = replace(calibration, **change)
    files.save(path, network, PROVENANCE, ["real", "a", "b"], bad)
    with pytest.raises(UserError, match="damaged"):
        files.load(path, KINDS, "--model_path")


def test_a_calibration_of_other_sources_is_refused(network, tmp_path, calibration):
    path = tmp_path / "network.safetensors"
    files.save(path, network, PROVENANCE, ["real", "a"], calibration)
    with pytest.raises(UserError, match=r"found 2 names \(real, a\), expected 3 different"):
        files.load(path, KINDS, "--model_path")
    two = Classifier(16, 2, fmap_base=64, fmap_max=16)
    files.save(path, two, PROVENANCE, ["real", "a"], calibration)
    with pytest.raises(UserError, match=r"a calibration of .*means \[3, 16\].*expected .*\(2, 16"):
        files.load(path, KINDS, "--model_path")


def test_an_enrolment_of_another_network_is_called_so(network, tmp_path):
    path = tmp_path / "network.safetensors"
    two = replace(plain(), checksum="0" * 64)
    files.save(path, network, PROVENANCE, ["real", "a", "b"], None, two)
    with pytest.raises(UserError, match=r"an enrolment of .*means \[2, 2\].*expected .*\(3, 16"):
        files.load(path, KINDS, "--model_path")


def test_the_file_is_as_readable_as_any(saved, tmp_path):
    (tmp_path / "other").write_text("")
    assert saved.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_other_tools_can_read_it(network, saved):
    arrays = safetensors.numpy.load_file(saved)
    assert set(arrays) == {v.path.partition("/")[2] for v in network.variables}
    with safetensors.safe_open(saved, "numpy") as file:
        header = json.loads(file.metadata()["gan_fingerprints"])
    assert header["network"] == "classifier"


def test_same_network_same_bytes(network, saved, tmp_path):
    again = tmp_path / "again.safetensors"
    files.save(again, network, PROVENANCE, ["real", "a", "b"])
    assert again.read_bytes() == saved.read_bytes()


def test_another_kind_is_refused(tmp_path):
    path = tmp_path / "generator.safetensors"
    files.save(path, Generator(8, fmap_base=32, fmap_max=8), PROVENANCE)
    with pytest.raises(UserError, match="holds a generator, expected a classifier"):
        files.load(path, KINDS, "--model_path")


def test_flipped_bit_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[-100] ^= 1
    saved.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        files.load(saved, KINDS, "--model_path")


@pytest.mark.parametrize("keep", [0, 4, 100, 5000])
def test_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(UserError, match="not a network file"):
        files.load(saved, KINDS, "--model_path")


def test_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path)
    with pytest.raises(UserError, match="not a network file of ours"):
        files.load(path, KINDS, "--model_path")


def test_the_content_decides_what_a_file_is(network, saved, tmp_path):
    variables = published_variables(network)
    given = {"num_channels": 3, "label_size": 3, "latent_res": -1, "resolution": 16}
    stored = Network("C_patch", {**given, "fmap_base": 64, "fmap_max": 16}, variables)
    (tmp_path / "published.safetensors").write_bytes(pickled(stored))
    saved.rename(tmp_path / "ours.pkl")
    ours = files.load(tmp_path / "ours.pkl", KINDS, "--model_path")
    published = files.load(tmp_path / "published.safetensors", KINDS, "--model_path")
    assert ours.arguments == published.arguments
    assert (ours.source_names, ours.names_assumed) == (["real", "a", "b"], "")
    assert published.source_names == ["source_0", "source_1", "source_2"]
    assert "names are assumed" in published.names_assumed
    found = published.network.head.weight
    np.testing.assert_array_equal(found, variables["4x4/Dense1/weight"])


def test_names_that_are_given_win(saved):
    loaded = files.load(saved, KINDS, "--model_path", names="x,y,z")
    assert loaded.source_names == ["x", "y", "z"]
    with pytest.raises(UserError, match="--source_names: found 2 names"):
        files.load(saved, KINDS, "--model_path", names="x,y")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="found nothing, expected a file"):
        files.load(tmp_path / "none", KINDS, "--model_path")


def test_shapes_and_names_must_agree(network):
    arrays = files.arrays_of(network)
    with pytest.raises(UserError, match=r"4x4_Dense2/bias: found \(9,\), expected \(3,\)"):
        files.fill(network, {**arrays, "4x4_Dense2/bias": np.zeros(9)}, "x")
    with pytest.raises(UserError, match="extra: found"):
        files.fill(network, {**arrays, "extra": np.zeros(9)}, "x")
    del arrays["4x4_Dense2/bias"]
    with pytest.raises(UserError, match="found nothing"):
        files.fill(network, arrays, "x")


def test_every_kind_has_a_class_and_every_format_holds_known_kinds():
    for one in files.FORMATS:
        assert set(one.kinds) <= set(files.KINDS), one.about
    held = {one.ending: set(one.kinds) for one in files.FORMATS}
    published = held[".pkl"] | held[".npz"] | held[".index"]
    assert held[".safetensors"] == published | {"residual", "cooccurrence"} == set(files.KINDS)
    for kind, place in files.KINDS.items():
        module, _, name = place.partition(":")
        assert hasattr(importlib.import_module(module), name), kind


@pytest.mark.parametrize("kind", ["classifier", "ResNetGenerator", "ipm_generator"])
def test_what_is_no_network_file_says_which_files_would_do(tmp_path, kind):
    path = tmp_path / "notes.txt"
    path.write_text("no network")
    with pytest.raises(UserError) as error:
        files.read(path, "--flag", [kind])
    message = str(error.value)
    assert message.startswith(f"--flag {path}: not a network file")
    assert ".safetensors file that a training run wrote" in message
    assert ("published .pkl" in message) == (kind == "classifier")
    assert ("(.npz)" in message) == (kind == "ResNetGenerator")
    assert ("checkpoint" in message) == (kind == "ipm_generator")


def test_the_network_that_a_file_is_of_is_filled(network, saved):
    other = Classifier(16, 3, 64, 16)
    G = Generator(8, fmap_base=32, fmap_max=8)
    before = files.arrays_of(G)
    files.fill_from(saved, [G, other], "--init_from")
    for name, array in files.arrays_of(other).items():
        np.testing.assert_array_equal(array, files.arrays_of(network)[name])
    for name, array in files.arrays_of(G).items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(UserError, match=r"--init_from .*: holds a classifier, expected a gen"):
        files.fill_from(saved, [G], "--init_from")
    with pytest.raises(UserError, match=r"found \(16, 3\), expected \(16, 4\) for this classifier"):
        files.fill_from(saved, [Classifier(16, 4, 64, 16)], "--init_from")


def test_a_description_reads_the_header_alone(network, saved):
    content = bytearray(saved.read_bytes())
    content[-100] ^= 1
    saved.write_bytes(content)  # of a weight: only the whole file's checksum would tell
    described = own_format.describe(saved, "--flag")
    assert (described.kind, described.provenance) == ("classifier", PROVENANCE)
    shapes = {name: array.shape for name, array in described.arrays.items()}
    assert shapes == {k: a.shape for k, a in files.arrays_of(network).items()}
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(UserError, match=r"--flag .* not a network file of ours, or damaged"):
        own_format.describe(saved, "--flag")
