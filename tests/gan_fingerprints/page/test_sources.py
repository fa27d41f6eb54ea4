"""Sources are enrolled and audited on the page as by the commands, and the demo shows cases."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from gan_fingerprints import images
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find_testing_images, in_turns
from gan_fingerprints.data.auditing import findings_of
from gan_fingerprints.networks import files
from gan_fingerprints.page.application import application
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.attribution.test_enroll import (  # noqa: F401
    enroll,
    enrolled,
    model,
)
from tests.gan_fingerprints.conftest import NAMES, SIDE
from tests.gan_fingerprints.page.conftest import events_of, rows_of

HOST = "http://127.0.0.1:8080"


def bring(client, folder):
    """The numbers of all images in a folder's subfolders, after they were sent."""
    numbers = []
    for path in sorted(folder.rglob("*.*")):
        params = {"name": path.name, "folder": path.parent.relative_to(folder.parent).as_posix()}
        answer = client.post("api/sources", params=params, content=path.read_bytes())
        assert answer.status_code == 202
        numbers.append(answer.json()["number"])
    return numbers


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two sources of the same noise: PNG, two of them copies, and JPEG."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    for name, ending in (("camera", "png"), ("gan", "jpg")):
        (folder / name).mkdir()
        for i in range(30):
            noise = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
            noise.save(folder / name / f"{name} {i:02d}.{ending}")
    first = (folder / "camera" / "camera 00.png").read_bytes()
    (folder / "camera" / "camera 01.png").write_bytes(first)
    return folder


def test_the_audit_is_that_of_the_command(browser, two):
    client = browser()
    answer = client.post("api/audit", json={"numbers": bring(client, two)}).json()
    paths = {x.name: sorted(x.iterdir()) for x in sorted(two.iterdir())}
    expected = findings_of(paths)
    found = client.get(answer["file"])
    assert "audit.json" in found.headers["content-disposition"]
    assert found.json() == json.loads(json.dumps(expected))
    assert answer["warnings"] == expected["warnings"]
    assert any("file format" in x for x in answer["warnings"])
    assert any("camera/camera 00.png" in x for x in answer["warnings"])
    head, tested = answer["tables"]
    assert [row[:2] for row in head["rows"]] == [["camera", "30"], ["gan", "30"]]
    assert tested["rows"][0][:2] == ["file format", "100.0 %"]


def test_what_cannot_be_audited(page, browser, two):
    client = browser()
    numbers = bring(client, two / "gan")
    answer = client.post("api/audit", json={"numbers": numbers})
    assert (answer.status_code, "found 1 folders" in answer.text) == (400, True)
    answer = client.post("api/audit", json={"numbers": numbers})  # they are gone
    assert (answer.status_code, "drop them again" in answer.text) == (409, True)
    content = (two / "gan" / "gan 00.jpg").read_bytes()
    loose = client.post("api/sources?name=x.jpg", content=content).json()["number"]
    answer = client.post("api/audit", json={"numbers": [loose]})
    assert (answer.status_code, "in no folder" in answer.text) == (400, True)
    other = browser()
    numbers = bring(client, two / "gan")
    assert other.post("api/audit", json={"numbers": numbers}).status_code == 409
    for numbers in (None, "1", [True], [{}]):
        assert client.post("api/audit", json={"numbers": numbers}).status_code == 400


def test_enrolment_says_what_it_lacks(browser, two):
    client = browser()
    numbers = bring(client, two / "gan")
    answer = client.post("api/enrol", json={"name": "new", "numbers": numbers[:4]})
    assert (answer.status_code, "found 4 images, expected 5 to" in answer.text) == (400, True)
    for name, said in (("", "expected 1 to 100"), (NAMES[0], "has such a source"),
                       ("new", "train one with --enrollable 1")):  # fmt: skip
        numbers = bring(client, two / "gan")
        answer = client.post("api/enrol", json={"name": name, "numbers": numbers})
        assert answer.status_code in (400, 409)
        assert said in answer.json()["error"]
        assert "--name" not in answer.json()["error"]


@pytest.mark.slow
def test_a_source_is_enrolled_as_by_the_command(model, enrolled, tmp_path):  # noqa: F811
    out, _ = enrolled
    app = application([out], batch=8)
    client = TestClient(app, base_url=HOST)
    client.post("api/session")
    numbers = bring(client, model / "new")
    answer = client.post("api/enrol", json={"name": "new", "numbers": numbers})
    assert (answer.status_code, "has such a source" in answer.text) == (400, True)
    # What another name is enrolled with is what the command enrolled.
    numbers = bring(client, model / "new")
    (twin,) = bring(client, model / "new")[:1]
    answer = client.post("api/enrol", json={"name": "again", "numbers": [*numbers, twin]}).json()
    assert answer["said"][0] == "left out: new/000.png: the same file as another one"
    assert "again: enrolled from 20 images" in answer["said"][2]
    assert answer["name"] == "with with again.safetensors"
    file = tmp_path / "kept.safetensors"
    file.write_bytes(client.get(answer["file"]).content)
    kept = files.read(file, "--model")[-1].enrolment
    assert [x.name for x in kept.newcomers] == ["new", "again"]
    assert kept.newcomers[0].sha256 == kept.newcomers[1].sha256
    np.testing.assert_allclose(kept.newcomers[1].places, kept.newcomers[0].places, atol=1e-5)
    # It can be chosen at once, by whoever made it.
    content = (model / "new" / "000.png").read_bytes()
    client.post("api/images?name=a.png&model=1", content=content)
    assert events_of(client)["models"][-1][1]["sources"] == ["a", "b", "c", "new", "again"]
    assert rows_of(client)["a.png"]["model"] == 1
    other = TestClient(app, base_url=HOST)
    other.post("api/session")
    assert other.post("api/images?name=a.png&model=1", content=content).status_code == 400
    app.state.sessions.close()


@pytest.fixture(scope="module")
def testing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testing")
    noise = np.random.default_rng(1).integers(0, 256, (3, 5, SIDE, SIDE, 3), np.uint8)
    for name, of_source in zip(NAMES, noise, strict=True):
        for i, pixels in enumerate(of_source):
            (folder / name).mkdir(exist_ok=True)
            images.write_png(folder / name / f"{i}.png", pixels)
    (folder / NAMES[0] / "bad.png").write_text("no image")
    return folder


def test_the_demo_shows_what_the_visnet_answers(networks, testing):
    app = application([networks.classifier.path, networks.visnet.path], testing=testing, batch=4)
    client = TestClient(app, base_url=HOST)
    while (answer := client.get("api/demo")).status_code == 503:
        assert "models are being read" in answer.text
    told = answer.json()
    assert (told["cases"], told["sources"], told["seconds"]) == (16, NAMES, 5)
    paths, truth = in_turns(*find_testing_images(testing), None)
    assert truth[:4] == [*sorted(NAMES), min(NAMES)]
    loaded = files.load(networks.visnet.path, files.constructors(), "--model")
    attributor = Attributor.of(loaded, 4, fingerprints=True)
    logits = []
    for i, (one, name) in enumerate(zip(attributor.examine(paths), truth, strict=True)):
        case = client.get(f"api/demo/{i}").json()
        if one.row.error:
            assert case["error"] == one.row.error
            continue
        logits.append(one.logits)
        predicted = one.row.most_probable
        assert (case["predicted"], case["truth"]) == (predicted, name)
        assert case["right"] == (predicted == name)
        assert {NAMES[x] for x in case["barred"]} == {predicted, name}
        assert case["responses"] == pytest.approx(one.logits.tolist(), abs=1e-4)
        shown = client.get(f"api/demo/{i}/1").content
        expected = fingerprint_pictures.of_image(one.fingerprint)
        found = np.asarray(Image.open(io.BytesIO(shown))).astype(int)
        assert np.abs(found - expected).max() <= 1
    low, high = np.min(logits), np.max(logits)
    assert told["ends"] == pytest.approx([min(low, 0), max(high, 0)], abs=1e-4)
    assert client.get("api/demo/16").status_code == 404
    assert client.get("api/demo/0/5").status_code == 404
    assert client.get("api/demo/sources/2").headers["content-type"] == "image/png"
    assert client.get("api/demo/sources/3").status_code == 404
    app.state.sessions.close()


def test_the_demo_needs_a_visnet_and_images(networks, testing, browser, tmp_path):
    assert browser().get("api/demo").status_code == 404
    app = application([networks.classifier.path], testing=testing)
    client = TestClient(app, base_url=HOST)
    while (answer := client.get("api/demo")).status_code == 503:
        pass
    assert re.search("needs a visNet", answer.json()["error"])
    app.state.sessions.close()
    with pytest.raises(UserError, match="--demo"):
        application([networks.classifier.path], testing=tmp_path)
