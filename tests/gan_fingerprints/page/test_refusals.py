"""What is refused, with a clear answer and nothing left on the disk."""

import gzip
import io
import logging
import socket
import struct
import threading
import time
import zipfile
import zlib

import pytest
from PIL import Image
from starlette.testclient import TestClient

from gan_fingerprints.page import guard, inbox, sessions
from gan_fingerprints.page.application import application
from gan_fingerprints.page.desk import Job, Queue, Slot, Task
from gan_fingerprints.page.refusing import Refused
from tests.gan_fingerprints.page.conftest import rows_of

HOST = "http://127.0.0.1:8080"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def picture():
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, "PNG")
    return file.getvalue()


def huge_png(side=20_000):
    """20,000 × 20,000 pixels in 50 KB."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zip_bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(50_000_000))
    return file.getvalue()


@pytest.fixture
def left(page):
    """The files that uploads left on the disk: none at the end of each test."""
    folder = page.state.sessions.folder.path
    before = {path.name for path in folder.iterdir()}
    yield
    assert {path.name for path in folder.iterdir()} <= before


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"host": "evil.example"}, 421, "the Host evil.example is not one"),
        ({"host": "127.0.0.1.evil.example:8080"}, 421, "is not one"),
        ({"host": "localhost@evil.example"}, 421, "is not one"),
        ({"host": ""}, 421, "is not one"),
        ({"origin": "http://evil.example"}, 403, "the page http://evil.example may not"),
        ({"origin": "null"}, 403, "the page null may not"),
        ({"origin": "http://127.0.0.1:9090"}, 403, "may not"),
        ({"origin": "file://127.0.0.1:8080"}, 403, "may not"),
        ({"sec-fetch-site": "cross-site"}, 403, "another page"),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}, 403, "another page"),
    ],
)
def test_foreign_pages_and_hosts_are_refused(page, left, headers, status, said):
    client = TestClient(page, base_url=HOST)
    answer = client.post("api/attribute?name=a.png", content=picture(), headers=headers)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert client.get("api/events", headers=headers).status_code == status


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080"])
def test_own_names_are_let_in(page, host):
    client = TestClient(page, base_url=HOST)
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert client.post("api/session", headers=headers).status_code == 200


def test_others_may_link_to_the_page_and_to_nothing_else(page):
    client = TestClient(page, base_url=HOST)
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/api/results.jsonl", headers=headers).status_code == 403


def test_without_the_token_nothing_is_answered(networks):
    app = application([networks.classifier.path], hosts=["here"], token="a word", addresses=True)
    client = TestClient(app, base_url="http://192.0.2.7:8080", follow_redirects=False)
    for path in ("/", "/static/main.js", "/api/results.jsonl", "/?token=another", "/?token="):
        answer = client.get(path)
        assert answer.status_code == 401
        assert "open the address that the program printed" in answer.json()["error"]
    assert client.post("/api/attribute?name=a", content=picture()).status_code == 401
    assert client.get("/", headers={"authorization": "Bearer another"}).status_code == 401
    assert client.get("/", headers={"authorization": "Bearer a word"}).status_code == 200
    evil = {"host": "evil.example"}
    assert client.get("/?token=a%20word", headers=evil).status_code == 421
    entered = client.get("/?token=a%20word")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert client.get("/").status_code == 200  # by the cookie
    assert client.get("/", headers=evil).status_code == 421


def test_every_answer_forbids_what_a_page_need_not_do(page):
    client = TestClient(page, base_url=HOST)
    for path in ("/", "/static/main.js", "/style.css", "/nothing", "/api/events"):
        headers = client.get(path).headers
        assert {name: headers[name] for name in guard.HEADERS} == guard.HEADERS
    policy = guard.HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    html = client.get("/").text
    assert "<script>" not in html
    assert "style=" not in html
    assert "http" not in html.replace("href=", "")


@pytest.mark.parametrize(
    "query",
    [
        {"name": "../../etc/passwd"}, {"name": "/etc/passwd"}, {"name": "a/b.png"},
        {"name": "a\\b.png"}, {"name": ".."}, {"name": ""}, {"name": "a\0b"}, {"name": "a" * 256},
        {"name": "a.png", "folder": "../x"}, {"name": "a.png", "folder": "/x"},
        {"name": "a.png", "folder": "x//y"}, {"name": "a.png", "folder": "x/./y"},
        {"name": "a.png", "folder": "x/" * 600},
    ],
)  # fmt: skip
def test_paths_in_names_are_refused(browser, left, query):
    answer = browser().post("api/images", params=query, content=picture())
    assert answer.status_code == 400
    assert "no file's name" in answer.text or "is none" in answer.text


@pytest.mark.parametrize("model", ["-1", "2", "x", "1" * 9])
def test_a_model_that_is_not_there(browser, left, model):
    params = {"name": "a.png", "model": model}
    answer = browser().post("api/attribute", params=params, content=picture())
    assert (answer.status_code, "expected 0 to 1" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zip_bomb(), "found something else than a PNG"),
        (SVG, "found something else than a PNG"),
        (gzip.compress(picture()), "found something else than a PNG"),
        (huge_png(), "found 20000x20000 pixels, expected at most 100 megapixels"),
        (picture()[:-20], "cannot be read as an image"),
        (b"\0", "found something else than a PNG"),
    ],
    ids=["zip bomb", "svg", "gzip", "huge png", "cut", "one byte"],
)
def test_what_is_no_usable_image_is_said_to_be_none(browser, left, content, reason):
    client = browser()
    answer = client.post("api/attribute?name=bad.png", content=content)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
    assert client.post("api/images?name=bad.png", content=content).status_code == 202
    row = rows_of(client)["bad.png"]
    assert (row["kind"], row["pictured"]) == ("unreadable", False)
    assert reason.lower() in row["reason"].lower()


def test_bodies_that_are_packed_or_empty(browser, left):
    client = browser()
    packed = {"content-encoding": "gzip"}
    content = gzip.compress(picture())
    answer = client.post("api/images?name=a.png", content=content, headers=packed)
    assert (answer.status_code, "packed" in answer.text) == (415, True)
    answer = client.post("api/images?name=a.png", content=b"")
    assert (answer.status_code, "nothing was sent" in answer.text) == (400, True)
    assert rows_of(client) == {}


@pytest.mark.slow
def test_too_large_bodies(browser, left, monkeypatch):
    client = browser()
    two_gigabytes = {"content-length": str(2 * 10**9)}
    answer = client.post("api/images?name=a.png", content=b"x", headers=two_gigabytes)
    assert (answer.status_code, "larger than 67,108,864 bytes" in answer.text) == (413, True)
    sent = 0

    def parts():  # without a length, as curl -T - sends it
        nonlocal sent
        while sent < 2 * 10**9:
            sent += 2**20
            yield bytes(2**20)

    monkeypatch.setattr(inbox.received, "__defaults__", (3 * 2**20, None))
    answer = client.post("api/images?name=a.png", content=parts())
    assert answer.status_code == 413
    assert rows_of(client) == {}
    answer = client.post("api/pool", content=b" " * (inbox.LARGEST_JSON + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 10**5, b"\xff"])
def test_json_that_is_none(browser, body):
    answer = browser().post("api/pool", content=body)
    assert (answer.status_code, "an object of JSON" in answer.text) == (400, True)


def test_more_than_there_is_room_for(browser, left, monkeypatch):
    client = browser()
    monkeypatch.setattr(sessions, "MOST_IMAGES", 1)
    assert client.post("api/images?name=a.png", content=picture()).status_code == 202
    answer = client.post("api/images?name=b.png", content=picture())
    assert (answer.status_code, "remove them all" in answer.text) == (409, True)
    rows_of(client)
    client.delete("api/images")
    monkeypatch.setattr(sessions, "MOST_BYTES", 0)
    answer = client.post("api/images?name=a.png", content=picture())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_sessions_end_and_are_not_more_than_some(networks, monkeypatch):
    app = application([networks.classifier.path])
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    some = app.state.sessions
    first, second = some.open(), some.open()
    with pytest.raises(Refused, match="too many people"):
        some.open()
    first.used -= sessions.FORGOTTEN + 1
    third = some.open()
    assert [some.find(x.key) for x in (first, second, third)] == [None, second, third]
    assert some.find("") is None


def test_everybody_has_a_turn():
    queue, slots = Queue(), [Slot("a"), Slot("b")]
    job = lambda slot, name: Job(slots[slot], None, 0, name, None)  # noqa: E731
    for i in range(5):
        queue.put("many", job(0, f"many{i}"))
    queue.put("one", job(0, "one"))
    queue.put("other", job(1, "other"))
    queue.put("task", Task(None))
    names = [" ".join(getattr(x, "name", "task") for x in queue.take(3)) for _ in range(4)]
    assert names == ["many0 one many1", "other", "task", "many2 many3 many4"]
    queue.put("many", job(0, "x"))
    assert [x.name for x in queue.drop("many")] == ["x"]
    threading.Timer(0.1, queue.close).start()
    assert queue.take(3) == []


def test_the_folder_is_private_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox.tempfile, "tempdir", str(tmp_path))
    folder, other = inbox.PrivateFolder(), inbox.PrivateFolder()
    folder.new().write_bytes(b"x")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.path != other.path  # which swept, and left this one
    killed = tmp_path / f"{inbox.disk.PARTIAL}killed"
    killed.mkdir()
    (killed / inbox.disk.LOCK).touch()
    (killed / "00000001").write_bytes(b"of a process that was killed")
    third = inbox.PrivateFolder()
    assert third.path.is_dir()
    for one in (folder, other, third):
        one.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_is_logged_without_what_it_was_about(browser, left, monkeypatch, caplog):
    client = browser()

    def broken(*_, **__):
        raise RuntimeError("secret.png")

    monkeypatch.setattr("gan_fingerprints.page.desk.evidence.read", broken)
    monkeypatch.setattr("gan_fingerprints.page.serving.showing.sheet", broken)
    with caplog.at_level(logging.DEBUG):
        client.post("api/images?name=secret.png", content=picture())
        (row,) = rows_of(client).values()
        assert row["reason"] == "This program failed on it."
        answer = client.get(f"api/images/{row['number']}")
    assert (answer.status_code, "please report it" in answer.text) == (500, True)
    assert "RuntimeError at" in caplog.text
    assert "secret" not in "".join(x.getMessage() for x in caplog.records if x.name != "httpx2")


def test_one_that_fails_does_not_take_others_along(browser, left, monkeypatch):
    from gan_fingerprints.page import desk

    made = desk.exhibit_of

    def exhibit_of(one, record, *rest):
        if record["path"] == "bad.png" and not record["error"]:
            raise RuntimeError
        return made(one, record, *rest)

    monkeypatch.setattr(desk, "exhibit_of", exhibit_of)
    client = browser()
    names = ["a.png", "bad.png", *"bcdef"]
    for name in names:
        client.post("api/images", params={"name": name}, content=picture())
    rows = rows_of(client)
    assert list(rows) == names
    assert [name for name, row in rows.items() if row["kind"] == "unreadable"] == ["bad.png"]
    client.delete("api/images")


def test_where_no_model_can_be_read_nothing_waits_for_it(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no network")
    app = application([tmp_path / "bad.safetensors"])
    client = TestClient(app, base_url=HOST)
    client.post("api/session")
    told = client.get("api/events").text
    assert "event: failed" in told
    assert "bad.safetensors" in told
    answer = client.post("api/attribute?name=a.png", content=picture())
    assert (answer.status_code, "bad.safetensors" in answer.text) == (503, True)
    app.state.sessions.close()


def test_a_request_that_does_not_go_on(page, left, monkeypatch):
    """Over a real connection: a body of which only the first bytes come."""
    import uvicorn

    monkeypatch.setattr(inbox, "PATIENCE", 0.3)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(page, log_level="error", access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    with socket.create_connection(listening.getsockname()) as client:
        port = listening.getsockname()[1]
        client.sendall(
            f"POST /api/attribute?name=a HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Length: 1000\r\n\r\nfew".encode()
        )
        client.settimeout(20)
        assert client.recv(1000).startswith(b"HTTP/1.1 408")
    server.should_exit = True
    thread.join(10)
    time.sleep(0.1)
