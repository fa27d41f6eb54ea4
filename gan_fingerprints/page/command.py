"""`gan-fingerprints page`: a page in the browser, to drop images on."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import secrets
import socket
from typing import Any

from gan_fingerprints import typed
from gan_fingerprints.attribution.flags import LOOKING, SEEING, looks_of, rule_options, rules_of
from gan_fingerprints.examiner import loading
from gan_fingerprints.program import UserError, option

PORTS = typed.number(int, lambda x: 0 <= x < 65536, "a port from 0 to 65535", "N")
PACKAGES = ("starlette", "uvicorn")


DESCRIPTION = """\
Opens a page in the browser to drop images on: says of each where it comes from, with the evidence.

  gan-fingerprints page --model network-final.safetensors
  gan-fingerprints page --model one.safetensors other.safetensors --port 8000

Then open the address that it prints. Images are not sent anywhere else; they are kept until they
were examined, what was found until the page is left or this program ends (Ctrl-C). Others may use
the page with --host, who have to know the token in the address that is printed then."""
OPTIONS = {
    "--model": option(
        typed.several(typed.file), None, f"networks that training wrote (default: ${loading.MODEL})"
    ),
    "--demo": option(
        typed.folder, None, "testing images, a folder for each source, for a live demo of a visNet"
    ),
    "--port": option(PORTS, 8080, "of the address; 0: any that is free"),
    "--host": option(
        typed.text.of("ADDRESS"),
        "127.0.0.1",
        "where to listen; other than this machine's own, a token is demanded",
    ),
    "--host_names": option(
        typed.names, None, "further names by which the page is asked for", advanced=True
    ),
    **rule_options(0.5),
    "--batch": option(
        typed.positive_int, 16, "views per step; changes only the speed", advanced=True
    ),
    **SEEING,
    **LOOKING,
}


def main(arguments: argparse.Namespace) -> int:
    """Serves the page until it is interrupted; returns the exit status."""
    models = loading.model_files(arguments.model or ())
    try:
        import uvicorn

        from gan_fingerprints.page.application import application
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise UserError(
            f"the page needs the package {error.name}: pip install {' '.join(PACKAGES)}"
        ) from None
    listening = listen(arguments.host, arguments.port)
    how = {"batch": arguments.batch, "rules": rules_of(arguments), "testing": arguments.demo}
    app = application(models, **entrance_of(arguments), **how, **looks_of(arguments))
    logging.basicConfig(format="%(message)s")
    # What is asked for has names of images in it: nothing of it is logged.
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="error", access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=1, limit_concurrency=512, h11_max_incomplete_event_size=2**14,
            http="h11", ws="none",
        )
    )  # fmt: skip
    sessions = app.state.sessions

    def stop() -> None:
        server.should_exit = True

    sessions.desk.failed = stop
    print(f"page: {address_of(listening, app, arguments.host)}", flush=True)
    print("stop it with Ctrl-C", flush=True)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        sessions.close()
    if sessions.desk.error:
        raise sessions.desk.error
    print(f"{sessions.desk.examined} images examined, {sessions.opened} sessions", flush=True)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; UserError where that cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(found[4][:2], family=found[0], backlog=512)
    except OSError as error:
        flag = "--host" if isinstance(error, socket.gaierror) else "--port"
        given = host if flag == "--host" else port
        raise UserError(
            f"{flag} {given}: cannot listen on {host}, port {port} ({error.strerror}); "
            "name another one"
        ) from None


def entrance_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Who may use the page: on this machine all, from elsewhere who knows the token."""
    from gan_fingerprints.page.guard import LOCAL

    names = [x.lower() for x in arguments.host_names or []]
    if _is_local(arguments.host):
        return {"hosts": [*LOCAL, *names]}
    token = secrets.token_urlsafe(32)
    own = [arguments.host.lower(), socket.gethostname().lower()]
    return {"hosts": [*LOCAL, *own, *names], "addresses": True, "token": token}


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address_of(listening: socket.socket, app: Any, host: str) -> str:
    """What to open."""
    port = listening.getsockname()[1]
    token = app.user_middleware[0].kwargs["entrance"].token
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
