"""Published files load through the one loader, and give the answers that they gave in 2019."""

import json
import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from classifier.networks import Classifier
from classifier_visNet.networks import AutoEncoder, Critic
from gan_fingerprints.ipm.networks import Discriminator as FeatureNetwork
from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.networks import files
from gan_fingerprints.networks.layers import box_downscale, box_upscale
from gan_fingerprints.networks.published import tf1_checkpoint, tf1_networks
from gan_fingerprints.networks.published.source_names import source_names
from gan_fingerprints.program import UserError
from ProGAN.networks import Discriminator, Generator, full_size_images, level_and_fade
from ProGAN.run import label_of
from SNGAN.dis_models.snresnet import SNResNetProjectionDiscriminator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.published import Network, nhwc, pickled, published_variables, relative_error, those_kept

TOLERANCE = 1e-4
KINDS = {
    "generator": Generator,
    "discriminator": Discriminator,
    "classifier": Classifier,
    "visnet_autoencoder": AutoEncoder,
    "visnet_critic": Critic,
    "ResNetGenerator": ResNetGenerator,
    "SNResNetProjectionDiscriminator": SNResNetProjectionDiscriminator,
}
FUNCTIONS = {
    Generator: "G_paper", Discriminator: "D_paper", Classifier: "C_patch", AutoEncoder: "EG",
    Critic: "D_patch",
}  # fmt: skip


def load(path, kind):
    return files.load(path, {kind: KINDS[kind]}, "--model_path")


@pytest.mark.parametrize("name", ["", "_unfused", "_lod1.3"])
def test_progan(reference, name):
    path = reference(f"progan/progan_r32_fb128_fm32{name}.nosrc.pkl")
    expected = np.load(reference(f"progan/progan_r32_fb128_fm32{name}.ref.npz"))
    loaded = load(path, "generator")
    assert loaded.provenance["published_network"] == "Gs (G_paper)"
    assert loaded.provenance["published_file"] == path.name
    assert loaded.network.fused_scale == ("unfused" not in name)
    for lod in (0, 0.5, 1, 2.3):
        images = full_size_images(loaded.network, expected["latents"], lod)
        assert relative_error(images, nhwc(expected[f"Gs_images_lod{lod}"])) < TOLERANCE
    if "lod" in name:
        images = full_size_images(loaded.network, expected["latents"], float(loaded.network.lod))
        assert relative_error(images, nhwc(expected["Gs_images_savedlod"])) < TOLERANCE
    D = load(path, "discriminator").network
    for lod in (0, 0.5, 1, 2.3):
        level, fade = level_and_fade(32, lod)
        images = box_downscale(tf.constant(nhwc(expected["images"])), 32 // 2**level)
        scores, _ = D(images, level=level, fade=fade or None)
        assert relative_error(scores, expected[f"D_scores_lod{lod}"]) < TOLERANCE


@pytest.mark.parametrize(
    "name",
    ["r128_tiny_label5", "r32_postpool_sw4_lr-1", "r32_postpool_sw4_lr4", "r32_postpool_sw8_lr-1",
     "r32_predownscale_sw8_lr-1", "r32_predownscale_sw8_lr4"],
)  # fmt: skip
def test_classifiers(reference, name):
    path = reference(f"classifier/classifier_{name}.nosrc.pkl")
    expected = np.load(reference(f"classifier/classifier_{name}.ref.npz"))
    loaded = load(path, "classifier")
    images, logits = nhwc(expected["images"]), expected["logits"]
    if logits.ndim == 4:
        assert (
            relative_error(loaded.network.to_logits(loaded.network.features(images)), nhwc(logits))
            < TOLERANCE
        )
        logits = logits.mean(axis=(2, 3))
    assert relative_error(loaded.network(images), logits) < TOLERANCE
    assert loaded.source_names == source_names(5)[0]
    assert "assumed" in loaded.names_assumed
    named = files.load(path, KINDS, "--model_path", names="real,a,b,c,d")
    assert (named.source_names, named.names_assumed) == (["real", "a", "b", "c", "d"], "")


def test_visnet(reference):
    path = reference("visnet/visnet_r32.nosrc.pkl")
    expected = np.load(reference("visnet/visnet_r32.ref.npz"))
    images = nhwc(expected["images"])
    loaded = load(path, "visnet_autoencoder")
    assert loaded.provenance["published_network"] == "EGs (EG)"
    outputs = loaded.network.outputs(tf.constant(images))
    found = (outputs.reconstructions, outputs.fingerprints, outputs.logits)
    for array, name in zip(found, ("recs", "fingerprints", "logits"), strict=True):
        right = expected[f"EGs_{name}"]
        right = nhwc(right) if right.ndim == 4 else right
        assert relative_error(array, right) < TOLERANCE, name
    scores = load(path, "visnet_critic").network(images)
    assert relative_error(scores, expected["D_rec_scores"].reshape(-1, 1)) < TOLERANCE


def test_sngan(reference):
    expected = np.load(reference("sngan/sngan_ch4.ref.npz"))
    path = reference("sngan/sngan_ch4_ResNetGenerator_150000.npz")
    G = load(path, "ResNetGenerator").network
    assert relative_error(G(expected["z"]), nhwc(expected["G_test"])) < TOLERANCE
    name = "SNResNetProjectionDiscriminator"
    D = load(reference(f"sngan/sngan_ch4_{name}_150000.npz"), name).network
    scores = D(nhwc(expected["x"]).astype(np.float32))
    assert relative_error(scores, expected["D_test_noY"]) < TOLERANCE


@pytest.mark.parametrize("name", ["cramer_r32_g8", "mmd_r32_g8"])
def test_checkpoints(reference, name):
    prefix = tf1_checkpoint.newest(reference(f"gan/{name}/models"), "--checkpoint_dir")
    expected = np.load(reference(f"gan/{name}/ref_train.npz"))
    critic, generator = tf1_networks.read(prefix, "--checkpoint_dir")
    G, D = BatchGenerator(**generator.arguments), FeatureNetwork(**critic.arguments)
    files.fill(G, generator.arrays, "generator")
    files.fill(D, critic.arrays, "discriminator")
    images = those_kept(G(expected["z"]), expected["G"])
    assert relative_error(images, expected["G"]) < TOLERANCE
    assert relative_error(D(expected["images"])["hF"], expected["d_images"]) < TOLERANCE


def arguments_of(network) -> dict:
    renamed = {"num_sources": "label_size"}
    given = {renamed.get(name, name): value for name, value in network.arguments.items()}
    given.pop("correlation", None)
    return {"num_channels": 3, **given, "unknown_to_the_function": [1, 2]}


def published_file(path: Path, network, protocol=4) -> Path:
    """Writes a network of ours, filled with random weights, as the release would have."""
    variables = published_variables(network)
    stored = Network(FUNCTIONS[type(network)], arguments_of(network), variables)
    path.write_bytes(pickled(stored, protocol))
    return path


SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}
OPTIONS = [
    (Generator, {"label_size": 3}), (Generator, {"fused_scale": False}),
    (Discriminator, {"label_size": 3, "mbstd_group_size": 0}),
    (Discriminator, {"fused_scale": False, "mbstd_group_size": 2}),
    (Classifier, {"num_sources": 11}), (Classifier, {"num_sources": 40}),
    (Classifier, {"fused_scale": True}), (Classifier, {"latent_res": 8}),
    (Classifier, {"latent_res": 16}), (Classifier, {"switching_res": 16}),
    (Classifier, {"mode": "predownscale", "switching_res": 8}),
    (Classifier, {"mode": "predownscale", "switching_res": 8, "latent_res": 8}),
    (AutoEncoder, {"latent_res": -1}), (AutoEncoder, {"num_sources": 2, "latent_res": 8}),
    (AutoEncoder, {"use_pixelnorm": True, "normalize_latents": True}),
    (AutoEncoder, {"fused_scale": True}), (AutoEncoder, {"switching_res": 8}),
    (AutoEncoder, {"mode": "predownscale", "switching_res": 8}),
    (Critic, {}), (Critic, {"fused_scale": True}), (Critic, {"latent_res": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_every_option_is_taken_over(tmp_path, kind, options):
    network = kind(**SMALL, **options)
    path = published_file(tmp_path / "network.pkl", network)
    loaded = load(path, network.name)
    assert loaded.arguments == network.arguments
    variables = published_variables(network)
    for (name, found), array in zip(
        files.named_variables(loaded.network).items(), variables.values(), strict=True
    ):
        np.testing.assert_array_equal(found, array, name)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("package", ["numpy.core", "numpy._core"])
def test_protocols_and_versions_of_numpy(tmp_path, monkeypatch, protocol, package):
    multiarray, numeric = np._core.multiarray, np._core.numeric
    for function in (multiarray._reconstruct, multiarray.scalar):
        monkeypatch.setattr(function, "__module__", f"{package}.multiarray")
    monkeypatch.setattr(numeric._frombuffer, "__module__", f"{package}.numeric")
    network = Classifier(**SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old names still work, with a warning
        path = published_file(tmp_path / "n.pkl", network, protocol)
    assert f"{package}.".encode() in path.read_bytes()
    loaded = load(path, "classifier").network
    found = loaded.head.weight.numpy()
    np.testing.assert_array_equal(found, published_variables(network)["4x4/Dense1/weight"])


def test_defaults_of_the_release_fill_in_what_a_file_does_not_say():
    from gan_fingerprints.networks.published.network_pickle import our_arguments

    given = {"resolution": 64, "label_size": 5, "num_channels": 3}
    found = our_arguments("C_patch", given)
    assert (found["fmap_base"], found["latent_res"], found["num_sources"]) == (8192, 4, 5)
    assert our_arguments("G_paper", {"resolution": 8})["fused_scale"] is True
    assert our_arguments("EG", given)["latent_res"] == -1
    assert our_arguments("D_patch", given)["mbstd_group_size"] == 4
    assert our_arguments("D_patch", given)["fused_scale"] is False


def test_a_numpy_scalar_is_an_argument_too(tmp_path):
    network = Classifier(**SMALL)
    stored = Network("C_patch", {**arguments_of(network), "resolution": np.int64(16)},
                     published_variables(network))  # fmt: skip
    (tmp_path / "n.pkl").write_bytes(pickled(stored))
    assert load(tmp_path / "n.pkl", "classifier").arguments == network.arguments


def test_the_embedded_source_is_never_read(tmp_path):
    path = published_file(tmp_path / "network.pkl", Classifier(**SMALL))
    content = bytearray(path.read_bytes())
    start = content.index(b"raise SystemExit")
    content[start : start + 100] = b"\xff" * 100  # not even decoded: this is no text
    path.write_bytes(content)
    with pytest.raises(UnicodeDecodeError):
        content[start : start + 100].decode()
    load(path, "classifier")


@pytest.mark.parametrize(
    ("number", "given", "file", "names", "assumed"),
    [
        (5, None, "x.pkl", ["CelebA_real_data", "ProGAN_generated_data", "SNGAN_generated_data",
                            "CramerGAN_generated_data", "MMDGAN_generated_data"], True),
        (11, None, "x.pkl", ["CelebA_real_data", *(f"ProGAN_seed_{i}_generated_data"
                                                   for i in range(10))], True),
        (5, None, "LSUN_ProGAN.pkl", [f"source_{i}" for i in range(5)], True),
        (3, None, "x.pkl", ["source_0", "source_1", "source_2"], True),
        (2, "a, b", "x.pkl", ["a", "b"], False),
        (2, ["a", "b"], "x.pkl", ["a", "b"], False),
    ],
)  # fmt: skip
def test_source_names(number, given, file, names, assumed):
    found, line = source_names(number, given, file)
    assert found == names
    assert (bool(line), "assumed" in line) == (assumed, assumed)
    assert "\n" not in line


@pytest.mark.parametrize("given", ["a", "a,b,c", "a,a", "a,", ""])
def test_source_names_that_do_not_fit(given):
    with pytest.raises(UserError, match=r"--source_names: found .* expected 2 different"):
        source_names(2, given)


def test_generation_from_a_published_file(run_script, reference, tmp_path):
    path = reference("progan/progan_r32_fb128_fm32.nosrc.pkl")
    run_script("ProGAN/run.py", "--app", "gen", "--model_path", path, "--out_image_dir",
               tmp_path / "gen", "--num_pngs", 4, "--gen_seed", 0)  # fmt: skip
    files = sorted(path.name for path in (tmp_path / "gen").iterdir())
    assert files == [f"ProGAN_{i:08d}.png" for i in range(4)]
    found = np.stack([np.asarray(Image.open(tmp_path / "gen" / name)) for name in files])
    expected = np.load(reference("progan/gen_seed0.npz"))["images_uint8_nhwc"]
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


@pytest.mark.slow
def test_labels_of_a_published_generator(run_script, tmp_path):
    network, path = Generator(**SMALL, label_size=3), tmp_path / "labels.pkl"
    variables = published_variables(network)
    variables["ToRGB_lod0/weight"] *= 10  # many colours
    path.write_bytes(pickled(Network("G_paper", arguments_of(network), variables)))
    run_script("ProGAN/run.py", "--app", "gen", "--model_path", path, "--num_pngs", 2, "--label", 1,
               "--out_image_dir", tmp_path / "gen")  # fmt: skip
    G = load(path, "generator").network
    latents = np.random.RandomState(0).randn(2, 16).astype(np.float32)
    labels = np.asarray([[0, 1, 0]] * 2, np.float32)
    images = full_size_images(G, np.concatenate([latents, labels], axis=1), 0.0).numpy()
    expected = np.clip(np.rint(images * 127.5 + 127.5), 0, 255)
    found = np.asarray(Image.open(tmp_path / "gen" / "ProGAN_00000001.png"))
    assert np.abs(found - expected[1]).max() <= 1
    assert found.std() > 20
    other = full_size_images(G, np.concatenate([latents, 0 * labels], axis=1), 0.0).numpy()
    assert np.abs(other - images).max() > 0.1


@pytest.mark.parametrize(("label", "size", "expected"), [(None, 3, [0, 0, 0]), (2, 3, [0, 0, 1]),
                                                         (None, 0, [])])  # fmt: skip
def test_labels(label, size, expected):
    assert label_of(size, Namespace(label=label)).tolist() == expected


@pytest.mark.parametrize(("size", "known"), [(3, "classes 0 to 2"), (0, "no labels")])
def test_a_label_that_the_generator_does_not_know(size, known):
    with pytest.raises(UserError, match=f"--label 3: x.pkl has {known}"):
        label_of(size, Namespace(label=3, model_path="x.pkl"))


def test_attribution_with_a_published_classifier(run_script, reference, tmp_path):
    path = reference("classifier/classifier_r128_tiny_label5.nosrc.pkl")
    done = run_script("classifier/run.py", "--app", "test", "--model_path", path,
                      "--testing_data_path", reference("data/testfolder"), "--out_json",
                      tmp_path / "out.json", "--least_probability", 0,
                      "--least_size", 0)  # fmt: skip
    assert done.stdout.count("source names are assumed") == 1
    rows = {Path(r["path"]).name: r for r in json.loads((tmp_path / "out.json").read_text())}
    expected = np.load(reference("classifier/test_folder_label5.npz"))
    logits = np.concatenate([expected[f"call{i:02d}_C_im_out0"] for i in range(8)], dtype=float)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = source_names(5)[0]
    for i, name in enumerate(sorted(rows)):
        row = rows[name]
        assert row["predicted"] == names[int(logits[i].argmax())], name
        if name in ("img00.png", "img01.png", "img02.png"):  # of 128 px: nothing is resized
            found = [row["probabilities"][source] for source in names]
            np.testing.assert_allclose(found, probabilities[i], atol=1e-4)


def test_box_upscale_of_lower_levels_is_what_full_size_means():
    G = Generator(**SMALL)
    latents = tf.random.normal([2, 16])
    np.testing.assert_array_equal(
        full_size_images(G, latents, 2.0), box_upscale(G(latents, level=2), 4)
    )
