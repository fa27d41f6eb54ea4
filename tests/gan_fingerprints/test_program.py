"""Flags, messages and outputs that appear whole."""

import dataclasses

import pytest

from gan_fingerprints import program
from gan_fingerprints.program import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    size: int = program.option(4, program.positive_int, "a size")
    steps: dict = program.option({4: 1, 8: 2}, program.ladder(int), "steps")


def parse(*arguments):
    parser = program.Parser()
    program.add_options(parser, "options", Options)
    return parser.parse_args(arguments)


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
        (program.power_of_two, "48"),
        (program.power_of_two, "2"),
        (program.seed, "-1"),
        (program.seed, "4294967296"),
        (program.percentage, "0"),
        (program.percentage, "100.5"),
        (program.percentage, "nan"),
        (program.switch, "2"),
        (program.non_negative, "inf"),
        (program.count, "1.5"),
    ],
)
def test_types_refuse(kind, bad):
    with pytest.raises(program.argparse.ArgumentTypeError, match=f"found '{bad}', expected"):
        kind(bad)


def test_types_accept():
    assert program.power_of_two("128") == 128
    assert program.seed("4294967295") == 2**32 - 1
    assert [program.switch(x) for x in ("1", "False", "yes")] == [True, False, True]
    assert program.percentage("100") == 100


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
