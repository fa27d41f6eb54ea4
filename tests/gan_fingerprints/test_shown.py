"""Names of files and sources that are made to do harm, in everything that is printed or written."""

import contextlib
import csv
import errno
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import data_preparation, feature_spaces, perturb
from classifier_visNet import figures
from gan_fingerprints import metrics, program, shown
from gan_fingerprints.attribution import tables
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.pictures.contact_sheet import contact_sheet
from gan_fingerprints.pictures.html_page import Page
from gan_fingerprints.program import UserError
from ProGAN import dataset_tool
from SNGAN.datasets import listing

NAMES = [
    os.fsdecode(name)
    for name in (
        b"caf\xe9", b"a" * 215, b"new\nline", b"\x1b[2Jred", "\u202egnp.exe".encode(), b"=cmd()",
        b"+1", b"@SUM(1)", b"-1", b"\ttab", rb"$\frac{$", b"$x$", b"quote\"'", b"<script>",
    )
]  # fmt: skip
HARMFUL = ("\x1b", "\u202e", "\udce9", "\t", "\r")


def harmless(text: str) -> bool:
    return not any(x in text for x in HARMFUL) and text.encode() is not None


def test_names_of_sources():
    fine = ["a", "x" * 100, "Käse und Brot", "写真", "a.b-c (1)", "$x$", "=1"]
    wrong = ["", "x" * 101, ".a", "..", "a/b", "a\\b", "a\n", "\u202ea", "\udce9", "\x1b", None, 7]
    assert [shown.is_source_name(name) for name in fine + wrong] == [True] * 7 + [False] * 12


def test_what_is_shown():
    name = "a\x1b[2J\n\u202egnp\udcff ä b.png"
    assert shown.shown(name) == r"a\x1b[2J\n\u202egnp\udcff ä b.png"
    assert shown.shown(Path("ä b")) == "ä b"
    assert shown.shown_lines("a\nb\x1b") == "a\nb\\x1b"
    cells = [shown.cell(x) for x in ("=1", "+1", "-1", "@a", "\t=1", "a=1", -1)]
    assert cells == ["'=1", "'+1", "'-1", "'@a", r"\t=1", "a=1", "'-1"]
    assert shown.drawn("$x$\n") == r"\$x\$\n"


@pytest.fixture
def rows():
    return [Attribution(Path(f"{name}.png"), NAMES[5], {NAMES[5]: 0.5, "-x": 0.5}, None, -1.5)
            for name in NAMES]  # fmt: skip


def test_tables(rows, tmp_path, counted):
    for file, write in (("a.csv", lambda path: tables.write_csv(path, rows)),
                        ("b.csv", lambda path: tables.write_scores(path, rows, "energy", -2)),
                        ("c.json", lambda path: tables.write_json(path, rows))):  # fmt: skip
        write(tmp_path / file)
        assert harmless((tmp_path / file).read_text("utf-8"))
    for file in ("a.csv", "b.csv"):
        with open(tmp_path / file, newline="", encoding="utf-8") as lines:
            table = list(csv.reader(lines))
        assert len(table) == 1 + len(NAMES)
        assert {len(line) for line in table} == {7 if file == "a.csv" else 6}
        texts = [cell for line in table for cell in line if cell not in ("-1.5", "-2")]
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@"))]
        assert table[1][1] == "'=cmd()"
    assert table[1][3:5] == ["-1.5", "-2"]  # numbers stay such
    assert [one["path"] for one in json.loads((tmp_path / "c.json").read_text())] == [
        f"{name}.png" for name in NAMES
    ]
    for i, row in enumerate(rows):
        assert harmless(tables.line(i, 9, row))
        assert "\n" not in tables.line(i, 9, row)
    counted(4 * len(NAMES), 4 * len(rows))


@pytest.mark.slow
def test_figures(tmp_path, counted):
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    contact_sheet(tmp_path / "sheet.png", dict.fromkeys(NAMES, pixels))
    metrics.confusion_png(tmp_path / "matrix.png", np.eye(len(NAMES)), NAMES)
    number = len(NAMES)
    example = figures.Example(pixels[0], np.zeros((4, 4, 3)), np.arange(number))
    models = np.zeros((4, 4, 3, number))
    figures.confusion(
        tmp_path / "f", {NAMES[10]: [example], "other$\udce9$": [example]}, NAMES, models
    )
    features = np.random.default_rng(0).normal(size=(number, 3, 5))
    feature_spaces.write_map(tmp_path / "map.png", dict(zip(NAMES, features, strict=True)))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["f.pdf", "f.png", "map.png", "matrix.png", "sheet.png"]
    labels = metrics.confusion_figure(np.eye(3), ["$x$", "a", "b"]).axes[0].get_xticklabels()
    assert labels[0]._preprocess_math(labels[0].get_text()) == ("$x$", False)
    counted(len(names) * number, len(names) * number)


def test_pages(tmp_path, counted):
    page = Page(*NAMES[:2])
    for name in NAMES:
        page.section(name)
        page.table([name], [[name]], caption=name)
        page.code(f"{name}\n{name}")
        with page.details(name):
            page.warning(name)
    page.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert harmless(text)
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 10
    counted(6 * len(NAMES), 6 * len(NAMES))


def run(monkeypatch, main, *words):
    monkeypatch.setattr(sys, "argv", ["program.py", *map(str, words)])
    return main()


@pytest.fixture
def folder(tmp_path):
    """Two sources of one image under each name."""
    for source in ("real", "$frac{$"):
        (tmp_path / "in" / source).mkdir(parents=True)
        for i, name in enumerate(NAMES):
            pixels = np.full((16, 16, 3), 10 * i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / source / f"{name}.png")
        (tmp_path / "in" / source / "bad\udce9\x1b.png").write_bytes(b"")
    return tmp_path / "in"


def test_attacked_folders(folder, tmp_path, monkeypatch, capsys, counted):
    words = ["--attack", "noise", "--skip_bad_images", "--in_dir", folder, "--out_dir"]
    run(monkeypatch, perturb.main, *words, tmp_path / "out")
    text = (tmp_path / "out" / perturb.TABLE).read_text("utf-8")
    assert harmless(text)
    assert len(list(csv.reader(text.splitlines()))) == 1 + 2 * len(NAMES)
    assert len(list((tmp_path / "out").glob("*/*.png"))) == 2 * len(NAMES)
    assert capsys.readouterr().out.count(r"bad\udce9\x1b.png") == 2
    run(monkeypatch, perturb.main, *words[:4], folder / "real", "--out_dir", tmp_path / "b")
    names = {line[0] for line in csv.reader((tmp_path / "b" / perturb.TABLE).open("r"))}
    assert {"'=cmd().png", r"caf\udce9.png", r"new\nline.png"} < names
    counted(3 * len(NAMES) + 2, 3 * len(NAMES) + 2)


def test_prepared_folders(folder, tmp_path, monkeypatch, capsys, counted):
    def main():
        data_preparation.main()

    words = ["--skip_bad_images", "--in_dir", folder, "--out_dir", tmp_path / "out"]
    run(monkeypatch, main, *words)
    manifest = json.loads((tmp_path / "out" / "out.json").read_text("utf-8"))
    assert manifest["source_names"] == ["$frac{$", "real"]
    assert DataSet.open(tmp_path / "out", "--data").source_names == ["$frac{$", "real"]
    audit = json.loads((tmp_path / "out" / "out-audit.json").read_text("utf-8"))
    assert {tuple(sorted(x.split("/")[1] for x in group)) for group in audit["copies"]} == {
        (f"{name}.png",) * 2 for name in NAMES
    }
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert r"bad\udce9\x1b.png" in printed
    before, bad = folder / "real", ("\x1b[2J\udce9", "a\\b", "x" * 101)
    for name in bad:
        before = before.rename(folder / name)
        with pytest.raises(UserError, match=r"cannot be a source's name, .* with a dot; rename it"):
            run(monkeypatch, main, *words[:-1], tmp_path / "b")
        assert not (tmp_path / "b").exists()
    tried = 2 * len(NAMES) + 2 + len(bad)
    counted(tried, tried)


def test_data_sets_and_lists_of_such_files(folder, tmp_path, monkeypatch, capfd, counted):
    words = ["create_from_images", tmp_path / "out", folder / "real", "--skip_bad_images"]
    run(monkeypatch, dataset_tool.main, *words)
    printed = capfd.readouterr().out
    assert harmless(printed)
    assert f"wrote {len(NAMES)} images" in printed
    assert r"bad\udce9\x1b.png: " in printed
    with pytest.raises(UserError, match=r"a name of more than one line, .*; rename it$"):
        listing.write_list(folder / "real", tmp_path / "list.txt")
    (folder / "real" / "new\nline.png").unlink()
    assert listing.write_list(folder / "real", tmp_path / "list.txt") == len(NAMES)
    names, classes = listing.read_list(tmp_path / "list.txt", folder / "real")
    assert {*names} == {path.name for path in (folder / "real").iterdir()}
    assert {*classes} == {0}
    counted(2 * len(NAMES) + 1, len(NAMES) + 1 + len(names))


def test_files_that_are_not_read_for_features(folder, capfd, counted):
    paths = [*sorted((folder / "real").iterdir()), folder / "\x1b[2J\udce9\n.png"]

    def extractor(pixels):
        return pixels.mean(axis=(1, 2))

    found = dict(feature_spaces.readable(extractor, paths, 16, 4))
    assert len(found) == len(NAMES)
    said = capfd.readouterr().out
    assert harmless(said)
    assert said.count("skipped: ") == said.count("\n") == 2
    counted(len(paths), len(found) + 2)


def test_an_error_is_one_harmless_line(capfd):
    def fail():
        print("found caf\udce9")
        raise UserError("--in_dir \x1b[2J\n\udce9: found nothing")

    with pytest.raises(SystemExit) as ended:
        program.run(fail)
    assert ended.value.code == 2
    assert capfd.readouterr().err == "error: --in_dir \\x1b[2J \\udce9: found nothing\n"


@contextlib.contextmanager
def no_room():
    """No file may have more than 300 bytes, so also pytest's own output, where that is a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_table_without_room_is_one_line_and_the_others_are_written(rows, tmp_path, capsys):
    arguments = type("", (), {"out_csv": tmp_path / "a.csv", "out_json": tmp_path / "b.json",
                              "out_scores": tmp_path / "c.csv", "out_confusion": None,
                              "group_by": None})  # fmt: skip
    centres = Centres(np.zeros([2, 4], np.float32), np.ones(4, np.float32))
    scale = Calibration(0.25, "energy", 0.5, 0.05, centres, "5" * 64)
    message = r"b\.json: the disk is full: it needs 441 bytes, "
    with no_room(), pytest.raises(UserError, match=message):
        tables.write_results(arguments, rows[4:7], None, ["=cmd()"], scale)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "c.csv"]
    assert "scores: " in capsys.readouterr().out
    with pytest.raises(PermissionError), program.full_disk(tmp_path, 1):
        raise PermissionError(errno.EACCES, "")


def test_names_of_sources_differ_from_each_other():
    assert shown.are_source_names(["a", "b"])
    for wrong in (["a", "b", "a"], ["a", "b/c"], ["a", ["b"]]):
        assert not shown.are_source_names(wrong)
