"""What the tests share: a quiet TensorFlow on the CPU, reference files, photos, commands."""

import fcntl
import functools
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # both are read when TensorFlow is first imported
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("GAN_FINGERPRINTS_RUNTIME", "tensorflow")  # tests of the other ask for it
if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as cores: threads of OpenMP wait by spinning, and beside another worker's
    # cost ten times what they save. Read when NumPy and scikit-learn are first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.data import sample_photos
from tests.launcher import Launcher, Program

PROJECT = Path(__file__).resolve().parents[1]

# Digests of data sets are not remembered in the user's cache, but matplotlib's fonts are.
CACHE = tempfile.TemporaryDirectory()
USUAL = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
os.environ.setdefault("MPLCONFIGDIR", str(Path(USUAL, "matplotlib")))
os.environ["XDG_CACHE_HOME"] = CACHE.name

PACKED = PROJECT / "tests" / "data" / "oracles"
# Names a folder with more reference files: oracles/ (as packed here) and data/ (photographs).
VARIABLE = "GAN_FINGERPRINTS_REFERENCE"
GIVEN = os.environ.get(VARIABLE)


# The longest files, a minute of a processor or half of one. They come first, as a worker that began
# one at the end would be waited for; neighbours share no trained network, for which one would wait.
LONGEST = (
    "test_readme_path.py",
    "ProGAN/test_training.py", "classifier/test_residual.py", "classifier_visNet/test_run.py",
    "classifier/test_run.py", "gan_fingerprints/attribution/test_one_verdict.py",
    "classifier/test_perturb.py", "test_readme.py", "gan_fingerprints/networks/test_header.py",
    "experiments/test_steps.py", "faults/test_full_disks.py", "classifier/test_features.py",
    "gan_fingerprints/page/test_browser.py", "gan_fingerprints/attribution/test_enroll.py",
    "gan_fingerprints/data/test_sample_photos.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the longest files to the front; all others stay in their order."""
    places = {PROJECT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Callable[[str], Path]:
    """`unpacked("progan")`: the folder into which tests/data/oracles/progan.tar.xz was unpacked."""
    folder = tmp_path_factory.mktemp("oracles")

    @functools.cache
    def unpack(name: str) -> Path:
        if (archive := PACKED / f"{name}.tar.xz").is_file():
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
        return folder

    return unpack


@pytest.fixture(scope="session")
def reference(unpacked) -> Callable[..., Path]:
    """`reference("progan/x.npz")`: a file or folder that the published programs produced.

    It is looked for where the variable says, then among what is packed in tests/data; the test is
    skipped where it is in neither. `reference("celeba64", "data")` is of the images to try on.
    """
    given = Path(GIVEN).resolve() if GIVEN else None
    if given and not given.is_dir():
        pytest.exit(f"{VARIABLE}={GIVEN}: no such folder", 2)

    def find(name: str, among: str = "oracles") -> Path:
        if given and (path := given / among / name).exists():
            return path
        if among == "oracles" and (path := unpacked(name.split("/")[0]) / name).exists():
            return path
        pytest.skip(f"{among}/{name} is not in tests/data, nor where ${VARIABLE} says")

    return find


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """`times(full, few)`: how many faults to try; all in the fault job, see tests/faults/run.py."""
    return lambda full, few: full if os.environ.get("FAULTS") == "full" else few


@pytest.fixture
def counted(record_property) -> Callable[[int, int], None]:
    """`counted(tried, survived)` puts the numbers into the fault job's report, requires all."""

    def count(tried: int, survived: int) -> None:
        record_property("tried", tried)
        record_property("survived", survived)
        assert survived == tried > 0

    return count


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Shared by the tests that run programs, where the isolation of a start is not the point."""
    made = Launcher()
    yield made
    made.close()


def words_of(script: str, *arguments: object) -> list[str]:
    """What follows `python3` where a program of the project, or a module, is run."""
    program = [PROJECT / script] if script.endswith(".py") else ["-m", script]
    return [str(part) for part in (*program, *arguments)]


@pytest.fixture(scope="session")
def start_script(launcher) -> Callable[..., Program]:
    """As `run_script`, but goes on while the program runs, to look at it and to kill it."""

    def start(script: str, *arguments: object, cwd: str | Path | None = None) -> Program:
        return launcher.start(words_of(script, *arguments), cwd or PROJECT)

    return start


@pytest.fixture(scope="session")
def run_script(launcher) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_script("ProGAN/run.py", "--app", "gen", …)` runs a program of the project as users do.

    A name without .py is a module for `python3 -m`. `cwd` is the project unless given. Unless
    `check=False`, an exit status other than 0 fails the test and shows what was printed.
    """

    def run(
        script: str,
        *arguments: object,
        cwd: str | Path | None = None,
        check: bool = True,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        done = launcher.run(words_of(script, *arguments), cwd or PROJECT, timeout)
        if check and done.returncode:
            pytest.fail(f"{script} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once("sources", fill)`: a folder that `fill(folder)` filled, once for all workers.

    The first that asks fills it, and whoever asks meanwhile waits. Tests only read what is there.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        path, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # where the other worker failed
                path.mkdir()
                fill(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def photo_crops() -> Callable[..., Path]:
    """`photo_crops(folder, n, size, seed=0)` fills a folder with n crops of photographs, as PNG."""

    def make(folder: str | Path, n: int, size: int, seed: int = 0) -> Path:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sample_photos.write_crops(folder, n, size, seed)
        return folder

    return make


@pytest.fixture(scope="session")
def noise_sets(run_script) -> Callable[..., Path]:
    """`noise_sets(folder, side, number)` makes data sets of noise, for a classifier and for a GAN.

    In the folder are then training_data, validation_data, both of sources `real` and `gan`; faces,
    of ProGAN's; and, in training/ and validation/, the images, `number` of each source.
    """

    def make(folder: Path, side: int, number: int) -> Path:
        rng = np.random.default_rng(0)
        for name in ("training/real", "training/gan", "validation/real", "validation/gan"):
            (folder / name).mkdir(parents=True)
            for i in range(number):
                picture = rng.integers(0, 256, (side, side, 3), np.uint8)
                Image.fromarray(picture).save(folder / name / f"{i}.png")
        for name in ("training", "validation"):
            words = ("--in_dir", folder / name, "--out_dir", folder / f"{name}_data", "--audit", 0)
            run_script("classifier/data_preparation.py", *words)
        words = ("create_from_images", folder / "faces", folder / "training/real")
        run_script("ProGAN/dataset_tool.py", *words)
        return folder

    return make
