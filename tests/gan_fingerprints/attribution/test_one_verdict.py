"""The same file and network: the same verdict and reason from Python and from both commands."""

import json
import shutil

import numpy as np
import pytest

from gan_fingerprints import Attributor, Rules, __main__
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.networks import files
from gan_fingerprints.networks.graphs import light
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.conftest import NAMES

EVER = Rules(0, 0)
FEATURES = {"classifier": 16, "visnet": 3}
SCRIPTS = {"classifier": "classifier/run.py", "visnet": "classifier_visNet/run.py"}


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    """The pictures side by side: `run.py` takes subfolders for sources."""
    folder = tmp_path_factory.mktemp("flat")
    for path in pictures.rglob("*.*"):
        if path.is_file():
            shutil.copy(path, folder / path.name)
    return folder


def calibrated(one, kind, path, temperature, threshold):
    size = FEATURES[kind]
    centres = Centres(np.zeros([3, size], np.float32), np.ones(size, np.float32))
    scale = Calibration(temperature, "energy", threshold, 0.05, centres, "5" * 64)
    files.save(path, one.network, {}, NAMES, scale)


@pytest.fixture(scope="module", params=FEATURES)
def model(request, networks, folder, tmp_path_factory):
    """The kind, its file, and a least probability, so that every verdict is among the pictures."""
    kind = request.param
    one = getattr(networks, kind)
    path = tmp_path_factory.mktemp("models") / f"{kind}.safetensors"
    loaded = Attributor.of(files.load(one.path, files.constructors(), "m"), batch=4, rules=EVER)
    found = [x for x in loaded.examine(folder) if x.logits is not None and min(x.picture.size) > 8]
    gaps = sorted(float(np.diff(np.sort(x.logits))[-1]) for x in found)
    temperature = gaps[len(gaps) // 2]  # half of the images have odds above e, half below
    calibrated(one, kind, path, temperature, -1e6)
    rows = sorted(
        (row for row in Attributor.load(path, 4, rules=EVER).attribute(folder)
         if row.path.stem in {x.picture.path.stem for x in found}),
        key=lambda row: row.score,
    )  # fmt: skip
    calibrated(one, kind, path, temperature, (rows[0].score + rows[1].score) / 2)
    shares = sorted(row.probability for row in rows[1:])
    assert shares[-1] > 0.5
    return kind, path, max(0.5, (shares[0] + shares[-1]) / 2)


def test_python_and_both_commands_say_the_same(model, folder, tmp_path, run_script):
    kind, path, least = model
    rules = ("--least_probability", least, "--batch", 4)
    rows = list(Attributor.load(path, 4, rules=Rules(least)).attribute(folder))
    words = ["attribute", folder, "--model", path, "--out", tmp_path / "a.jsonl", *rules]
    assert __main__.run([str(word) for word in words]) == 3
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    run_script(SCRIPTS[kind], "--app", "test", "--model_path", path, "--testing_data_path", folder,
               "--out_json", tmp_path / "a.json", *rules)  # fmt: skip
    tested = json.loads((tmp_path / "a.json").read_text())
    said = [(str(row.path), row.predicted, row.reason) for row in rows]
    assert [(x["path"], x["verdict"], x["reason"]) for x in records] == said
    assert [(x["path"], x["predicted"], x["reason"]) for x in tested] == said
    assert [x["probabilities"] for x in tested] == [row.probabilities for row in rows]
    # Every verdict is there, with each of its reasons.
    kinds = {(row.predicted if not row.named else "a name", row.reason[:12]) for row in rows}
    assert kinds >= {("a name", "the most pro"), ("unknown", "its score (e"),
                     ("inconclusive", "its most pro"), ("inconclusive", "its shorter "),
                     (None, "found someth")}  # fmt: skip


def test_without_rules_every_image_is_named(model, folder, tmp_path, run_script):
    """As the publication tests: the most probable name of each image that can be read."""
    kind, path, _ = model
    done = run_script(
        SCRIPTS[kind], "--app", "test", "--model_path", path, "--testing_data_path", folder,
        "--out_json", tmp_path / "a.json", "--least_probability", 0, "--least_size", 0,
        "--unknown", 0,
    )  # fmt: skip
    for row in json.loads((tmp_path / "a.json").read_text()):
        if row["error"] is None:
            assert row["predicted"] == max(NAMES, key=lambda name: row["probabilities"][name])
    assert "unknown" not in done.stdout
    assert "inconclusive" not in done.stdout


def test_without_tensorflow_it_is_the_same(model, folder, monkeypatch):
    _, path, least = model
    rows = {}
    for runtime in ("tensorflow", "light"):
        monkeypatch.setenv("GAN_FINGERPRINTS_RUNTIME", runtime)
        attributor = Attributor.load(path, 4, rules=Rules(least, 0))
        rows[runtime] = {x.path: x for x in attributor.attribute(folder)}
    assert rows["tensorflow"].keys() == rows["light"].keys()
    assert len({x.predicted for x in rows["light"].values()}) > 2
    for path, row in rows["tensorflow"].items():
        other = rows["light"][path]
        assert (row.predicted, row.reason) == (other.predicted, other.reason)
        if row.error is None:
            odds = [np.log(list(x.probabilities.values())) for x in (row, other)]
            np.testing.assert_allclose(*odds, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("asked", "said"), [("fast", "found 'fast', expected auto, light or tensorflow")]
)
def test_another_runtime_is_refused(model, monkeypatch, asked, said):
    monkeypatch.setenv("GAN_FINGERPRINTS_RUNTIME", asked)
    with pytest.raises(UserError, match=said):
        Attributor.load(model[1])


def test_a_gpu_is_used_by_what_can(monkeypatch, tmp_path):
    monkeypatch.delenv("GAN_FINGERPRINTS_RUNTIME", raising=False)
    assert light.chosen()
    monkeypatch.setattr(light, "GPU", tmp_path)  # of two, only TensorFlow is for GPUs here
    assert not light.chosen()
    monkeypatch.setenv("GAN_FINGERPRINTS_RUNTIME", "light")
    assert light.chosen()
