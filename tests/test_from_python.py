"""The notebook runs, on a small network and few images, and its page has the same code."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from classifier.residual import Residual
from gan_fingerprints.data import preparation
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import enrolment_space, files
from tests.conftest import PROJECT

NOTEBOOK, PAGE = PROJECT / "docs" / "from_python.ipynb", PROJECT / "docs" / "from_python.md"
SOURCES = ["ProGAN", "SNGAN", "real"]


def cells() -> list[str]:
    """The code of the notebook."""
    made = json.loads(NOTEBOOK.read_text("utf-8"))
    return ["".join(x["source"]) for x in made["cells"] if x["cell_type"] == "code"]


def run_notebook(folder: Path) -> dict[str, object]:
    """Runs its cells one after the other in a folder, in one namespace, as Jupyter would."""
    names: dict[str, object] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for code in cells():
            exec(compile(code, str(NOTEBOOK), "exec"), names)
    finally:
        os.chdir(before)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo_crops):
    """What README's path leaves: a model, though it was not trained, and images to test it on."""
    root = tmp_path_factory.mktemp("first")
    for part, each in (("testing", 10), ("training", 12), ("validation", 6)):
        for i, source in enumerate(SOURCES):
            photo_crops(root / "parts" / part / source, each, 32, seed=10 * each + i)
    sets = []
    for part in ("training", "validation"):
        words = ["--in_dir", root / "parts" / part, "--out_dir", root / part, "--audit", 0]
        arguments = preparation.program.Parser(None, preparation.OPTIONS).parse_args(
            [str(word) for word in words]
        )
        arguments.command = "test"
        preparation.prepare(arguments)
        sets.append(DataSet.open(root / part, "--data", needs_labels=True))
    network = Residual(32, len(SOURCES), width=2)
    (root / "model").mkdir()
    kept = enrolment_space.learn(network, *sets)
    files.save(root / "model/network-final.safetensors", network, {}, SOURCES, enrolment=kept)
    return root


@pytest.mark.slow
def test_the_notebook_runs(folder, capsys):
    names = run_notebook(folder)
    attributor, rows, found = names["attributor"], names["rows"], names["found"]
    assert attributor.source_names == SOURCES
    assert [row.path.parent.name for row in rows] == ["SNGAN"] * 10
    expected = [list(row.probabilities.values()) for row in rows[:8]]
    np.testing.assert_allclose(names["probabilities"], expected, atol=1e-5)
    known = names["known"]
    right = [a.most_probable == b for a, b in zip(known.rows, known.truth, strict=True)]
    assert found["images"] == 30
    assert found["accuracy"][0] == pytest.approx(np.mean(right))
    assert names["again"].source_names == [*SOURCES, "newcomer"]
    assert (folder / "model/with_newcomer.safetensors").is_file()
    assert "newcomer: enrolled from 10 images" in capsys.readouterr().out


def test_the_page_has_the_code_of_the_notebook():
    blocks = re.findall(r"(?ms)^```python\n(.*?)\n```", PAGE.read_text("utf-8"))
    assert blocks == cells()


def test_the_notebook_is_one_and_keeps_no_outputs():
    made = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    assert all(set(cell) >= {"cell_type", "id", "metadata", "source"} for cell in made["cells"])
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
