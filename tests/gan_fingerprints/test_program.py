"""Options and messages of command lines."""

import argparse
import dataclasses

import pytest

from gan_fingerprints import program, typed
from gan_fingerprints.program import REQUIRED, UserError, option


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
