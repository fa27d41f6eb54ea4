"""Flags, messages and outputs that appear whole."""

import dataclasses

import pytest

from gan_fingerprints import commands
from gan_fingerprints.commands import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    size: int = commands.option(4, commands.positive_int, "a size")
    steps: dict = commands.option({4: 1, 8: 2}, commands.ladder(int), "steps")


def parse(*arguments):
    parser = commands.Parser()
    commands.add_options(parser, "options", Options)
    return parser.parse_args(arguments)


def test_flags_override_presets_and_presets_defaults():
    assert commands.options_from(parse(), Options) == Options()
    preset = {"size": 7}
    assert commands.options_from(parse(), Options, preset).size == 7
    given = commands.options_from(parse("--size", "9", "--steps", "3"), Options, preset)
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
        (commands.power_of_two, "48"),
        (commands.power_of_two, "2"),
        (commands.seed, "-1"),
        (commands.seed, "4294967296"),
        (commands.percentage, "0"),
        (commands.percentage, "100.5"),
        (commands.percentage, "nan"),
        (commands.switch, "2"),
        (commands.non_negative, "inf"),
        (commands.count, "1.5"),
    ],
)
def test_types_refuse(kind, bad):
    with pytest.raises(commands.argparse.ArgumentTypeError, match=f"found '{bad}', expected"):
        kind(bad)


def test_types_accept():
    assert commands.power_of_two("128") == 128
    assert commands.seed("4294967295") == 2**32 - 1
    assert [commands.switch(x) for x in ("1", "False", "yes")] == [True, False, True]
    assert commands.percentage("100") == 100


def test_user_error_is_one_line_and_status_2(capsys):
    def fail():
        raise UserError("a\nb")

    with pytest.raises(SystemExit) as stop:
        commands.run(fail)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: a b\n"


def test_programming_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        commands.run(lambda: 1 // 0)


def test_whole_file_leaves_nothing_on_failure(tmp_path):
    path = tmp_path / "sub" / "file"
    with pytest.raises(ZeroDivisionError), commands.whole_file(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with commands.whole_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_whole_folder_leaves_nothing_on_failure(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), commands.whole_folder(path) as partial:  # noqa: PT012
        (partial / "file").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    path.mkdir()  # an empty folder is as good as none
    with commands.whole_folder(path) as partial:
        (partial / "file").write_text("whole")
    assert [p.name for p in path.iterdir()] == ["file"]


def test_outputs_must_be_new_and_writable(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path, message in ((file, "already exists"), (file / "below", "is a file")):
        with pytest.raises(UserError, match=message):
            commands.new_output(path, "--out")
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("")
    with pytest.raises(UserError, match="already exists"):
        commands.new_output(full, "--out")
    assert commands.new_output(tmp_path / "a" / "b", "--out") == tmp_path / "a" / "b"
