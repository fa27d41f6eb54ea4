"""The log of a case: a chain that shows what was done to it, and files that are what they were."""

import hashlib
import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from gan_fingerprints import __main__, disk
from gan_fingerprints.examiner import case
from gan_fingerprints.examiner.case import END, LOG, Case, End, Fault
from gan_fingerprints.program import UserError

RUN = {"command": ["gan-fingerprints", "attribute"], "status": 0}


def run_of(model="model", inputs=(), outputs=()):
    files = {"model": case.file_of(model, "0" * 64)}
    return {**RUN, **files, "inputs": list(inputs), "outputs": list(map(case.file_of, outputs))}


@pytest.fixture
def folder(tmp_path):
    """A case of five runs."""
    for i in range(5):
        end = case.append(tmp_path / "case", run_of(f"model {i}"))
        assert end.lines == i + 1
    return tmp_path / "case"


def lines_of(folder):
    return (folder / LOG).read_bytes().splitlines(True)


def resealed(one, **changed):
    """A line with other content, and a hash of its own that fits."""
    values = json.loads(one) | changed
    del values["sha256"]
    body = json.dumps(values).encode()
    seal = hashlib.sha256(body).hexdigest().encode()
    return body[:-1] + case.SEAL + seal + b'"}\n'


def test_each_line_holds_the_hash_of_the_one_before(folder):
    """By the definition on the page, with nothing of this program."""
    before = hashlib.sha256(b"gan-fingerprints: before the first line of a case").hexdigest()
    for number, line in enumerate(lines_of(folder), 1):
        body, _, seal = line.rpartition(b', "sha256": "')
        values = json.loads(line)
        assert hashlib.sha256(body + b"}").hexdigest() == values["sha256"]
        assert seal == f'{values["sha256"]}"}}\n'.encode()
        assert (values["line"], values["previous"]) == (number, before)
        assert values["folder"] == str(Path.cwd())
        assert values["model"] == {"path": f"model {number - 1}", "sha256": "0" * 64}
        assert {*values["versions"]} > {"python", "tensorflow", "pillow"}
        before = values["sha256"]
    assert Case.read(folder).last == End(5, before)
    assert Case.read(folder).fault() is None
    assert sorted(path.name for path in folder.iterdir()) == [".case.lock", END, LOG]


def test_the_first_line_that_was_touched_is_named(folder, counted):
    lines, tried = lines_of(folder), 0
    for i in range(5):
        changed = lines[i].replace(b'"status": 0', b'"status": 3')
        forged = resealed(lines[i], status=3)
        cases = {
            Fault(i + 1, "was changed, or cut short"): [
                [*lines[:i], changed, *lines[i + 1 :]],
                [*lines[:i], b"[[[[\n", *lines[i + 1 :]],
                [*lines[:i], lines[i][:40]],
            ],
            Fault(i + 1, "was changed, and its own hash with it"): [
                [*lines[:i], forged, *lines[i + 1 :]]
            ],
            Fault(i + 1, "was inserted"): [
                [*lines[:i], changed, *lines[i:]],
                [*lines[:i], b"\n", *lines[i:]],
                [*lines[:i], resealed(lines[i], status=3), *lines[i:]],
                [*lines[:i], resealed(lines[i], line=9, previous="0"), *lines[i:]],
            ],
            Fault(i + 1, f"was removed: line {i + 2} stands in its place"): [
                [*lines[:i], *lines[i + 1 :]]
            ],
        }
        if i == 4:
            cases.popitem()
            cases[Fault(5, "was removed: the log had 5 lines")] = [lines[:4]]
        for fault, logs in cases.items():
            for log in logs:
                (folder / LOG).write_bytes(b"".join(log))
                assert Case.read(folder).fault() == fault
                with pytest.raises(UserError, match=f"line {fault.line} of case.jsonl was"):
                    case.append(folder, run_of())
                assert (folder / LOG).read_bytes() == b"".join(log)
                tried += 1
    counted(tried, 5 * 9)


def test_lines_that_were_moved_copied_or_added_behind(folder):
    lines = lines_of(folder)
    last = json.loads(lines[-1])["sha256"]
    others = {
        2: [[lines[0], lines[2], lines[1], *lines[3:]], [lines[0], lines[0], *lines[1:]]],
        5: [[*lines[:4], lines[1], lines[4]]],
        6: [[*lines, resealed(lines[4], line=6, previous=last)], [*lines, b"x\n"]],
        1: [[], lines[4:]],
    }
    for number, logs in others.items():
        for log in logs:
            (folder / LOG).write_bytes(b"".join(log))
            assert Case.read(folder).fault().line == number
    (folder / LOG).write_bytes(b"".join(lines)[:-1])
    assert Case.read(folder).fault() == Fault(5, "was changed, or cut short")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'[{"lines": "5", "sha256": 1}]', b"[" * 9999]
)
def test_without_its_end_a_log_may_have_been_cut(folder, content):
    (folder / END).write_bytes(content)
    fault = Case.read(folder).fault()
    assert fault.line == 5
    assert "may not be the last that was written: case.end.json" in fault.what


def test_values_of_another_kind_are_no_line(folder, counted):
    lines, wrong = lines_of(folder), [
        {"line": "1"}, {"previous": None}, {"folder": 3}, {"inputs": {}}, {"outputs": [3]},
        {"model": []}, {"inputs": [{"path": "a"}]}, {"inputs": [{"path": 1, "sha256": None}]},
    ]  # fmt: skip
    for values in wrong:
        assert case.entry_of(resealed(lines[0], **values).rstrip()) is None
    assert case.entry_of(resealed(lines[0], inputs=[{"path": "", "sha256": None}]).rstrip())
    counted(len(wrong), 8)


def add(path, number):
    for i in range(number):
        case.append(path, run_of(f"{i}"))


def test_two_processes_write_one_after_the_other(tmp_path):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=add, args=(tmp_path, 20)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    found = Case.read(tmp_path)
    assert (found.last.lines, found.fault()) == (40, None)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_after_a_power_cut_the_log_is_whole(folder, monkeypatch, at):
    """It comes before one of the three files that become new is put in its place."""
    calls, replace = [], case.program.os.replace

    def cut(*paths):
        calls.append(paths)
        if len(calls) == at:
            raise KeyboardInterrupt
        return replace(*paths)

    monkeypatch.setattr(case.program.os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        case.append(folder, run_of())
    monkeypatch.undo()
    found = Case.read(folder)
    assert (found.last.lines, found.fault()) == (6 if at == 3 else 5, None)
    assert case.append(folder, run_of()).lines == found.last.lines + 1
    assert Case.read(folder).fault() is None
    shutil.copy(folder / END, folder.parent)
    lines = lines_of(folder)
    (folder / LOG).write_bytes(b"".join(lines[:-1]))
    assert Case.read(folder).fault().line == len(lines)


def verify(folder, capsys):
    status = __main__.run(["case", "verify", str(folder)])
    return status, capsys.readouterr().out.splitlines()


def test_files_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("model", "a", "b", "report"):
        Path(name).write_text(name)
    unread = case.file_of("gone", None)
    files = [case.file_of("a"), case.file_of("b"), unread]
    run = {**RUN, "model": case.file_of("model"), "inputs": files}
    case.append("case", run | {"outputs": [case.file_of("report")]})
    Path("report").write_text("another")
    case.append("case", run | {"outputs": [case.file_of("./report")]})
    monkeypatch.chdir("/")  # paths are relative to where the run was
    status, printed = verify(tmp_path / "case", capsys)
    assert status == 0
    assert printed[:2] == [
        f"log: {tmp_path}/case/case.jsonl, 2 lines",
        "compared: 5 files that its lines name",
    ]
    assert Case.read(tmp_path / "case").last.sha256 in printed[-1]
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").unlink()
    (tmp_path / "report").write_text("a third")
    status, printed = verify(tmp_path / "case", capsys)
    assert status == 3
    new, old = disk.digest(tmp_path / "a"), hashlib.sha256(b"a").hexdigest()
    assert printed[2:4] == [
        f"input {tmp_path}/a of line 1: changed: its SHA-256 is {new}, was {old}",
        f"input {tmp_path}/b of line 1: missing",
    ]
    assert printed[4].startswith(f"output {tmp_path}/./report of line 2: changed")
    assert len(printed) == 5
    # Of files that only a line behind the fault names, nothing is said.
    lines = lines_of(tmp_path / "case")
    (tmp_path / "case" / LOG).write_bytes(lines[0] + b"x" + lines[1])
    status, printed = verify(tmp_path / "case", capsys)
    assert (status, printed[2]) == (3, "line 2 was changed, or cut short")
    assert printed[1] == "compared: 4 files that the lines before that name"


def test_names_that_do_harm(tmp_path, capsys):
    names = ["\x1b[2J", "caf\udce9", "\u202egnp", "a\0b", "\ud800", "-rf", ""]
    inputs = [{"path": name, "sha256": "0" * 64} for name in names]
    case.append(tmp_path, run_of(inputs=inputs))
    status, printed = verify(tmp_path, capsys)
    assert status == 3
    assert len(printed) == 2 + 1 + len(names)
    assert [line for line in printed if not line.isprintable()] == []


def test_mistakes(tmp_path):
    for message, words in {
        "DIR .*gone: found nothing, expected a folder": ["verify", tmp_path / "gone"],
        r"DIR .*: found no case.jsonl, expected a folder that --case": ["verify", tmp_path],
        "found 'check', expected verify": ["check", tmp_path],
    }.items():
        with pytest.raises(UserError, match=message):
            __main__.run(["case", *map(str, words)])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--case .*file: found a file, expected a folder"):
        case.check(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
