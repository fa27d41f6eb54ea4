"""The page as people use it, in Chromium where that is installed: `apt-get install chromium`."""

import base64
import json
import re
import urllib.parse
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.attribution.finding import find
from gan_fingerprints.page.application import application
from tests.gan_fingerprints.attribution.test_enroll import enroll, enrolled, model  # noqa: F401
from tests.gan_fingerprints.page.browsing import CHROMIUM, LONG_TASKS, READ, SIZES, served
from tests.gan_fingerprints.page.test_sources import testing, two  # noqa: F401

if CHROMIUM is None:
    pytest.skip("Chromium is not installed: the page was not tried in it", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="the page in Chromium: playwright")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

NASTY = "<img src=x onerror=alert(1)> & “quotes”.png"


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(networks, testing):  # noqa: F811
    app = application(
        [networks.classifier.path, networks.visnet.path], batch=4, testing=testing
    )  # fmt: skip
    with served(app) as url:
        yield url
    app.state.sessions.close()


@pytest.fixture
def opened(chromium, address):
    """`opened()`: the page in a browser of somebody; what goes wrong in it fails the test."""
    contexts, wrong = [], []

    def open_(view="images", size="wide", scheme="light", url=address, **how):
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme,
            accept_downloads=True, **how,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda x: x.url.startswith((url, "blob:")) or wrong.append(x.url))
        page.on("console", lambda x: "Content Security" in x.text and wrong.append(x.text))
        page.goto(f"{url}#{view}")
        expect(page.locator("#model option").first).to_be_attached()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def drop(page, paths, before="() => {}"):
    """before: what is begun when the files are at hand, as making them takes long."""
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    transfer = page.evaluate_handle(READ, files)
    page.evaluate(before)
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def images_of(pictures):
    return find([pictures], "PATH").paths


def answered(page, pictures):
    """The page after all pictures were dropped and answered."""
    paths = images_of(pictures)
    drop(page, paths)
    expect(page.locator("#progress")).to_have_text(f"{len(paths)} of {len(paths)} answered")
    expect(page.locator(".card")).to_have_count(len(paths))
    return page


def asked(address, path):
    name = urllib.parse.quote(path.name)
    request = urllib.request.Request(
        f"{address}api/attribute?name={name}", path.read_bytes(), method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def test_what_is_dropped_gets_the_verdicts_of_attribute(opened, address, pictures):
    page = answered(opened(), pictures)
    for path in images_of(pictures):
        record = asked(address, path)
        card = page.locator(".card", has=page.get_by_text(path.name, exact=True))
        verdict = record["verdict"] or "could not be read"
        assert card.locator("h3").text_content() == verdict
        reason = record["reason"]
        assert reason[:1].upper() + reason[1:] + "." in card.text_content()
    assert page.locator(".card.unreadable").count() == 2
    expect(page.locator("#bar")).to_be_hidden()


def test_what_is_pasted_is_examined(opened, pictures):
    page, (path, *_) = opened(), images_of(pictures)
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()]]
    transfer = page.evaluate_handle(READ, files)
    page.evaluate(
        "(x) => dispatchEvent(new ClipboardEvent('paste', {clipboardData: x, bubbles: true}))",
        transfer,
    )
    expect(page.locator(".card")).to_have_count(1)
    assert path.name in page.locator(".card").text_content()


def test_folders_in_folders_are_dropped_with_their_names(opened, pictures, tmp_path):
    """As the browser's own drop, which alone knows folders."""
    inner = tmp_path / "case" / "phone"
    inner.mkdir(parents=True)
    first, second = images_of(pictures)[:2]
    (inner / "in.png").write_bytes(first.read_bytes())
    (inner / ".hidden.png").write_bytes(first.read_bytes())
    (tmp_path / "case" / "out.png").write_bytes(second.read_bytes())
    page = opened()
    box = page.locator("#drop").bounding_box()
    at = {"x": box["x"] + 20, "y": box["y"] + 20}
    files = [str(tmp_path / "case")]
    data = {"items": [], "files": files, "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
    expect(page.locator(".card")).to_have_count(2)
    said = page.locator(".card").all_text_contents()
    assert sum("case/phone/in.png" in text for text in said) == 1
    assert sum("case/out.png" in text for text in said) == 1


@pytest.mark.slow
def test_a_reload_finds_everything_and_others_find_nothing(opened, pictures):
    page = answered(opened(), pictures)
    page.reload()
    expect(page.locator(".card")).to_have_count(8)
    other = opened()
    expect(other.locator("#results")).to_be_hidden()
    assert other.locator(".card").count() == 0
    page.click("#clear")
    expect(page.locator("#results")).to_be_hidden()
    page.reload()
    expect(page.locator("#model option").first).to_be_attached()
    assert page.locator(".card").count() == 0


def test_images_are_filtered_and_sorted(opened, pictures):
    page = answered(opened(), pictures)
    page.select_option("#by-verdict", "could not be read")
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator("#shown")).to_contain_text("2 of 2 that fit are shown; 8 answered in all")
    page.select_option("#by-verdict", "")
    page.select_option("#order", "1 -1")
    expect(page.locator(".card")).to_have_count(8)
    numbers = [int(x.get_attribute("data-number")) for x in page.locator(".card").all()]
    rows = page.evaluate("async () => (await fetch('api/results.jsonl')).text()").splitlines()
    by_number = dict(enumerate((json.loads(x)["probability"] for x in rows), 1))
    found = [by_number[x] or -1 for x in numbers]
    assert found == sorted(found, reverse=True)


def test_the_evidence_is_shown_enlarged_and_compared(opened, pictures):
    page = opened()
    page.select_option("#model", "1")
    paths = [pictures / "fits.png", pictures / "oblong.png"]
    page.set_input_files("#files", paths)
    expect(page.locator(".card")).to_have_count(2)
    page.locator(".card").first.get_by_text("Evidence").click()
    sheet = page.locator("#sheet")
    expect(sheet).to_be_visible()
    expect(sheet.locator("figure")).to_have_count(6)
    assert "response to ProGAN_seed_0" in sheet.text_content()
    assert sheet.locator("th[scope=col]").all_text_contents()[-1] == "correlation"
    for image in sheet.locator("img").all():
        assert image.evaluate("x => x.decode().then(() => x.naturalWidth)") >= 16
    sheet.locator("button.enlarge").first.click()
    enlarged = page.locator("#enlarged")
    expect(enlarged).to_be_visible()
    assert enlarged.get_attribute("src").startswith("blob:")  # of the file that was dropped
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.click("#choose")
    page.click("#compare")
    expect(page.locator("#evidence .evidence")).to_have_count(2)
    one, other = (x.bounding_box() for x in page.locator("#evidence .evidence").all())
    assert one["y"] == other["y"]
    assert one["x"] + one["width"] <= other["x"]
    page.click("#close")
    page.click("#pool")
    expect(page.locator("#pools h3")).to_have_text(re.compile("2 chosen images: "))


def test_results_are_downloaded(opened, pictures, tmp_path):
    page = answered(opened(), pictures)
    for link, name in (("Results", "results.jsonl"), ("Report", "report.html"),
                       ("Case file", "case.zip")):  # fmt: skip
        with page.expect_download() as started:
            page.get_by_role("link", name=link).click()
        assert started.value.suggested_filename == name
        started.value.save_as(tmp_path / name)
    assert len((tmp_path / "results.jsonl").read_text("utf-8").splitlines()) == 8
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        assert "case.jsonl" in archive.namelist()


def test_names_are_text_and_what_is_refused_is_said(opened, pictures, tmp_path):
    page = opened()
    nasty = tmp_path / NASTY
    nasty.write_bytes((pictures / "fits.png").read_bytes())
    (tmp_path / "script.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    empty = tmp_path / "empty.png"
    empty.touch()
    drop(page, [nasty, tmp_path / "script.svg", empty])
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator("#problem")).to_contain_text("empty.png: nothing was sent")
    assert page.locator(".card .small").first.text_content() == NASTY
    expect(page.locator("#progress")).to_have_text("2 of 2 answered; 1 refused")


def test_the_keyboard_is_enough(opened, pictures):
    page = answered(opened(), pictures)
    page.reload()
    expect(page.locator(".card")).to_have_count(8)

    def focused():
        return page.evaluate("document.activeElement.id || document.activeElement.textContent")

    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(focused())
        if page.evaluate("document.activeElement.matches('.card button')"):
            break
    assert seen[0] == "Skip to the content"
    for id_ in ("model", "files", "folder", "by-verdict", "order", "choose", "report", "clear"):
        assert id_ in seen
    opener = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    assert focused() == "sheet-title"
    title = page.locator("#sheet .path").text_content()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#sheet .path")).not_to_have_text(title)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#sheet .path")).to_have_text(title)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#sheet .path")).not_to_have_text(title)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.enlarge')"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#picture")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#picture")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == opener


def rules_broken(page):
    found = Axe().run(page).response["violations"]
    return [(x["id"], [node["html"][:120] for node in x["nodes"]][:3]) for x in found]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("wide", "light"),
        ("narrow", "dark"),
        pytest.param("wide", "dark", marks=pytest.mark.slow),
        pytest.param("narrow", "light", marks=pytest.mark.slow),
    ],
)
def test_everybody_can_use_it(opened, pictures, size, scheme):
    page = answered(opened(size=size, scheme=scheme), pictures)
    page.click("#choose")
    page.click("#pool")
    expect(page.locator("#pools h3")).to_be_visible()
    page.locator("#before summary").click()
    assert rules_broken(page) == []
    for view in ("models", "enrol", "audit", "demo", "images"):
        page.goto(page.url.partition("#")[0] + f"#{view}")
        expect(page.locator(f"#{view}-title")).to_be_visible()
        if view == "models":
            for one in page.locator("#cards summary").all():
                one.click()
        if view == "demo":
            expect(page.locator("#demo-sources figure")).to_have_count(3)
        assert (view, rules_broken(page)) == (view, [])
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], view
    page.locator(".card").nth(1).get_by_text("Evidence").click()
    expect(page.locator("#sheet")).to_be_visible()
    assert rules_broken(page) == []
    wide = page.evaluate("[...document.querySelectorAll('#sheet')].map(x => "
                         "x.scrollWidth - x.clientWidth)")  # fmt: skip
    assert wide == [0]


def test_a_session_that_has_ended_is_said_to_have(opened, pictures):
    page = opened()
    page.context.clear_cookies()
    drop(page, [pictures / "fits.png"])
    expect(page.locator("#problem")).to_contain_text("drop the images again")
    drop(page, [pictures / "fits.png"])
    expect(page.locator(".card")).to_have_count(1)


@pytest.mark.slow
def test_the_demo_goes_on_and_is_paused(opened):
    page = opened("demo")
    title = page.locator("#demo-case")
    expect(title).to_have_text(re.compile("^1 of 16: "))
    assert page.locator("#demo-seen img").count() == 2
    bars = page.locator("#demo-sources .meter")
    right = "right" in (page.locator("#demo-said strong").get_attribute("class") or "")
    assert bars.count() == (1 if right else 2)
    page.select_option("#demo-speed", "1")
    expect(title).to_have_text(re.compile("^2 of 16: "), timeout=5000)
    page.click("#demo-play")
    now = title.text_content()
    page.wait_for_timeout(1500)
    assert title.text_content() == now
    page.click("#demo-back")
    expect(title).not_to_have_text(now)
    still = opened("demo", reduced_motion="reduce")
    expect(still.locator("#demo-play")).to_have_text("Play")


@pytest.mark.slow
def test_folders_are_audited(opened, two):  # noqa: F811
    page = opened("audit")
    page.set_input_files("#audit-folder", two)
    expect(page.locator("#audit-brought")).to_have_text("60 images brought: camera 30, gan 30.")
    page.click("#audit-go")
    expect(page.locator("#audit-result h3").first).to_have_text("What differs")
    expect(page.locator("#audit-result li").first).to_contain_text("file format alone")
    with page.expect_download() as started:
        page.get_by_text("Download all as JSON").click()
    assert started.value.suggested_filename == "audit.json"


@pytest.mark.slow
def test_a_source_is_enrolled(opened, enrolled, model):  # noqa: F811
    app = application([enrolled[0]], batch=8)
    with served(app) as url:
        page = opened("enrol", url=url)
        page.fill("#enrol-name", "another")
        page.set_input_files("#enrol-folder", model / "new")
        expect(page.locator("#enrol-brought")).to_have_text("20 images brought.")
        page.click("#enrol-go")
        expect(page.locator("#enrol-result h3")).to_have_text(
            "with with another.safetensors", timeout=60_000
        )
        with page.expect_download() as started:
            page.get_by_text("Download the new model").click()
        assert started.value.suggested_filename == "with with another.safetensors"
        assert page.locator("#model option").all_text_contents()[1] == (
            "with with another.safetensors"
        )
        page.close()
    app.state.sessions.close()


@pytest.mark.slow
def test_five_hundred_images_at_once(opened, tmp_path):
    page = opened()
    rng = np.random.default_rng(0)
    for i in range(500):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i:03d}.png")
    drop(page, sorted(tmp_path.iterdir()), LONG_TASKS)
    expect(page.locator("#progress")).to_have_text("500 of 500 answered", timeout=120_000)
    page.select_option("#order", "1 1")
    for number in (200, 300, 400, 500):
        page.click("#more")
        expect(page.locator(".card")).to_have_count(number)
    longest = page.evaluate("window.longest")
    print(f"longest task {longest:.0f} ms")
    assert longest < 200
    page.evaluate("setTimeout(() => { const end = performance.now() + 250;"
                  " while (performance.now() < end); })")  # fmt: skip
    page.wait_for_timeout(500)
    assert page.evaluate("window.longest") >= 250  # it notices
