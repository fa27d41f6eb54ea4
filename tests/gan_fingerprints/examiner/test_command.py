"""`gan-fingerprints attribute` as it is used: tables, files, statuses, and mistakes."""

import errno
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from gan_fingerprints import __main__, program
from gan_fingerprints.examiner import command, examination
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT
from tests.gan_fingerprints.conftest import NAMES
from tests.gan_fingerprints.test_shown import NAMES as SHOWN
from tests.gan_fingerprints.test_shown import harmless


@pytest.fixture(scope="module")
def attributed(networks, pictures, tmp_path_factory):
    """The installed command's function, in another folder, with a path that is not ASCII.

    What was printed, its exit status, and the folder of the files.
    """
    folder = tmp_path_factory.mktemp("case")
    variables = {"PYTHONPATH": str(PROJECT), command.MODEL: str(networks.classifier.path)}
    done = subprocess.run(
        [sys.executable, "-m", "gan_fingerprints", "attribute",
         f"../{pictures.name}", "--out", "results.jsonl", "--report", "report.html",
         "--batch", "4"],
        cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ | variables,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    return done, folder


def rounded(record):
    """Matrix products round the rows of a batch differently on some processors: by up to 5e-7."""
    if isinstance(record, dict):
        return {name: rounded(value) for name, value in record.items()}
    return pytest.approx(record, abs=5e-6) if isinstance(record, float) else record


def records(folder):
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_bad_files_are_counted_and_give_status_3(attributed, pictures):
    done, folder = attributed
    assert done.returncode == 3
    assert len(records(folder)) == 8
    assert [row["path"] for row in records(folder)][:2] == [
        f"../{pictures.name}/cut.jpg", f"../{pictures.name}/fits.png"
    ]  # fmt: skip
    assert sorted(Path(row["path"]).name for row in records(folder) if row["error"]) == [
        "cut.jpg", "text called.png"
    ]  # fmt: skip
    assert "2 could not be read; their rows say why" in done.stdout
    assert "other files left out: .txt 1, hidden 1" in done.stdout
    assert "results: results.jsonl\nreport: report.html" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "results.jsonl"]


def test_table_and_counts_are_those_of_the_records(attributed):
    done, folder = attributed
    rows = records(folder)
    table = done.stdout.partition("\npath ")[2].partition("\n\n")[0].splitlines()[1:]
    for line, row in zip(table, rows, strict=True):
        path, verdict, probability, *reason = re.split(r" {2,}", line)
        assert (path, verdict) == (row["path"], row["verdict"] or "could not be read")
        if row["verdict"] in NAMES:
            assert (probability, reason) == (examination.rounded(row["probability"]), [])
        else:
            assert (probability, reason) == ("–", [row["reason"]])
    names = [row["verdict"] for row in rows]
    (counts,) = re.findall(r"^8 files: (.*)$", done.stdout, re.MULTILINE)
    assert {name: int(n) for n, name in (part.split(" ") for part in counts.split(", "))} == {
        name: names.count(name) for name in {*names} - {None}
    }


def test_the_head_says_what_is_examined_with(attributed, networks):
    head = attributed[0].stdout.partition("\n\n")[0].splitlines()
    assert head == [
        f"model: {networks.classifier.path} (classifier, 16×16 pixels)",
        f"SHA-256: {records(attributed[1])[0]['model']['sha256']}",
        f"sources: {', '.join(NAMES)}",
        "threshold: unknown below energy 0.5, which rejects 5.0% of the images of known sources",
    ]


def test_the_report_says_how_it_was_made(attributed, pictures):
    html = (attributed[1] / "report.html").read_text("utf-8")
    assert f"gan-fingerprints attribute &#x27;../{pictures.name}&#x27; --out results.jsonl" in html
    assert re.search(r"<th scope=\"row\">time</th><td>20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]", html)
    for name in ("program", "python", "tensorflow", "keras", "numpy", "pillow"):
        assert f'<th scope="row">{name}</th>' in html
    assert str(attributed[1]) in html  # what its paths are relative to


def attribute(networks, *more, model="visnet"):
    words = ["attribute", "--model", getattr(networks, model).path, *more]
    return __main__.run([str(word) for word in words])


def test_the_same_files_give_the_same_lines(networks, pictures, tmp_path, capsys):
    flags = ["--batch", 4, "--out", tmp_path / "a.jsonl"]
    assert attribute(networks, pictures / "fits.png", *flags) == 0
    first = (tmp_path / "a.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"--out .*a\.jsonl: already exists; .* --overwrite"):
        attribute(networks, pictures / "fits.png", *flags)
    # Flags may stand between paths, and other images beside it change nothing.
    paths = [pictures / "grey.jpg", "--overwrite", pictures / "fits.png"]
    assert attribute(networks, *paths, *flags) == 0
    (second,) = (tmp_path / "a.jsonl").read_bytes().splitlines(True)[1:]
    assert rounded(json.loads(second)) == rounded(json.loads(first))
    # The same command: the same bytes.
    again = (tmp_path / "a.jsonl").read_bytes()
    assert attribute(networks, *paths, *flags) == 0
    assert (tmp_path / "a.jsonl").read_bytes() == again
    printed = capsys.readouterr().out
    assert "threshold: none in this file, so no image can be answered unknown" in printed
    assert json.loads(first)["threshold"] is None
    assert "1 file: 1 " in printed


def test_flags_reach_the_rules(networks, pictures, tmp_path):
    out = tmp_path / "a.jsonl"
    flags = ["--least_probability", 1, "--least_size", 0, "--batch", 4, "--out", out]
    assert attribute(networks, pictures / "small.bmp", *flags) == 0
    row = json.loads(out.read_text())
    assert (row["least_probability"], row["least_size"], row["size"]) == (1, 0, [9, 6])
    assert row["verdict"] == "inconclusive"
    assert row["reason"].startswith(f"its most probable source, {row['most_probable']}, has prob")


def test_an_interrupted_run_leaves_no_file(networks, pictures, tmp_path, monkeypatch, capsys):
    examine = examination.examine

    def interrupted(*arguments):
        for i, found in enumerate(examine(*arguments)):
            if i == 2:
                assert len(list(tmp_path.iterdir())) == 1  # has begun to write
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(examination, "examine", interrupted)
    flags = ["--batch", 4, "--out", tmp_path / "a.jsonl", "--report", tmp_path / "a.html"]
    with pytest.raises(KeyboardInterrupt):
        attribute(networks, pictures, *flags)
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line(networks, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(command.MODEL, raising=False)
    image = pictures / "fits.png"
    mistakes = {
        "--model is missing: name a network file .* variable GAN_FINGERPRINTS_MODEL": [image],
        "--model wrong: found nothing, expected a file": [image, "--model", "wrong"],
        "PATH wrong: found nothing": ["wrong", "--model", image],
        "--model .*: not a network file": [image, "--model", pictures / "notes.txt"],
        "found '0.4', expected a number from 0.5 to 1": [image, "--least_probability", 0.4],
        "found 'nan', expected a number from 0 to 1": [image, "--least_size", "nan"],
        "--least_prob": [image, "--least_prob", 0.6],
        "^PATH is missing; see gan-fingerprints attribute --help$": ["--model", "x"],
        "--out .*: found a folder, expected a file": [image, "--model", image, "--out", pictures],
        "--out .*fits.png: would replace .*fits.png": [image, "--model", "m", "--out", image,
                                                       "--overwrite"],
        "--report x: would replace what --out writes": [image, "--model", image, "--out", "x",
                                                        "--report", "x"],
        "--out m: would replace m": [image, "--model", "m", "--out", "m", "--overwrite"],
    }  # fmt: skip
    Path("m").write_text("")
    for message, words in mistakes.items():
        with pytest.raises(UserError, match=message):
            __main__.run(["attribute", *map(str, words)])
    with pytest.raises(UserError, match="COMMAND"):
        __main__.run(["atribute", "x"])
    monkeypatch.setenv(command.MODEL, "gone")
    with pytest.raises(UserError, match=f"{command.MODEL} gone: found nothing"):
        __main__.run(["attribute", str(image)])
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_report_without_room_leaves_the_results(networks, pictures, tmp_path, monkeypatch):
    def full(path, content):
        if path.name == "report.html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    out, report = tmp_path / "results.jsonl", tmp_path / "report.html"
    words = ["--model", str(networks.classifier.path), "--out", str(out), "--report", str(report)]
    with pytest.raises(UserError, match=r"report.html: the disk is full: it needs [\d,]+ bytes"):
        __main__.run(["attribute", str(pictures), *words])
    assert len(out.read_text("utf-8").splitlines()) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_no_name_of_a_file_does_harm(networks, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    names = [f"{name}.png" for name in SHOWN] + ["b" * 250 + ".png"]
    for name in names:
        Image.new("RGB", (16, 16)).save(folder / name)
    (folder / "bad\udce9\x1b.png").write_bytes(b"")
    out, report = tmp_path / "results.jsonl", tmp_path / "report.html"
    words = ["--model", str(networks.classifier.path), "--out", str(out), "--report", str(report)]
    assert __main__.run(["attribute", str(folder), *words]) == 3
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 5 + 1 + len(names) + 1 + 5
    for text in (printed, report.read_text("utf-8"), out.read_text("utf-8").replace("\u202e", "")):
        assert harmless(text)
    paths = {Path(json.loads(line)["path"]).name for line in out.read_text("utf-8").splitlines()}
    assert paths == {*names, "bad\udce9\x1b.png"}
    assert "<script>" not in report.read_text("utf-8")


def test_it_is_installed_under_its_name():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"gan-fingerprints": "gan_fingerprints.__main__:main"}
    assert callable(__main__.main)
    kinds = ("gan_fingerprints*", "classifier*")
    assert set(kinds) <= set(project["tool"]["setuptools"]["packages"]["find"]["include"])


def test_every_flag_is_described_on_its_page():
    page = (PROJECT / "docs" / "attribute.md").read_text("utf-8")
    parser = program.Parser(None, command.OPTIONS)
    flags = {flag for action in parser._actions for flag in action.option_strings if "--" in flag}
    assert {flag for flag in flags - {"--help", "--version"} if f"`{flag}" not in page} == set()
