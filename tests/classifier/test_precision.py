"""Testing commands in bfloat16: what is asked for, what the file says, what is told of it."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from gan_fingerprints import Attributor
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.networks import files, precision
from gan_fingerprints.networks.recasting import recast
from gan_fingerprints.training.agreement import named

pytestmark = pytest.mark.slow


@pytest.fixture
def network(model):
    return model / "network-final.safetensors"


@pytest.fixture
def capable(tmp_path, monkeypatch):
    """A processor that has it, as far as Linux says."""
    (tmp_path / "cpuinfo").write_text("flags : amx_bf16\n")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")


def test_the_file_says_how_many_names_are_the_same(network, prepared):
    loaded = files.load(network, files.constructors(), "--model")
    data = DataSet.open(prepared / "test", "--data")
    pixels = data.images(np.arange(data.count)).astype(np.float32) / 127.5 - 1
    scale = loaded.calibration
    names = [
        named(scale, *(np.asarray(x) for x in one.answers(pixels)))
        for one in (loaded.network, recast(loaded.network, "bfloat16"))
    ]
    equal = int((names[0] == names[1]).sum())
    assert loaded.bfloat16["images"] == data.count
    assert abs(loaded.bfloat16["equal"] - equal) <= 1  # at a threshold, by other shapes of batches
    assert equal > 0.9 * data.count


def test_rows_say_which_precision_answered(network, folders, tmp_path, run_script):
    found = {}
    for asked in ("float32", "bfloat16"):
        out = tmp_path / f"{asked}.jsonl"
        words = ("attribute", folders / "test", "--model", network, "--out", out)
        report = tmp_path / f"{asked}.html"
        more = ("--precision", asked, "--report", report)
        done = run_script("gan_fingerprints", *words, *more)
        assert ("precision: bfloat16 (as asked)" in done.stdout) == (asked == "bfloat16")
        found[asked] = [json.loads(line) for line in out.read_text().splitlines()]
        assert {row["precision"] for row in found[asked]} == {asked}
        assert asked in report.read_text()
    one, other = (
        np.array([list(row["probabilities"].values()) for row in rows]) for rows in found.values()
    )
    assert 0 < np.abs(one - other).max() < 0.1  # other digits, about the same answers


def test_tables_have_a_column_where_it_is_not_the_usual_one(network, folders, tmp_path, run_script):
    for asked in ("float32", "bfloat16"):
        out = tmp_path / f"{asked}.csv"
        words = ("--app", "test", "--model_path", network, "--testing_data_path", folders / "test")
        run_script("classifier/run.py", *words, "--precision", asked, "--out_csv", out,
                   "--out_confusion", tmp_path / f"{asked}.png")  # fmt: skip
        rows = list(csv.DictReader(out.open()))
        assert {row.get("precision") for row in rows} == {"bfloat16" if asked[0] == "b" else None}


def test_shards_of_another_precision_are_refused(network, folders, tmp_path, run_script):
    words = ("attribute", folders / "test", "--model", network, "--out", tmp_path / "out")
    run_script("gan_fingerprints", *words, "--shards", 4, "--shard", "0/4")
    done = run_script("gan_fingerprints", *words, "--precision", "bfloat16", check=False)
    assert done.returncode == 2
    assert "flags precision: was float32, is bfloat16" in done.stderr


def test_measuring_says_it(network, folders, tmp_path, run_script):
    words = ("measure", "--model", network, "--testing_data_path", folders / "test")
    run_script(
        "gan_fingerprints", *words, "--out", tmp_path / "out", "--precision", "bfloat16",
        "--degrade", "jpeg75",
    )  # fmt: skip
    result = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert result["precision"] == "bfloat16"


@pytest.mark.parametrize("said", [
    {"images": 1000, "equal": 999}, {"images": 1000, "equal": 998}, None,
])  # fmt: skip
def test_auto_goes_by_what_the_file_says(network, tmp_path, capable, said):
    path = tmp_path / "network.safetensors"
    (stored,) = files.read(network, "--model")
    files.write(path, replace(stored, bfloat16=said))
    agrees = bool(said) and said["equal"] == 999
    expected = "bfloat16" if agrees else "float32"
    assert Attributor.load(path, precision="auto").precision == expected
    assert Attributor.load(path).precision == "float32"


def test_auto_is_float32_on_a_processor_without_it(network, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "nothing")
    attributor = Attributor.load(network, precision="auto")
    assert attributor.precision == "float32"
