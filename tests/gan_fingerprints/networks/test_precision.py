"""bfloat16 beside float32: when it is chosen, and that it is the same network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks import files, precision
from gan_fingerprints.networks.precision import Choice
from gan_fingerprints.networks.recasting import recast

FLAGS = "processor\t: 0\nflags\t\t: fpu sse avx2 {}\nbugs\t\t: avx512_bf16_is_no_flag_here\n"


@pytest.mark.parametrize(("flags", "has"), [
    ("avx512f avx512_bf16", True), ("amx_tile amx_bf16 amx_int8", True), ("avx512f", False),
    ("amx_tile amx_int8", False), ("avx512_bf16x", False),
])  # fmt: skip
def test_what_a_processor_has_is_read_from_its_flags(tmp_path, flags, has):
    (tmp_path / "cpuinfo").write_text(FLAGS.format(flags))
    assert precision.processor_has_bfloat16(tmp_path / "cpuinfo") == has


def test_of_a_processor_of_which_nothing_is_said_nothing_is_known(tmp_path):
    assert not precision.processor_has_bfloat16(tmp_path / "nothing")
    (tmp_path / "empty").write_text("")
    assert not precision.processor_has_bfloat16(tmp_path / "empty")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return files.constructors()["classifier"](
        resolution=16, num_sources=3, fmap_base=128, fmap_max=16
    )


@pytest.fixture
def capable(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(FLAGS.format("avx512_bf16"))
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(("images", "equal", "expected"), [
    (1000, 999, "bfloat16"), (1000, 998, "float32"), (20, 20, "bfloat16"), (20, 19, "float32"),
])  # fmt: skip
def test_auto_goes_by_the_file_where_the_processor_can(capable, images, equal, expected):
    found = precision.chosen("auto", {"images": images, "equal": equal})
    assert found.precision == expected
    assert found.reason == f"{equal} of {images} validation images have the same name in both"


def test_auto_is_float32_where_nothing_is_known(capable, tmp_path, monkeypatch):
    found = precision.chosen("auto", None)  # as of files of earlier versions
    assert found == Choice("float32", "the network file does not say how bfloat16 agrees")
    agrees = {"images": 1000, "equal": 1000}
    assert precision.chosen("auto", agrees, enrolled=True).precision == "float32"
    assert precision.chosen("auto", agrees).precision == "bfloat16"
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "none")
    found = precision.chosen("auto", agrees)
    assert found == Choice("float32", "neither this processor nor a GPU has bfloat16")
    assert precision.chosen("bfloat16", None).precision == "bfloat16"
    assert precision.chosen("float32", agrees).precision == "float32"


def test_the_same_network_computes_in_bfloat16(network):
    before = keras.config.dtype_policy().name
    other = recast(network, "bfloat16")
    assert keras.config.dtype_policy().name == before == "float32"
    assert (precision.of(network), precision.of(other)) == ("float32", "bfloat16")
    assert {x.compute_dtype for x in other.layers} == {"bfloat16", "float32"}  # the last one
    one, two = files.arrays_of(network), files.arrays_of(other)
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
        assert two[name].dtype == np.float32
    images = tf.random.stateless_uniform([8, 16, 16, 3], (1, 2), -1, 1)
    exact, rounded = (np.asarray(x.answers(images)[0]) for x in (network, other))
    difference = np.abs(exact - rounded).max()
    assert 1e-5 < difference < 0.05 * np.abs(exact).max()  # 8 bits, and no more lost than that
    back = recast(other, "float32")
    np.testing.assert_array_equal(exact, back.answers(images)[0])


@pytest.mark.parametrize(("kind", "arguments", "computes"), [
    ("residual", {"resolution": 64, "components": 5, "members": 2}, "bfloat16"),
    ("visnet_autoencoder", {"resolution": 16, "fmap_base": 64, "fmap_max": 8}, "bfloat16"),
    ("cooccurrence", {"resolution": 16, "components": 2}, "float32"),  # counts have no precision
])  # fmt: skip
def test_every_network_that_names_sources_can_be_recast(kind, arguments, computes):
    keras.utils.set_random_seed(1)
    one = files.constructors()[kind](num_sources=3, **arguments)
    if kind == "residual":
        one.scales.assign([1.0, 0.0])  # the convolutions alone
    other = recast(one, "bfloat16")
    assert precision.of(other) == computes
    side = arguments["resolution"]
    images = tf.random.stateless_uniform([4, side, side, 3], (1, 2), -1, 1)
    exact, rounded = (np.asarray(x.answers(images)[0]) for x in (one, other))
    called = np.asarray(other(images, training=False))
    assert exact.dtype == rounded.dtype == called.dtype == np.float32
    difference = np.abs(exact - rounded).max()
    assert (difference > 0) == (computes == "bfloat16")
    assert difference <= 0.05 * np.abs(exact).max()
    np.testing.assert_allclose(called, rounded, atol=0.02 * np.abs(exact).max())
