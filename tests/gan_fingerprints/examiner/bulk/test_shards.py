"""Folders of shards: the same rows as in one file, none twice, none missing."""

import json
import os
import tarfile
from collections import Counter

import pytest

from gan_fingerprints import disk
from gan_fingerprints.examiner.bulk import totals
from gan_fingerprints.examiner.bulk.inputs import Input
from gan_fingerprints.program import UserError


def close(record):
    """Matrix products round the rows of a batch differently on some processors: by up to 5e-7."""
    if isinstance(record, dict):
        return {name: close(value) for name, value in record.items()}
    return pytest.approx(record, abs=5e-6) if isinstance(record, float) else record


def without_scores(row):
    """Numbers in sentences cannot be compared so."""
    return close({name: value for name, value in row.items() if name != "reason"})


@pytest.fixture(scope="module")
def folder(many, attribute, tmp_path_factory):
    """Undisturbed."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    assert attribute(many, "--out", folder, "--shards", 5) == 0
    return folder


def results(folder):
    return sorted(folder.glob("results-*"))


def test_the_rows_are_those_of_one_file(folder, many, attribute, rows_in, tmp_path):
    out = tmp_path / "rows.jsonl"
    assert attribute(many, "--out", out) == 0
    found, one = rows_in(*results(folder)), rows_in(out)
    assert found.keys() == one.keys()
    for path, row in found.items():
        assert without_scores(row) == without_scores(one[path])
    names = [f"results-{i:05d}-of-00005.jsonl" for i in range(5)]
    assert [path.name for path in results(folder)] == names


def test_the_last_lines_say_the_limits_as_without_shards(many, attribute, tmp_path, capfd):
    said = []
    for how in (), ("--shards", 3):
        assert attribute(many, "--out", tmp_path / f"{len(how)}.jsonl", *how) == 0
        lines = capfd.readouterr().out.splitlines()
        first = next(i for i, line in enumerate(lines) if " files: " in line)
        said.append([line for line in lines[first:] if not line.startswith("results: ")])
    assert len(said[0]) == 4
    assert said[0] == said[1]


def test_images_unlike_those_of_the_measurement_are_counted():
    rows = [{"verdict": "a"}, {"verdict": None}, {"verdict": "a", "not_measured": ["its size"]}]
    tally = totals.Tally.of(rows) + totals.Tally.of(rows[2:])
    assert tally == totals.Tally(Counter({"a": 3, None: 1}), 2)


def test_each_input_has_its_place_by_its_path(folder, many, rows_in):
    for i, path in enumerate(results(folder)):
        listed = folder / "inputs" / path.name.replace("results", "inputs")
        inputs = [Input.of_line(line) for line in listed.read_bytes().splitlines()]
        assert [one.shard(5) for one in inputs] == [i] * len(inputs)
        assert [one.name for one in inputs] == list(rows_in(path))
        assert all(one.size == os.path.getsize(one.name) for one in inputs)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sum(manifest["number"]) == 30
    assert manifest["bytes"] == sum(path.stat().st_size for path in many.rglob("*.png"))
    # The places are the same on every machine, as other versions will find them.
    assert [Input(f"{i}.png", None).shard(1000) for i in range(4)] == [779, 146, 798, 628]


def test_only_what_is_missing_is_done(folder, many, attribute, killed_after, tmp_path, capsys):
    mine = tmp_path / "mine"
    killed_after(1)
    with pytest.raises(KeyboardInterrupt):
        attribute(many, "--out", mine, "--shards", 5)
    assert results(mine) == []
    assert attribute(many, "--out", mine, "--shard", "3/5") == 0
    assert [path.name for path in results(mine)] == ["results-00003-of-00005.jsonl"]
    at = results(mine)[0].stat().st_mtime_ns
    assert attribute("--out", mine, "--shard", "2-4/5") == 0  # of inputs that are known
    assert "in 2 of shards 2 to 4" in capsys.readouterr().out
    assert attribute(many, "--out", mine) == 0
    assert results(mine)[3].stat().st_mtime_ns == at
    assert attribute(many, "--out", mine) == 0
    assert "to do: 0 in 0 of shards 0 to 4" in capsys.readouterr().out
    for path, other in zip(results(mine), results(folder), strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert not [x.name for x in mine.iterdir() if x.name.startswith(disk.PARTIAL)]


def test_another_run_is_refused_with_its_differences(folder, many, attribute, networks, tmp_path):
    mistakes = {
        ("--tiles", 3, "--least_size", 0): r"least_size: was 0\.5, is 0\.0; flags tiles: was 16,",
        ("--shards", 4): r"\(shards: was 5, is 4\)",
        (many,): r"\(paths: was \['.*many0'\], is \['.*many0', '.*many0'\]\)",
        ("--shard", "5/5"): "--shard: found '5/5', expected a shard as 0/1000",
        ("--shard", "1/5", "--shards", 3): "found one of 5, expected one of --shards 3",
        ("--resume",): "--resume does not go together with shards: the same command goes on",
        ("--pool", "folder"): "--pool does not go together with shards",
        ("--maps", tmp_path / "maps"): "--maps does not go together with shards",
    }
    for words, message in mistakes.items():
        with pytest.raises(UserError, match=message):
            attribute(many, "--out", folder, *words)
    with pytest.raises(UserError, match=r"model sha256: was [0-9a-f]{64}, is [0-9a-f]{64}\)"):
        attribute(many, "--out", folder, model=networks.visnet.path)
    with pytest.raises(UserError, match="found other files, expected a new or an empty folder"):
        attribute(many, "--out", many, "--shards", 3)
    with pytest.raises(UserError, match="PATH is missing"):
        attribute("--out", tmp_path / "new", "--shards", 3)
    (tmp_path / "new" / "manifest.json").write_text('{"shards": 3}')
    with pytest.raises(UserError, match=r"its manifest\.json is damaged"):
        attribute("--out", tmp_path / "new")


def test_a_shard_that_another_process_writes_is_left_to_it(many, attribute, tmp_path):
    mine = tmp_path / "mine"
    assert attribute(many, "--out", mine, "--shard", "0/2") == 0
    lock = mine / ".results-00001-of-00002.jsonl.lock"
    with disk.lock(lock), pytest.raises(UserError, match=r"00001-of-00002.*another process is wr"):
        attribute(many, "--out", mine, "--shard", "1/2")
    assert len(results(mine)) == 1
    assert attribute(many, "--out", mine) == 0
    assert len(results(mine)) == 2
    assert not lock.exists()


def test_lists_and_tars_are_inputs(many, attribute, rows_in, tmp_path, monkeypatch):
    monkeypatch.chdir(many)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for path in ("0/00.png", "1/04.png"):
            tar.add(path)
        tar.addfile(tarfile.TarInfo("cls.txt"))
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: whole.index(b"1/04.png") + 700])
    (tmp_path / "list").write_text(f"0/03.png\ngone.png\n1\n{tmp_path / 'cut.tar'}\n0/03.png\n")
    how = "--paths_from", tmp_path / "list", "--shards", 3
    assert attribute(tmp_path / "x.tar", "2/02.png", "--out", tmp_path / "out", *how) == 3
    found = rows_in(*results(tmp_path / "out"))
    names = [f"1/{i:02d}.png" for i in range(1, 30, 3)]
    tars = [f"{tmp_path}/{x}" for x in ("x.tar/0/00.png", "x.tar/1/04.png", "cut.tar/0/00.png")]
    cut = [path for path in found if path.startswith(f"{tmp_path}/cut.tar")]
    rest = {*found} - {*cut}
    assert rest == {"0/03.png", "gone.png", "2/02.png", *names, *tars[:2]}
    assert tars[2] in cut
    assert any("cut" in (found[path]["error"] or "") for path in cut)
    assert found["gone.png"]["error"] == "cannot be read (No such file or directory)"
    for path, other in ((tars[1], "1/04.png"), (tars[0], "2/02.png")):
        assert found[path]["sha256"] == found[other]["sha256"]
        pair = (found[path] | {"path": ""}, found[other] | {"path": ""})
        assert without_scores(pair[0]) == without_scores(pair[1])


def test_a_page_of_totals_links_to_the_shards(folder, attribute, rows_in, tmp_path):
    report = tmp_path / "report.html"
    assert attribute("--out", folder, "--report", report) == 0
    html = report.read_text("utf-8")
    verdicts = [row["verdict"] for row in rows_in(*results(folder)).values()]
    for verdict in {*verdicts}:
        number = verdicts.count(verdict)
        assert f">{verdict}</th>" in html
        assert f'<td class="number">{number}</td><td class="number">{number / 30:.2%}</td>' in html
    link = os.path.relpath(results(folder)[2], tmp_path)
    assert f'<a href="{link}">{link}</a>' in html


def test_a_report_of_many_images_has_only_totals(many, attribute, tmp_path, monkeypatch):
    monkeypatch.setattr(totals, "MOST_SHOWN", 29)
    report, out = tmp_path / "report.html", tmp_path / "rows.jsonl"
    assert attribute(many, "--out", out, "--report", report) == 0
    html = report.read_text("utf-8")
    assert "The sources of 30 images" in html
    assert '<a href="rows.jsonl">' in html
    assert "<img" not in html
