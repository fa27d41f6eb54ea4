"""Images are sent, and answered: one at a time for programs, as a stream for the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gan_fingerprints.examiner import examination
from gan_fingerprints.page import serving, showing
from gan_fingerprints.page.desk import Found, Job
from gan_fingerprints.page.inbox import name_of, received
from gan_fingerprints.page.refusing import Refused
from gan_fingerprints.page.sessions import Session, Sessions

LONGEST = 600.0  # seconds that a program waits for an answer
PULSE = 15.0  # seconds after which a stream says that it is alive
AT_ONCE = 25  # images in a message of a stream


async def attribute(request: Request) -> Response:
    """The line of JSON that `attribute` writes on the image that is the body; nothing is kept.

    ?name=: how it is called; &model=: the number of the model, from 0 on. What is no image is
    answered with status 422, and a line that says so.
    """
    sessions = serving.sessions_of(request)
    name, slot = name_of(request), serving.slot_of(request, sessions.desk.slots)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()

    def tell(found: Found) -> None:
        if not answer.done():  # it may have been waited for too long
            answer.set_result(found)

    def done(found: Found) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found)

    sessions.room()
    file = sessions.folder.new()
    size = await received(request, file)
    sessions.examine(answer, Job(slot, file, size, name, done))
    try:
        async with asyncio.timeout(LONGEST):
            found = await answer
    except TimeoutError:
        raise Refused(503, "there was no answer in time: try again later", 60) from None
    line = examination.json_line(found.exhibit.record)
    status = 422 if found.exhibit.record["error"] else 200
    return Response(line, status, media_type="application/json")


async def add(request: Request) -> Response:
    """Adds the image that is the body to the session; its number, and `events` has the rest."""
    sessions, session = serving.sessions_of(request), serving.session_of(request)
    name, slot = name_of(request), serving.slot_of(request, serving.slots_of(request))
    sessions.room()
    held = session.new(name, slot)
    file = sessions.folder.new()
    try:
        size = await received(request, file)
    except BaseException:
        session.remove(held.number)
        raise
    done = lambda found: session.keep(held, found)  # noqa: E731
    sessions.examine(session, Job(slot, file, size, name, done))
    return JSONResponse({"number": held.number}, 202)


async def events(request: Request) -> Response:
    """What was found since `?since=`, as server-sent events, until nothing waits any more.

    `progress` says how many images wait and how many were answered, `images` has rows, `models`
    which were read. The id of an event is what to ask for next time.
    """
    sessions, session = serving.sessions_of(request), serving.session_of(request)
    given = request.headers.get("last-event-id") or request.query_params.get("since", "0")
    place = int(given) if given.isdecimal() and len(given) < 10 else 0
    kind = "text/event-stream"
    return StreamingResponse(_stream(sessions, session, place), media_type=kind)


async def _stream(sessions: Sessions, session: Session, place: int) -> AsyncIterator[str]:
    slots = [*sessions.desk.slots, *session.own]
    ready: list[bool] = []
    with session.listener() as listener:
        while True:
            place, found, waiting = session.since(place)
            now = [slot.model is not None for slot in slots]
            if now != ready:
                ready = now
                yield _event("models", [showing.slot(slot) for slot in slots], place)
            for start in range(0, len(found), AT_ONCE):
                rows = [showing.image(held, slots) for held in found[start : start + AT_ONCE]]
                yield _event("images", rows, place)
            told = {"waiting": waiting, "answered": len(session.images) - waiting}
            yield _event("progress", told, place)
            if sessions.desk.error:
                yield _event("failed", {"error": str(sessions.desk.error)}, place)
            if (all(ready) and not waiting) or sessions.desk.error:
                yield _event("done", told, place)
                return
            await listener.wait(PULSE)


def _event(kind: str, values: Any, place: int) -> str:
    return f"id: {place}\nevent: {kind}\ndata: {json.dumps(values)}\n\n"
