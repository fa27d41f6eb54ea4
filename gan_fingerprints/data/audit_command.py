"""`gan-fingerprints audit`: what, rather than a fingerprint, tells folders of images apart."""

from __future__ import annotations

import argparse

from gan_fingerprints import missing, program, typed
from gan_fingerprints.data.audit import report
from gan_fingerprints.data.auditing import SIDE, findings_of
from gan_fingerprints.data.sources import SOURCES, find_sources, folder_of
from gan_fingerprints.images import ImageError
from gan_fingerprints.program import UserError, option
from gan_fingerprints.shown import shown_lines

DESCRIPTION = """\
Says which trivial property of the files tells the sources apart, and which images are copies, as
preparing a data set does, without writing one.

  gan-fingerprints audit sources/

Looks at up to 1000 images of each source. What it warns of, `gan-fingerprints harmonize` takes away
as far as that can be done."""

OPTIONS = {
    **SOURCES,
    "--resolution": option(
        typed.power_of_two,
        SIDE,
        "side that images are resized to, to compare their brightness, say",
    ),
    "--skip_bad_images": option(
        typed.given, False, "leave out images that cannot be used, instead of stopping"
    ),
    "--out_json": option(typed.new_file(".json"), None, "write what was found"),
    **program.OVERWRITE,
}


def main(arguments: argparse.Namespace) -> None:
    """Audits, prints, and writes what was asked for; the exit status is 0 also after warnings."""
    missing.require("measure")
    if arguments.out_json:
        program.new_file(arguments.out_json, "--out_json", arguments.overwrite)
    sources = find_sources(folder_of(arguments))
    try:
        findings = findings_of(sources, arguments.resolution, arguments.skip_bad_images, "audit")
    except ImageError as error:
        raise UserError(f"{error}, or leave such out by --skip_bad_images") from None
    print(shown_lines(report.text(findings)))
    if arguments.out_json:
        program.write_json(arguments.out_json, findings)
        print(f"results: {arguments.out_json}")
