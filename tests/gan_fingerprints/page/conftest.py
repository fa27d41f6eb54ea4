"""The page with the tiny networks, asked in this process."""

import json

import pytest
from starlette.testclient import TestClient

from gan_fingerprints.page.application import application

BATCH = 4


def events_of(client, since=0):
    """What the stream says until it ends: name of each event → what came with it, in order."""
    text = client.get("api/events", params={"since": since}).text
    found = {}
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.setdefault(fields["event"], []).append(json.loads(fields["data"]))
    return found


def rows_of(client):
    """What was found of each image of the session, by name."""
    rows = [row for part in events_of(client).get("images", []) for row in part]
    return {row["name"]: row for row in rows}


@pytest.fixture(scope="session")
def page(networks):
    """The application with both networks; it is not started by a server, but by being asked."""
    app = application([networks.classifier.path, networks.visnet.path], batch=BATCH)
    yield app
    app.state.sessions.close()


@pytest.fixture
def browser(page):
    """`browser()`: a client with a session of its own."""

    def opened():
        client = TestClient(page, base_url="http://127.0.0.1:8080", follow_redirects=False)
        assert client.post("api/session").status_code == 200
        return client

    return opened
