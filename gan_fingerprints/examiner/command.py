"""`gan-fingerprints attribute`: says of images in question where they come from."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from tqdm import tqdm

from gan_fingerprints import program, typed
from gan_fingerprints.attribution.finding import Listing, find, listed
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.tables import POOL, SEEING, rule_options, rules_of, tiles_of
from gan_fingerprints.attribution.verdict import INCONCLUSIVE, Attribution
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.examination import UNREADABLE, Model, rounded
from gan_fingerprints.examiner.page import ExaminationPage
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown
from gan_fingerprints.version import versions

MODEL = "GAN_FINGERPRINTS_MODEL"
SOME_UNREADABLE = 3  # exit status
WIDEST = 60  # characters for paths; longer ones are shown whole, out of line


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
    "paths": option(typed.several(typed.path), REQUIRED, "an image, or a folder of images"),
    "--model": option(
        typed.file, None, f"a network that training wrote, or a published one (default: ${MODEL})"
    ),
    "--source_names": option(
        typed.names, None, "sources of a published network, in order, as its file lacks them"
    ),
    "--out": option(typed.file, None, "write a JSON line per image: .jsonl"),
    "--report": option(typed.file, None, "write a page with pictures and explanations: .html"),
    "--overwrite": option(typed.given, False, "replace the files of --out and --report"),
    **rule_options(0.5),
    "--sheets": option(typed.count, 50, "images that the report shows in full; its tables: all"),
    "--batch": option(typed.positive_int, 64, "images per step; changes only the speed"),
    **SEEING,
    **POOL,
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
    path, flag = model_file(arguments.model)
    listing = find(arguments.paths, "PATH")
    check_outputs(arguments, [path, *listing.paths])
    program.load_tensorflow()
    how = arguments.batch, rules_of(arguments), tiles_of(arguments)
    model = Model.load(path, flag, arguments.source_names, *how)
    print(head(model))
    page = ExaminationPage(model, arguments.sheets) if arguments.report else None
    with lines_file(arguments.out) as lines:
        pools = Pools(model.attributor) if arguments.pool == "folder" else None
        counts = examine(model, listing.paths, lines, page, pools)
        if pools:
            print(tell_pools(pools.rows(), model, lines, page))
        print(totals(counts, listing), flush=True)
    if arguments.out:
        print(f"results: {shown(arguments.out)}", flush=True)
    if page:
        page.page(origin(arguments, listing)).write(arguments.report)
        print(f"report: {shown(arguments.report)}")
    return SOME_UNREADABLE if counts[None] else 0


def model_file(given: str | None) -> tuple[Path, str]:
    """The network file, and the flag or variable that named it."""
    if given:
        return program.existing_file(given, "--model"), "--model"
    named = os.environ.get(MODEL)
    if not named:
        raise UserError(
            f"--model is missing: name a network file that a training run wrote "
            f"(network-final.safetensors) or a published one, or set the variable {MODEL} to it"
        )
    return program.existing_file(named, MODEL), MODEL


def check_outputs(arguments: argparse.Namespace, inputs: Sequence[Path]) -> None:
    """UserError unless --out and --report can be written without harm to any other file."""
    used = {os.path.realpath(path): str(path) for path in inputs}
    for flag in ("out", "report"):
        file = getattr(arguments, flag)
        if file is None:
            continue
        if (other := used.get(os.path.realpath(file))) is not None:
            raise UserError(f"--{flag} {file}: would replace {other}; name another file")
        used[os.path.realpath(file)] = f"what --{flag} writes"
        if os.path.isdir(file):
            raise UserError(f"--{flag} {file}: found a folder, expected a file")
        if os.path.lexists(file) and not arguments.overwrite:
            raise UserError(
                f"--{flag} {file}: already exists; name a new one, or add --overwrite to replace it"
            )
        program.check_writable(Path(file), f"--{flag}")


@contextmanager
def lines_file(path: str | None) -> Iterator[IO[bytes] | None]:
    """The file of --out, which appears when all is in it; None where it was not asked for."""
    if path is None:
        yield None
        return
    with program.whole_file(path) as partial, open(partial, "wb") as file:
        yield file


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
    model: Model, paths: Sequence[Path], lines: IO[bytes] | None, page: ExaminationPage | None,
    pools: Pools | None = None,
) -> Counter[str | None]:  # fmt: skip
    """Examines images, prints a table and writes as it goes; returns how often which verdict."""
    counts: Counter[str | None] = Counter()
    widths = (
        min(WIDEST, max(len(shown(path)) for path in paths)),
        max(map(len, [*model.source_names, INCONCLUSIVE])),
    )
    thumbnails = page.sheets if page else 0
    with (
        tqdm(total=len(paths), unit="image", dynamic_ncols=True, disable=None) as bar,
        closing(examination.examine(model, paths, thumbnails)) as examined,
    ):
        bar.write(table_row(widths, "path", "verdict", "probability", "reason"))
        for one in examined:
            counts[one.row.predicted] += 1
            record = examination.record(one, model)
            bar.write(table_line(widths, one.row))
            if lines:
                lines.write(examination.json_line(record))
            if page:
                page.add(one, record)
            if pools:
                pools.add(one)
            bar.update()
    return counts


def tell_pools(
    rows: Sequence[Attribution], model: Model, lines: IO[bytes] | None, page: ExaminationPage | None
) -> str:
    """The table of folders as text; writes their lines, and gives them to the page."""
    for row in rows:
        if lines:
            lines.write(examination.json_line(examination.record_of_pool(row, model)))
    if page:
        page.pools = [*rows]
    widths = max(len(shown(row.path)) for row in rows), max(len(str(row.predicted)) for row in rows)
    table = [table_row(widths, "folder", "verdict", "probability", "reason")]
    for row in rows:
        probability = str(rounded(row.probability)) if row.named else "–"
        table.append(table_row(widths, row.path, str(row.predicted), probability, row.reason))
    return "\n" + "\n".join(table)


def table_line(widths: tuple[int, int], row: Attribution) -> str:
    """An image's row of the table: a probability where a source is named, else the reason."""
    if row.named:
        return table_row(widths, row.path, str(row.predicted), str(rounded(row.probability)), "")
    return table_row(widths, row.path, row.predicted or UNREADABLE, "–", row.reason)


def table_row(
    widths: tuple[int, int], path: object, verdict: str, probability: str, reason: str
) -> str:
    """A line of the table."""
    row = f"{shown(path):<{widths[0]}}  {verdict:<{widths[1]}}  {probability:>11}  {reason}"
    return shown(row.rstrip())


def totals(counts: Counter[str | None], listing: Listing) -> str:
    """How many images there were, of each verdict, and what was left out."""
    verdicts = [f"{count} {name}" for name, count in counts.most_common() if name is not None]
    total = sum(counts.values())
    lines = ["", f"{total} file{'s' if total != 1 else ''}: {', '.join(verdicts) or 'none named'}"]
    if counts[None]:
        lines.append(f"{counts[None]} could not be read; their rows say why")
    if listing.left_out:
        lines.append(f"other files left out: {listed(listing.left_out)}")
    return "\n".join(map(shown, lines))


def origin(arguments: argparse.Namespace, listing: Listing) -> dict[str, object]:
    """What the report says about its own making."""
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "program": examination.PROGRAM,
        **versions(),
        "command": shlex.join(["gan-fingerprints", *arguments.words]),
        "paths are relative to": os.getcwd(),
        "least probability of a named source": arguments.least_probability,
        "least share of the network's side": arguments.least_size,
        "most times the network's side": arguments.most_size,
        "most tiles of an image": arguments.tiles,
        "other files left out": listed(listing.left_out) or "none",
    }
