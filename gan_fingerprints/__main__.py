"""What is installed as `gan-fingerprints`: one command for each thing to do beside the subprojects.

Uninstalled, `python3 -m gan_fingerprints` in the project's folder does the same.
"""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from gan_fingerprints import program

DESCRIPTION = """\
Attributes images to the sources that made them, and what goes with it.

Uninstalled, `python3 -m gan_fingerprints` in the project's folder does the same."""

COMMANDS = {
    "attribute": ("gan_fingerprints.examiner.command", "say where images come from"),
    "train": ("classifier.train", "train a classifier for images of any size"),
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
    "sample_photos": (
        "gan_fingerprints.data.sample_photos",
        "cut photos out of those that come with Python packages",
    ),
}
"""Name → module with DESCRIPTION, OPTIONS (or GROUPS of them) and main(arguments); what it does.

Modules of rooms are named, not imported: the library stands below them.
"""


def main() -> NoReturn:
    """Runs the command that the command line names."""
    program.run(lambda: run(sys.argv[1:]))


def run(words: list[str]) -> int | None:
    """Parses a command line without the program's name; returns the exit status.

    Only the module of the command that is named is imported.
    """
    if words and words[0] in COMMANDS:
        module = importlib.import_module(COMMANDS[words[0]][0])
        prog = f"gan-fingerprints {words[0]}"
        groups = module.GROUPS if hasattr(module, "GROUPS") else (module.OPTIONS,)
        parser = program.Parser(module.DESCRIPTION, *groups, prog=prog)
        arguments = parser.parse_intermixed_args(words[1:])  # flags may stand between paths
        arguments.words = words
        return module.main(arguments)
    parser = program.Parser(prog="gan-fingerprints", description=DESCRIPTION)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (_, about) in COMMANDS.items():
        subparsers.add_parser(name, help=about)
    parser.parse_args(words)  # answers --help, or fails
    raise AssertionError(words)


if __name__ == "__main__":
    main()
