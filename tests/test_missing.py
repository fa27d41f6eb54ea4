"""What is said where Python is too old or a package is missing: by every program, in one line."""

import ast
import shutil
import subprocess
import sys

import pytest

from gan_fingerprints import missing
from tests import help_pages
from tests.conftest import PROJECT

PROGRAMS = [program for program in help_pages.programs() if program.endswith(".py")]
OLDEST_READABLE = (3, 8)
IMPORTED_FIRST = ("__init__", "version", "missing")  # of gan_fingerprints


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_asks_before_it_imports_what_may_be_missing(program):
    text = (PROJECT / program).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=OLDEST_READABLE)
    for node in tree.body:
        if isinstance(node, ast.If) and "missing.explain()" in ast.unparse(node):
            return
        imported = ast.unparse(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert imported in (
                "import sys", "from pathlib import Path", "from __future__ import annotations",
                "from gan_fingerprints import missing",
            )  # fmt: skip
    pytest.fail(f"{program} never asks")


@pytest.mark.parametrize("name", IMPORTED_FIRST)
def test_what_is_imported_first_is_readable_for_older_pythons(name):
    text = (PROJECT / "gan_fingerprints" / f"{name}.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=OLDEST_READABLE)


def test_an_older_python_gets_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(SystemExit, match="2"):
        missing.explain()
    said = capsys.readouterr().err
    assert said.startswith("error: this is Python 3.10, expected 3.11 to 3.13; start it with")
    assert said.count("\n") == 1


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_an_older_python_that_is_here_gets_it_too(version):
    python = shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    for program in ("ProGAN/run.py", "experiments/run.py"):
        done = subprocess.run(
            [python, program, "--help"], cwd=PROJECT, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: this is Python {version}, expected 3.11 to 3.13")


def test_without_its_packages_every_program_says_how_they_are_had():
    for program in PROGRAMS:
        words = help_pages.words_of(program, sys.executable)
        more = ["train"] if program.startswith("gan_fingerprints/") else []
        done = subprocess.run(
            [words[0], "-S", *words[1:], *more], cwd=PROJECT, capture_output=True, text=True
        )
        assert done.returncode == 2, program
        assert done.stderr.startswith("error: the Python package "), program
        command = f"{sys.executable} -m pip install -r {PROJECT / 'requirements.txt'}\n"
        assert done.stderr.endswith(command), program
        assert done.stderr.count("\n") == 1, program


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("tensorflow", "'gan-fingerprints[train]'"),
        ("keras.layers", "'gan-fingerprints[train]'"),
        ("lmdb", "'gan-fingerprints[train]'"),
        ("sklearn.metrics", "'gan-fingerprints[measure]'"),
        ("matplotlib", "'gan-fingerprints[measure]'"),
        ("starlette.responses", "'gan-fingerprints[page]'"),
        ("numpy", "gan-fingerprints"),
    ],
)
def test_outside_a_checkout_the_extra_is_named(package, expected, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(missing, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    missing.explain()
    error = ModuleNotFoundError(f"No module named {package!r}", name=package)
    with pytest.raises(SystemExit, match="2"):
        sys.excepthook(type(error), error, None)
    said = capsys.readouterr().err
    assert said.startswith(f"error: the Python package {package.partition('.')[0]} is missing in ")
    assert said.endswith(f" -m pip install {expected}\n")


def test_what_an_extra_lacks_is_said_before_the_work(monkeypatch):
    missing.require("measure")
    monkeypatch.setitem(missing.EXTRAS, "measure", ("scipy", "no_such_package_of_ours"))
    with pytest.raises(ModuleNotFoundError) as raised:
        missing.require("measure")
    assert raised.value.name == "no_such_package_of_ours"


def test_other_errors_keep_their_traceback():
    programs = {
        "import gan_fingerprints.nothing": "No module named 'gan_fingerprints.nothing'",
        "1 / 0": "ZeroDivisionError",
    }
    for program, expected in programs.items():
        first = f"from gan_fingerprints import missing; missing.explain(); {program}"
        done = subprocess.run(
            [sys.executable, "-c", first], cwd=PROJECT, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert expected in done.stderr
