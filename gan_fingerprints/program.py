"""What every command line shares: one kind of user error, options, outputs that appear whole.

Nothing here imports TensorFlow, so `--help` and argument errors answer at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from gan_fingerprints import cluster, disk
from gan_fingerprints.flags import REQUIRED as REQUIRED
from gan_fingerprints.flags import Group, HelpAll, Options, add, fields_of
from gan_fingerprints.flags import option as option
from gan_fingerprints.quiet import load_tensorflow as load_tensorflow
from gan_fingerprints.shown import shown
from gan_fingerprints.typed import given
from gan_fingerprints.version import __version__


class UserError(Exception):
    """Bad input: printed as one line, without a traceback, with exit status 2.

    The message says which flag or file, what was found, what is expected and what to do.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a program as Ctrl-C does."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Calls `main` and ends the process: 0 done, 130 interrupted, 143 terminated; in one line, 2.

    That is for bad input, a full disk and a worker process that was killed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be no text
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = main()
        cluster.leave(status or 0)
    except UserError as error:
        status = _say(f"error: {shown(' '.join(str(error).split()))}", 2)
    except Terminated:
        status = _say("terminated", 143)
    except KeyboardInterrupt:
        status = _say("interrupted", 130)
    except Exception as error:
        if not (said := _misfortune(error)):
            raise
        status = _say(f"error: {shown(' '.join(said.split()))}", 2)
    sys.stdout.flush()
    sys.exit(status or 0)


def _misfortune(error: Exception) -> str | None:
    """What to say of an exception that neither the user nor the program is to blame for."""
    if isinstance(error, BrokenExecutor):
        lack = "most often as memory ran out; free some and run the same command again"
        return f"a worker process was killed, {lack}"
    if disk.is_full(error):
        return f"{error}; make room and run it again"
    return cluster.lost_worker(error)


def _terminate(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is half-written is being removed
    raise Terminated


def _say(line: str, status: int) -> int:
    bars = sys.modules.get("tqdm")
    (bars.tqdm.write if bars else print)(line, file=sys.stderr)  # above a bar, not behind it
    cluster.leave(status)  # here, while nothing that the program had is given up yet
    return status


class Parser(argparse.ArgumentParser):
    """A command line of some groups of options; its errors are one line with a suggestion.

    Abbreviations are errors. `--help` shows the basic options, `--help_all` all; what is advanced
    is said by `option`.
    """

    def __init__(self, description: str | None = None, *groups: Group, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(description=description, allow_abbrev=False, **kwargs)
        version = f"gan-fingerprints {__version__}"
        about = "print the version and exit"
        self.add_argument("--version", action="version", version=version, help=about)
        hidden = argparse.SUPPRESS  # where there is nothing more to show
        help_all = self.add_argument(
            "--help_all", action=HelpAll, nargs=0, default=hidden, help=hidden
        )
        self.advanced: list[argparse.Action] = []
        titled = [group if isinstance(group, tuple) else (None, group) for group in groups]
        self.taken = {name for _, *parts in titled for part in parts for name in fields_of(part)}
        for title, *parts in titled:
            under = self.add_argument_group(title) if title else self
            for options in parts:
                self.add_options(under, options)
        if self.advanced:
            help_all.help = "show all options, also those for few, and exit"

    def add_options(self, under: argparse._ActionsContainer, options: Options) -> None:
        """Adds options to this parser, or to a group of it.

        A field of a dataclass whose flag is not given stays None, so that a preset can tell it from
        a given one.
        """
        is_class = isinstance(options, type)
        for name, field in fields_of(options).items():
            action = add(under, name, field, None if is_class else field.default, self.taken)
            # The numbers of a dataclass are many; other options say what is to be done.
            if is_class if field.metadata["advanced"] is None else field.metadata["advanced"]:
                self.advanced.append(action)

    def format_help(self) -> str:
        """The basic options, and how many more there are."""
        if not self.advanced:
            return super().format_help()
        before = [action.help for action in self.advanced]
        for action in self.advanced:
            action.help = argparse.SUPPRESS
        try:
            text = super().format_help()
        finally:
            for action, help in zip(self.advanced, before, strict=True):
                action.help = help
        return f"{text}\n--help_all shows {len(before)} more options.\n"

    def format_all(self) -> str:
        """Every option."""
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        if missing := re.match(r"the following arguments are required: (.*)", message):
            message = f"{missing[1]} {'are' if ', ' in missing[1] else 'is'} missing"
        found = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if found:
            near = difflib.get_close_matches(found[1], self._option_string_actions, 1)
            if near:
                message += f" (did you mean {near[0]}?)"
        raise UserError(f"{message}; see {self.prog} --help")


def options_from(
    arguments: argparse.Namespace, options: type, preset: dict[str, Any] | None = None
) -> Any:
    """The dataclass filled from flags; what was not given comes from the preset or the default."""
    values = {f.name: getattr(arguments, f.name, None) for f in dataclasses.fields(options)}
    values = {name: value for name, value in values.items() if value is not None}
    return options(**{**(preset or {}), **values})


def require(arguments: argparse.Namespace, app: str, *flags: str) -> None:
    """Raises UserError naming the first of `flags` that was not given."""
    what = f"--app {app}" if "app" in arguments else "this command"
    for flag in flags:
        if getattr(arguments, flag) is None:
            raise UserError(f"--{flag} is missing: {what} needs it; see --help")


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


OVERWRITE = {"--overwrite": option(given, False, "replace files that exist already")}
"""For programs that write files under names that are given: they replace none unasked."""


def new_output(path: str | Path, flag: str) -> Path:
    """`path` as a Path, or UserError when it exists with content or cannot be created."""
    path = Path(path)
    if path.is_dir() and not any(path.iterdir()):
        pass
    elif path.exists():
        raise UserError(f"{flag} {path}: already exists; name a new one, or remove it first")
    disk.sweep(path.absolute().parent)
    if _partial_of(path.absolute()).exists():
        raise UserError(f"{flag} {BEING_WRITTEN.format(path)}")
    check_writable(path, flag)
    return path


def new_file(path: str | Path, flag: str, overwrite: bool = False) -> Path:
    """`path` as a Path, or UserError when it exists or cannot be created.

    overwrite: a file that exists may be replaced, as `OVERWRITE` says.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{flag} {path}: found a folder, expected a file")
    if os.path.lexists(path) and not overwrite:
        raise UserError(
            f"{flag} {path}: already exists; name a new one, or add --overwrite to replace it"
        )
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
    """Yields a temporary path; what is there becomes `path`, on the disk, only if all went well.

    Raises:
        UserError: the disk is full.
    """
    path = Path(path)
    if disk.in_partial(path):  # it appears with all that is around it
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return
    disk.make_folder(path.parent)
    disk.sweep_once(path.parent.absolute())
    with _whole(path.with_name(disk.PARTIAL + secrets.token_hex(8)), path) as partial:
        yield partial


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `path`, on the disk, only if all went well.

    Raises:
        UserError: another process is writing it; the disk is full.
    """
    path = Path(path).absolute()
    disk.make_folder(path.parent)
    disk.sweep(path.parent)
    with _whole(_partial_of(path), path) as partial:
        partial.mkdir()
        yield partial


def _partial_of(path: Path) -> Path:
    """Where all processes write a folder, so that a lock there keeps all but one out."""
    return path.with_name(disk.PARTIAL + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16])


@contextmanager
def _whole(folder: Path, path: Path) -> Iterator[Path]:
    held, partial = disk.claim(folder), folder / path.name
    if held is None:
        raise UserError(BEING_WRITTEN.format(path))
    with held:
        try:
            with full_disk(path, partial):
                disk.remove(partial)
                yield partial
                disk.sync_all(partial)
                os.replace(partial, path)  # a folder, too, where there is none or an empty one
                disk.sync(path.parent)
        finally:
            disk.remove(folder)


BEING_WRITTEN = "{}: another process is writing this; wait for it or stop it, or name a new one"


@contextmanager
def full_disk(path: Path, needed: Path | int) -> Iterator[None]:
    """Makes a UserError that names `path` of what says that the disk is full.

    needed: bytes; or where that is which was written until then.
    """
    try:
        yield
    except Exception as error:
        if not disk.is_full(error):
            raise
        more, size = ("", needed) if isinstance(needed, int) else ("more than ", disk.size(needed))
        need = f"it needs {more}{size:,} bytes, " if size else ""
        free = shutil.disk_usage(path.parent).free
        raise UserError(
            f"{path}: the disk is full: {need}{free:,} are free; make room and run the same "
            "command again, a training with --resume"
        ) from error


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with whole_file(path) as partial, full_disk(Path(path), len(content)):
        partial.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Writes readable JSON; what a name holds beside UTF-8 becomes an escape that JSON knows."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8", "backslashreplace"))
