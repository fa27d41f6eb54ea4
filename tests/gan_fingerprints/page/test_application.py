"""Images are sent to the page and answered as `attribute` answers them; sessions are apart."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from gan_fingerprints import __main__
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.examiner import case_command, examination
from gan_fingerprints.examiner.examination import Model
from tests.gan_fingerprints.page.conftest import BATCH, events_of, rows_of

BAD = ("cut.jpg", "text called.png")


def records_of(network, pictures):
    """The lines of `attribute`, by the names of the images."""
    model = Model.load(network.path, "--model", batch=BATCH)
    paths = find([pictures], "PATH").paths
    return {
        one.row.path.name: examination.record(one, model)
        for one in examination.examine(model, paths)
    }


@pytest.fixture(scope="module")
def expected(networks, pictures):
    return [records_of(network, pictures) for network in (networks.classifier, networks.visnet)]


def close(record):
    """Sums are rounded by their place in a batch on some processors: by up to 5e-7."""
    if isinstance(record, dict):
        return {name: close(value) for name, value in record.items()}
    return pytest.approx(record, abs=5e-6) if isinstance(record, float) else record


def send(client, path: Path, **query):
    params = {"name": path.name, **query}
    return client.post("api/images", params=params, content=path.read_bytes())


def sent(client, pictures, **query):
    for path in find([pictures], "PATH").paths:
        folder = path.parent.relative_to(pictures.parent).as_posix()
        assert send(client, path, folder=folder, **query).status_code == 202
    return rows_of(client)


@pytest.mark.parametrize("number", [0, 1])
def test_the_answer_is_the_line_of_attribute(browser, pictures, expected, number):
    client = browser()
    for name, record in expected[number].items():
        path = next(pictures.rglob(name))
        answer = client.post(
            "api/attribute", params={"name": name, "model": number}, content=path.read_bytes()
        )
        assert answer.status_code == (422 if name in BAD else 200)
        found = answer.json()
        assert list(found) == list(record)
        assert found["path"] == name
        assert found == close({**record, "path": name})
    assert not rows_of(client)  # it is not of the session


def test_rows_have_the_words_of_the_report(browser, pictures, expected):
    client = browser()
    rows = sent(client, pictures)
    assert set(rows) == set(expected[0])
    for name, record in expected[0].items():
        row = rows[name]
        assert row["verdict"] == (record["verdict"] or "could not be read")
        assert row["reason"].lower() == f"{record['reason']}.".lower()
        assert row["folder"].startswith(pictures.name)
        assert row["pictured"] == (name not in BAD)


def test_a_visnet_shows_fingerprints_and_responses(browser, pictures):
    client = browser()
    send(client, pictures / "fits.png", model=1)
    (row,) = rows_of(client).values()
    sheet = client.get(f"api/images/{row['number']}").json()
    assert [x.partition(":")[0] for x in sheet["pictures"]] == [
        "the image", "as the model saw it, 16 pixels", "its fingerprint", "response to photographs",
        "response to ProGAN_seed_0", "response to ProGAN_seed_1",
    ]  # fmt: skip
    assert sheet["table"]["header"] == ["source", "probability", "correlation"]
    for place in range(6):
        picture = client.get(f"api/images/{row['number']}/{place}")
        with Image.open(io.BytesIO(picture.content)) as image:
            assert picture.headers["content-type"] == f"image/{image.format.lower()}"
    assert client.get(f"api/images/{row['number']}/6").status_code == 404


def test_the_stream_goes_on_where_it_was_and_a_reload_finds_all(browser, pictures):
    client = browser()
    send(client, pictures / "fits.png")
    first = events_of(client)
    assert first["progress"][-1] == {"waiting": 0, "answered": 1}
    assert first["models"][-1][0]["sources"][0] == "photographs"
    send(client, pictures / "grey.jpg")
    (rows,) = events_of(client, since=1)["images"]
    assert [row["name"] for row in rows] == ["grey.jpg"]
    assert client.post("api/session").status_code == 200  # as a reload asks
    assert set(rows_of(client)) == {"fits.png", "grey.jpg"}


def test_two_people_do_not_see_each_others_images(browser, pictures):
    one, other = browser(), browser()
    send(one, pictures / "fits.png")
    (row,) = rows_of(one).values()
    assert rows_of(other) == {}
    for address in ("", "/small", "/0"):
        assert one.get(f"api/images/{row['number']}{address}").status_code == 200
        assert other.get(f"api/images/{row['number']}{address}").status_code == 409
    assert other.get("api/results.jsonl").content == b""
    other.delete("api/images")
    assert len(rows_of(one)) == 1


def test_what_is_removed_is_gone(page, browser, pictures):
    client = browser()
    sent(client, pictures)
    folder = page.state.sessions.folder.path
    assert len(list(folder.iterdir())) > 10
    rows = rows_of(client)
    number = rows["fits.png"]["number"]
    client.delete(f"api/images/{number}")
    assert client.get(f"api/images/{number}").status_code == 409
    client.delete("api/images")
    assert rows_of(client) == {}
    client.delete("api/session")
    assert client.get("api/events").status_code == 404


def test_images_of_one_origin_have_one_verdict(browser, pictures, networks, tmp_path):
    client = browser()
    rows = sent(client, pictures)
    usable = [row["number"] for name, row in rows.items() if name not in BAD]
    answer = client.post("api/pool", json={"numbers": usable})
    assert answer.json()["images"] == len(usable) - 1  # small.bmp is too small
    lines = client.get("api/results.jsonl").text.splitlines()
    assert json.loads(lines[-1])["pool"] == f"{len(usable)} chosen images"
    assert client.post("api/pool", json={"numbers": usable[:1]}).status_code == 400
    assert client.post("api/pool", json={"numbers": [10**6, usable[0]]}).status_code == 409


def test_lines_are_those_of_attribute(browser, pictures, expected):
    client = browser()
    sent(client, pictures)
    lines = client.get("api/results.jsonl")
    assert 'filename="results.jsonl"' in lines.headers["content-disposition"]
    for line in map(json.loads, lines.text.splitlines()):
        name = line["path"].rpartition("/")[2]
        assert line == close({**expected[0][name], "path": line["path"]})
        assert (pictures.parent / line["path"]).is_file()


def test_the_report_has_every_image(browser, pictures):
    client = browser()
    assert client.get("api/report.html").status_code == 409
    rows = sent(client, pictures)
    report = client.get("api/report.html").text
    assert f"The sources of {len(rows)} images" in report
    assert all(name in report for name in rows)
    assert report.count('class="one"') == len(rows) - len(BAD)


def test_the_case_file_verifies_beside_the_images(
    browser, pictures, tmp_path, monkeypatch, capsys
):  # fmt: skip
    client = browser()
    sent(client, pictures)
    content = client.get("api/case.zip").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    (tmp_path / pictures.name).symlink_to(pictures)
    monkeypatch.chdir(tmp_path)
    assert __main__.run(["case", "verify", "."]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    (tmp_path / "results.jsonl").write_text("")
    assert __main__.run(["case", "verify", "."]) == case_command.DIFFERENCES


def test_it_can_be_mounted_elsewhere(page, pictures):
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    client = TestClient(Starlette(routes=[Mount("/which", page)]), base_url="http://localhost")
    assert "<h1>" in client.get("/which/").text
    assert client.get("/which/static/main.js").status_code == 200
    cookie = client.post("/which/api/session").headers["set-cookie"]
    assert "Path=/which/;" in cookie
    content = (pictures / "fits.png").read_bytes()
    answer = client.post("/which/api/attribute?name=fits.png", content=content)
    assert answer.json()["verdict"]


def test_app_has_the_models_that_the_variable_names(networks, monkeypatch):
    from gan_fingerprints import page as package
    from gan_fingerprints.program import UserError

    monkeypatch.delenv("GAN_FINGERPRINTS_MODEL", raising=False)
    with pytest.raises(UserError, match=r"--model is missing: .* GAN_FINGERPRINTS_MODEL"):
        package.app  # noqa: B018
    named = f"{networks.classifier.path}:{networks.visnet.path}"
    monkeypatch.setenv("GAN_FINGERPRINTS_MODEL", named)
    assert len(package.app.state.sessions.desk.slots) == 2
    del package.__dict__["app"]
