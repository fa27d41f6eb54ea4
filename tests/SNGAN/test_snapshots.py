"""Snapshots in Chainer's layout: keys, shapes, round trips, and what is refused."""

import json

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from SNGAN import chainer_state, config
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from SNGAN.training import Trainer
from tests.published import arrays_in

KINDS = {
    "ResNetGenerator": ResNetGenerator,
    "SNResNetProjectionDiscriminator": SNResNetProjectionDiscriminator,
}


@pytest.mark.parametrize("name", list(KINDS))
def test_keys_shapes_and_round_trip_of_the_published_snapshots(reference, tmp_path, name):
    info = json.loads(reference("sngan/sngan_ch4.info.json").read_text())
    published = reference(f"sngan/sngan_ch4_{name}_150000.npz")
    network = KINDS[name](ch=4, n_classes=1)
    files.fill_from(published, [network], "test")
    files.save(tmp_path / "ours.npz", network, {})
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as ours, np.load(published) as theirs:
        found = [[key, list(ours[key].shape), str(ours[key].dtype)] for key in ours.files]
        assert sorted(found) == sorted(info[published.name])
        for key in theirs.files:
            np.testing.assert_array_equal(ours[key], theirs[key], key)


def test_unconditional_networks_have_plain_batch_norm():
    found = files.arrays_of(ResNetGenerator(32, ch=1))
    assert {k for k in found if k.startswith("block2/b1/")} == {
        f"block2/b1/{role}" for role in ("gamma", "beta", "avg_mean", "avg_var", "N")
    }
    assert not any(
        k.startswith("l_y") for k in files.arrays_of(SNResNetProjectionDiscriminator(32, 1))
    )


def test_another_width_names_both_shapes(tmp_path):
    files.save(tmp_path / "wide.npz", ResNetGenerator(32, ch=2), {})
    with pytest.raises(UserError) as error:
        files.fill_from(tmp_path / "wide.npz", [ResNetGenerator(32, ch=1)], "--snapshot")
    for part in ("--snapshot", "wide.npz", "l1/W", "(256, 128)", "(128, 128)"):
        assert part in str(error.value)


def test_other_keys_are_named(tmp_path):
    arrays = files.arrays_of(ResNetGenerator(32, ch=1))
    with pytest.raises(UserError, match="block1/c1/W: found nothing"):
        files.fill(SNResNetProjectionDiscriminator(32, ch=1), arrays, "x.npz")
    with pytest.raises(UserError, match=r"extra: found \(3,\), expected no such array"):
        files.fill(ResNetGenerator(32, ch=1), {**arrays, "extra": np.zeros(3)}, "x.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 broken"])
def test_what_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"--snapshot .*bad\.npz: (not a network file|refused: 11 bytes)"
    ):
        files.read(path, "--snapshot")
    with pytest.raises(UserError, match=r"--snapshot .*bad\.npz: not a training state"):
        chainer_state.read(path, "--snapshot")


def test_arrays_that_would_run_code_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="refused: an array of type"):
        files.read(tmp_path / "objects.npz", "--snapshot")
    with pytest.raises(UserError, match="not a training state"):
        chainer_state.read(tmp_path / "objects.npz", "--snapshot")


@pytest.fixture
def trainer(tmp_path):
    values = config.load(config.__file__.replace("config.py", "configs/sn_projection_celeba.yml"))
    model = {"size": 128, "ch": 2, "n_classes": 1}
    changes = {"generator": {**model, "dim_z": 128}, "discriminator": model}
    changes |= {"batchsize": 4, "n_dis": 2, "n_gen_samples": 4}
    return Trainer(config.dataclasses.replace(values, **changes), tf.distribute.get_strategy())


def test_a_training_state_of_chainers_is_taken_up(reference, trainer):
    folder = reference("sngan/trainrun_ch2/snapshot_iter_2").parent
    chainer_state.restore(trainer, folder / "snapshot_iter_2")
    assert trainer.iteration == 2
    assert int(trainer.steps) == 6
    assert int(trainer.G_adam.iterations) == 2
    assert int(trainer.D_adam.iterations) == 4
    for network in (trainer.G, trainer.D):
        expected = arrays_in(folder / f"{network.name}_2.npz")
        for key, array in files.arrays_of(network).items():
            np.testing.assert_array_equal(array, expected[key], key)
    moments = {v.path: v for v in trainer.D_adam.variables}
    path = next(p for p in moments if p.endswith("block3_c2_W_velocity"))
    with np.load(folder / "snapshot_iter_2") as state:
        expected = state["updater/optimizer:opt_dis/block3/c2/W/v"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(moments[path].numpy(), expected)
    with pytest.raises(UserError, match=r"not a training state.*no array updater/iteration"):
        chainer_state.restore(trainer, folder / f"{trainer.G.name}_2.npz")


@pytest.mark.slow
def test_a_genuine_run_of_two_iterations_is_repeated(reference, trainer):
    """From Chainer's start weights, latents and images; only its dequantization noise is unknown,
    so a few weights whose gradient is near 0 move the other way."""
    from SNGAN.training import D_gradients, G_gradients, dequantized

    folder = reference("sngan/trainrun_ch2")
    inputs = np.load(folder / "inputs.npz")
    networks = (trainer.G, trainer.D)
    for network in networks:
        arrays = arrays_in(folder / f"init_{network.name}.npz")
        files.fill(network, arrays, "test")
    start = [files.arrays_of(network) for network in networks]
    trainer.set_learning_rate(2e-4)
    z = iter(inputs["z"])
    images = inputs["images_u8"].transpose(0, 2, 3, 1).reshape(-1, 4, 128, 128, 3)
    reals = iter(dequantized(images, 0.5).numpy())
    log = json.loads((folder / "log").read_text())
    G, D = networks
    loss, gradients = G_gradients(G, D, next(z), None, "hinge", False, 4)
    trainer.G_adam.apply(gradients, G.trainable_variables)
    assert float(loss) == pytest.approx(log[0]["loss_gen"], rel=1e-4)
    for _ in range(2):
        loss, gradients = D_gradients(G, D, next(reals), None, next(z), None, "hinge", False, 4)
        trainer.D_adam.apply(gradients, D.variables_in_use(False))
    assert float(loss) == pytest.approx(log[0]["loss_dis"], rel=0.01)
    for network, before in zip(networks, start, strict=True):
        expected = arrays_in(folder / f"{network.name}_1.npz")
        found = files.arrays_of(network)
        moved = np.concatenate([(found[k] - before[k]).ravel() for k in found if k[-2:] == "/W"])
        wanted = np.concatenate(
            [(expected[k] - before[k]).ravel() for k in found if k[-2:] == "/W"]
        )
        assert np.corrcoef(moved, wanted)[0, 1] > 0.98
