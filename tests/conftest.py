"""What the tests share: a quiet TensorFlow on the CPU, reference files, photos, commands."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # both are read when TensorFlow is first imported
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import pytest

from gan_fingerprints.data import sample_photos

PROJECT = Path(__file__).resolve().parents[1]


def beside_the_project(name: str) -> Path:
    folder = PROJECT.parent / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"../shared/{name} not found: reference files are kept beside the project")
    return folder


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Files and numbers that the published programs produced."""
    return beside_the_project("oracles")


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Path]:
    """`reference("progan/x.npz")`: a file of the oracles, or its copy in tests/data, or a skip."""

    def find(name: str) -> Path:
        for folder in (
            PROJECT.parent / "shared" / "oracles",
            PROJECT / "tests" / "data" / "oracles",
        ):
            if (folder / name).is_file():
                return folder / name
        pytest.skip(f"../shared/oracles/{name} not found, and no copy of it in tests/data")

    return find


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real and generated images to try things out on."""
    return beside_the_project("data")


@pytest.fixture(scope="session")
def run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
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
        program = [PROJECT / script] if script.endswith(".py") else ["-m", script]
        done = subprocess.run(
            [str(part) for part in (sys.executable, *program, *arguments)],
            cwd=cwd or PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            pytest.fail(f"{script} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture(scope="session")
def photo_crops() -> Callable[..., Path]:
    """`photo_crops(folder, n, size, seed=0)` fills a folder with n crops of photographs, as PNG."""

    def make(folder: str | Path, n: int, size: int, seed: int = 0) -> Path:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sample_photos.write_crops(folder, n, size, seed)
        return folder

    return make
