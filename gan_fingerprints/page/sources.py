"""Images of known sources: enrolled in a model, or audited for what tells their files apart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gan_fingerprints.attribution import enroll
from gan_fingerprints.data.audit import report
from gan_fingerprints.data.auditing import findings_of
from gan_fingerprints.examiner.examination import json_line
from gan_fingerprints.networks import files
from gan_fingerprints.networks.stored_enrolment import FEWEST, MOST
from gan_fingerprints.page import serving
from gan_fingerprints.page.desk import Desk, Slot, Task
from gan_fingerprints.page.inbox import asked, name_of, received
from gan_fingerprints.page.refusing import Refused
from gan_fingerprints.page.sessions import Brought, Session
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import SOURCE_NAMES, is_source_name, shown

MOST_OWN = 5  # models that a session may make
FLAG = re.compile(r"^--\w+(?: [^:]*)?: ")

Result = TypeVar("Result")


async def bring(request: Request) -> Response:
    """Keeps the image that is the body until it is enrolled or audited; its number."""
    sessions, session = serving.sessions_of(request), serving.session_of(request)
    name = name_of(request)
    session.brings(0)
    file = sessions.folder.new()
    size = await received(request, file, more=session.brings)
    session.brought[int(file.name)] = Brought(file, name, size)
    return JSONResponse({"number": int(file.name)}, 202)


async def enrol(request: Request) -> Response:
    """Adds a source to a model of the images {"numbers": […]}; the model is one to choose then."""
    session, values = serving.session_of(request), await asked(request)
    desk, name = serving.sessions_of(request).desk, str(values.get("name", "")).strip()
    slot = serving.slot_of(request, serving.slots_of(request))
    taken = _taken(session, values)
    try:
        if len(session.own) >= MOST_OWN:
            raise Refused(409, f"{MOST_OWN} sources were enrolled: load the page anew to go on")
        if not FEWEST <= len(taken) <= MOST:
            raise Refused(
                400, f"found {len(taken)} images, expected {FEWEST} to {MOST:,} of the new source"
            )
        out = session.folder.new().with_suffix(".safetensors")
        added, said = await _by_desk(desk, lambda: _enrolled(desk, slot, name, taken, out))
    except UserError as error:
        raise Refused(400, FLAG.sub("", str(error))) from None
    finally:
        _forget(session, taken)
    session.own.append(added)
    session.kept[out.name] = out, added.name
    return JSONResponse({"said": said, "file": f"api/kept/{out.name}", "name": added.name})


def _enrolled(
    desk: Desk, slot: Slot, name: str, taken: Sequence[Brought], out: Path
) -> tuple[Slot, list[str]]:
    """The new model, and what is to be expected of it; what `enroll` does, from these images."""
    stored = files.read(slot.file, "--model", files.NAMING)[-1]
    loaded = files.attributing(slot.file, "--model", None, desk.batch)
    known, kept = loaded.source_names or [], loaded.enrolment
    enroll.require_name(name, known, kept)
    if kept is None:
        raise Refused(
            409,
            "this model does not keep what it takes of its training images: train one with "
            "--enrollable 1, or enrol with gan-fingerprints enroll --training_data_dir",
        )
    attributor = enroll.without_newcomers(loaded, kept, desk.batch)
    said: list[str] = []
    paths = [one.file for one in taken]
    newcomer = enroll.read_newcomer(name, paths, attributor, said.append)
    kept = kept.with_newcomer(newcomer, enroll.MOST_LOST, attributor.temperature)
    enroll.write(out, stored, known, kept)
    names = {str(one.file): one.name for one in taken}
    said = [re.sub(r"\S+/\d{8}\b", lambda x: shown(names.get(x[0], x[0])), line) for line in said]
    said += enroll.describe(kept, attributor.temperature)
    called = f"{Path(slot.name).stem} with {name}.safetensors"
    return Slot(out, replace(desk.load(out), file=called), called), list(map(shown, said))


async def audit(request: Request) -> Response:
    """What tells the folders of the images {"numbers": […]} apart, one folder for each source."""
    session, values = serving.session_of(request), await asked(request)
    taken = _taken(session, values)
    try:
        sources: dict[str, list[Path]] = {}
        for one in sorted(taken, key=lambda one: one.name):
            sources.setdefault(one.name.parent.name, []).append(one.file)
        _require_sources(sources)
        names = {str(one.file): one.name.name for one in taken}
        async with serving.sessions_of(request).auditing:  # one at a time
            found = await run_in_threadpool(
                findings_of, sources, skip_bad=True, names=names
            )  # fmt: skip
    except ValueError as error:  # none that can be used of a source
        raise Refused(400, f"the audit cannot be made of these images ({error})") from None
    finally:
        _forget(session, taken)
    out = session.folder.new()
    out.write_bytes(json_line(found))
    session.kept[out.name] = out, "audit.json"
    return JSONResponse({**_told(found), "file": f"api/kept/{out.name}"})


def _require_sources(sources: dict[str, list[Path]]) -> None:
    """Refused unless there are two, with names that sources may have."""
    for name in sources:
        if not is_source_name(name):
            said = f"the folder {name[:100]!r} cannot be a source's name" if name else (
                "some images are in no folder"
            )  # fmt: skip
            raise Refused(400, f"{said}: drop one folder for each source; {SOURCE_NAMES}")
    if len(sources) < 2:
        raise Refused(400, f"found {len(sources)} folders, expected one for each of two sources")


def _told(found: dict[str, Any]) -> dict[str, Any]:
    """The findings as the page shows them: tables and sentences."""
    first: dict[str, str] = next(iter(found["sources"].values()), {})
    tables = [{
        "title": "The images of each source",
        "header": ["source", *first],
        "rows": [[shown(name), *cells.values()] for name, cells in found["sources"].items()],
    }]  # fmt: skip
    if tested := found["separability"]:
        tables.append({
            "title": "Naming the source of held-out images from one property alone",
            "header": ["property", "accuracy", "95 % interval", "chance"],
            "rows": [
                [one["property"], f"{100 * one['accuracy']:.1f} %",
                 f"{100 * one['low']:.1f}–{100 * one['high']:.1f}", f"{100 * one['chance']:.1f} %"]
                for one in tested
            ],
        })  # fmt: skip
    return {
        "warnings": list(map(shown, found["warnings"])),
        "tables": tables,
        "text": report.text(found, warnings=False),
    }


async def kept(request: Request) -> Response:
    """A file that was made in the session."""
    found = serving.session_of(request).kept.get(request.path_params["key"])
    if found is None:
        raise Refused(404, "nothing is here: the session may have ended")
    path, name = found
    return serving.file_of(path.read_bytes(), name, "application/octet-stream")


def _taken(session: Session, values: dict[str, Any]) -> list[Brought]:
    """The images that a request names."""
    numbers = values.get("numbers")
    if not isinstance(numbers, list) or any(type(x) is not int for x in numbers):
        raise Refused(400, "numbers: expected a list of those that images were given")
    if any(x not in session.brought for x in numbers):
        raise Refused(409, "one of these images is not there any more: drop them again")
    return [session.brought[x] for x in dict.fromkeys(numbers)]


def _forget(session: Session, taken: Sequence[Brought]) -> None:
    for one in taken:
        session.brought.pop(int(one.file.name), None)
        with suppress(OSError):
            one.file.unlink()


async def _by_desk(desk: Desk, work: Callable[[], Result]) -> Result:
    """What `work` returns or raises in the thread of the desk, after what waits there."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        try:
            loop.call_soon_threadsafe(answer.set_result, work())
        except Exception as error:
            loop.call_soon_threadsafe(answer.set_exception, error)

    desk.queue.put(answer, Task(run))
    return await answer
