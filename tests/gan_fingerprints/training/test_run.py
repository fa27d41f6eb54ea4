"""Runs: optimizer, skipped steps, several devices, checkpoints, folders and their refusals."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.program import UserError
from gan_fingerprints.training import run as runs
from gan_fingerprints.training.optimizer import adam, apply_if_finite
from gan_fingerprints.training.run import PRECISIONS, Execution, set_up_tensorflow
from tests.conftest import PROJECT

STRATEGY = tf.distribute.get_strategy()


def variables(*values):
    return [keras.Variable(np.array(value, np.float32)) for value in values]


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.0, 0.99), (0.5, 0.9)])
def test_fused_adam_equals_that_of_keras(beta_1, beta_2):
    rng = np.random.RandomState(0)
    start = [rng.randn(3, 4), rng.randn(5)]
    ours, theirs = variables(*start), variables(*start)
    fused = adam(beta_1, beta_2, 1e-8)
    plain = keras.optimizers.Adam(0.01, beta_1=beta_1, beta_2=beta_2, epsilon=1e-8)
    fused.build(ours)
    fused.learning_rate.assign(0.01)
    for _ in range(20):
        gradients = [tf.constant(rng.randn(*x.shape), tf.float32) for x in start]
        fused.apply(gradients, ours)
        plain.apply(gradients, theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_steps_are_skipped_and_counted(bad):
    weights = variables([1.0, 2.0], [3.0])
    optimizer = adam(0.0, 0.99, 1e-8)
    optimizer.build(weights)
    optimizer.learning_rate.assign(0.1)
    skipped = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def step(first):
        gradients = [first, tf.ones([1])]
        apply_if_finite(STRATEGY, optimizer, gradients, weights, skipped)

    step(tf.constant([1.0, bad]))
    np.testing.assert_array_equal(weights[0].numpy(), [1, 2])
    np.testing.assert_array_equal(weights[1].numpy(), [3])
    assert int(skipped) == 1
    assert int(optimizer.iterations) == 0
    step(tf.constant([1.0, 1.0]))
    np.testing.assert_allclose(weights[0].numpy(), [0.9, 1.9], rtol=1e-5)
    assert int(skipped) == 1


TWO_DEVICES = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from classifier.networks import Classifier
from classifier.training import loss_per_image
from gan_fingerprints.training.optimizer import adam, apply_if_finite

def three_steps(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = Classifier(16, 3, fmap_base=64, fmap_max=16)
        optimizer = adam(0.0, 0.99, 1e-8)
        optimizer.build(network.trainable_variables)
        optimizer.learning_rate.assign(0.001)
    skipped = tf.Variable(0, dtype=tf.int64)
    def gradients_of(images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(loss_per_image(network(images), labels)) / 8
        return loss, tape.gradient(loss, network.trainable_variables)
    @tf.function
    def step(images, labels):
        loss, gradients = strategy.run(gradients_of, (images, labels))
        apply_if_finite(strategy, optimizer, gradients, network.trainable_variables, skipped)
        return strategy.reduce("SUM", loss, axis=None)
    rng = np.random.RandomState(0)
    images = rng.uniform(-1, 1, [24, 16, 16, 3]).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.randint(3, size=24)]
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8, drop_remainder=True)
    losses = [float(step(*b)) for b in strategy.experimental_distribute_dataset(batches)]
    return losses, [np.asarray(v) for v in network.trainable_variables], int(skipped)

one = three_steps(tf.distribute.get_strategy())
two = three_steps(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
for a, b in zip(one[1], two[1]):
    np.testing.assert_allclose(a, b, atol=2e-4)
assert one[2] == two[2] == 0
print("same")
"""


def test_two_devices_take_the_same_steps_as_one():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.stdout.endswith("same\n"), done.stderr[-3000:]


SETTINGS = {"command": "test", "config": {"training_seed": 1, "size": {"4": 2}}, "data": {"n": 3}}


def open_run(folder, settings=SETTINGS, resume=False):
    return runs.open_run(folder, settings, Execution(), resume)


def test_a_checkpoint_restores_everything(tmp_path):
    def state():
        counter = tf.Variable(0, dtype=tf.int64)
        weights = variables([1.0, 2.0])
        optimizer = adam(0.0, 0.99, 1e-8)
        optimizer.build(weights)
        return counter, weights, optimizer

    def start(run, counter, weights, optimizer):
        parts = {"weights": weights, "adam": optimizer.variables, "counters": [counter]}
        run.start(parts, 10.0, counter)

    counter, weights, optimizer = state()
    run = open_run(tmp_path / "run")
    start(run, counter, weights, optimizer)
    optimizer.learning_rate.assign(0.1)
    optimizer.apply([tf.ones([2])], weights)
    counter.assign(3000)
    run.save()
    run.close()

    fresh = state()
    again = open_run(tmp_path / "run", resume=True)
    start(again, *fresh)
    again.close()
    assert int(fresh[0]) == 3000
    np.testing.assert_array_equal(fresh[1][0].numpy(), weights[0].numpy())
    for a, b in zip(fresh[2].variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert "continuing at 3.0 kimg" in (tmp_path / "run" / "log.txt").read_text()


def test_run_folder_refusals(tmp_path):
    folder = tmp_path / "run"
    run = open_run(folder)
    with pytest.raises(UserError, match="another process is training in this folder"):
        open_run(folder, resume=True)
    run.close()
    with pytest.raises(UserError, match="add --resume to continue it"):
        open_run(folder)
    changed = json.loads(json.dumps(SETTINGS))
    changed["config"]["size"]["4"] = 3
    changed["data"]["n"] = 4
    with pytest.raises(UserError, match=r"config\.size\.4 was 2, now 3; data\.n was 3, now 4"):
        open_run(folder, changed, resume=True)
    assert open_run(folder, resume=True) is not None
    (folder / "finished.json").write_text("{}")
    assert open_run(folder, resume=True) is None


def test_other_folders_are_not_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("")
    with pytest.raises(UserError, match="already exists; name a new folder"):
        open_run(tmp_path / "photos")
    with pytest.raises(UserError, match="this folder holds no run"):
        open_run(tmp_path / "photos", resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, expected a folder"):
        open_run(tmp_path / "file" / "run")


def test_more_gpus_than_there_are():
    with pytest.raises(UserError, match="--num_gpus 7: found 0 GPUs"):
        set_up_tensorflow(Execution(num_gpus=7))


def test_precision_flag():
    assert PRECISIONS("bfloat16") == "bfloat16"
    with pytest.raises(Exception, match="found 'float16', expected float32 or bfloat16"):
        PRECISIONS("float16")


def test_settings_name_versions(tmp_path):
    open_run(tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert stored["versions"]["tensorflow"] == tf.__version__
    assert {k: stored[k] for k in SETTINGS} == SETTINGS
