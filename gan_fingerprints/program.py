"""What every command line shares: one kind of user error, typed flags, outputs that appear whole.

Nothing here imports TensorFlow, so `--help` and argument errors answer at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from gan_fingerprints.version import __version__


class UserError(Exception):
    """Bad input: printed as one line, without a traceback, with exit status 2.

    The message says which flag or file, what was found, what is expected and what to do.
    """


def run(main: Callable[[], int | None]) -> NoReturn:
    """Calls `main` and ends the process: 0 done, 2 bad input (one line), 130 interrupted."""
    try:
        status = main()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.stdout.flush()
    sys.exit(status or 0)


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up notices; a failing import shows all it said."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as notices:
        stderr = os.dup(2)
        os.dup2(notices.fileno(), 2)
        failed = True
        try:
            import tensorflow  # noqa: F401

            failed = False
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of descriptions and shows the default of every flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or not action.option_strings:
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations whose errors are one line with a suggestion."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)
        self.add_argument(
            "--version", action="version", version=f"gan-fingerprints {__version__}",
            help="print the version and exit",
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        found = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if found:
            near = difflib.get_close_matches(found[1], self._option_string_actions, 1)
            if near:
                message += f" (did you mean {near[0]}?)"
        raise UserError(f"{message}; see {self.prog} --help")


def _number(text: str, kind: type, minimum: float, expected: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not minimum <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return value


def positive_int(text: str) -> int:
    """A flag's type: a whole number of 1 or more."""
    return _number(text, int, 1, "a whole number of 1 or more")


def count(text: str) -> int:
    """A flag's type: a whole number of 0 or more."""
    return _number(text, int, 0, "a whole number of 0 or more")


def seed(text: str) -> int:
    """A flag's type: a random seed, as NumPy accepts them (0 to 2**32 - 1)."""
    value = _number(text, int, 0, "a seed from 0 to 4294967295")
    if value >= 2**32:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a seed from 0 to 4294967295")
    return value


def non_negative(text: str) -> float:
    """A flag's type: a number of 0 or more."""
    return _number(text, float, 0, "a number of 0 or more")


def share(text: str) -> float:
    """A flag's type: a number from 0 to below 1."""
    expected = "a number from 0 to below 1"
    value = _number(text, float, 0, expected)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return value


def between(low: float, high: float) -> Callable[[str], float]:
    """A flag's type: a number from `low` to `high`, both included."""

    def number(text: str) -> float:
        expected = f"a number from {low:g} to {high:g}"
        value = _number(text, float, low, expected)
        if value > high:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
        return value

    return number


def percentage(text: str) -> float:
    """A flag's type: a number above 0 and up to 100."""
    expected = "a percentage above 0 and up to 100"
    value = _number(text, float, 0, expected)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return value


def power_of_two(text: str, minimum: int = 4) -> int:
    """A flag's type: a resolution, i.e. a power of two from `minimum` up."""
    expected = f"a power of two from {minimum} up ({minimum}, {2 * minimum}, {4 * minimum}, …)"
    value = _number(text, int, minimum, expected)
    if value & (value - 1):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return value


def one_of(*names: str) -> Callable[[str], str]:
    """A flag's type: one of a few words."""

    def word(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {', '.join(names)}")
        return text

    return word


def switch(text: str) -> bool:
    """A flag's type: 1/0, true/false, yes/no."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 1 or 0")
    return known[text.lower()]


def ladder(kind: type) -> Callable[[str], dict[int, Any]]:
    """A flag's type: `4:512,8:256` (from 4×4 up 512, from 8×8 up 256), or one value for all."""

    def parse(text: str) -> dict[int, Any]:
        steps = [step.rpartition(":") for step in text.split(",")]
        try:
            values = {int(side or 4): kind(value) for side, _, value in steps}
        except ValueError:
            values = {}
        if not values or min(values.values()) <= 0 or 4 not in values:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected RESOLUTION:VALUE,… from 4 up, or one VALUE above 0"
            )
        return dict(sorted(values.items()))

    return parse


def step_of(values: dict[int, Any], resolution: int) -> Any:
    """The value of a ladder at a resolution."""
    return values[max(side for side in values if side <= resolution)]


def kimg(text: str) -> float:
    """A flag's type: a length in thousand images."""
    return non_negative(text)


def _metavar(kind: Callable[[str], Any]) -> str:
    names: dict[Any, str] = {
        seed: "SEED",
        power_of_two: "PIXELS",
        kimg: "KIMG",
        switch: "0|1",
        non_negative: "X",
    }
    return names.get(kind, "N")


def option(default: Any, type: Callable[[str], Any], help: str, metavar: str | None = None) -> Any:
    """A dataclass field that is also a command-line flag (see `add_options`)."""
    metadata = {"help": help, "type": type, "metavar": metavar or _metavar(type)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _shown(value: Any) -> Any:
    """A default as the user would type it."""
    if isinstance(value, dict):
        return ",".join(f"{side}:{step}" for side, step in value.items())
    return int(value) if isinstance(value, bool) else value


def add_options(parser: argparse.ArgumentParser, title: str, options: type) -> None:
    """Adds one flag per field of a dataclass made of `option` fields.

    A flag that is not given stays None, so that a preset can tell it from a given one.
    """
    group = parser.add_argument_group(title)
    for field in dataclasses.fields(options):
        default = getattr(options(), field.name)
        text = field.metadata["help"]
        if default is not None:
            text += f" (default: {_shown(default)})"
        group.add_argument(
            f"--{field.name}",
            type=field.metadata["type"],
            metavar=field.metadata["metavar"],
            help=text.replace("%", "%%"),
        )


def options_from(
    arguments: argparse.Namespace, options: type, preset: dict[str, Any] | None = None
) -> Any:
    """The dataclass filled from flags; what was not given comes from the preset or the default."""
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(options)}
    given = {name: value for name, value in given.items() if value is not None}
    return options(**{**(preset or {}), **given})


def require(arguments: argparse.Namespace, app: str, *flags: str) -> None:
    """Raises UserError naming the first of `flags` that was not given."""
    for flag in flags:
        if getattr(arguments, flag) is None:
            raise UserError(f"--{flag} is missing: --app {app} needs it; see --help")


def existing_folder(path: str | Path, flag: str) -> Path:
    """`path` as a Path, or UserError when it is not a folder."""
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise UserError(f"{flag} {path}: found {found}, expected a folder")
    return path


def existing_file(path: str | Path, flag: str) -> Path:
    """`path` as a Path, or UserError when it is not a file."""
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.exists() else "nothing"
        raise UserError(f"{flag} {path}: found {found}, expected a file")
    return path


def new_output(path: str | Path, flag: str) -> Path:
    """`path` as a Path, or UserError when it exists with content or cannot be created."""
    path = Path(path)
    if path.is_dir() and not any(path.iterdir()):
        pass
    elif path.exists():
        raise UserError(f"{flag} {path}: already exists; name a new one, or remove it first")
    check_writable(path, flag)
    return path


def check_writable(path: Path, flag: str) -> None:
    """UserError when no file can be created in the nearest existing folder of `path`."""
    parent = path.absolute()
    while not parent.exists():
        parent = parent.parent
    if parent.is_file() and parent != path.absolute():
        raise UserError(f"{flag} {path}: {parent} is a file, expected a folder")
    folder = parent if parent.is_dir() else parent.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{flag} {path}: cannot write in {folder} ({error.strerror})") from None


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` only when all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; renames it to `path` only when all went well."""
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        if path.is_dir():
            path.rmdir()  # an empty folder, as new_output made sure
        os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
