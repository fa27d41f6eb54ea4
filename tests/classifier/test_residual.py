"""The network for fine traces: what it sees, any size of image, members, files, and training."""

import argparse
import csv
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from PIL import Image
from scipy.ndimage import convolve1d

from classifier import residual, run
from classifier.config import DEFAULTS, Config
from classifier.residual import Residual
from classifier.together import with_descriptors
from gan_fingerprints import card
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.calibration import calibrate
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files
from gan_fingerprints.networks.descriptors import descriptors, length
from gan_fingerprints.networks.discriminant import Discriminant
from gan_fingerprints.program import UserError
from tests import marks, result_lines
from tests.conftest import PROJECT
from tests.marks import SOURCES

TINY = (
    "--network", "residual", "--width", 4, "--minibatch", 16, "--learning_rate", 0.004,
    "--total_kimg", 4, "--warmup_kimg", 0.5, "--tick_kimg", 0.2, "--accuracy_ticks", 10,
    "--accuracy_images", 100, "--training_seed", 3, "--recompress", 0, "--rescale", 0,
    "--noise", 0, "--mirror", 0,
)  # fmt: skip
HELD = 30  # images of each of the three sources for validation, a fifth of all


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_it_sees_the_image_and_what_blurs_take_away():
    images = noise(2, 12, 14, 3)
    seen = residual.view(tf.constant(images)).numpy()
    np.testing.assert_array_equal(seen[..., :3], images)
    for taps, part in (((1, 2, 1), seen[..., 3:6]), ((1, 4, 6, 4, 1), seen[..., 6:])):
        kernel = np.array(taps) / sum(taps)
        blurred = convolve1d(convolve1d(images, kernel, 1, mode="mirror"), kernel, 2, mode="mirror")
        np.testing.assert_allclose(part, np.clip(8 * (images - blurred), -4, 4), atol=2e-6)
    flat = residual.view(tf.fill([1, 8, 8, 3], 0.3)).numpy()
    np.testing.assert_allclose(flat[..., 3:], 0, atol=1e-6)


@pytest.mark.parametrize("members", [1, 3])
def test_logits_are_the_mean_over_places_and_members(members):
    network = Residual(64, 5, width=4, members=members)
    for size in ((32, 32), (64, 96), (40, 56)):
        images = noise(2, *size, 3)
        logits, features = network.answers(images)
        np.testing.assert_allclose(logits, network(images), atol=1e-6)
        places = network.map_of(images)
        assert places.shape == (2, size[0] // 4, size[1] // 4, 5)
        np.testing.assert_allclose(tf.reduce_mean(places, [1, 2]), logits, rtol=1e-5, atol=1e-5)
        assert features.shape == (2, 32 * members)
        of_members = [x.numpy() for x, _ in network.of_members(images)]
        np.testing.assert_allclose(np.mean(of_members, axis=0), logits, atol=1e-6)
        assert members == 1 or np.abs(of_members[0] - of_members[1]).max() > 1e-3


def test_descriptors_answer_beside_the_convolutions(tmp_path):
    rng, plain = np.random.default_rng(1), Residual(64, 3, width=4)
    network = Residual(64, 3, width=4, components=40)
    network.members[0].set_weights(plain.members[0].get_weights())
    shapes = Discriminant.shapes(length(), 3, 40)
    arrays = {name: rng.uniform(0.1, 1, shape) for name, shape in shapes.items()}
    network.fill_descriptors(Discriminant(**arrays), np.array([0.7, 0.4]))
    levels = rng.integers(0, 256, (2, 48, 56, 3), np.uint8)
    images = levels / np.float32(127.5) - np.float32(1)
    standard = (descriptors(levels) - arrays["mean"]) / arrays["deviation"]
    linear = standard @ arrays["weight"] + arrays["bias"]
    expected = 0.7 * plain(images).numpy() + 0.4 * scipy.special.log_softmax(linear, axis=1)
    logits, features = network.answers(images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        features[:, 32:], standard @ arrays["components"], rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(features[:, :32], plain.answers(images)[1], atol=1e-6)
    assert network.judged == slice(32, 64)
    assert (network.families, plain.families) == (("convolutions", "descriptors"), ())
    together, same, *opinions = network.opinions(images)
    np.testing.assert_array_equal(together, logits)
    np.testing.assert_array_equal(same, features)
    for found, of_each in zip(opinions, (0.7 / 0.6 * plain(images).numpy(), linear), strict=True):
        alone = scipy.special.log_softmax(of_each, axis=1)
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=2e-3)
    files.save(tmp_path / "a.safetensors", network, {}, ["a", "b", "c"])
    loaded = files.load(tmp_path / "a.safetensors", files.constructors(), "--model").network
    np.testing.assert_array_equal(loaded(images), logits)


@pytest.mark.slow
def test_the_share_of_descriptors_is_that_of_the_highest_likelihood(prepared):
    network = Residual(32, len(SOURCES), width=4)
    data, held = (
        DataSet.open(prepared / x, "--data", needs_labels=True) for x in ("train", "test")
    )
    truth = np.argmax(held.labels, axis=1)
    images = held.images(np.arange(held.count)) / np.float32(127.5) - np.float32(1)
    for logits, useful in ((noise(held.count, len(SOURCES)), True), (9 * held.labels, False)):
        whole, said = with_descriptors(network, logits, data, held)
        share = float(whole.scales[1])
        assert f"share being {share:g}" in said
        assert (share > 0) == useful
        assert not useful or np.mean(np.argmax(whole(images), axis=1) == truth) > 0.9
        np.testing.assert_array_equal(
            whole.members[0].convs[0].kernel, network.members[0].convs[0].kernel
        )
    right = re.findall(r"(?:convolutions|descriptors|together) ([\d.]+)%", said)
    assert [right[0], right[2]] == ["100.00", "100.00"]


@pytest.mark.slow
def test_descriptors_see_attacked_images_of_both_data_sets(prepared):
    """An attack after which no image has a trace of its source leaves descriptors at chance."""
    network, seen = Residual(32, len(SOURCES), width=4), []
    data, held = (
        DataSet.open(prepared / x, "--data", needs_labels=True) for x in ("train", "test")
    )

    def attack(image, key):
        seen.append(key)
        return np.random.default_rng(key).integers(0, 256, image.shape, np.uint8), {}

    said = with_descriptors(network, 9 * held.labels, data, held, attack).said
    assert sorted(seen) == sorted([*range(data.count), *range(held.count)])
    assert "share being 0" in said
    assert float(re.search(r"descriptors ([\d.]+)%", said)[1]) < 100 * 1.8 / len(SOURCES)


def test_training_normalises_by_the_minibatch_and_drops_features():
    network = Residual(32, 2, width=4)
    images, key = noise(16, 32, 32, 3), tf.constant([1, 2], tf.int64)
    first = network.of_members(images, key)[0][0].numpy()
    np.testing.assert_array_equal(first, network.of_members(images, key)[0][0].numpy())
    assert np.abs(first - network.of_members(images, key + 1)[0][0].numpy()).max() > 1e-3
    member = network.members[0]
    x = tf.cast(residual.view(images), tf.float32)
    raw = member.convs[0](x).numpy()
    normal = member.norms[0](raw, training=True).numpy()
    expected = (raw - raw.mean((0, 1, 2))) / np.sqrt(raw.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(normal, expected, atol=1e-4)


def test_files_keep_it(tmp_path):
    network = Residual(64, 3, width=4, members=2)
    for variable in network.variables:  # also the means that normalisation goes by
        variable.assign(variable + 0.1)
    features, labels = noise(300, 64), np.arange(300) % 3
    logits = noise(300, 3) + 2 * np.eye(3)[labels]
    scale = calibrate(logits, features, labels, "x", either=True)
    files.save(tmp_path / "a.safetensors", network, {}, ["a", "b", "c"], scale)
    loaded = files.load(tmp_path / "a.safetensors", files.constructors(), "--model")
    arguments = {"resolution": 64, "num_sources": 3, "width": 4, "members": 2, "components": 0}
    assert loaded.arguments == arguments
    images = noise(2, 48, 48, 3)
    np.testing.assert_array_equal(loaded.network(images), network(images))
    expected = scale.scores(logits, features)
    np.testing.assert_array_equal(loaded.calibration.scores(logits, features), expected)


@pytest.mark.parametrize("arguments", [{"resolution": 16}, {"members": 4}, {"members": 0}])
def test_sizes_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="expected 32 or more, and 1 to 3"):
        Residual(**arguments)


def test_the_rate_rises_and_falls():
    config = Config(network="residual", **DEFAULTS["residual"])
    assert config.rate(0) == pytest.approx(0.002 * 32 / 5000)
    assert config.rate(50_000) == pytest.approx(0.001)
    short = Config(learning_rate=1.0, total_kimg=10, rampdown_kimg=150)
    assert [short.rate(x) for x in (0, 5000, 10_000)] == [1.0, 0.5, 0.0]
    assert Config(learning_rate=0.5).rate(10**9) == 0.5


def test_the_paper_is_trained_as_before():
    assert Config() == Config(network="paper", **DEFAULTS["paper"])
    assert Config().augmentation(128) is None
    augmentation = Config(network="residual", **DEFAULTS["residual"]).augmentation(64)
    assert (augmentation.crop, augmentation.contrast) == (32, 0.15)
    for config in (Config(crop=64), Config(network="residual", crop=256)):
        with pytest.raises(UserError, match="--crop"):
            config.augmentation(128)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, photo_crops):
    root = tmp_path_factory.mktemp("sources")
    return marks.write_sources(root, photo_crops, 10, side=32, number=15 * HELD)


@pytest.fixture(scope="module")
def prepared(folders, tmp_path_factory, run_script):
    root = tmp_path_factory.mktemp("prepared")
    for split in ("train", "test"):
        run_script(
            "classifier/data_preparation.py", "--in_dir", folders / split, "--out_dir", root / split
        )
    return root


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory, run_script):
    out = tmp_path_factory.mktemp("models") / "residual"
    run_script("classifier/run.py", *arguments(prepared, out))
    return out


def arguments(prepared, out, *more):
    return [
        "--app", "train", "--training_data_dir", prepared / "train", "--validation_data_dir",
        prepared / "test", "--out_model_dir", out, *TINY, *more,
    ]  # fmt: skip


def test_it_learns_and_the_best_is_kept(trained):
    log = (trained / "log.txt").read_text()
    measured = [float(x) for x in re.findall(r"validation accuracy ([\d.]+)%\n", log)]
    assert max(measured) >= 90
    best = re.search(r"is that of kimg ([\d.]+): validation accuracy ([\d.]+)%, the best", log)
    assert float(best[2]) == max(measured)
    # The first of the best: what came later was not better.
    first = re.findall(r"kimg ([\d.]+) training accuracy", log)[measured.index(max(measured))]
    assert best[1] == first


def test_likelihood_ratios_are_fitted_on_the_validation_images(trained):
    loaded = files.load(trained / "network-final.safetensors", files.constructors(), "--model")
    others, outside = loaded.likelihoods.others, loaded.likelihoods.outside
    count = HELD * len(SOURCES)
    assert (others.same, others.other) == (count, count * (len(SOURCES) - 1))
    assert (outside.same, outside.other) == (count, count)  # as many pseudo-unknowns
    assert others.high > 1  # it learned, see above
    assert loaded.likelihoods.describe() in (trained / "log.txt").read_text()


def test_images_outside_are_of_other_sources(prepared):
    data = DataSet.open(prepared / "train", "--training_data_dir", needs_labels=True)
    given = argparse.Namespace(outside_data_dir=None, verify=True)
    assert run.outside_data(given, Config(), data) is None
    given.outside_data_dir = prepared / "test"
    with pytest.raises(UserError, match="only with --likelihoods 1"):
        run.outside_data(given, Config(), data)
    with pytest.raises(UserError, match=r"has images of .* as the training data; expected other"):
        run.outside_data(given, Config(likelihoods=True), data)


def test_the_card_says_what_it_was_made_of(trained):
    loaded = files.load(trained / "network-final.safetensors", files.constructors(), "--model")
    assert (trained / "card.md").read_text() == card.markdown(loaded.card)
    first = loaded.card["sources"][0]
    assert (first["name"], first["validation"]) == (sorted(SOURCES)[0], HELD)
    assert first["looks"]["format"] == "PNG"
    assert loaded.card["changes"]["contrast"] == 0.15
    assert "recompress" not in loaded.card["changes"]  # there was none
    assert card.limits(loaded.card, (32, 32)) == [card.NOTHING_MEASURED]


@pytest.mark.slow
def test_a_source_is_enrolled_without_the_training_images(trained, folders, tmp_path, run_script):
    """The same file as where the data sets are given, and the newcomer's images get its name."""
    loaded = files.load(trained / "network-final.safetensors", files.constructors(), "--model")
    assert loaded.enrolment.space.components.size == 0  # components are features of the network
    assert len(loaded.enrolment.held_labels) == HELD * len(SOURCES)
    noise = np.random.default_rng(0).normal(128, 30, (10, 32, 32, 1)) + np.zeros(3)
    for i, image in enumerate(np.clip(noise, 0, 255).astype(np.uint8)):
        (tmp_path / "new").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "new" / f"{i}.png")
    done = run_script(
        "gan_fingerprints", "enroll", "--model", trained / "network-final.safetensors",
        "--name", "new", "--images", tmp_path / "new", "--out", tmp_path / "m.safetensors",
    )  # fmt: skip
    assert "new: enrolled from 10 images" in done.stdout
    rows = list(Attributor.load(tmp_path / "m.safetensors").attribute(tmp_path / "new"))
    assert [row.most_probable for row in rows] == ["new"] * 10


@pytest.mark.slow
def test_without_tensorflow_the_verdicts_are_the_same(trained, folders, tmp_path, run_script):
    model = trained / "network-final.safetensors"
    enrolled = tmp_path / "enrolled.safetensors"
    new = folders / "test" / SOURCES[0]
    alone = [sys.executable, PROJECT / "tests" / "without_tensorflow.py"]
    words = ["enroll", "--model", model, "--name", "new", "--images", new, "--out", enrolled]
    subprocess.run([*alone, *words], check=True, capture_output=True)
    words = ["attribute", folders / "test", "--model", enrolled, "--out"]
    run_script("gan_fingerprints", *words, tmp_path / "with.jsonl")
    done = subprocess.run([*alone, *words, tmp_path / "without.jsonl"], capture_output=True)
    assert not done.returncode, done.stderr
    pairs = list(zip(*(
        map(json.loads, (tmp_path / f"{x}.jsonl").read_text().splitlines())
        for x in ("with", "without")
    ), strict=True))  # fmt: skip
    assert len(pairs) == HELD * len(SOURCES)
    for one, other in pairs:
        assert one["verdict"] == other["verdict"]
        odds = [np.log(np.clip([*x["probabilities"].values()], 1e-9, 1)) for x in (one, other)]
        np.testing.assert_allclose(*odds, rtol=0, atol=1e-3)
        ratios = [list((x.get("log10_lr") or {}).values()) for x in (one, other)]
        np.testing.assert_allclose(*ratios, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_folder_is_named_and_large_images_are_seen_in_tiles(
    trained, folders, tmp_path, run_script
):
    network = trained / "network-final.safetensors"
    run_script("classifier/run.py", "--app", "test", "--model_path", network,
               "--testing_data_path", folders / "test", "--out_csv", tmp_path / "a.csv",
               "--out_confusion", tmp_path / "a.png", "--least_probability", 0)  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    more = ["log10_lr", "log10_outside", "stable", "turned_by", "reason", "error"]
    assert list(rows[0])[-9:] == ["tiles", "spread", "agreement", *more]
    assert {(row["tiles"], row["spread"], row["agreement"]) for row in rows} == {("1", "0", "1")}
    right = [max(SOURCES, key=lambda name: float(row[name])) in row["path"] for row in rows]
    assert np.mean(right) >= 0.9
    # A mosaic of one source's images is of that source; shrunk, its fingerprint is lost.
    source = SOURCES[1]
    parts = sorted((folders / "test" / source).iterdir())[:6]
    side = Image.open(parts[0]).width
    mosaic = Image.new("RGB", (3 * side, 2 * side))
    for i, part in enumerate(parts):
        mosaic.paste(Image.open(part), (i % 3 * side, i // 3 * side))
    mosaic.save(tmp_path / "mosaic.png")
    attributor = Attributor.load(network, batch=4)
    # Python, testing and the examiner's command have one verdict, also where it is not stable.
    said = Attributor.load(network, rules=Rules(0)).attribute([x["path"] for x in rows])
    assert [(x.predicted, x.reason) for x in said] == [(x["predicted"], x["reason"]) for x in rows]
    run_script("gan_fingerprints", "attribute", folders / "test", "--model", network, "--out",
               tmp_path / "a.jsonl", "--least_probability", 0.5)  # fmt: skip
    lines = result_lines.checked(tmp_path / "a.jsonl")
    assert {"opinions", "log10_lr"} <= lines[0].keys()
    again = Attributor.load(network, rules=Rules(0.5)).attribute(folders / "test")
    assert [(x["verdict"], x["reason"]) for x in lines] == [(x.predicted, x.reason) for x in again]
    (row,) = attributor.attribute(tmp_path / "mosaic.png")
    assert (row.tiles, row.most_probable) == (6, source)
    rows = list(attributor.attribute(parts))
    answers = [x.probabilities for x in rows]
    assert row.agreement == np.mean([max(x, key=x.get) == source for x in answers])
    # What the families say alone, weighted by their shares, is what they say together.
    share = float(attributor.network.scales[1])
    for one in [row, *rows]:
        alone = np.array([[*one.opinions[x].values()] for x in ("convolutions", "descriptors")])
        np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-12)
        logits = np.log(alone).T @ [1 - share, share] / attributor.temperature
        together = scipy.special.softmax(logits)
        np.testing.assert_allclose([*one.probabilities.values()], together, atol=1e-4)


@pytest.mark.slow
def test_same_seed_same_network_also_when_killed(
    prepared, trained, tmp_path, run_script, start_script
):
    out = tmp_path / "killed"
    flags = arguments(prepared, out, "--checkpoint_minutes", 0.02)
    process = start_script("classifier/run.py", *flags)
    log, end = out / "log.txt", time.monotonic() + 120
    while not (log.is_file() and "kimg 2.00 training" in log.read_text()):
        assert time.monotonic() < end, "no progress"
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    run_script("classifier/run.py", *flags, "--resume")
    name = "network-final.safetensors"
    assert (out / name).read_bytes() == (trained / name).read_bytes()
    assert json.loads((out / "finished.json").read_text())["sha256"]


def test_flags_of_the_other_network_are_refused(prepared, tmp_path, run_script):
    for flags, message in (
        (["--component", "patch", "--component_res", "8"], "--component patch: only of the paper"),
        (["--crop", "64"], "--crop 64: expected at most 32"),
        (["--members", "4"], "--members: found '4', expected 1, 2 or 3"),
        (["--network", "resnet"], "--network: found 'resnet', expected paper or residual"),
        (["--aligned", "2"], "--aligned: found '2', expected a number from 0 to 1"),
    ):
        done = run_script(
            "classifier/run.py", *arguments(prepared, tmp_path / "no", *flags), check=False
        )
        assert done.returncode == 2
        assert message in done.stderr
        assert not (tmp_path / "no").exists()
