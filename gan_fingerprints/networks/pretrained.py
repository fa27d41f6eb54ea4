"""Lists, downloads and verifies the models that were published with the 2019 release."""

from __future__ import annotations

import argparse
import csv
import fnmatch
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from gan_fingerprints import program, typed
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Lists, downloads and verifies the models that were published with the 2019 release.

  gan-fingerprints pretrained list
  gan-fingerprints pretrained get ProGAN classifier
  gan-fingerprints pretrained verify

The SHA-256 of a file is recorded on its first download, in SHA256SUMS beside it, and checked ever
after. An interrupted download goes on where it stopped."""

LICENCE = """\
The models come under the licence of the 2019 release, for non-commercial research only. It is not
the licence of this project; read it where the models lie before you use them."""
SUMS = "SHA256SUMS"
INSTALL = "pip install 'gdown==6.5.1'"
RELEASED = re.compile(r"^[^.].*(\.pkl|\.npz|\.index|\.meta|\.data-\d{5}-of-\d{5})$")
TIMEOUT = 60  # seconds without a byte
RETRIES = 3


@dataclass(frozen=True)
class Published:
    """A row of the table: files of one kind in one Drive folder."""

    kind: str
    data_set: str
    pattern: str
    folder_id: str
    folder: str

    @property
    def link(self) -> str:
        return f"https://drive.google.com/drive/folders/{self.folder_id}"


def table() -> list[Published]:
    """All published models that are known."""
    text = resources.files(__package__).joinpath("pretrained.csv").read_text("utf-8")
    _, *rows = csv.reader(text.splitlines())
    return [Published(*row) for row in rows]


KINDS = list(dict.fromkeys(row.kind for row in table()))
OPTIONS = {
    "app": option(
        typed.one_of("list", "get", "verify"), REQUIRED, "print the table; download; check SHA-256"
    ),
    "kinds": option(
        typed.several(typed.text.of("KIND"), "*"),
        None,
        f"some of {', '.join(KINDS)} (default: all; get needs at least one)",
    ),
    "--root": option(typed.folder, ".", "the project's folder, in which the models are expected"),
    "--files": option(typed.text.of("PATTERN"), "*", "only such names, e.g. '*_seed_v0.pkl'"),
}


def check(arguments: argparse.Namespace) -> None:
    """UserError unless the kinds that are named exist, and some are named to be downloaded."""
    unknown = [kind for kind in arguments.kinds if kind not in KINDS]
    if unknown:
        raise UserError(f"KIND {unknown[0]}: expected one of {', '.join(KINDS)}")
    if arguments.app == "get" and not arguments.kinds:
        raise UserError(f"KIND is missing: name what to get, some of {', '.join(KINDS)}")


def show_list(rows: list[Published], root: Path) -> None:
    """Prints the table, and what of it is here."""
    for row in rows:
        here = len(list((root / row.folder).glob(row.pattern)))
        print(f"{row.kind} ({row.data_set}): {row.pattern}", f"  from {row.link}", sep="\n")
        print(f"  to {row.folder}/ ({f'{here} files here' if here else 'not here'})")
    print(LICENCE)


def manual_route(rows: list[Published]) -> str:
    """How to get the files with a browser."""
    start = """\
By hand: open each link in a browser, choose "Download all", unpack the files into the
folder beside it, then run `gan-fingerprints pretrained verify`."""
    return "\n".join([start, *(f"  {row.link}  →  {row.folder}/" for row in _folders(rows))])


def _folders(rows: list[Published]) -> list[Published]:
    """One row per Drive folder."""
    return list({row.folder_id: row for row in rows}.values())


def get(rows: list[Published], root: Path, pattern: str) -> None:
    """Downloads what is not here yet; UserError, after the manual route, where that fails."""
    print(LICENCE)
    try:
        import gdown
        from gdown.exceptions import DownloadError
    except ImportError:
        print(manual_route(rows))
        raise UserError(f"gdown is not installed, which downloads need: {INSTALL}") from None
    for row in _folders(rows):
        folder = root / row.folder
        try:
            _get_folder(gdown, row, folder, pattern)
        except (OSError, DownloadError) as error:
            print(manual_route(rows))
            raise UserError(
                f"{row.kind}: cannot download from {row.link} ({str(error)[:200]}); try again "
                "later, it goes on where it stopped"
            ) from None


def _get_folder(gdown: Any, row: Published, folder: Path, pattern: str) -> None:
    listing = gdown.download_folder(
        id=row.folder_id, output=str(folder), quiet=True, skip_download=True,
        use_cookies=False, timeout=TIMEOUT,
    )  # fmt: skip
    names = {file.path: file for file in listing if fnmatch.fnmatch(Path(file.path).name, pattern)}
    if not names:
        raise UserError(f"--files {pattern}: nothing of that name among the {len(listing)} files "
                        f"of {row.link}")  # fmt: skip
    sums = read_sums(folder)
    for name, file in sorted(names.items()):
        path = folder / safe_name(name)
        if path.is_file() and name in sums:
            require_sum(path, sums[name])
            print(f"{path}: here already, SHA-256 as recorded")
            continue
        # Beside its place under another name, so that what is there is always whole.
        partial = path.with_name(f".{path.name}.download")
        partial.parent.mkdir(parents=True, exist_ok=True)
        gdown.download(
            id=file.id, output=str(partial), resume=True, use_cookies=False, timeout=TIMEOUT,
            retries=RETRIES,
        )  # fmt: skip
        record(partial, name, sums, folder)
        partial.replace(path)
        print(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {sums[name]}")


def safe_name(name: str) -> str:
    """A file's name in a Drive folder; UserError when it would lead out of the folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\n" in name:
        raise UserError(f"a file named {name!r} in the Drive folder: it would be written elsewhere")
    return name


def read_sums(folder: Path) -> dict[str, str]:
    """The recorded SHA-256 of each file, as `sha256sum -c` reads them too."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    pairs = (line.split("  ", 1) for line in path.read_text("utf-8").splitlines() if line)
    sums = {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}
    if not sums:
        raise UserError(f"{path}: not a list of SHA-256; remove it to record them anew")
    return sums


def record(file: Path, name: str, sums: dict[str, str], folder: Path) -> None:
    """Notes the SHA-256 of a new file; UserError when another one was noted before."""
    if name in sums:
        require_sum(file, sums[name])
        return
    sums[name] = sha256(file)
    with program.whole_file(folder / SUMS) as partial:
        lines = [f"{digest}  {key}\n" for key, digest in sorted(sums.items())]
        partial.write_text("".join(lines), "utf-8")


def require_sum(file: Path, expected: str) -> None:
    """UserError unless a file has the SHA-256 that was recorded."""
    digest = sha256(file)
    if digest != expected:
        raise UserError(
            f"{file}: SHA-256 {digest}, but {expected} was recorded at its first download; it was "
            f"changed or damaged: remove it and get it again, or its line in {SUMS} if it is meant"
        )


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def verify(rows: list[Published], root: Path, pattern: str) -> None:
    """Checks every file here against its record, and that it can be read.

    Files that came by hand are recorded now. UserError when one is not as recorded.
    """
    checked, bad = 0, []
    for row in _folders(rows):
        folder = root / row.folder
        sums = read_sums(folder)
        for name in sorted({*sums, *_names_here(folder)}):
            if not fnmatch.fnmatch(Path(name).name, pattern):
                continue
            checked += 1
            try:
                print(_verified(folder, name, sums))
            except UserError as error:
                bad.append(name)
                print(f"{folder / name}: NOT AS IT SHOULD BE: {error}")
    if bad:
        raise UserError(f"{len(bad)} of {checked} files are not as they should be: {bad[0]}, …")
    if checked:
        print(f"{checked} files verified")
    else:
        print(f"no published models under {root}")
        print(manual_route(rows))


def _names_here(folder: Path) -> Iterator[str]:
    """Files of the published kinds, but those of training runs."""
    for path in folder.rglob("*"):
        above = [parent for parent in path.parents if parent.is_relative_to(folder)]
        of_a_run = any((parent / "settings.json").is_file() for parent in above)
        if path.is_file() and RELEASED.search(path.name) and not of_a_run:
            yield path.relative_to(folder).as_posix()


def _verified(folder: Path, name: str, sums: dict[str, str]) -> str:
    """What there is to say about a file; UserError when it is not as it should be."""
    path = program.existing_file(folder / safe_name(name), "recorded file")
    line = f"{path}: SHA-256 recorded"
    if name in sums:
        require_sum(path, sums[name])
        line = f"{path}: SHA-256 as recorded"
    if path.suffix in (".pkl", ".npz", ".index"):  # of a checkpoint, the index stands for the rest
        held = [network.kind for network in files.read(path, "file")]
        line += f"; holds {', '.join(held)}"
    record(path, name, sums, folder)  # only now: what cannot be read is not recorded
    return line


def main(arguments: argparse.Namespace) -> None:
    """Does with the published models what was asked for."""
    check(arguments)
    rows = [row for row in table() if not arguments.kinds or row.kind in arguments.kinds]
    root = program.existing_folder(arguments.root, "--root")
    if arguments.app == "list":
        show_list(rows, root)
    elif arguments.app == "get":
        get(rows, root, arguments.files)
    else:
        verify(rows, root, arguments.files)
