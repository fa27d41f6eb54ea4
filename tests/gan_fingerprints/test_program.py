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
    text = program.Parser("About.", FLAGS, ("numbers", Options)).format_all()
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


@dataclasses.dataclass(frozen=True)
class Numbers:
    training_seed: int = program.option(typed.seed, 3, "of all", advanced=False)
    epsilon: float = program.option(typed.non_negative, 1e-8, "of Adam")


PLACES = {
    "--gen_seed": program.option(typed.seed, 0, "of the images"),
    "--out_dir": program.option(typed.folder, None, "images"),
    "--batch": program.option(typed.positive_int, 4, "images per step", advanced=True),
}


def test_an_alias_is_shown_first_and_sets_all_that_share_it():
    parser = program.Parser("Tries.", ("places", PLACES), ("numbers", Numbers))
    for words, seeds in {
        "--seed 7": (7, 7),
        "--gen_seed 7": (7, None),
        "--training_seed 7": (0, 7),
        "--seed 7 --training_seed 8": (7, 8),
        "--training_seed 8 --seed 7": (7, 7),
    }.items():
        found = parser.parse_args(words.split())
        assert (found.gen_seed, found.training_seed) == seeds
    assert parser.parse_args(["--out", "a"]).out_dir == "a"
    assert "  --seed SEED, --gen_seed SEED\n" in parser.format_help()
    assert "of all; or --seed (default: 3)" in " ".join(parser.format_help().split())
    with pytest.raises(UserError, match="--seed/--gen_seed: found '-1'"):
        parser.parse_args(["--seed=-1"])


def test_an_option_of_that_name_is_no_alias():
    own = {"--out": program.option(typed.file, None, "a table")}
    found = program.Parser("", PLACES, own).parse_args(["--out", "a"])
    assert (found.out, found.out_dir) == ("a", None)


def test_help_shows_the_basic_options_and_help_all_every_one(capsys):
    parser = program.Parser("Tries.", ("places", PLACES), ("numbers", Numbers))
    basic = parser.format_help()
    assert "--training_seed" in basic
    assert "--epsilon" not in basic
    assert "--batch" not in basic
    assert basic.endswith("\n--help_all shows 2 more options.\n")
    with pytest.raises(SystemExit, match="0"):
        parser.parse_args(["--help_all"])
    printed = capsys.readouterr().out
    assert "--epsilon" in printed
    assert "--batch" in printed
    assert parser.format_help() == basic
    plain = program.Parser("", {"--out_dir": PLACES["--out_dir"]}).format_help()
    assert "help_all" not in plain
