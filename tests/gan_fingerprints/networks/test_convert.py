"""Converting published files, and showing what they hold, through the command line."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors

from classifier.networks import Classifier
from gan_fingerprints import __main__
from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from ProGAN.networks import Discriminator, Generator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.published import Network, arrays_in, pickled, published_variables, those_kept

SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}


def run(*arguments) -> None:
    __main__.run(["convert", *map(str, arguments)])


def header_of(path: Path) -> dict:
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["gan_fingerprints"])


@pytest.fixture(scope="module")
def trio(tmp_path_factory) -> Path:
    """A published file of G, D and Gs, each with its own weights."""
    G, D = Generator(**SMALL), Discriminator(**SMALL)
    given = {"num_channels": 3, "label_size": 0, **SMALL}
    path = tmp_path_factory.mktemp("published") / "trio.pkl"
    path.write_bytes(pickled((
        Network("G_paper", given, published_variables(G, 1), "G"),
        Network("D_paper", given, published_variables(D, 2), "D"),
        Network("G_paper", given, published_variables(G, 3), "Gs"),
    )))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    network = Classifier(**SMALL, num_sources=3)
    given = {"num_channels": 3, "label_size": 3, "latent_res": -1, **SMALL}
    path = tmp_path_factory.mktemp("published") / "classifier.pkl"
    path.write_bytes(pickled(Network("C_patch", given, published_variables(network))))
    return path


@pytest.mark.parametrize(
    ("flags", "kind", "seed"),
    [
        ([], Generator, 3),
        (["--network", "G"], Generator, 1),
        (["--network", "D"], Discriminator, 2),
    ],
)
def test_a_network_of_three(trio, tmp_path, flags, kind, seed):
    out = tmp_path / "out.safetensors"
    run(trio, out, *flags)
    network = kind(**SMALL)
    loaded = files.load(out, {network.name: kind}, "--model_path")
    assert loaded.arguments == network.arguments
    expected = published_variables(network, seed).values()
    for found, array in zip(files.arrays_of(loaded.network).values(), expected, strict=True):
        np.testing.assert_array_equal(found, array)
    assert loaded.provenance["published_sha256"] == hashlib.sha256(trio.read_bytes()).hexdigest()
    assert loaded.provenance["published_file"] == "trio.pkl"


def test_names_are_written_only_when_given(capsys, classifier, tmp_path):
    run(classifier, tmp_path / "a.safetensors")
    assert header_of(tmp_path / "a.safetensors")["source_names"] is None
    assert "source names are assumed" in capsys.readouterr().out
    run(classifier, tmp_path / "b.safetensors", "--source_names", "real,x,y")
    assert header_of(tmp_path / "b.safetensors")["source_names"] == ["real", "x", "y"]
    loaded = files.load(tmp_path / "b.safetensors", {"classifier": Classifier}, "x")
    assert loaded.names_assumed == ""


def test_sngan_there_and_back(tmp_path):
    files.save(tmp_path / "a.npz", ResNetGenerator(32, ch=2, n_classes=2, dim_z=16), {})
    run(tmp_path / "a.npz", tmp_path / "b.safetensors")
    run(tmp_path / "b.safetensors", tmp_path / "c.npz")
    with np.load(tmp_path / "a.npz") as before, np.load(tmp_path / "c.npz") as after:
        assert set(before.files) == set(after.files)
        for key in before.files:
            np.testing.assert_array_equal(before[key], after[key])
            assert before[key].dtype == after[key].dtype
    for name in ("a.npz", "b.safetensors"):
        kinds = {"ResNetGenerator": ResNetGenerator}
        G = files.load(tmp_path / name, kinds, "--snapshot").network
        assert (G.size, G.dim_z, G.n_classes) == (32, 16, 2)
    arrays = arrays_in(tmp_path / "b.safetensors")
    with np.load(tmp_path / "a.npz") as before:
        np.testing.assert_array_equal(arrays["l1/W"], before["l1/W"])
        kernel = before["block2/c1/W"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(arrays["block2/c1/W"], kernel)


@pytest.mark.parametrize("name", ["cramer_r32_g8", "mmd_r32_g8"])
def test_a_tensorflow_checkpoint(reference, tmp_path, name):
    run(reference(f"gan/{name}/models"), tmp_path / "g.safetensors")
    kinds = {"ipm_generator": BatchGenerator}
    G = files.load(tmp_path / "g.safetensors", kinds, "--init_from").network
    expected = np.load(reference(f"gan/{name}/ref_train.npz"))
    assert np.abs(those_kept(G(expected["z"]), expected["G"]) - expected["G"]).max() < 1e-4
    direct = files.load(reference(f"gan/{name}/models"), kinds, "--init_from").network
    np.testing.assert_array_equal(direct(expected["z"]), G(expected["z"]))
    with pytest.raises(UserError, match="found a folder, expected a file"):
        files.load(reference(f"gan/{name}"), {"classifier": Classifier}, "--model_path")


def test_show_loads_no_tensorflow(classifier, trio, reference, tmp_path):
    files.save(tmp_path / "a.npz", ResNetGenerator(32, ch=2), {})
    paths = [classifier, trio, tmp_path / "a.npz", reference("gan/mmd_r32_g8/models")]
    program = (
        "import sys; from gan_fingerprints import __main__\n"
        f"for file in {[str(path) for path in paths]}:\n"
        "    __main__.run(['convert', '--show', file])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'TensorFlow was loaded'\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True, env={**os.environ, "PYTHONPATH": str(root)})  # fmt: skip
    assert "generator, published as Gs (G_paper)" in done.stdout
    assert "discriminator, published as D (D_paper)" in done.stdout
    number = Classifier(**SMALL, num_sources=3).count_params()
    assert f"classifier, published as net (C_patch), {number:,} parameters" in done.stdout
    assert "  resolution = 16\n" in done.stdout
    assert "    4x4_Dense2/weight [16, 3] float32\n" in done.stdout
    assert "sources: source names are assumed" in done.stdout
    assert "ResNetGenerator" in done.stdout
    assert "ipm_generator, published as generator" in done.stdout
    assert hashlib.sha256(trio.read_bytes()).hexdigest() in done.stdout
    assert "raise SystemExit" not in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "OUT is missing"),
        (["out.npz"], "ending '.npz', expected .safetensors or .onnx for a generator"),
        (["out.pkl"], "ending '.pkl', expected .safetensors"),
        (["out.safetensors", "--network", "X"], "holds G, D, Gs; expected one of them"),
        (["out.safetensors", "--source_names", "a"], "a generator names no sources"),
    ],
)
def test_wrong_arguments(monkeypatch, trio, tmp_path, flags, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(trio, *flags)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(trio, tmp_path):
    (tmp_path / "out.safetensors").write_text("precious")
    with pytest.raises(UserError, match="already exists"):
        run(trio, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_text() == "precious"


def test_as_a_module(run_script, classifier, tmp_path):
    out = tmp_path / "c.safetensors"
    done = run_script("gan_fingerprints", "convert", classifier, out)
    assert f"wrote {out}: classifier" in done.stdout
    done = run_script("gan_fingerprints", "convert", tmp_path / "none", out, check=False)
    assert done.returncode == 2
    assert "found nothing, expected" in done.stderr
