"""`gan-fingerprints page` as it is started, stopped, and started in the wrong way."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from gan_fingerprints import __main__
from gan_fingerprints.page import command
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT
from tests.result_lines import VALIDATOR, fields


def started(*words, folder):
    """The program, and the address that it printed; its temporary files are in the folder."""
    program = subprocess.Popen(
        [sys.executable, "-m", "gan_fingerprints", "page", "--port", "0", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    line = program.stdout.readline()
    assert line.startswith("page: http://"), program.stderr.read()
    return program, line.removeprefix("page: ").strip()


def asked(address, content, **headers):
    request = urllib.request.Request(address, content, headers, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_it_answers_fifty_at_once_and_leaves_nothing(networks, pictures, tmp_path):
    program, address = started("--model", networks.classifier.path, folder=tmp_path)
    content = (pictures / "fits.png").read_bytes()
    where = f"{address}api/attribute?name=secret.png"
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: asked(where, content), range(50)))
    for answer in answers:
        VALIDATOR.validate(answer)
        assert set(answer) <= fields("image")
        assert answer["path"] == "secret.png"
    assert len({answer["verdict"] for answer in answers}) == 1
    (folder,) = tmp_path.glob(".gan-fingerprints-partial-*")
    assert [x.name for x in folder.iterdir()] == [".lock"]
    program.send_signal(signal.SIGINT)
    output, errors = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "50 images examined, 0 sessions" in output
    assert "secret" not in output + errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_elsewhere_a_token_is_demanded(networks, pictures, tmp_path):
    words = ["--host", "0.0.0.0", "--model", networks.classifier.path]
    program, address = started(*words, folder=tmp_path)
    port, token = re.fullmatch(r"http://[^:]+:(\d+)/\?token=(\S{43})", address).groups()
    where = f"http://127.0.0.1:{port}/api/attribute?name=a.png"
    content = (pictures / "fits.png").read_bytes()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        asked(where, content)
    bearer = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/session", b"", bearer)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["models"][0]["name"] == networks.classifier.path.name
    program.terminate()  # also while the model is being read
    assert program.wait(60) == 0


@pytest.mark.slow
def test_a_file_that_is_no_model_ends_it(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no network")
    (tmp_path / "temporary").mkdir()
    words = ["--model", tmp_path / "bad.safetensors"]
    program, _ = started(*words, folder=tmp_path / "temporary")
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 2
    assert errors.splitlines()[-1].startswith(f"error: --model {tmp_path}/bad.safetensors: ")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_mistakes_are_said_at_once(networks, tmp_path, monkeypatch):
    monkeypatch.delenv("GAN_FINGERPRINTS_MODEL", raising=False)
    model = ["--model", str(networks.classifier.path)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        mistakes = {
            (): "--model is missing",
            ("--model", str(tmp_path / "none")): "found nothing, expected a file",
            (*model, "--port", port): f"--port {port}: cannot listen on 127.0.0.1",
            (*model, "--port", "70000"): "expected a port from 0 to 65535",
            (*model, "--host", "no.such.host.invalid"): "--host no.such.host.invalid: cannot",
            (*model, "--port", "0", "--demo", str(tmp_path)): "--demo",
        }
        for words, said in mistakes.items():
            with pytest.raises(UserError, match=re.escape(said)):
                __main__.run(["page", *words])


def test_missing_packages_are_named(networks, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match="pip install starlette uvicorn"):
        __main__.run(["page", "--model", str(networks.classifier.path)])


def test_which_addresses_are_local():
    assert [command._is_local(x) for x in ("127.0.0.1", "::1", "localhost", "127.5.5.5")] == [
        True, True, True, True
    ]  # fmt: skip
    assert not any(map(command._is_local, ("0.0.0.0", "::", "192.0.2.1", "a.example")))
