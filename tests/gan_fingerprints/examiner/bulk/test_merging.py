"""`gan-fingerprints merge`: one row for each input, or one line that says which lacks it."""

import csv
import json
import shutil

import pytest

from gan_fingerprints import __main__
from gan_fingerprints.examiner.bulk import merging
from gan_fingerprints.program import UserError


@pytest.fixture(scope="module")
def whole(many, attribute, tmp_path_factory):
    folder = tmp_path_factory.mktemp("merging") / "out"
    bad = folder.parent / "=bad.png"
    bad.write_text("no image")
    assert attribute(many, bad, "--out", folder, "--shards", 3) == 3
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "shards")


def merge(folder, out, *more):
    return __main__.run(["merge", str(folder), "--out", str(out), *more])


def test_rows_are_joined_as_they_are(folder, tmp_path, capsys):
    merge(folder, tmp_path / "all.jsonl")
    joined = b"".join(path.read_bytes() for path in sorted(folder.glob("results-*")))
    assert (tmp_path / "all.jsonl").read_bytes() == joined
    assert "each of 31 inputs has one row\n" in capsys.readouterr().out


def test_tables_have_what_rows_have(folder, rows_in, tmp_path):
    found = rows_in(*sorted(folder.glob("results-*")))
    merge(folder, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["path"] for row in table] == list(found)
    for row, record in zip(table, found.values(), strict=True):
        assert row["verdict"] == (record["verdict"] or "")
        for name, share in (record["probabilities"] or {}).items():
            assert float(row[f"probability of {name}"]) == pytest.approx(share, rel=1e-7)
    (bad,) = (row for row in table if row["path"].endswith("=bad.png"))
    assert bad["probability"] == ""
    assert bad["error"].startswith("found something else than a PNG")


def test_parquet_has_numbers_as_they_are(folder, rows_in, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(merging, "AT_ONCE", 10)
    merge(folder, tmp_path / "all.parquet")
    table = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    for row, record in zip(table, rows_in(*sorted(folder.glob("results-*"))).values(), strict=True):
        for name in ("path", "sha256", "verdict", "probability", "score", "reason", "error"):
            assert row[name] == record[name]
        for name, share in (record["probabilities"] or {}).items():
            assert row[f"probability of {name}"] == share


def test_what_is_missing_twice_or_torn_is_said(folder, tmp_path):
    second = sorted(folder.glob("results-*"))[1]
    lines = second.read_bytes().splitlines(True)
    path = [json.loads(line)["path"] for line in lines]
    faults = {
        rf"{second.name}: found no row, expected .*{path[-1]};": lines[:-1],
        rf"found .*{path[0]}, expected {path[1]};": [lines[0], *lines],
        rf"found .*{path[2]}, expected {path[1]};": [lines[0], *lines[2:]],
        rf"found .*{path[3]}, expected no more rows;": [*lines, lines[3]],
        rf"found no row, expected {path[-1]};": [*lines[:-1], lines[-1][:-30]],
    }
    for message, content in faults.items():
        second.write_bytes(b"".join(content))
        with pytest.raises(UserError, match=message):
            merge(folder, tmp_path / "all.jsonl")
    second.unlink()
    with pytest.raises(UserError, match="1 of 3 shards are missing, the first is 1; run attribute"):
        merge(folder, tmp_path / "all.csv")
    with pytest.raises(UserError, match="expected a folder that attribute --shards wrote"):
        merge(tmp_path, tmp_path / "all.csv")
    with pytest.raises(UserError, match=r"found no ending, expected \.jsonl, \.csv, \.parquet"):
        merge(folder, tmp_path / "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shards"]
