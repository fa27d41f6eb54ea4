"""Every command of README, the commands of 2019 and the tour is run, on small images and networks.

WAYS says of each command what is appended to it and what must come out. The programs run in a
copy of the project, in the folders that the pages name. README's path from photos to a report is
followed by `test_readme_path.py`.
"""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from classifier.networks import Classifier
from classifier.residual import Residual
from classifier_visNet.networks import AutoEncoder
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.ipm.networks import Generator as BatchGenerator
from gan_fingerprints.networks import enrolment_space, files
from gan_fingerprints.networks.published.source_names import KNOWN_ORDERS
from ProGAN.networks import Generator
from SNGAN.gen_models.resnet import ResNetGenerator
from tests.conftest import PROJECT
from tests.help_pages import bash_lines, path_section
from tests.launcher import Launcher
from tests.published import Network, pickled, published_variables

CELEBA = "celeba_align_png_cropped"
SOURCES = KNOWN_ORDERS[5]
PER_SOURCE = 4
SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 16}
DRY = "dry run: everything fits; nothing was written"
NARROW = "--gf_dim 2 --df_dim 2"
SUFFIXES = ("py", "yml", "yaml", "csv")
COPIED = (*(f"*/**/*.{x}" for x in SUFFIXES), "*.sh", ".ci/*", "requirements*.txt")
LEFT_OUT = ("tests", "site-packages")


@dataclass(frozen=True)
class Command:
    """A command of a page: the folder that it is run in, and its text."""

    folder: str
    text: str


@dataclass(frozen=True)
class Way:
    """How a command is run, and what must come of it.

    Attributes:
        folder, begins: which command.
        check: of its folder and what it printed.
        more: flags that are appended; the last of two equal flags counts.
        before: what else must be in the folder.
    """

    folder: str
    begins: str
    check: Callable[[Path, str], None]
    more: str = ""
    before: Callable[[Path], None] | None = None


def dry(seed: int) -> Callable[[Path, str], None]:
    def check(folder: Path, printed: str) -> None:
        assert printed.rstrip().endswith(DRY)
        assert re.search(rf'"(training_)?seed": {seed}\b', printed)
        assert not list(folder.rglob("settings.json"))

    return check


def pictures(out: str, prefix: str, side: int, count: int = 3) -> Callable[[Path, str], None]:
    def check(folder: Path, printed: str) -> None:
        assert f"wrote {count} images of {side}x{side} pixels to {out}" in printed
        paths = sorted((folder / out).iterdir())
        assert [path.name for path in paths] == [f"{prefix}_{i:08d}.png" for i in range(count)]
        arrays = [np.asarray(Image.open(path)) for path in paths]
        assert {array.shape for array in arrays} == {(side, side, 3)}
        assert all((arrays[0] != array).any() for array in arrays[1:])

    return check


def listed(file: str, count: int) -> Callable[[Path, str], None]:
    def check(folder: Path, printed: str) -> None:
        lines = (folder / file).read_text().splitlines()
        assert lines == [f"{i:06d}.png 0" for i in range(count)]
        assert f"{count} images" in printed

    return check


def printed(*parts: str) -> Callable[[Path, str], None]:
    def check(folder: Path, text: str) -> None:
        for part in parts:
            assert part in text

    return check


def script(name: str, about: str) -> Callable[[Path, str], None]:
    def check(folder: Path, text: str) -> None:
        subprocess.run(["bash", "-n", folder / name], check=True)
        assert text.startswith(about)

    return check


def test_every_requirement_is_one_exact_version_that_of_the_package_here():
    text = (PROJECT / "requirements.txt").read_text()
    for name, version in re.findall(r"(?m)^([\w-]+)==([\w.]+)", text):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = importlib.metadata.version(f"{name}-cpu")  # TensorFlow's smaller distribution
        assert found == version
    assert len(re.findall(r"(?m)^[^#\s].*", text)) == len(re.findall(r"(?m)^[\w-]+==", text)) > 10


def check_records(folder: Path, text: str) -> None:
    assert "wrote 12 images, 4x4 to 16x16" in text
    names = sorted(path.name for path in (folder / "datasets" / CELEBA).glob("*.tfrecords"))
    assert names == [f"{CELEBA}-r0{level}.tfrecords" for level in (2, 3, 4)]


def check_labels(folder: Path, text: str) -> None:
    labels = np.load(folder / "datasets/train/train-rxx.labels")
    np.testing.assert_array_equal(labels.sum(axis=0), [PER_SOURCE] * 5)
    assert "audit" in text.lower()


def copy_splits(folder: Path) -> None:
    """The commands of 2019 leave preparing the two splits to the reader."""
    shutil.copytree(folder / "datasets/train", folder / "datasets/training")
    # Other images than those of training, or it would be refused.
    part = "--in_dir ../GAN_classifier_datasets/test --out_dir datasets/validation"
    command = [sys.executable, "data_preparation.py", *part.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def check_parts(folder: Path, text: str) -> None:
    """Every image is in one part, and no number of a file in two."""
    parts = {x.name: list(x.rglob("*.png")) for x in (folder / "my_sets").iterdir()}
    assert sorted(parts) == ["testing", "training", "validation"]
    assert sum(map(len, parts.values())) == 5 * PER_SOURCE
    names = [{path.name for path in paths} for paths in parts.values()]
    assert sum(map(len, names)) == len(set.union(*names)) == PER_SOURCE


def check_harmonized(folder: Path, text: str) -> None:
    """Every image is there, as large as all others, and no longer as it was."""
    made = list((folder / "my_sources").rglob("*.png"))
    assert len(made) == 5 * PER_SOURCE
    assert {Image.open(path).size for path in made} == {(16, 16)}
    before = folder / "GAN_classifier_datasets" / "train"
    changed = [np.asarray(Image.open(before / x.parent.name / x.name)) for x in made]
    assert all((a != np.asarray(Image.open(x))).any() for a, x in zip(changed, made, strict=True))
    assert f"{len(made)} images, png of 16x16 pixels, JPEG quality 75 to 95" in text


def prepare_parts(folder: Path) -> None:
    """Of the size that the network needs; two images say little about what tells sources apart."""
    for part in ("training", "validation"):
        where = f"--in_dir my_sets/{part} --out_dir my_data/{part} --resolution 32 --audit 0"
        command = [sys.executable, "classifier/data_preparation.py", *where.split()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def enrollable(folder: Path) -> None:
    """A network that was not trained, with what it keeps of the data, and images to enroll."""
    sets = [
        DataSet.open(folder / "my_data" / part, "--data", needs_labels=True)
        for part in ("training", "validation")
    ]
    names = sets[0].source_names or []
    network = Residual(32, len(names), width=2)
    path = folder / "my_models" / "first" / "network-final.safetensors"
    path.parent.mkdir(parents=True)
    files.save(path, network, {}, names, enrolment=enrolment_space.learn(network, *sets))
    (folder / "new_gan").mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "new_gan" / f"{i}.png")


def check_enrolled(folder: Path, text: str) -> None:
    assert "NewGAN: enrolled from 5 images" in text
    (stored,) = files.read(folder / "my_models" / "with_new_gan.safetensors", "--model")
    assert [x.name for x in stored.enrolment.newcomers] == ["NewGAN"]


def check_answers(folder: Path, text: str) -> None:
    """A line for each image, shares that add up, and the accuracy of just these answers."""
    line = r"Classifying \d+/20 images: .*?: (predicted|inconclusive) .*?(?:from|most like) (\w+)"
    answers = re.findall(line, text)
    assert len(answers) == 5 * PER_SOURCE
    for name in SOURCES:
        assert f"sampled from {name} is {answers.count(('predicted', name))}/20 = " in text
    right = sum(name == sorted(SOURCES)[i // PER_SOURCE] for i, (_, name) in enumerate(answers))
    assert f"Accuracy: {right}/20 = {5 * right:.2f}%" in text


def check_fingerprints(folder: Path, text: str) -> None:
    check_answers(folder, text)
    with np.load(folder / "fingerprints/GAN_classifier_visNet/fingerprints.npz") as numbers:
        assert numbers["image_fingerprints"].shape == (20, 16, 16, 3)
        assert list(numbers["source_names"]) == SOURCES


def check_attacked(folder: Path, text: str) -> None:
    assert "20 images, attack combination" in text
    out = folder.parent / "GAN_classifier_datasets/test_attacked"
    changed = 0
    for path in sorted((folder.parent / "GAN_classifier_datasets/test").rglob("*.png")):
        attacked = np.asarray(Image.open(out / path.parent.name / path.name))
        changed += (attacked != np.asarray(Image.open(path))).any()
    assert changed >= 10  # each of five attacks half of the time


def check_report(folder: Path, text: str) -> None:
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 5 * PER_SOURCE
    assert f"{5 * PER_SOURCE} files: " in text
    assert "The sources of 20 images" in (folder / "report.html").read_text("utf-8")


def check_film(folder: Path, text: str) -> None:
    with Image.open(folder / "demo.gif") as film:
        assert film.n_frames == 2
        assert film.info["duration"] == 5000


def small_configuration(folder: Path) -> None:
    """The published configuration, with narrow networks of 32 pixels."""
    path = folder / "configs/sn_projection_celeba.yml"
    tree = yaml.safe_load(path.read_text())
    for model in tree["models"].values():
        model["args"].update(size=32, ch=2)
    path.write_text(yaml.safe_dump(tree))


GENERATED = f"gen/{CELEBA}"
WAYS = [
    Way("", "bash quickstart.sh", script("quickstart.sh", "The whole pipeline, small"), "--help"),
    Way("", "bash run_tests.sh", script("run_tests.sh", "Checks style, types"), "--help"),
    Way("ProGAN", "python3 dataset_tool.py create_from_images", check_records),
    Way("ProGAN", "python3 run.py --app train", dry(0), "--dry_run"),
    Way("ProGAN", "python3 run.py --app gen", pictures(GENERATED, "ProGAN", 16), "--num_pngs 3"),
    Way("SNGAN/datasets", "python3 celeba.py", listed(f"{CELEBA}_image_list.txt", 12)),
    Way("SNGAN/datasets", "python3 lsun_bedroom_200k.py",
        listed("lsun_bedroom_200k_png_image_list.txt", 5)),
    Way("SNGAN", "python3 train.py", dry(0), "--dry_run", small_configuration),
    Way("SNGAN", "python3 evaluations/gen_images.py", pictures(GENERATED, "SNGAN", 32),
        "--num_pngs 3"),
    Way("CramerGAN", "python3 gan/main.py --is_train True", dry(0), f"--dry_run {NARROW}"),
    Way("CramerGAN", "python3 gan/main.py --dataset", pictures(GENERATED, "CRAMER", 128),
        "--no_of_samples 3 --batch_size 4"),
    Way("MMDGAN", "python3 gan/main.py --is_train True", dry(0), f"--dry_run {NARROW}"),
    Way("MMDGAN", "python3 gan/main.py --dataset", pictures(GENERATED, "MMD", 128),
        "--no_of_samples 3 --batch_size 4"),
    Way("classifier", "python3 data_preparation.py", check_labels),
    Way("classifier", "python3 run.py --app train", dry(0), "--dry_run", copy_splits),
    Way("classifier", "python3 run.py --app test", check_answers),
    Way("classifier", "python3 perturb.py", check_attacked),
    Way("classifier_visNet", "python3 data_preparation.py", check_labels),
    Way("classifier_visNet", "python3 run.py --app train", dry(0), "--dry_run", copy_splits),
    Way("classifier_visNet", "python3 run.py --app test", check_fingerprints),
    Way("classifier_visNet", "python3 demo.py", check_film, "--out demo.gif --num_cases 2"),
    Way("", "python3 -m gan_fingerprints split", check_parts),
    Way("", "python3 -m gan_fingerprints harmonize", check_harmonized),
    Way("", "python3 -m gan_fingerprints train", dry(1000), "--dry_run", prepare_parts),
    Way("", "python3 -m gan_fingerprints enroll", check_enrolled, before=enrollable),
    Way("", "python3 -m gan_fingerprints measure",
        printed("has no likelihood ratios", "results: my_models/measured/measured.html")),
    Way("", "python3 -m gan_fingerprints card", printed("# Model card", "jpeg75 (saved as JPEG")),
    Way("", "python3 -m gan_fingerprints attribute", check_report),
    Way("", "python3 -m gan_fingerprints case verify", printed("1 line", "23 files")),
    Way("", "python3 experiments/run.py all --scale mini",
        printed("experiments/choose.py", "classifier_visNet/run.py --app train"), "--dry_run"),
    Way("", "python3 -m gan_fingerprints pretrained list", printed("ProGAN/models", "visNet")),
    Way("", "python3 -m gan_fingerprints convert --show",
        printed("12,946 parameters", "resolution = 16", "4x4_Conv/weight [3, 3, 16, 16]")),
]  # fmt: skip


def of_table(page: str) -> list[Command]:
    """The commands in the third column of a page's table."""
    lines = re.findall(r"(?m)^\|[^|]+\|[^|]+\| `cd (\S+)/ && ([^`]+)` \|$", page)
    return [Command(*line) for line in lines]


def all_commands() -> list[Command]:
    """Those of all three pages, in an order in which they can be run."""
    front, published, tour = (
        (PROJECT / page).read_text("utf-8")
        for page in ("README.md", "docs/published_commands.md", "docs/tour.md")
    )
    front = front.replace(path_section(front), "")
    blocks = [Command(*found) for page in (front, tour) for found in bash_lines(page)]
    return [*of_table(published), *blocks]


COMMANDS = all_commands()


def ways_of(command: Command) -> list[Way]:
    """Those of WAYS that are meant for a command."""
    text = " ".join(command.text.split())
    return [w for w in WAYS if w.folder == command.folder and text.startswith(w.begins)]


def write_images(folder: Path, count: int, random: np.random.RandomState, side: int = 16) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = random.randint(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.png")


def write_networks(root: Path) -> None:
    """A tiny network wherever the pages take it for granted that there is one."""
    G, narrow = Generator(**SMALL), BatchGenerator(gf_dim=2)
    classifier = Classifier(**SMALL, num_sources=5)
    visnet = AutoEncoder(**SMALL, num_sources=5)
    for folder, network, names in (
        ("CramerGAN/models/cramer_gan/some_run", narrow, None),
        ("MMDGAN/models/mmd/some_run", narrow, None),
        ("classifier_visNet/models/GAN_classifier", visnet, SOURCES),
    ):
        files.save(made(root / folder / "network-final.safetensors"), network, {}, names)
    sngan = ResNetGenerator(32, ch=2, n_classes=1)
    files.save(made(root / f"SNGAN/models/{CELEBA}.npz"), sngan, {})
    given = {"num_channels": 3, **SMALL}
    name = "models/CelebA_ProGAN_SNGAN_CramerGAN_MMDGAN_128.pkl"
    for path, function, more, network in (
        (f"{CELEBA}.pkl", "G_paper", {"label_size": 0}, G),
        (f"ProGAN/models/{CELEBA}.pkl", "G_paper", {"label_size": 0}, G),
        (f"classifier/{name}", "C_patch", {"label_size": 5, "latent_res": -1}, classifier),
        (f"classifier_visNet/{name}", "EG", {"label_size": 5, "latent_res": 4}, visnet),
    ):
        content = Network(function, {**given, **more}, published_variables(network))
        made(root / path).write_bytes(pickled(content))


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the programs, with images and networks beside them."""
    root = tmp_path_factory.mktemp("readme")
    for pattern in COPIED:
        for path in PROJECT.glob(pattern):
            parts = path.relative_to(PROJECT).parts
            if not any(part in LEFT_OUT or re.match(r"\.(?!ci$)", part) for part in parts):
                shutil.copy(path, made(root.joinpath(*parts)))
    python = root / "bin/python3"
    made(python).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    random = np.random.RandomState(0)
    write_images(root / CELEBA, 12, random)
    write_images(root / "lsun_bedroom_train_200k_png", 5, random)
    for split in ("train", "test"):
        for source in SOURCES:
            write_images(root / "GAN_classifier_datasets" / split / source, PER_SOURCE, random)
    write_networks(root)
    return root


def run(
    launcher: Launcher, root: Path, command: Command, way: Way
) -> subprocess.CompletedProcess[str]:
    """Runs a command of a page with what its Way appends."""
    folder = root / command.folder
    if way.before:
        way.before(folder)
    text = f"{command.text.partition('  #')[0]} {way.more}"
    words = shlex.split(text)
    if words[0] == "python3":  # else the shell reads it
        return launcher.run(words[1:], folder, timeout=300)
    path = f"{root / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(launcher, project):
    """What came of each command, in the order of `all_commands`."""
    return {
        command: run(launcher, project, command, way)
        for command in COMMANDS
        for way in ways_of(command)
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text[:50])
def test_command_of_a_page(command, results, project):
    ways = ways_of(command)
    assert len(ways) == 1, f"WAYS says {len(ways)} times how to run this new command"
    done = results[command]
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    ways[0].check(project / command.folder, done.stdout)


def test_every_way_is_of_one_command():
    assert [len(ways_of(command)) for command in COMMANDS] == [1] * len(WAYS)
    assert {way for command in COMMANDS for way in ways_of(command)} == set(WAYS)


def test_a_new_command_has_no_way_yet():
    assert not ways_of(Command("ProGAN", "python3 new.py"))
    assert not ways_of(Command("SNGAN", "python3 run.py --app train"))
