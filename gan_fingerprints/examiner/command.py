"""`gan-fingerprints attribute`: says of images in question where they come from."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gan_fingerprints import program, typed
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.flags import LOOKING, POOL, SEEING, rule_options
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, worded
from gan_fingerprints.examiner import case, examination, maps
from gan_fingerprints.examiner.bulk import sharded, totals
from gan_fingerprints.examiner.bulk.flags import BULK
from gan_fingerprints.examiner.bulk.plan import Plan
from gan_fingerprints.examiner.bulk.rows import (
    Examinations,
    begun,
    earlier,
    examined,
    kept,
    planned,
)
from gan_fingerprints.examiner.bulk.totals import Tally
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.examiner.lines import table_line, table_row, tell_pools
from gan_fingerprints.examiner.loading import MODEL, load, model_file
from gan_fingerprints.examiner.page import SHEETS, ExaminationPage
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import listed, shown

SOME_UNREADABLE = 3  # exit status
WIDEST = 60  # characters for paths; longer ones are shown whole, out of line

Taker = Callable[[Examined[Specimen], dict[str, Any]], object]
"""What is done with each image and its `examination.record`."""


DESCRIPTION = f"""\
Says of each image which of the sources that a model knows it comes from, or that it comes from
none of them, or that the evidence is too weak.

  gan-fingerprints attribute photo.jpg --model network-final.safetensors
  gan-fingerprints attribute images/ --out results.jsonl --report report.html

Folders are searched with all their subfolders; hidden files and files that are not named as images
are left out, and counted. What cannot be read becomes a row with the reason.

exit status: 0 done, {SOME_UNREADABLE} done but some files could not be read, 2 nothing done, 130 \
interrupted"""
OPTIONS = {
    "paths": option(
        typed.several(typed.path, "*"),
        REQUIRED,
        "an image, a folder of images, a tar of images, or the URL of one of these",
    ),
    "--model": option(
        typed.file, None, f"a network that training wrote, or a published one (default: ${MODEL})"
    ),
    "--source_names": option(
        typed.names,
        None,
        "sources of a published network, in order, as its file lacks them",
        advanced=True,
    ),
    "--out": option(typed.new_file(".jsonl"), None, "write a JSON line per image"),
    "--report": option(
        typed.new_file(".html"), None, "write a page with pictures and explanations"
    ),
    "--maps": option(
        typed.folder, None, "write the map of each image larger than a tile as a picture: new"
    ),
    **program.OVERWRITE,
    "--case": option(
        typed.folder, None, "add a line on this run, with the hashes of all files, to case.jsonl"
    ),
    **rule_options(0.5),
    "--sheets": option(
        typed.count, SHEETS, "images that the report shows in full; its tables: all", advanced=True
    ),
    "--batch": option(
        typed.positive_int, 64, "images per step; changes only the speed", advanced=True
    ),
    **SEEING,
    **LOOKING,
    **POOL,
    **BULK,
}


def main(arguments: argparse.Namespace) -> int:
    """Examines the images that were asked for; returns the exit status."""
    try:
        return attribute(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        raise UserError(
            "the reader of the output went away before the end; --out and --report are only "
            "written when all of it was taken: let it go to a file or to /dev/null"
        ) from None


def attribute(arguments: argparse.Namespace) -> int:
    """As `main`, where nobody closes the output early."""
    if sharded.is_meant(arguments):
        return SOME_UNREADABLE if sharded.attribute(arguments).verdicts[None] else 0
    require_paths(arguments)
    path, flag = model_file(arguments.model)
    check_outputs(arguments, path)
    if arguments.case:
        case.check(arguments.case)
    with planned(arguments, path) as plan:
        require_no_input(arguments, plan)
        return attribute_files(arguments, plan, load(arguments, path, flag, plan.model))


def attribute_files(arguments: argparse.Namespace, plan: Plan, model: Model) -> int:
    """Examines the images of a plan with one list; returns the exit status."""
    print(head(model))
    page = page_of(arguments, plan, model)
    inputs: list[dict[str, object]] = []
    tally = Tally()

    def note(record: dict[str, Any]) -> None:
        nonlocal tally
        tally += Tally.of([record])
        if arguments.case:
            inputs.append(input_of(record))

    takers: list[Taker] = [lambda _, record: note(record)]
    pools = Pools(model.attributor) if arguments.pool == "folder" else None
    more = bool(pools or arguments.maps or page)
    if more and begun(plan.folder):
        raise UserError(
            "--resume: goes on with rows alone, as pictures and pools are of all images; leave "
            "--report, --maps and --pool out, or give --overwrite instead"
        )
    with (
        kept(plan.folder, arguments.out, more) as lines,
        maps.written(arguments.maps) as pictures,
    ):
        named = plan.inputs(0)
        if lines:
            for record in earlier(lines, named, arguments.out):
                note(record)
        if pictures:
            takers.append(pictures.add)
        if page:
            takers.append(page.add)
        if pools:
            takers.append(lambda one, _: pools.add(one))
        thumbnails = plan.number if pictures else page.sheets if page else 0
        done = lines.number if lines else 0
        examine(model, plan, examined(model, named, lines, thumbnails), takers, done)
        if pools:
            print(tell_pools(pools.rows(), model, lines, page))
        print(totals.said(tally, plan.left_out, model), flush=True)
    if arguments.out:
        print(f"results: {shown(arguments.out)}", flush=True)
    if arguments.maps:
        number = len(maps.files(arguments.maps)) - 1
        print(f"maps: {number} in {shown(arguments.maps)}, listed in {maps.LIST}")
    if arguments.report:
        write_report(arguments, plan, model, page, tally.verdicts)
    status = SOME_UNREADABLE if tally.verdicts[None] else 0
    if arguments.case:
        print(shown(add_to_case(arguments, model, inputs, status)))
    return status


def require_paths(arguments: argparse.Namespace) -> None:
    """UserError without anything to examine."""
    if not arguments.paths and not arguments.paths_from:
        raise UserError("PATH is missing; see gan-fingerprints attribute --help")


def check_outputs(arguments: argparse.Namespace, model: Path) -> None:
    """UserError unless --out, --report and --maps can be written; see `require_no_input`."""
    used = {os.path.realpath(model): str(model)}
    if arguments.case:
        log = [Path(arguments.case) / name for name in (case.LOG, case.END)]
        used |= {os.path.realpath(path): str(path) for path in log}
    for flag in ("out", "report"):
        file = getattr(arguments, flag)
        if file is None:
            continue
        if (other := used.get(os.path.realpath(file))) is not None:
            raise UserError(f"--{flag} {file}: would replace {other}; name another file")
        used[os.path.realpath(file)] = f"what --{flag} writes"
        program.new_file(file, f"--{flag}", arguments.overwrite)
    if arguments.maps:
        others = [x for x in (arguments.out, arguments.report, arguments.case) if x]
        maps.check(arguments.maps, arguments.map, others)
    if arguments.resume and not arguments.out:
        raise UserError("--resume: found no --out, expected the name that the killed run had")


def require_no_input(arguments: argparse.Namespace, plan: Plan) -> None:
    """UserError where an output would replace an image that is to be examined."""
    given = [(flag, getattr(arguments, flag)) for flag in ("out", "report")]
    existing = {_identity(file): (flag, file) for flag, file in given if file}
    existing.pop(None, None)
    for one in plan.inputs(0) if existing else ():
        if found := existing.get(_identity(one.name)):
            raise UserError(f"--{found[0]} {found[1]}: would replace {one.name}; name another file")


def _identity(file: str) -> tuple[int, int] | None:
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


def page_of(arguments: argparse.Namespace, plan: Plan, model: Model) -> ExaminationPage | None:
    """The page of --report, unless there are so many images that it will only have totals."""
    if not arguments.report or plan.number > totals.MOST_SHOWN:
        return None
    return ExaminationPage(model, arguments.sheets)


def head(model: Model) -> str:
    """What is examined with."""
    scale = model.calibration
    threshold = (
        "none in this file, so no image can be answered unknown"
        if scale is None
        else f"unknown below {scale.score} {scale.threshold:.6g}, "
        f"which rejects {scale.false_alarms:.1%} of the images of known sources"
    )
    lines = [
        f"model: {model.file} ({model.network}, {model.side}×{model.side} pixels)",
        f"SHA-256: {model.sha256}",
        f"sources: {', '.join(model.source_names)}",
        f"threshold: {threshold}",
    ]
    return "\n".join(map(shown, [*lines, *filter(None, [model.names_assumed])])) + "\n"


def examine(
    model: Model, plan: Plan, examined: Examinations, takers: Sequence[Taker], done: int
) -> None:
    """Prints a table of what is examined as it comes, and gives it to `takers`.

    done: images that an earlier process has examined.
    """
    widths = (
        min(WIDEST, plan.manifest["widest"]),
        max(map(len, [*map(worded, model.source_names), INCONCLUSIVE])),
    )
    bar = tqdm(total=plan.number, initial=done, unit="image", dynamic_ncols=True, disable=None)
    with bar, closing(examined):
        bar.write(table_row(widths, "path", "verdict", "probability", "reason"))
        for one, record in examined:
            bar.write(table_line(widths, one.row))
            for take in takers:
                take(one, record)
            bar.update()


def input_of(record: Mapping[str, Any]) -> dict[str, object]:
    """What the log of a case says of an image: what was hashed is what was decoded."""
    error = {"error": record["error"]} if record["error"] else {}
    return {**case.file_of(record["path"], record["sha256"]), **error}


def add_to_case(
    arguments: argparse.Namespace, model: Model, inputs: Sequence[dict[str, object]], status: int
) -> str:
    """Adds a line on this run, which has ended, to --case; what is said of it."""
    outputs = [path for path in (arguments.out, arguments.report) if path]
    outputs += maps.files(arguments.maps) if arguments.maps else []
    end = case.append(arguments.case, {
        "command": ["gan-fingerprints", *arguments.words],
        "status": status,
        "model": case.file_of(model.file, model.sha256),
        "inputs": inputs,
        "outputs": [case.file_of(path) for path in outputs],
    })  # fmt: skip
    log = Path(arguments.case) / case.LOG
    return f"case: {log}, line {end.lines} with SHA-256 {end.sha256}"


def write_report(
    arguments: argparse.Namespace, plan: Plan, model: Model, page: ExaminationPage | None,
    counts: Counter[str | None],
) -> None:  # fmt: skip
    """Writes --report, and says where it is."""
    how = examination.origin(
        model, shlex.join(["gan-fingerprints", *arguments.words]),
        paths_are_relative_to=os.getcwd(), most_tiles_of_an_image=arguments.tiles,
        other_files_left_out=listed(plan.left_out) or "none",
    )  # fmt: skip
    if page:
        page.page(how).write(arguments.report)
    else:
        files = [totals.File(arguments.out, counts)] if arguments.out else []
        totals.page(model, counts, files, arguments.report, how).write(arguments.report)
    print(f"report: {shown(arguments.report)}")
