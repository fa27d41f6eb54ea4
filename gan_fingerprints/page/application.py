"""The page as an ASGI application: its addresses, and what they answer."""

from __future__ import annotations

import atexit
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from gan_fingerprints import program
from gan_fingerprints.attribution.verdict import RULES, Rules
from gan_fingerprints.examiner import loading
from gan_fingerprints.page import asking, demo, serving, sources
from gan_fingerprints.page.desk import BATCH, Desk
from gan_fingerprints.page.guard import LOCAL, Entrance, Guard
from gan_fingerprints.page.refusing import Refused, answered
from gan_fingerprints.page.sessions import Sessions
from gan_fingerprints.program import UserError


def application(
    models: Sequence[str | Path], hosts: Collection[str] = LOCAL, token: str | None = None,
    addresses: bool = False, batch: int = BATCH, rules: Rules = RULES,
    testing: str | Path | None = None, **looks: Any,
) -> Starlette:  # fmt: skip
    """The page with these network files, as an ASGI application that can be mounted anywhere.

    Models are read in a thread, from the first request or the start of the server on; until then
    images wait. What is dropped lies in a private temporary folder until it was examined.

    Args:
        models: network files that name sources, in the order in which they are offered.
        hosts: names under which it may be asked for; of all others requests are refused.
        token: what has to be known to use it; None where all who reach it may.
        addresses: whether it may also be asked for by any IP address.
        testing: images for the demo, a folder for each source; it needs a visNet among the models.
        batch, rules, looks: see `Attributor.load`.

    Raises:
        UserError: no model, or one that is no file.
    """
    if not models:
        raise UserError("models: found none, expected a network file")
    files = [program.existing_file(file, "--model") for file in models]
    sessions = Sessions(Desk(files, batch, rules, looks))
    atexit.register(sessions.close)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sessions.desk.start()
        yield
        sessions.close()

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, entrance=Entrance(tuple(hosts), addresses, token))],
        exception_handlers={
            Refused: answered, UserError: answered, HTTPException: _not_found,
        },
        lifespan=lifespan,
    )  # fmt: skip
    app.state.sessions = sessions
    app.state.demo = demo.Demo(sessions.desk, testing) if testing else None
    return app


def of_environment() -> Starlette:
    """The page with the network files that the variable `loading.MODEL` names."""
    return application(loading.model_files())


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = {404: "nothing is here", 405: "this is not asked for in this way"}
    text = said.get(error.status_code, error.detail)
    return JSONResponse({"error": text}, error.status_code, error.headers)


def _routes() -> list[BaseRoute]:
    def route(path: str, endpoint: Callable, *methods: str) -> Route:
        return Route(path, endpoint, methods=methods or ("GET",))

    return [
        route("/", serving.index),
        route("/style.css", serving.style),
        Mount("/static", serving.STATIC),
        route("/api/attribute", asking.attribute, "POST"),
        route("/api/schema.json", serving.schema),
        route("/api/session", serving.session, "POST"),
        route("/api/session", serving.end, "DELETE"),
        route("/api/events", asking.events),
        route("/api/images", asking.add, "POST"),
        route("/api/images", serving.clear, "DELETE"),
        route("/api/images/{number:int}", serving.sheet),
        route("/api/images/{number:int}", serving.remove, "DELETE"),
        route("/api/images/{number:int}/small", serving.thumbnail),
        route("/api/images/{number:int}/{place:int}", serving.picture),
        route("/api/pool", serving.pool, "POST"),
        route("/api/sources", sources.bring, "POST"),
        route("/api/enrol", sources.enrol, "POST"),
        route("/api/audit", sources.audit, "POST"),
        route("/api/kept/{key}", sources.kept),
        route("/api/demo", demo.first),
        route("/api/demo/sources/{number:int}", demo.model),
        route("/api/demo/{case:int}", demo.case),
        route("/api/demo/{case:int}/{place:int}", demo.picture),
        route("/api/results.jsonl", serving.lines),
        route("/api/report.html", serving.report),
        route("/api/case.zip", serving.case_file),
    ]
