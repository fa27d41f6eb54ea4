"""What is not done: one exception, and the answer that it becomes."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gan_fingerprints.program import UserError
from gan_fingerprints.shown import shown

LOG = logging.getLogger("gan_fingerprints.page")


class Refused(Exception):
    """What is asked for is not done: an HTTP status, and a sentence that says what to do."""

    def __init__(self, status: int, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry = status, retry


def answer(error: Exception) -> Response:
    """The response to a request that raised this: {"error": …}."""
    if isinstance(error, Refused):
        later = {"Retry-After": str(error.retry)} if error.retry else {}
        return JSONResponse({"error": shown(error)}, error.status, later)
    if isinstance(error, UserError):
        return JSONResponse({"error": shown(" ".join(str(error).split()))}, 400)
    # Of what somebody dropped nothing may get into a log: neither names nor messages.
    trace, where = error.__traceback__, "nowhere"
    while trace is not None:
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    LOG.error("a mistake of this program: %s at %s", type(error).__name__, where)
    said = "this program made a mistake, which its log names; please report it"
    return JSONResponse({"error": said}, 500)


async def answered(request: Request, error: Exception) -> Response:
    """As `answer`, as Starlette calls it."""
    return answer(error)
