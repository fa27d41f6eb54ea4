"""What can be taken along: JSON lines, the report, and a case file."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gan_fingerprints import disk
from gan_fingerprints.examiner import case, examination
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.examiner.page import SHEETS, ExaminationPage
from gan_fingerprints.page import showing
from gan_fingerprints.page.desk import Slot
from gan_fingerprints.page.refusing import Refused
from gan_fingerprints.page.sessions import Held, Session

COMMAND = ["gan-fingerprints", "page"]
LINES, REPORT = "results.jsonl", "report.html"
READ_ME = f"""\
{case.LOG} has a line on these results, with the SHA-256 of every image, of the model, of {LINES}
and of {REPORT}. Unpack this beside the images, with the folders that they were dropped in, go
there, and compare all of them with their hashes:

    gan-fingerprints case verify .

What is not there is said to be missing: the images, where they lie elsewhere, and the model, on
another machine.
"""


def lines(session: Session) -> bytes:
    """A line for each image and then for each pool, as `attribute` writes them."""
    records = [showing.record(held) for held in session.done()]
    records += [showing.pool_record(row, slot) for row, slot in session.pools]
    return b"".join(map(examination.json_line, records))


def of_model(session: Session, slot: Slot) -> tuple[Model, list[Held]]:
    """A model, and the images that it was asked about; Refused where there are none."""
    held = [one for one in session.done() if one.slot is slot]
    if not slot.model or not held:
        raise Refused(409, "this model was asked about no image yet: drop some first")
    return slot.model, held


def report(session: Session, slot: Slot) -> bytes:
    """The report that `attribute` would write on the images of one model."""
    model, images = of_model(session, slot)
    page = ExaminationPage(model, SHEETS)
    for i, held in enumerate(images):
        assert held.found
        shown = held.pictures if i < SHEETS else ()
        pictures = tuple((path.read_bytes(), caption) for path, caption in shown)
        page.put(replace(held.found.exhibit, pictures=pictures))
    page.pools = [row for row, of in session.pools if of is slot]
    how = examination.origin(
        model, f"{' '.join(COMMAND)}, where the images were dropped",
        names_of_images="as the browser gave them",
    )  # fmt: skip
    return page.page(how).html().encode("utf-8", "backslashreplace")


def case_file(session: Session, slot: Slot) -> bytes:
    """A ZIP of results, report, and the log that names their hashes; `case verify` reads it."""
    model, images = of_model(session, slot)
    records = [showing.record(held) for held in images]
    outputs = {
        LINES: b"".join(map(examination.json_line, records)),
        REPORT: report(session, slot),
    }
    with tempfile.TemporaryDirectory(dir=session.folder.path) as name:
        folder = Path(name)
        for file, content in outputs.items():
            (folder / file).write_bytes(content)
        case.append(name, {
            "folder": ".", "command": COMMAND, "status": 3 * any(x["error"] for x in records),
            "model": case.file_of(Path(model.file).absolute(), model.sha256),
            "inputs": [_input(one) for one in records],
            "outputs": [{"path": x, "sha256": disk.digest(folder / x)} for x in outputs],
        })  # fmt: skip
        logs = {file: (folder / file).read_bytes() for file in (case.LOG, case.END)}
    return _zipped({"README.txt": READ_ME.encode(), **outputs, **logs})


def _input(record: dict) -> dict[str, object]:
    error = {"error": record["error"]} if record["error"] else {}
    return {**case.file_of(record["path"], record["sha256"]), **error}


def _zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def chosen(session: Session, numbers: Sequence[object]) -> list[Held]:
    """Those images of a session; Refused where one is not there or not answered."""
    done = {held.number: held for held in session.done()}
    if any(type(x) is not int or x not in done for x in numbers):
        raise Refused(409, "one of these images is not there, or not answered yet")
    return [done[x] for x in numbers if type(x) is int]
