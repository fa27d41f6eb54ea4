"""`gan-fingerprints attribute` as it is used: tables, files, statuses, and mistakes."""

import errno
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan_fingerprints import __main__, disk, program
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.examiner import command, examination, lines
from gan_fingerprints.examiner.examination import Model
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


def test_the_last_lines_say_the_limits(attributed):
    lines = attributed[0].stdout.splitlines()
    assert lines[-6:-2] == [
        "other files left out: .txt 1, hidden 1",
        "A verdict is the one of 3 sources that an image is most like; others may have made it.",
        "Probabilities are shared out among these sources; the file has no likelihood ratios.",
        "How often this model is wrong was not measured: gan-fingerprints measure.",
    ]


def test_rows_say_the_ratio_and_of_photographs_what_they_are_like():
    row = Attribution(Path("a.png"), "real", {"real": 0.95, "b": 0.05},
                      log10_lr={"real": 1.2, "b": -1.2}, log10_outside=0.4)  # fmt: skip
    assert re.split(" {2,}", lines.table_line((6, 12), row)) == [
        "a.png", "like the photographs it was trained on (real)", "0.9500",
        "log10 LR 1.20, moderate support; for these sources against others log10 LR 0.40, weak "
        "support",
    ]  # fmt: skip
    inconclusive = replace(row, predicted="inconclusive", reason="why")
    assert lines.table_line((6, 12), inconclusive).endswith("  inconclusive            –  why")


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


def test_a_case_names_all_files_of_its_runs(networks, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [pictures, "--out", "a.jsonl", "--report", "a.html", "--case", "case", "--batch", 4]
    assert attribute(networks, *words) == 3
    assert attribute(networks, pictures / "fits.png", "--case", "case", "--batch", 4) == 0
    line, second = map(json.loads, Path("case/case.jsonl").read_text("utf-8").splitlines())
    assert capsys.readouterr().out.endswith(
        f"case: case/case.jsonl, line 2 with SHA-256 {second['sha256']}\n"
    )
    assert line["command"][:2] == ["gan-fingerprints", "attribute"]
    assert line["command"][-5:] == ["a.html", "--case", "case", "--batch", "4"]
    assert (line["status"], second["status"], line["folder"]) == (3, 0, str(tmp_path))
    rows = [json.loads(row) for row in Path("a.jsonl").read_text("utf-8").splitlines()]
    for one, row in zip(line["inputs"], rows, strict=True):
        assert (one["path"], one["sha256"]) == (row["path"], row["sha256"])
        assert one.get("error") == row["error"]
    digests = {path: disk.digest(Path(path)) for path in ("a.jsonl", "a.html")}
    assert {one["path"]: one["sha256"] for one in line["outputs"]} == digests
    assert line["model"] == {
        "path": str(networks.visnet.path), "sha256": rows[0]["model"]["sha256"]
    }  # fmt: skip
    assert __main__.run(["case", "verify", "case"]) == 0
    Path("a.jsonl").write_text("")
    assert __main__.run(["case", "verify", "case"]) == 3
    assert "output " + str(tmp_path / "a.jsonl") + " of line 1: changed" in capsys.readouterr().out
    log = Path("case/case.jsonl")
    log.write_bytes(log.read_bytes().replace(b'"status": 0', b'"status": 1'))
    monkeypatch.setattr(Model, "load", None)  # refused before anything is examined
    for more, message in {
        (): "--case case: line 2 of case.jsonl was changed, or cut short; nothing is added",
        ("--out", log, "--overwrite"): "would replace case/case.jsonl; name another file",
    }.items():
        with pytest.raises(UserError, match=message):
            attribute(networks, pictures, "--case", "case", *more)


def test_an_interrupted_run_leaves_no_file(networks, pictures, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        assert len(list(tmp_path.iterdir())) == 1  # has begun to write
        raise KeyboardInterrupt

    monkeypatch.setattr(examination, "examine_parts", interrupted)
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
        "--out link: would replace .*fits.png": [image, "--model", "m", "--out", "link",
                                                 "--overwrite"],
        "--out: found '.*fits.png', expected a name that ends in .jsonl; see": [
            image, "--model", "m", "--out", image, "--overwrite"],
        "--report: found 'x.pdf', expected a name that ends in .html; see": [
            image, "--model", "m", "--report", "x.pdf"],
        "--report x: would replace what --out writes": [image, "--model", image, "--out", "x",
                                                        "--report", "x"],
        "--out m: would replace m": [image, "--model", "m", "--out", "m", "--overwrite"],
    }  # fmt: skip
    Path("m").write_text("")
    Path("link").symlink_to(image)
    for message, words in mistakes.items():
        with pytest.raises(UserError, match=message):
            __main__.run(["attribute", *map(str, words)])
    with pytest.raises(UserError, match=r"^atribute: not a command \(did you mean attribute\?\)"):
        __main__.run(["atribute", "x"])
    monkeypatch.setenv(command.MODEL, "gone")
    with pytest.raises(UserError, match=f"{command.MODEL} gone: found nothing"):
        __main__.run(["attribute", str(image)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "m"]


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
    assert len(printed.splitlines()) == 5 + 1 + len(names) + 1 + 5 + 3
    for text in (printed, report.read_text("utf-8"), out.read_text("utf-8").replace("\u202e", "")):
        assert harmless(text)
    paths = {Path(json.loads(line)["path"]).name for line in out.read_text("utf-8").splitlines()}
    assert paths == {*names, "bad\udce9\x1b.png"}
    assert report.read_text("utf-8").count("<script>") == 1  # the page's own


def test_it_is_installed_under_its_name():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"gan-fingerprints": "gan_fingerprints.__main__:main"}
    assert callable(__main__.main)


def test_every_flag_is_described_on_its_page():
    page = (PROJECT / "docs" / "attribute.md").read_text("utf-8")
    parser = program.Parser(None, command.OPTIONS)
    flags = {flag for action in parser._actions for flag in action.option_strings if "--" in flag}
    flags -= {"--help", "--help_all", "--version"}
    assert {flag for flag in flags if f"`{flag}" not in page} == set()
