"""Hostile and broken files: refused with one line, at once, in little memory, without effects."""

import contextlib
import io
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from classifier.networks import Classifier
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from ProGAN.networks import Discriminator, Generator
from tests.gan_fingerprints.networks.published import hostile
from tests.gan_fingerprints.networks.published.hostile_pickles import GLOBALS, network
from tests.published import Network, pickled, published_variables

SECONDS = 2  # of a processor
MEBIBYTES = 500
KINDS = {"generator": Generator, "discriminator": Discriminator, "classifier": Classifier}
CLASSIFIER = {"resolution": 16, "num_sources": 3, "fmap_base": 64, "fmap_max": 16}
PUBLISHED = {"num_channels": 3, "resolution": 16, "label_size": 3, "fmap_base": 64,
             "fmap_max": 16, "latent_res": -1}  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    return published_variables(Classifier(**CLASSIFIER))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, reference):
    folder = tmp_path_factory.mktemp("hostile")
    good = reference("classifier/classifier_r32_postpool_sw4_lr-1.nosrc.pkl").read_bytes()
    return folder, hostile.write(folder, good)


@pytest.fixture(scope="module")
def reports(corpus):
    """Path → what happened when it was read in a process with limits."""
    _, paths = corpus
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("read_hostile.py")],
        input="\n".join(map(str, paths)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {Path(path): report for path, report in json.loads(done.stdout).items()}


def test_the_corpus_is_dangerous(corpus, tmp_path):
    """Positive control: Python's own unpickler runs these files."""
    canary = tmp_path / "canary"
    files = hostile.code_pickles(f"touch {canary}")
    for name in ("reduce_0", "reduce_4", "instance_4", "object", "in_arguments", "object_array"):
        with hostile_modules(), contextlib.suppress(Exception):  # it fails after the command ran
            pickle.Unpickler(io.BytesIO(files[name])).load()
        assert canary.exists(), name
        canary.unlink()


class hostile_modules:
    """The class that a published pickle names can be imported meanwhile."""

    def __enter__(self):
        sys.modules["tfutil"] = type(sys)("tfutil")
        sys.modules["tfutil"].Network = Network

    def __exit__(self, *error):
        del sys.modules["tfutil"]


def test_every_file_is_refused(corpus, reports, counted):
    folder, paths = corpus
    assert len(reports) == len(paths) >= 300
    for path, report in reports.items():
        name = path.name
        assert report["status"] == "refused" or "flipped" in name, (name, report)
        assert report["status"] in ("refused", "read"), (name, report)
        assert report["seconds"] < SECONDS, (name, report)
        assert report["mebibytes"] < MEBIBYTES, (name, report)
        assert report["events"] == [], (name, report)
    assert not (folder / hostile.CANARY).exists()
    assert sorted(path for path in folder.iterdir()) == sorted(paths)
    counted(len(paths), len(reports))


def test_messages_are_one_clear_line(reports):
    for path, report in reports.items():
        message = report["message"]
        if report["status"] == "refused":
            assert message.startswith(f"--model_path {path}: "), message
            assert message.isprintable(), message
            assert len(message) < len(str(path)) + 400, message


def test_what_was_wanted_is_named(corpus, reports):
    folder, _ = corpus
    for name in GLOBALS:
        message = reports[folder / f"code_global_{name}.pkl"]["message"]
        assert f"it wants {name.replace('numpy._core', 'numpy.core')}" in message.replace(
            "numpy._core", "numpy.core"
        )
    for name in ("reduce_0", "reduce_2", "reduce_5", "in_arguments", "in_variables"):
        assert "it wants posix.system" in reports[folder / f"code_{name}.pkl"]["message"]
    assert "it wants an object of os.system" in reports[folder / "code_instance_4.pkl"]["message"]
    assert "opcode EXT2" in reports[folder / "code_extension_2.pkl"]["message"]
    assert "type |O" in reports[folder / "npz_objects.npz"]["message"]


def test_a_flipped_bit_never_loads_as_another_network(corpus, reports):
    """What still reads has the same arrays, or is refused when its network is built."""
    flipped = {p: r for p, r in reports.items() if "flipped" in p.name}
    assert sum(report["status"] == "refused" for report in flipped.values()) >= 10
    for path in [p for p, report in flipped.items() if report["status"] == "read"]:
        with contextlib.suppress(UserError):
            loaded = files.load(path, KINDS, "--model_path")
            assert loaded.network.name == "classifier"
            assert loaded.arguments["resolution"] == 32


@pytest.mark.parametrize(
    ("arguments", "change", "message"),
    [
        ({}, {"4x4/Dense2/bias": None}, "found nothing"),
        ({}, {"4x4/Dense2/bias": (4,)}, r"4x4_Dense2/bias: found \(4,\), expected \(3,\)"),
        ({}, {"extra": (4,)}, "extra: found"),
        ({"resolution": 32}, {}, "32x32_Conv0/weight: found nothing"),
        ({"resolution": 1024, "fmap_base": 2**20, "fmap_max": 2**14}, {}, "arguments that make"),
        ({"label_size": 2**16}, {}, "arguments that make no classifier"),
        ({"mode": "postpool", "switching_res": 512}, {}, "arguments that make no classifier"),
        ({"mode": "midpool"}, {}, "mode=midpool"),
        ({"latent_res": 3}, {}, "refused: latent_res=3; expected one of -1, 4, 8"),
        ({"mbstd_group_size": 4}, {}, "mbstd_group_size=4"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_are_refused(tmp_path, weights, arguments, change, message):
    variables = {
        **weights,
        **{n: s and weights["4x4/Dense1/bias"][: s[0]] for n, s in change.items()},
    }
    variables = {name: array for name, array in variables.items() if array is not None}
    path = tmp_path / "changed.pkl"
    path.write_bytes(pickled(Network("C_patch", PUBLISHED | arguments, variables)))
    start = time.process_time()
    with pytest.raises(UserError, match=message):
        files.load(path, KINDS, "--model_path")
    assert time.process_time() - start < SECONDS


def test_weights_that_are_not_numbers_are_refused(tmp_path, weights):
    broken = weights["8x8/Conv0/bias"].copy()
    broken[1] = float("inf")
    path = tmp_path / "infinite.pkl"
    path.write_bytes(pickled(Network("C_patch", PUBLISHED, {**weights, "8x8/Conv0/bias": broken})))
    with pytest.raises(UserError, match="8x8_Conv0/bias: holds values that are not numbers"):
        files.load(path, KINDS, "--model_path")


def test_another_kind_is_refused(tmp_path):
    path = tmp_path / "generator.pkl"
    path.write_bytes(pickled((network(),) * 3))
    with pytest.raises(UserError, match="holds a generator, expected a classifier"):
        files.load(path, {"classifier": Classifier}, "--model_path")


def test_arguments_of_our_own_files_are_checked_too(tmp_path):
    small = Classifier(**CLASSIFIER)
    small.arguments = {**small.arguments, "fmap_base": 2**20, "fmap_max": 2**14}
    files.save(tmp_path / "large.safetensors", small, {})
    start = time.process_time()
    with pytest.raises(UserError, match="parameters, but it holds"):
        files.load(tmp_path / "large.safetensors", KINDS, "--model_path")
    assert time.process_time() - start < SECONDS


def test_one_large_array_is_not_even_read(corpus):
    folder, _ = corpus
    start = time.process_time()
    with pytest.raises(UserError, match="it holds 268,435,200"):
        files.read(folder / "sparse_one_array.safetensors", "--model_path")
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    "script", ["ProGAN/run.py", pytest.param("classifier/run.py", marks=pytest.mark.slow)]
)
def test_commands_refuse_in_one_line(run_script, tmp_path, photo_crops, script):
    canary = tmp_path / "canary"
    path = tmp_path / "evil.pkl"
    path.write_bytes(hostile.code_pickles(f"touch {canary}")["in_arguments"])
    given = {
        "ProGAN/run.py": ["gen", "--out_image_dir", tmp_path / "out"],
        "classifier/run.py": ["test", "--testing_data_path", photo_crops(tmp_path / "in", 1, 16)],
    }
    done = run_script(script, "--model_path", path, "--app", *given[script], check=False)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith(f"error: --model_path {path}: refused: it wants posix.system")
    assert "Traceback" not in done.stderr
    assert not canary.exists()
