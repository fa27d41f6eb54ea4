"""What the page shows and takes along of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.pooling import Pools
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.evidence import Specimen
from gan_fingerprints.page import downloads, showing
from gan_fingerprints.page.desk import Slot
from gan_fingerprints.page.guard import cookie_of
from gan_fingerprints.page.inbox import LARGEST, asked
from gan_fingerprints.page.refusing import Refused
from gan_fingerprints.page.sessions import Held, Session, Sessions
from gan_fingerprints.pictures.page_style import STYLE

FOLDER = Path(__file__).parent / "static"
STATIC = StaticFiles(directory=FOLDER)
SESSION = "session"


def sessions_of(request: Request) -> Sessions:
    """Those of the application; its models begin to be read."""
    sessions: Sessions = request.app.state.sessions
    sessions.desk.start()
    return sessions


def session_of(request: Request) -> Session:
    """The session of the browser; Refused without one."""
    key = request.cookies.get(cookie_of(SESSION, request.scope), "")
    session = sessions_of(request).find(key)
    if session is None:
        raise Refused(404, "this session has ended: load the page again")
    return session


def slots_of(request: Request) -> list[Slot]:
    """The models that the session may choose from."""
    return [*sessions_of(request).desk.slots, *session_of(request).own]


def slot_of(request: Request, slots: Sequence[Slot]) -> Slot:
    """The model that ?model= chooses, by its number from 0 on."""
    given = request.query_params.get("model", "0")
    if not given.isdecimal() or len(given) > 4 or int(given) >= len(slots):
        raise Refused(400, f"model: found {given[:20]!r}, expected 0 to {len(slots) - 1}")
    return slots[int(given)]


def held_of(request: Request) -> Held:
    """The image that the address names; Refused where it is not there or not answered."""
    return downloads.chosen(session_of(request), [request.path_params["number"]])[0]


async def index(request: Request) -> Response:
    """The page itself, which holds no data."""
    if not request.url.path.endswith("/"):  # mounted: what it loads is named relative to it
        raise Refused(404, "nothing is here: the address ends with /")
    return FileResponse(FOLDER / "index.html", media_type="text/html")


async def style(request: Request) -> Response:
    """The look of the report, and what the page has beyond it."""
    own = (FOLDER / "page.css").read_text(encoding="utf-8")
    return Response(STYLE + own, media_type="text/css")


async def session(request: Request) -> Response:
    """The session of the browser, a new one where it has none: models, pools, and its place."""
    sessions = sessions_of(request)
    name = cookie_of(SESSION, request.scope)
    found = sessions.find(request.cookies.get(name, "")) or sessions.open()
    slots = [*sessions.desk.slots, *found.own]
    response = JSONResponse({
        "models": [showing.slot(slot) for slot in slots],
        "demo": request.app.state.demo is not None,
        "largest": LARGEST,
        "pools": [showing.pool(*one) for one in found.pools],
    })  # fmt: skip
    path, secure = request.scope.get("root_path", "") + "/", request.url.scheme == "https"
    response.set_cookie(name, found.key, path=path, httponly=True, samesite="strict", secure=secure)
    return response


async def end(request: Request) -> Response:
    """Ends the session: all that was in it is gone."""
    sessions_of(request).end(session_of(request))
    return JSONResponse({})


async def clear(request: Request) -> Response:
    """Removes all images of the session."""
    sessions_of(request).empty(session_of(request))
    return JSONResponse({})


async def remove(request: Request) -> Response:
    """Removes an image."""
    session_of(request).remove(request.path_params["number"])
    return JSONResponse({})


async def sheet(request: Request) -> Response:
    """All the evidence on an image."""
    return JSONResponse(showing.sheet(held_of(request)))


async def thumbnail(request: Request) -> Response:
    """A small picture of an image."""
    found = held_of(request).found
    if not found or not found.exhibit.thumbnail:
        raise Refused(404, "of this image there is no picture")
    return Response(found.exhibit.thumbnail, media_type="image/jpeg")


async def picture(request: Request) -> Response:
    """One of the pictures that `sheet` lists, by its place."""
    pictures, place = held_of(request).pictures, request.path_params["place"]
    if place >= len(pictures):
        raise Refused(404, "of this image there is no such picture")
    content = pictures[place][0].read_bytes()
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
    return Response(content, media_type=kind)


async def pool(request: Request) -> Response:
    """One verdict on the images of {"numbers": […]}, which are said to be of one origin."""
    values, here = await asked(request), session_of(request)
    numbers = values.get("numbers")
    held = downloads.chosen(here, numbers if isinstance(numbers, list) else [])
    if len(held) < 2:
        raise Refused(400, "expected two images or more: choose them first")
    slots = {one.slot for one in held}
    if len(slots) > 1:
        raise Refused(409, "these were asked of different models: choose images of one of them")
    slot = slots.pop()
    row = _pooled(held, slot)
    here.pools.append((row, slot))
    return JSONResponse(showing.pool(row, slot))


def _pooled(images: Sequence[Held], slot: Slot) -> Attribution:
    assert slot.model
    pools = Pools(slot.model.attributor)
    folders = {held.name.parent for held in images}
    folder = folders.pop() if len(folders) == 1 else None
    called = Path(folder) if folder and folder.parts else Path(f"{len(images)} chosen images")
    for held in images:
        assert held.found
        row = replace(held.found.row, path=called / held.name.name)
        pools.add(Examined(Specimen(row.path), row, held.found.logits))
    return pools.rows()[0]


async def schema(request: Request) -> Response:
    """What the answers of `attribute` look like."""
    file = Path(examination.__file__).with_name("result.schema.json")
    return FileResponse(file, media_type="application/schema+json")


async def lines(request: Request) -> Response:
    """All results, a line of JSON each."""
    content = downloads.lines(session_of(request))
    return file_of(content, downloads.LINES, "application/x-ndjson")


async def report(request: Request) -> Response:
    """The report on the images of a model."""
    slot = slot_of(request, slots_of(request))
    content = await run_in_threadpool(downloads.report, session_of(request), slot)
    return file_of(content, downloads.REPORT, "text/html; charset=utf-8")


async def case_file(request: Request) -> Response:
    """The report with results and a log of hashes."""
    slot = slot_of(request, slots_of(request))
    content = await run_in_threadpool(downloads.case_file, session_of(request), slot)
    return file_of(content, "case.zip", "application/zip")


def file_of(content: bytes, name: str, kind: str) -> Response:
    """A file to keep, under a name that may have any letters."""
    named = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name, safe='')}"
    headers = {"Content-Disposition": f"attachment; {named}"}
    return Response(content, headers=headers, media_type=kind)
