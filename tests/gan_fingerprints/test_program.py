"""Options, messages and outputs that appear whole."""

import argparse
import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from gan_fingerprints import disk, program, typed, workers
from gan_fingerprints.program import REQUIRED, UserError, option
from tests.conftest import PROJECT


@dataclasses.dataclass(frozen=True)
class Options:
    size: int = option(typed.positive_int, 4, "a size")
    steps: dict = option(typed.ladder(int), {4: 1, 8: 2}, "steps")
    origin: str = "no flag"


FLAGS = {
    "out": option(typed.path.of("OUT"), REQUIRED, "an argument"),
    "--in_dir": option(typed.folder, REQUIRED, "100% needed"),
    "--style": option(typed.one_of("a", "b", 3), "a", "a word or a number"),
    "--names": option(typed.several(typed.name), ["x", "y"], "some"),
    "--seconds": option(typed.non_negative.of("SECONDS"), 5.0, "a time"),
    "--mix": option(typed.switch, True, "1: mix"),
    "--train": option(typed.toggle, False, "True: train"),
    "--dry_run": option(typed.given, False, "do nothing"),
}


def parse(*arguments):
    return program.Parser(None, ("options", Options)).parse_args(arguments)


def parse_flags(*arguments):
    return vars(program.Parser(None, FLAGS).parse_args(arguments))


def test_a_flag_is_read_by_its_type_and_has_its_default():
    assert parse_flags("o", "--in_dir", "i") == {
        "out": "o", "in_dir": "i", "style": "a", "names": ["x", "y"], "seconds": 5.0, "mix": True,
        "train": False, "dry_run": False,
    }  # fmt: skip
    given = ["--style", "3", "--names", "z", "--seconds", "2", "--mix", "no", "--train"]
    assert parse_flags("o", "--in_dir", "i", *given, "--dry_run") == {
        "out": "o", "in_dir": "i", "style": 3, "names": ["z"], "seconds": 2.0, "mix": False,
        "train": True, "dry_run": True,
    }  # fmt: skip
    for words, train in ((["--train", "False"], False), (["--train", "--notrain"], False)):
        assert parse_flags("o", "--in_dir", "i", *words)["train"] is train


def test_help_says_unit_and_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = program.Parser("About.", FLAGS, ("numbers", Options)).format_help()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    expected = """OUT an argument
        --in_dir DIR 100% needed
        --style {a,b,3} a word or a number (default: a)
        --seconds SECONDS a time (default: 5.0)
        --mix 0|1 1: mix (default: 1)
        --dry_run do nothing
        numbers:
        --size N a size (default: 4)
        --steps RES:N,… steps (default: 4:1,8:2)"""
    assert {line.strip() for line in expected.splitlines()} <= set(lines)
    assert "some (default: x y)" in lines
    assert "--train [True|False] True: train; --notrain for False (default: False)" in " ".join(
        lines
    )
    assert "origin" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["o"], "^--in_dir is missing; see .* --help$"),
        ([], "^OUT, --in_dir are missing; see .* --help$"),
        (["o", "--in_dir", "i", "--style", "c"], "--style: found 'c', expected a, b or 3; see"),
        (["o", "--in_dir", "i", "--train", "2"], "--train: found '2', expected 1 or 0; see"),
    ],
)
def test_what_is_missing_or_unknown_is_named(words, message):
    with pytest.raises(UserError, match=message):
        parse_flags(*words)


def test_flags_override_presets_and_presets_defaults():
    assert program.options_from(parse(), Options) == Options()
    preset = {"size": 7}
    assert program.options_from(parse(), Options, preset).size == 7
    given = program.options_from(parse("--size", "9", "--steps", "3"), Options, preset)
    assert given == Options(9, {4: 3})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "found '0', expected a whole number of 1 or more"),
        (["--size", "x"], "found 'x'"),
        (["--steps", "8:2"], "from 4 up"),
        (["--siez", "3"], "did you mean --size"),
        (["--si", "3"], "unrecognized arguments"),
    ],
)
def test_bad_flags_are_one_clear_error(arguments, message):
    with pytest.raises(UserError, match=message):
        parse(*arguments)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (typed.power_of_two, "48"),
        (typed.power_of_two, "2"),
        (typed.seed, "-1"),
        (typed.seed, "4294967296"),
        (typed.percentage, "0"),
        (typed.percentage, "100.5"),
        (typed.percentage, "nan"),
        (typed.switch, "2"),
        (typed.non_negative, "inf"),
        (typed.count, "1.5"),
        (typed.share, "1"),
        (typed.part, "0"),
        (typed.part, "1.01"),
        (typed.between(0.5, 1, "P"), "0.49"),
        (typed.between(0.5, 1, "P"), "nan"),
        (typed.one_of("a", "b"), ""),
    ],
)
def test_types_refuse(kind, bad):
    with pytest.raises(argparse.ArgumentTypeError, match=f"found '{bad}', expected"):
        kind(bad)


def test_types_accept():
    assert typed.power_of_two("128") == 128
    assert typed.seed("4294967295") == 2**32 - 1
    assert [typed.switch(x) for x in ("1", "False", "yes")] == [True, False, True]
    assert typed.percentage("100") == 100
    assert (typed.share("0"), typed.part("1")) == (0, 1)
    assert [typed.between(0.5, 1, "P")(x) for x in ("0.5", "1")] == [0.5, 1]


def test_user_error_is_one_line_and_status_2(capsys):
    def fail():
        raise UserError("a\nb")

    with pytest.raises(SystemExit) as stop:
        program.run(fail)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: a b\n"


def test_programming_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        program.run(lambda: 1 // 0)


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
    assert program.new_output(tmp_path / "out", "--out")
    assert [path.name for path in tmp_path.iterdir()] == [".partial-1"]
    with program.whole_folder(tmp_path / "out") as partial:
        assert not list(partial.iterdir())


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
