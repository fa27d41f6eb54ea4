"""The wheel: one top-level name, everything in it, and the command that it installs."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gan_fingerprints.version import __version__
from tests.conftest import PROJECT

ROOMS = (
    "ProGAN", "SNGAN", "CramerGAN", "MMDGAN", "classifier", "classifier_visNet", "experiments",
)  # fmt: skip
KINDS = (
    "*.py", "*.yml", "*.yaml", "*.csv", "*.json", "*.html", "*.css", "*.js", "*.svg", "py.typed",
)  # fmt: skip


def requirements(file: str) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (PROJECT / file).read_text().splitlines())
    found = (Requirement(line) for line in lines if line and not line.startswith("-"))
    return {one.name.lower(): one for one in found}


def ranges(*extras: str) -> dict[str, Requirement]:
    """What the package requires by itself, or what extras require on top."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    more = project["optional-dependencies"]
    listed = [one for extra in extras for one in more[extra]] if extras else project["dependencies"]
    found = {one.name.lower(): one for one in map(Requirement, listed)}
    found.pop("gan-fingerprints", None)  # an extra that has another in it
    return found


def test_training_brings_measuring_and_the_gpu_training():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for extra, other in (("train", "measure"), ("gpu", "train")):
        assert f"gan-fingerprints[{other}]" in project["optional-dependencies"][extra]


def test_examining_needs_no_package_of_the_extras():
    needed = {"onnx", "onnxruntime", "numpy", "pillow", "safetensors", "google-crc32c", "blake3",
              "tqdm"}  # fmt: skip
    assert set(ranges()) == needed
    assert needed.isdisjoint(ranges("train", "measure", "gpu"))


@pytest.mark.parametrize(
    ("file", "allowed"),
    [
        ("requirements.txt", ranges() | ranges("measure", "train")),
        ("requirements-gpu.txt", ranges("gpu")),
    ],
)
def test_the_exact_versions_are_the_upper_ends_of_the_ranges(file, allowed):
    exact = requirements(file)
    assert list(exact) == list(allowed)
    for name, one in exact.items():
        (pin,) = one.specifier
        assert pin.operator == "=="
        assert allowed[name].specifier.contains(pin.version)
        assert one.extras == allowed[name].extras
        major, minor, *_ = map(int, pin.version.split("."))
        beyond = f"{major + 1}.0", f"{major}.{minor + 1}"
        assert not all(allowed[name].specifier.contains(version) for version in beyond), name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel that was built from the source distribution, and that."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d"]
    subprocess.run([*build, folder, "-t", "sdist"], cwd=PROJECT, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as file:
        file.extractall(folder / "source", filter="data")
    (unpacked,) = (folder / "source").iterdir()
    subprocess.run([*build, folder, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_has_one_top_level_name_and_everything(built):
    with zipfile.ZipFile(built) as file:
        names = file.namelist()
        entries = file.read(f"gan_fingerprints-{__version__}.dist-info/entry_points.txt").decode()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"gan_fingerprints", f"gan_fingerprints-{__version__}.dist-info"}
    assert "gan-fingerprints = gan_fingerprints.__main__:main" in entries
    expected = set()
    for room in ("gan_fingerprints", *ROOMS):
        folder = room if room == "gan_fingerprints" else f"gan_fingerprints/rooms/{room}"
        for kind in KINDS:
            for path in (PROJECT / room).rglob(kind):
                expected.add(f"{folder}/{path.relative_to(PROJECT / room).as_posix()}")
    assert {name for name in names if ".dist-info" not in name} == expected
    assert "gan_fingerprints/rooms/SNGAN/configs/small_32.yml" in expected
    assert "gan_fingerprints/networks/pretrained.csv" in expected


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with nothing but the wheel, and, after it on the path, the packages here."""
    folder = tmp_path_factory.mktemp("environment") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    install = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install"]
    subprocess.run([*install, "--no-deps", "--quiet", built], check=True)
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Runs a program of the environment in a folder outside the project."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(name, *words):
        done = subprocess.run(
            [installed / name, *map(str, words)], cwd=folder, env=environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder = folder
    return run


@pytest.mark.slow
def test_only_our_name_is_installed(run, installed):
    (site,) = installed.parent.glob("lib/python*/site-packages")
    own = {path.name for path in site.iterdir() if path.suffix not in (".pth", ".dist-info")}
    assert own - {"__pycache__"} == {"gan_fingerprints"}
    where = run("python", "-c", "import gan_fingerprints; print(gan_fingerprints.__file__)")
    assert str(PROJECT) not in where
    printed = run("gan-fingerprints", "--help")
    assert re.findall(r"(?m)^    (prepare|train|test|attribute|split|run)\b", printed) == [
        "prepare", "attribute", "train", "test", "split", "run",
    ]  # fmt: skip
    assert run("gan-fingerprints", "--version") == f"gan-fingerprints {__version__}\n"
    assert "  ProGAN/run.py\n" in run("gan-fingerprints", "run", "--help")


@pytest.mark.slow
def test_a_newcomers_way_with_the_installed_command(run, photo_crops):
    folder = run.folder
    for split, seed in (("training", 0), ("validation", 1)):
        for source in ("a", "b"):
            photo_crops(folder / split / source, 48, 32, seed + 2 * (source == "b"))
        words = ("--in_dir", split, "--out_dir", f"sets/{split}", "--audit", 0)
        assert "96 images of 2 sources" in run("gan-fingerprints", "prepare", *words)
    model = "model/network-final.safetensors"
    sets = [f"--{split}_data_dir=sets/{split}" for split in ("training", "validation")]
    small = ["--width", 4, "--total_kimg", 0.1, "--accuracy_images", 32, "--descriptors", 0]
    run("gan-fingerprints", "train", *sets, "--out_model_dir", "model", *small)
    printed = run("gan-fingerprints", "attribute", "validation/a", "--model", model, "--out",
                  "answers.jsonl")  # fmt: skip
    assert "48" in printed
    assert len((folder / "answers.jsonl").read_text().splitlines()) >= 48
    printed = run("gan-fingerprints", "test", "--model_path", model, "--testing_data_path",
                  "validation", "--out_csv", "table.csv")  # fmt: skip
    assert "precision (%)" in printed
    assert len((folder / "table.csv").read_text().splitlines()) == 97
    assert "Trains a ProGAN" in run("gan-fingerprints", "run", "ProGAN/run.py", "--help")
    # In somebody's program, which has a `classifier` of its own.
    (folder / "classifier.py").write_text("OF = 'somebody else'\n")
    (folder / "theirs.py").write_text(
        "from gan_fingerprints import Attributor\n"
        f"rows = list(Attributor.load({model!r}).attribute('validation/b'))\n"
        "import classifier, sys\n"
        "print(len(rows), classifier.OF, 'ProGAN' in sys.modules, 'classifier.run' in sys.modules)"
    )
    assert run("python", "theirs.py").split("\n")[-2] == "48 somebody else False False"
