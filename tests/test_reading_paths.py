"""CONTRIBUTING's reading paths are the files in which the three commands really call functions."""

import json
import re

import pytest

from tests.conftest import PROJECT

NOT_READ = {"tests/trace.py", "gan_fingerprints/__init__.py"}
TINY = ["--fmap_base", "64", "--fmap_max", "8", "--minibatch", "8", "--total_kimg", "0.02"]


def listed(heading: str) -> list[str]:
    """The files of a line of CONTRIBUTING that begins with a bold heading."""
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"(?ms)^- \*\*{re.escape(heading)}\*\*(.*?)(?=^- |^\n)", text)
    folder, files = "", []
    for name in re.findall(r"`([\w/]+\.py)`", line):
        folder = name.rpartition("/")[0] or folder  # a name alone is in the folder before it
        files.append(name if "/" in name else f"{folder}/{name}")
    return files


@pytest.fixture(scope="module")
def data(tmp_path_factory, noise_sets):
    """Data sets of noise, for a classifier and for a GAN."""
    return noise_sets(tmp_path_factory.mktemp("paths"), 16, 8)


@pytest.fixture(scope="module")
def called(data, run_script):
    """Path → files in which functions were called, as a tiny run of its command shows."""

    def trace(*words):
        return set(json.loads(run_script("tests/trace.py", *words).stdout.splitlines()[-1]))

    sets = [f"--{name}_data_dir={data / name}_data" for name in ("training", "validation")]
    model = data / "model"
    train = ("--app", "train", "--out_model_dir")
    progan = ["--preset", "small", "--resolution", 16, "--training_data_dir", data / "faces"]
    return {
        "Train the classifier": trace(
            PROJECT / "classifier/run.py", *train, model, *sets, *TINY, "--snapshots", 0
        ),
        "Attribute one image": trace(
            "-m", "gan_fingerprints", "attribute", data / "training/real/0.png",
            "--model", model / "network-final.safetensors",
        ),
        "Train ProGAN": trace(PROJECT / "ProGAN/run.py", *train, data / "progan", *progan, *TINY),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "most"), [("Train the classifier", 15), ("Attribute one image", 15),
                       ("Train ProGAN", 13)],
)  # fmt: skip
def test_the_path_is_what_runs(called, path, most):
    files, doors = listed(path), set(listed("Closed doors"))
    assert len(files) == len(set(files)) <= most
    assert not set(files) & doors
    ran = called[path] - NOT_READ
    assert set(files) <= ran, "listed, but nothing of it runs"
    assert ran - doors - set(files) == set(), "runs, but is not listed"
