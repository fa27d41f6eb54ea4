"""The table of networks that attribute images; and the order in which the project is built up."""

import ast
import subprocess
import sys

import pytest

import gan_fingerprints
from gan_fingerprints import kinds
from tests.conftest import PROJECT

ROOMS = {"ProGAN", "SNGAN", "CramerGAN", "MMDGAN", "classifier", "classifier_visNet",
         "experiments", "benchmarks"}  # fmt: skip


def test_every_kind_is_built_by_its_name():
    for kind, construct in kinds.constructors().items():
        network = construct(resolution=16, num_sources=2, fmap_base=64, fmap_max=16)
        assert network.name == kind
        assert network.arguments["num_sources"] == 2
    assert list(kinds.constructors("classifier")) == ["classifier"]


def imported(path):
    """The first part of every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def test_the_library_imports_no_subproject():
    files = sorted((PROJECT / "gan_fingerprints").rglob("*.py"))
    assert len(files) > 40
    assert {path.name: found for path in files if (found := ROOMS & set(imported(path)))} == {}
    assert "classifier" in set(imported(PROJECT / "classifier" / "run.py"))  # it would notice


def test_the_package_is_imported_at_once_and_what_it_offers_when_asked_for():
    program = (
        "import sys, gan_fingerprints; assert 'numpy' not in sys.modules;"
        "from gan_fingerprints import Attributor, Attribution; import gan_fingerprints.command;"
        "assert 'numpy' in sys.modules and 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'Attribuor'"):
        gan_fingerprints.Attribuor  # noqa: B018
