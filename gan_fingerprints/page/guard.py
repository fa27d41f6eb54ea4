"""Who may ask: the right host, no foreign page, a token where one is demanded.

A page of somebody else that is open in the same browser can send requests here, and can give this
machine a name of its own (DNS rebinding). So the Host that is asked for must be one of ours, and
where a browser says which page asks (Origin, Sec-Fetch-Site), that must be ours too.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_fingerprints.page.refusing import Refused, answer

LOCAL = ("127.0.0.1", "localhost", "::1")
TOKEN = "token"
HEADERS = {
    # Only files of ours are run or shown, and pictures that the browser itself was given.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Entrance:
    """Who is let in.

    Attributes:
        hosts: names and addresses under which the page may be asked for.
        addresses: whether any address, which is no name, is as good.
        token: what has to be known; None where all who reach the page may use it.
    """

    hosts: Collection[str] = LOCAL
    addresses: bool = False
    token: str | None = field(default=None, repr=False)

    def check(self, scope: Scope) -> None:
        """Refused unless the request may be answered."""
        headers = Headers(scope=scope)
        host = self.host(headers)
        _require_own_page(scope, headers, host)
        if self.token and not self._knows(scope, headers):
            raise Refused(
                401,
                "the token is missing or wrong: open the address that the program printed, with "
                "its ?token=, or send it as Authorization: Bearer TOKEN",
            )

    def host(self, headers: Headers) -> str:
        """The host that is asked for; Refused unless it is one of ours."""
        given = headers.getlist("host")
        name = _name_of(given[0]) if len(given) == 1 else None
        if name is None or not (name in self.hosts or (self.addresses and _is_address(name))):
            raise Refused(
                421,
                f"the Host {given[0][:100] if given else '(none)'} is not one that this page is "
                f"asked for by: {', '.join(sorted(self.hosts))}; --host_names adds one",
            )
        return given[0].lower()

    def _knows(self, scope: Scope, headers: Headers) -> bool:
        kind, _, word = headers.get("authorization", "").partition(" ")
        given = [word.strip()] if kind.lower() == "bearer" else []
        given.append(Request(scope).cookies.get(cookie_of(TOKEN, scope), ""))
        return any(self.fits(x) for x in given)

    def fits(self, word: str) -> bool:
        """Whether a word is the token."""
        return bool(self.token) and secrets.compare_digest(
            word.encode("utf-8", "replace"), str(self.token).encode()
        )


def cookie_of(kind: str, scope: Scope) -> str:
    """The name of a cookie: other ports of a machine share its cookies, and may have such pages."""
    port = Headers(scope=scope).get("host", "").rpartition(":")[2]
    return f"gan_fingerprints_{kind}_{port if port.isdecimal() else 'web'}"


def _name_of(host: str) -> str | None:
    """The name or address without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018  ValueError where it is no number
    except ValueError:
        return None
    plain = not (parts.username or parts.password or parts.path or parts.query or parts.fragment)
    return parts.hostname if plain else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _require_own_page(scope: Scope, headers: Headers, host: str) -> None:
    """Refused where a browser says that a page of somebody else asks."""
    for origin in headers.getlist("origin"):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != host:
            raise Refused(
                403, f"the page {origin[:100]} may not use this one: open this one by itself"
            )
    site = headers.get("sec-fetch-site", "none")
    opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("none", "same-origin") and not (opened and _is_entry(scope)):
        raise Refused(403, f"a request from another page ({site[:20]}): open this one by itself")


def _is_entry(scope: Scope) -> bool:
    """Whether it is the page itself that is asked for, to which others may link."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path in ("", "/")


class Guard:
    """An ASGI application with an entrance; what comes out has `HEADERS`."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self.app, self.entrance = app, entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            app: Any = self._entered(scope) or self.app
            if app is self.app:
                self.entrance.check(scope)
        except Refused as refused:
            app = answer(refused)
        try:
            await app(scope, receive, guarded)
        except Exception as error:  # further out it would be logged with all that it says
            if not started:
                await answer(error)(scope, receive, guarded)

    def _entered(self, scope: Scope) -> Response | None:
        """For whoever comes with the token in the address: a cookie, and the address without."""
        if not self.entrance.token or scope["method"] != "GET" or not _is_entry(scope):
            return None
        request = Request(scope)
        if not self.entrance.fits(request.query_params.get("token", "")):
            return None
        self.entrance.host(request.headers)
        root = scope.get("root_path", "") + "/"
        response = RedirectResponse(root, 303)
        secure = request.url.scheme == "https"
        word = str(self.entrance.token)
        response.set_cookie(
            cookie_of(TOKEN, request.scope),
            word,
            path=root,
            httponly=True,
            samesite="lax",
            secure=secure,
        )  # Lax, as the link to the page may come by mail
        return response
