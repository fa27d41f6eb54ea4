"""Reproduces the tables of the study, by the commands that a user would type."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import hashlib
import os
from typing import Any

from experiments import report, results, scale, steps, study
from experiments.plan import DATA, KINDS, Plan
from gan_fingerprints import program, typed
from gan_fingerprints.images import list_images
from gan_fingerprints.program import REQUIRED, UserError, option

DESCRIPTION = """\
Reproduces a table of the study, or all of them, by the commands that a user would type.

  python3 experiments/run.py seeds --scale small --data faces/ --out study/
  python3 experiments/run.py all --scale mini --out study/

Every command is run once: those whose result is there and whose inputs are unchanged are skipped,
also after an interruption, and a training that was stopped goes on where it was. --scale says how
large: mini, on photographs that come with the dependencies, takes about half an hour on two CPU
cores; small, 32 pixels, an hour and a half; paper, the publication's, weeks of a GPU. The numbers
are in experiments/scales. OUT/report.html shows the results, OUT/TABLE has them as JSON, CSV,
Markdown and figures, OUT/logs what the commands printed."""


OPTIONS = {
    "table": option(typed.one_of(*study.TABLES, "all"), REQUIRED, "what to reproduce"),
    "--scale": option(
        typed.text.of("SCALE"), REQUIRED, f"{', '.join(scale.names())}, or a file like theirs"
    ),
    "--data": option(
        typed.folder,
        None,
        "folder of photos, at least as many as the scale needs (default: crops of photographs "
        "that come with the dependencies, which are too few for small and paper)",
    ),
    "--data_kind": option(
        typed.one_of(*KINDS),
        "images",
        "images: of any size, centre squares are used; celeba: the aligned photographs, cropped as "
        "published; lsun: its database",
    ),
    "--out": option(typed.folder, REQUIRED, "where everything goes"),
    "--jobs": option(
        typed.positive_int, None, "steps at the same time, each on its cores (default: the scale's)"
    ),
    "--inception_weights": option(typed.file, None, "of InceptionV3, .h5, to measure distances"),
    "--dry_run": option(typed.given, False, "print the commands that would be run, and run none"),
}


def checksum_of(folder: Path) -> str:
    """SHA-256 of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(x for x in folder.rglob("*") if x.is_file()):
        digest.update(f"{file.relative_to(folder)}\n".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def check_data(
    data: str | None, needed: int, scale: str, kind: str = "images"
) -> tuple[str | None, str]:
    """How the photos are read, and their checksum; UserError when there are not enough.

    data: what --data says; kind: one of KINDS.
    """
    if data is None:
        if scale in ("small", "paper"):
            raise UserError(f"--data is missing: --scale {scale} needs a folder of photos")
        return None, ""
    folder = program.existing_folder(data, "--data")
    if kind != "lsun" and (found := len(list_images(folder, "--data"))) < needed:
        raise UserError(
            f"--data {folder}: found {found} images, expected {needed} or more for the scale "
            f"{scale}; add some, or give experiments/run.py a copy of the scale's file with fewer "
            "photos"
        )
    return kind, checksum_of(folder)


def facts_of(data: str | None, number: int, checksum: str) -> dict[str, Any]:
    """What results say of the photos."""
    folder = Path(data).name if data else "photographs of the packages"
    return {"folder": folder, "images": number, "checksum": checksum or None}


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    size = scale.read(arguments.scale)
    given = arguments.data, size.photos_needed, arguments.scale, arguments.data_kind
    kind, checksum = check_data(*given)
    if arguments.inception_weights:
        program.existing_file(arguments.inception_weights, "--inception_weights")
    wanted = study.TABLES if arguments.table == "all" else [arguments.table]
    tables = []
    planned: dict[str, steps.Step] = {}
    for name in wanted:
        plan = Plan(size, kind, checksum, arguments.inception_weights)
        tables.append(study.plan(name, plan))
        planned |= plan.steps
    folder = steps.Folder(arguments.out, planned, {DATA: str(Path(arguments.data or "").resolve())})
    if arguments.dry_run:
        for name in folder.incomplete(planned):
            print(planned[name].shown())
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    facts = facts_of(arguments.data, size.photos_needed, checksum)
    made: dict[str, dict] = {}
    with steps.locked(folder.path, "--out"):
        before = set(planned).difference(folder.incomplete(planned))
        jobs = arguments.jobs or size.jobs
        for done in steps.run(folder, list(planned), jobs, size.name):
            for table in tables:
                if table.name not in made and done.issuperset(table.steps):
                    made[table.name] = results.of(table, folder, facts, size.name, before)
                    report.write(made[table.name], folder.path / table.name)
                    print(f"{table.title}: {folder.path / table.name / 'results.md'}")
        report.write_study(list(made.values()), folder.path)
    print(f"report: {folder.path / 'report.html'}")


if __name__ == "__main__":
    program.run(main)
