"""What is installed as `gan-fingerprints`: one command for each thing to do beside the subprojects.

Uninstalled, `python3 -m gan_fingerprints` in the project's folder does the same.
"""

from __future__ import annotations

from gan_fingerprints import missing

if __name__ == "__main__":
    missing.explain()

import difflib
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gan_fingerprints import program, rooms
from gan_fingerprints.program import UserError

DESCRIPTION = """\
Attributes images to the sources that made them, and what goes with it.

Uninstalled, `python3 -m gan_fingerprints` in the project's folder does the same."""

COMMANDS = {
    "prepare": ("classifier.prepare", "make a data set of one folder of images per source"),
    "audit": (
        "gan_fingerprints.data.audit_command",
        "say what, rather than a fingerprint, tells folders of images apart",
    ),
    "attribute": ("gan_fingerprints.examiner.command", "say where images come from"),
    "page": (
        "gan_fingerprints.page.command",
        "open a page in the browser to drop images on",
    ),
    "merge": (
        "gan_fingerprints.examiner.bulk.merge_command",
        "join the shards that attribute wrote, one row for each image",
    ),
    "case": (
        "gan_fingerprints.examiner.case_command",
        "verify the log of a case, and the files it names",
    ),
    "measure": (
        "gan_fingerprints.measuring.command",
        "say how reliable a model is, on images of known source",
    ),
    "card": ("gan_fingerprints.measuring.show_card", "show what a model says of itself"),
    "train": ("classifier.train", "train a classifier for images of any size"),
    "test": ("classifier.test", "name the sources of many images, and say how often it is right"),
    "enroll": (
        "gan_fingerprints.attribution.enroll",
        "add a source to a model from a few images, without training",
    ),
    "convert": (
        "gan_fingerprints.networks.convert",
        "turn a published network file into one of ours, or show it",
    ),
    "pretrained": (
        "gan_fingerprints.networks.pretrained",
        "list, download and verify the published models",
    ),
    "contact_sheet": (
        "gan_fingerprints.pictures.contact_sheet",
        "draw samples of each source on one picture",
    ),
    "split": (
        "gan_fingerprints.data.split",
        "split sources into parts for training, validation and testing",
    ),
    "harmonize": (
        "gan_fingerprints.data.harmonize",
        "put all sources through the same processing, with an audit before and after",
    ),
    "sample_photos": (
        "gan_fingerprints.data.sample_photos",
        "cut photos out of those that come with Python packages",
    ),
}
"""Name → module with DESCRIPTION, OPTIONS (or GROUPS of them) and main(arguments); what it does.

Modules of rooms are named, not imported: the library stands below them.
"""
RUN = "run"


def main() -> NoReturn:
    """Runs the command that the command line names."""
    missing.explain()
    rooms.enter()
    program.run(lambda: run(sys.argv[1:]))


def run(words: list[str]) -> int | None:
    """Parses a command line without the program's name; returns the exit status.

    Only the module of the command that is named is imported.
    """
    if words and words[0] == RUN:
        return run_script(words[1:])
    if words and words[0] in COMMANDS:
        module = rooms.module(COMMANDS[words[0]][0])
        prog = f"gan-fingerprints {words[0]}"
        groups = module.GROUPS if hasattr(module, "GROUPS") else (module.OPTIONS,)
        parser = program.Parser(module.DESCRIPTION, *groups, prog=prog)
        arguments = parser.parse_intermixed_args(words[1:])  # flags may stand between paths
        arguments.words = words
        return module.main(arguments)
    if words and not words[0].startswith("-"):
        near = difflib.get_close_matches(words[0], [*COMMANDS, RUN], 1, cutoff=0.0)[0]
        raise UserError(
            f"{words[0]}: not a command (did you mean {near}?); gan-fingerprints --help lists them"
        )
    parser = program.Parser(prog="gan-fingerprints", description=DESCRIPTION)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (_, about) in COMMANDS.items():
        subparsers.add_parser(name, help=about)
    subparsers.add_parser(RUN, help="run a script of the project: run ProGAN/run.py --help")
    parser.parse_args(words)  # answers --help, or fails
    raise AssertionError(words)


def run_script(words: Sequence[str]) -> int:
    """Runs a script of a room, named by its path in the project; the exit status."""
    scripts = [path.relative_to(rooms.FOLDER).as_posix() for path in rooms.scripts()]
    if not words or words[0] in ("-h", "--help", "--help_all"):
        print(f"usage: gan-fingerprints {RUN} SCRIPT [ARGUMENT ...]\n\nscripts:")
        print("\n".join(f"  {script}" for script in scripts))
        return 0
    script = Path(words[0]).as_posix()
    if script not in scripts:
        near = difflib.get_close_matches(script, scripts, 1, cutoff=0.0)[0]
        raise UserError(
            f"{RUN} {script}: not a script of the project (did you mean {near}?); "
            f"gan-fingerprints {RUN} lists them"
        )
    sys.argv = [str(rooms.FOLDER / script), *words[1:]]
    runpy.run_module(script.removesuffix(".py").replace("/", "."), None, "__main__", True)
    return 0


if __name__ == "__main__":
    main()
