"""Feature extractors, and a training that is tested with one."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from gan_fingerprints.ipm import features
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from tests.published import relative_error


@pytest.fixture(scope="module")
def classifier_file(tmp_path_factory):
    tf.keras.utils.set_random_seed(0)
    network = Classifier(16, 3, fmap_base=64, fmap_max=16)
    path = tmp_path_factory.mktemp("classifier") / "network-final.safetensors"
    files.save(path, network, {}, ["a", "b", "c"])
    return network, path


def test_features_of_a_classifier_are_its_image_fingerprints(classifier_file):
    network, path = classifier_file
    x = np.random.RandomState(0).rand(3, 16, 16, 3).astype(np.float32)
    found = features.of_classifier(path)(tf.constant(x))
    assert relative_error(found, network.fingerprints(x * 2 - 1)) < 1e-5
    larger = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    assert features.of_classifier(path)(tf.constant(larger)).shape == found.shape


def test_a_classifier_of_patches_is_refused(tmp_path):
    files.save(tmp_path / "x.safetensors", Classifier(16, 2, 64, 16, latent_res=8), {}, ["a", "b"])
    with pytest.raises(UserError, match="classifier of patches"):
        features.of_classifier(tmp_path / "x.safetensors")


@pytest.mark.slow
def test_a_training_with_the_three_sample_test(classifier_file, tmp_path, photo_crops, run_script):
    photo_crops(tmp_path / "faces", 24, 16)
    flags = ["--is_train", "--data_dir", "faces", "--output_size", 16, "--architecture", "dcgan",
             "--gf_dim", 2, "--df_dim", 2, "--batch_size", 4, "--dsteps", 1, "--start_dsteps", 1,
             "--max_iteration", 12, "--learning_rate", 1e-6, "--log_interval", 1,
             "--MMD_lr_scheduler", "--MMD_sdlr_freq", 2, "--MMD_sdlr_past_sample", 2,
             "--MMD_sdlr_num_test", 2, "--MMD_sdlr_images", 20,
             "--features_model", classifier_file[1]]  # fmt: skip
    run_script("MMDGAN/gan/main.py", *flags, cwd=tmp_path)
    (log,) = Path(tmp_path / "logs").rglob("log.txt")
    lines = log.read_text().splitlines()
    assert not any("warning" in line for line in lines)
    tests = [line for line in lines if line.startswith("three-sample test: difference")]
    assert len(tests) >= 3
    (settings,) = Path(tmp_path / "models").rglob("settings.json")
    assert json.loads(settings.read_text())["features"] == str(classifier_file[1])


def test_files_that_hold_no_inception(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(UserError, match=r"--features_weights .*a\.npz: found another ending"):
        features.of_inception(tmp_path / "a.npz")


@pytest.mark.slow
@pytest.mark.parametrize("top", [False, True])
def test_features_of_inception_with_weights_from_a_file(tmp_path, top):
    tf.keras.utils.set_random_seed(0)
    network = tf.keras.applications.InceptionV3(include_top=top, weights=None)
    path = tmp_path / ("a.weights.h5" if top else "a.h5")
    network.save_weights(path) if top else network.save(path)
    x = np.random.RandomState(0).rand(1, 32, 32, 3).astype(np.float32)
    found = features.of_inception(path)(tf.constant(x))
    maps = tf.keras.Model(network.input, network.get_layer("mixed10").output)
    expected = tf.reduce_mean(maps(tf.image.resize(x, [299, 299]) * 2 - 1), [1, 2])
    assert found.shape == (1, 2048)
    assert relative_error(found, expected) < 1e-5
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="not weights of Keras's InceptionV3"):
        features.of_inception(path)
    other = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UserError, match="not weights of Keras's InceptionV3"):
        features.of_inception(tmp_path / "other.weights.h5")
