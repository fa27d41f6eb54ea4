"""Rows of one file: what a killed run left is gone on with, and contents are answered once."""

import json

import pytest

from gan_fingerprints.attribution.asking import Asked
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.bulk import rows
from gan_fingerprints.program import UserError


@pytest.fixture(scope="module")
def undisturbed(many, attribute, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "rows.jsonl"
    assert attribute(many, "--out", out) == 0
    return out.read_bytes()


def test_the_rows_are_those_of_the_function_that_all_ways_share(
    many, attribute, networks, tmp_path
):
    assert attribute(many / "0", "--out", tmp_path / "a.jsonl") == 0  # no content comes twice
    model = examination.Model.load(networks.classifier.path, "--model", batch=4)
    found = examination.examine(model, sorted((many / "0").iterdir()))
    lines = [examination.json_line(examination.record(x, model)) for x in found]
    assert b"".join(lines) == (tmp_path / "a.jsonl").read_bytes()


def test_a_content_is_answered_once(undisturbed, many, attribute, tmp_path, monkeypatch):
    asked = []
    call = Asked.__call__
    monkeypatch.setattr(Asked, "__call__", lambda self, x: asked.extend(x) or call(self, x))
    assert attribute(many, "--out", tmp_path / "a.jsonl") == 0
    assert len(asked) == 28
    found = {x["path"][-6:-4]: x for x in map(json.loads, undisturbed.splitlines())}
    assert len(found) == 30
    for name in ("01", "02"):
        assert found[name] == found["00"] | {"path": found[name]["path"]}
    # Pictures are made of each image, so that each is looked at.
    asked.clear()
    assert attribute(many, "--report", tmp_path / "a.html", "--out", tmp_path / "b.jsonl") == 0
    assert len(asked) == 30


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("torn", [b'{"path": "torn', b""])
def test_a_killed_run_goes_on(undisturbed, many, attribute, killed_after, tmp_path, parts, torn):
    out = tmp_path / "rows.jsonl"
    killed_after(parts)
    with pytest.raises(KeyboardInterrupt):
        attribute(many, "--out", out)
    assert not out.exists()
    folder = rows.unfinished(out)
    left = (folder / rows.ROWS).read_bytes()
    assert left == undisturbed[: len(left)]
    assert left.count(b"\n") >= 4 * parts
    # A kill may have come within a row, behind rows of a part that was not finished.
    (folder / rows.ROWS).write_bytes(left + left.splitlines(True)[0] + torn)
    with (folder / rows.PARTS).open("ab") as file:
        file.write(b"99")
    with pytest.raises(UserError, match="left rows: the same command with --resume goes on"):
        attribute(many, "--out", out)
    assert attribute(many, "--out", out, "--resume") == 0
    assert out.read_bytes() == undisturbed
    assert list(tmp_path.iterdir()) == [out]


def test_another_run_is_not_gone_on_with(many, attribute, killed_after, networks, tmp_path):
    out = tmp_path / "rows.jsonl"
    killed_after(2)
    with pytest.raises(KeyboardInterrupt):
        attribute(many, "--out", out)
    mistakes = {
        ("--least_probability", 0.8): r"was begun with other settings \(flags least_probability: "
        r"was 0\.9, is 0\.8\); give the same",
        ("--report", tmp_path / "a.html"): "--resume: goes on with rows alone",
        ("--tiles", 3, "--paths_from", "-"): r"flags tiles: was 16, is 3; paths_from: was None,",
    }
    for words, message in mistakes.items():
        with pytest.raises(UserError, match=message):
            attribute(many, "--out", out, "--resume", *words)
    (rows.unfinished(out) / rows.ROWS).write_bytes(b"{}\n" * 5000)
    with pytest.raises(UserError, match="that were left of it are damaged; give --overwrite"):
        attribute(many, "--out", out, "--resume")
    with pytest.raises(UserError, match="--resume: found no --out"):
        attribute(many, "--resume")
    assert attribute(many, "--out", out, "--overwrite") == 0
    assert list(tmp_path.iterdir()) == [out]


def test_two_processes_do_not_write_one_file(many, attribute, tmp_path):
    out = tmp_path / "rows.jsonl"
    folder = rows.unfinished(out)
    with rows.disk.claim(folder), pytest.raises(UserError, match="another process is writing"):
        attribute(many, "--out", out)
