"""Outputs appear whole or not at all, are on the disk then, and leave nothing beside them."""

import argparse
import os
import signal
import subprocess
import sys
import time

import pytest

from gan_fingerprints import disk, program, typed, workers
from gan_fingerprints.attribution import flags, tables
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT


def test_whole_file_leaves_nothing_on_failure(tmp_path):
    path = tmp_path / "sub" / "file"
    with pytest.raises(ZeroDivisionError), program.whole_file(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with program.whole_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_whole_folder_leaves_nothing_on_failure(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), program.whole_folder(path) as partial:  # noqa: PT012
        (partial / "file").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    path.mkdir()  # an empty folder is as good as none
    with program.whole_folder(path) as partial:
        (partial / "file").write_text("whole")
    assert [p.name for p in path.iterdir()] == ["file"]


def test_an_output_may_have_any_name_that_the_system_allows(tmp_path):
    name = "n" * 255
    with program.whole_file(tmp_path / name) as partial:
        partial.write_text("")
    with program.whole_folder(tmp_path / "a" / name) as partial:
        (partial / name).write_text("")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        name, "a", f"a/{name}", f"a/{name}/{name}"
    }  # fmt: skip


def test_a_file_in_a_folder_that_appears_whole_is_written_in_place(tmp_path):
    with program.whole_folder(tmp_path / "out") as folder:
        with program.whole_file(folder / "a" / "file") as partial:
            assert partial == folder / "a" / "file"
            partial.write_text("x")
        with pytest.raises(ZeroDivisionError), program.whole_file(folder / "b") as partial:  # noqa: PT012
            partial.write_text("half")
            raise ZeroDivisionError
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["a", "file"]


@pytest.fixture
def calls(monkeypatch):
    """Names of what is synchronized, and of what is renamed, in order."""
    calls = []
    for name, real in (("fsync", os.fsync), ("replace", os.replace)):

        def noted(first, *others, name=name, real=real):
            path = os.readlink(f"/proc/self/fd/{first}") if name == "fsync" else str(first)
            calls.append(f"{name} {path.rpartition('/')[2]}")
            return real(first, *others)

        monkeypatch.setattr(os, name, noted)
    return calls


def test_what_has_its_name_is_on_the_disk(tmp_path, calls, monkeypatch):
    with program.whole_file(tmp_path / "new" / "file") as partial:
        partial.write_text("x")
    assert calls == [f"fsync {tmp_path.name}", "fsync file", "replace file", "fsync new"]
    del calls[:]
    with program.whole_folder(tmp_path / "out") as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "file").write_text("x")
    assert calls[:2] == ["fsync sub", "fsync file"]
    assert calls[2:] == ["fsync out", "replace out", f"fsync {tmp_path.name}"]
    del calls[:]
    monkeypatch.setattr(disk, "FEW", 1)
    with program.whole_folder(tmp_path / "many") as partial:
        (partial / "file").write_text("x")
    assert calls == ["replace many", f"fsync {tmp_path.name}"]  # and the system's own call


WRITER = """
import sys, time
from gan_fingerprints import program
def main():
    with program.whole_file("file") as file, program.whole_folder("out") as folder:
        file.write_text("half")
        (folder / "half").write_text("half")
        print("writing", flush=True)
        time.sleep(60)
program.run(main)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is writing `file` and the folder `out`."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGTERM, 143, "terminated\n"), (signal.SIGINT, 130, "interrupted\n")],
)
def test_a_signal_ends_a_program_and_leaves_nothing(writer, tmp_path, number, status, said):
    assert len(list(tmp_path.iterdir())) == 2
    writer.send_signal(number)
    assert writer.wait(20) == status
    assert writer.stderr.read() == said
    assert list(tmp_path.iterdir()) == []


def test_what_a_live_process_writes_stays_and_is_not_written_twice(writer, tmp_path):
    with pytest.raises(UserError, match=r"^--out .*out: another process is writing this; wait"):
        program.new_output(tmp_path / "out", "--out")
    message = r"^.*out: another process is writing this"
    with pytest.raises(UserError, match=message), program.whole_folder(tmp_path / "out"):
        pass
    for name in ("file", "other"):
        with program.whole_file(tmp_path / name) as partial:
            partial.write_text(name)
    with program.whole_folder(tmp_path / "others"):
        pass
    halves = [path for path in tmp_path.rglob("*") if path.is_file() and "half" in path.read_text()]
    assert sorted(path.name for path in halves) == ["file", "half"]


def test_what_a_killed_process_left_is_swept_by_the_next(writer, tmp_path):
    writer.kill()
    writer.wait()
    assert len(list(tmp_path.glob(f"{disk.PARTIAL}*"))) == 2
    (tmp_path / ".partial-1").mkdir()  # not of ours
    os.utime(tmp_path / ".partial-1", (0, 0))
    assert program.new_output(tmp_path / "out", "--out")
    assert [path.name for path in tmp_path.iterdir()] == [".partial-1"]
    with program.whole_folder(tmp_path / "out") as partial:
        assert not list(partial.iterdir())


def test_what_earlier_versions_left_is_swept_when_nobody_can_be_writing_it(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()

    def leftover(name, number, days, folder=True):
        path = tmp_path / f".{name}.partial-{number}"
        if folder:
            (path / "sub").mkdir(parents=True)
            (path / "sub" / "half").write_text("")
        else:
            path.write_text("")
        for x in (path, *path.rglob("*")):
            os.utime(x, (time.time() - days * 86400,) * 2)
        return path

    swept = [leftover("out", gone.pid, 2), leftover("a.json", gone.pid, 2, folder=False),
             leftover("big", 10**30, 2)]  # fmt: skip
    kept = [leftover("alive", os.getpid(), 9), leftover("somebody", 1, 9),
            leftover("new", gone.pid, 0.5, folder=False), leftover("other", "x1", 9)]  # fmt: skip
    kept.append(growing := leftover("growing", gone.pid, 9))
    os.utime(growing / "sub" / "half")  # by another machine
    with program.whole_folder(tmp_path / "out"):
        assert not any(path.exists() for path in swept)
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("kind", [program.whole_file, program.whole_folder])
def test_a_full_disk_is_one_line_that_names_the_output(kind, tmp_path):
    message = r"^.*/out: the disk is full: [\d,]+ are free; make room"
    with pytest.raises(UserError, match=message), kind(tmp_path / "out") as partial:  # noqa: PT012
        path = partial / "file" if partial.is_dir() else partial
        path.symlink_to("/dev/full")
        path.write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_elsewhere_and_a_killed_worker_are_one_line(capsys):
    def fill():
        with open("/dev/full", "w") as file:
            file.write("x")

    def kill():
        list(workers.parallel(os._exit, [1] * workers.FEW, workers=2, chunk=1))

    for main, said in (
        (fill, "[Errno 28] No space left on device; make room and run it again"),
        (kill, "a worker process was killed, most often as memory ran out; free some and run the "
         "same command again"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            program.run(main)
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: {said}\n"


def test_outputs_must_be_new_and_writable(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path, message in ((file, "already exists"), (file / "below", "is a file")):
        with pytest.raises(UserError, match=message):
            program.new_output(path, "--out")
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("")
    with pytest.raises(UserError, match="already exists"):
        program.new_output(full, "--out")
    assert program.new_output(tmp_path / "a" / "b", "--out") == tmp_path / "a" / "b"


def test_files_are_replaced_only_where_that_is_asked_for(tmp_path):
    file = tmp_path / "a.csv"
    assert program.new_file(file, "--out") == file
    file.write_text("old")
    with pytest.raises(UserError, match=r"--out .*a\.csv: already exists; name a new one, or add"):
        program.new_file(file, "--out")
    assert program.new_file(file, "--out", overwrite=True) == file
    with pytest.raises(UserError, match="found a folder, expected a file"):
        program.new_file(tmp_path, "--out", overwrite=True)
    with pytest.raises(UserError, match="is a file, expected a folder"):
        program.new_file(file / "b.csv", "--out", overwrite=True)
    (tmp_path / "link.csv").symlink_to("nowhere")
    with pytest.raises(UserError, match="already exists"):
        program.new_file(tmp_path / "link.csv", "--out")
    assert file.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a.png", True), ("a.b.PDF", True), ("a", True), ("/dev/stdout", True), ("d.csv/a", True),
        ("a.csv", False), ("a.png.jpg", False), ("a.pngx", False),
    ],
)  # fmt: skip
def test_an_ending_says_what_is_in_a_file(name, fits):
    kind = typed.new_file(".png", ".pdf")
    assert kind.unit == "FILE.png|.pdf"
    if fits:
        assert kind(name) == name
    else:
        with pytest.raises(argparse.ArgumentTypeError, match=r"name that ends in \.png or"):
            kind(name)


def test_the_default_confusion_matrix_takes_a_free_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = program.Parser("", flags.TABLES)

    def name(*flags):
        return tables.confusion_file(options.parse_args(list(flags)))

    assert name() == "confusion_matrix.png"
    for taken, free in ((flags.CONFUSION, "confusion_matrix_2.png"),
                        ("confusion_matrix_2.png", "confusion_matrix_3.png")):  # fmt: skip
        (tmp_path / taken).write_text("old")
        assert name() == free
    assert name("--overwrite") == "confusion_matrix.png"
    assert name("--out_confusion", "x.png") == "x.png"
    for flag, ending, wrong in (("--out_csv", ".csv", "x.png"), ("--out_json", ".json", "x.csv"),
                                ("--out_confusion", ".png", "x.pdf")):  # fmt: skip
        with pytest.raises(UserError, match=rf"{flag}: found '{wrong}', expected .* in {ending}"):
            options.parse_args([flag, wrong])
    arguments = options.parse_args(["--out_csv", "a.csv"])
    tables.check_tables(arguments)
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UserError, match=r"--out_csv a\.csv: already exists"):
        tables.check_tables(arguments)
    tables.check_tables(options.parse_args(["--out_csv", "a.csv", "--overwrite"]))
