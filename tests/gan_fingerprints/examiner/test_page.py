"""The report of an examination: complete, self-contained, and true to the records."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.attribution.mapping import Tile
from gan_fingerprints.attribution.verdict import Attribution, Rules
from gan_fingerprints.examiner import examination, meaning
from gan_fingerprints.examiner.evidence import Header, Specimen
from gan_fingerprints.examiner.examination import Model, rounded
from gan_fingerprints.examiner.page import ExaminationPage
from gan_fingerprints.pictures import choosing, tile_map
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from tests.gan_fingerprints.conftest import NAMES, SIDE
from tests.markup import Parsed

RULES = Rules(0.5, 0.5)
BOX = ["What was asked", "The model", "How reliable it is", "What a verdict does not mean"]
ORIGIN = {"time": "2019-10-27T10:00:00+09:00", "command": "gan-fingerprints attribute <images>"}


def made(network, pictures, sheets):
    """The page of all pictures, and what it is made of."""
    model = Model.load(network.path, "--model", batch=4, rules=RULES)
    page = ExaminationPage(model, sheets)
    found, records = [], []
    paths = find([pictures], "PATH").paths
    for one in examination.examine(model, paths, sheets):
        found.append(one)
        records.append(examination.record(one, model))
        page.add(one, records[-1])
    return page.page(ORIGIN).html(), found, records


@pytest.fixture(scope="module")
def classifier_page(networks, pictures):
    return made(networks.classifier, pictures, 100)


@pytest.fixture(scope="module")
def visnet_page(networks, pictures):
    return made(networks.visnet, pictures, 3)


def test_nothing_is_fetched_from_anywhere(classifier_page, visnet_page):
    for html, _, _ in (classifier_page, visnet_page):
        page = Parsed(html)
        policies = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        (script,) = page.text_of("script")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert policies == [
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'"
        ]
        assert script == choosing.SCRIPT  # in which there is nothing of the images
        assert {tag for tag, _ in page.tags}.isdisjoint(
            {"link", "iframe", "object", "embed", "base", "form", "video", "audio"}
        )
        assert not [x for _, attributes in page.tags for x in attributes if x.startswith("on")]
        assert len(page.all("img")) > 8
        for _, attributes in page.tags:
            assert "srcset" not in attributes
            assert attributes.get("src", "data:image/").startswith("data:image/")
            assert attributes.get("href", "#").startswith("#")
        assert not re.search(r"url\(|@import|https?://", html)


def test_the_table_is_that_of_the_records(classifier_page):
    html, _, records = classifier_page
    header, *rows = Parsed(html).tables[0]
    assert header == ["image", "verdict", "probability", "file", "reason"]
    for row, one in zip(rows, records, strict=True):
        shown = rounded(one["probability"]) if one["verdict"] in NAMES else "–"
        verdict = one["verdict"] or "could not be read"
        assert row == ["", verdict, shown, one["path"], one["reason"]]
    cards = dict(zip(Parsed(html).text_of("dt"), Parsed(html).text_of("dd"), strict=True))
    assert list(cards)[:4] == BOX  # before all else
    verdicts = [one["verdict"] or "could not be read" for one in records]
    assert cards == {
        name: str(verdicts.count(name))
        for name in [*NAMES, "unknown", "inconclusive", "mixed", "could not be read"]
    } | (dict.fromkeys(BOX, ""))
    assert cards["could not be read"] == "2"


def test_it_states_what_an_expert_is_asked_for(classifier_page, networks):
    html, _, records = classifier_page
    page = Parsed(html)
    facts = {row[0]: row[1] for table in page.tables[-2:] for row in table}
    assert facts["SHA-256"] == records[0]["model"]["sha256"]
    assert facts["sources"] == facts["origin: data, source_names"] == ", ".join(NAMES)
    assert facts["threshold for unknown sources"] == "energy 0.5"
    assert facts["share of known images that it rejects"] == "5.0%"
    assert facts["checksum of the validation images that set both"] == "5" * 64
    assert facts["temperature of the probabilities"] == "0.25"
    assert facts["time"] == ORIGIN["time"]
    assert facts["command"] == ORIGIN["command"]
    for one in records:
        assert one["sha256"] in html
    assert meaning.NOT_MEASURED in page.text_of("p")
    assert any("A verdict names one of the sources that the model knows" in x
               for x in page.text_of("p"))  # fmt: skip
    assert not any("no threshold" in x for x in page.text_of("p"))


def pictures_of(page):
    """The pictures of a page that have a caption, in order, with it."""
    captions = page.text_of("figcaption")
    shown = [image for image in page.all("img") if image["alt"]]
    for caption, image in zip(captions, shown, strict=True):
        data = base64.b64decode(image["src"].partition("base64,")[2])
        yield caption, np.asarray(Image.open(io.BytesIO(data)))


def test_sheets_show_what_a_visnet_decides_by(visnet_page):
    html, found, records = visnet_page
    page = Parsed(html)
    assert any("no threshold for unknown sources" in text for text in page.text_of("p"))
    assert "Pictures are shown of the first 3 images as they were given." in page.text_of("p")
    shown = list(pictures_of(page))
    usable = [one for one in found[:3] if one.picture.error is None]
    assert len(usable) == 2
    assert len(shown) == 2 * 6 + 3  # and the model fingerprints
    for i, one in enumerate(usable):
        sheet = shown[6 * i : 6 * i + 6]
        np.testing.assert_array_equal(sheet[1][1], one.picture.pixels[0])
        np.testing.assert_array_equal(sheet[2][1], fingerprint_pictures.of_image(one.fingerprint))
        for (caption, picture), name, logit in zip(sheet[3:], NAMES, one.logits, strict=True):
            assert caption == f"response to {name}: {logit:.4g}"
            assert picture.shape == (SIDE, SIDE, 3)
            assert (picture == 255).any()  # some points say nothing
    tables = [
        table for table in page.tables if table[0] == ["source", "probability", "correlation"]
    ]
    by_path = {row["path"]: row for row in records}
    for table, one in zip(tables, usable, strict=True):
        row = by_path[str(one.picture.path)]
        assert [line[2] for line in table[1:]] == [
            f"{value:.5g}" for value in row["correlations"].values()
        ]


def test_names_of_files_and_sources_are_text(networks, tmp_path):
    path = tmp_path / "<script>alert(1)</script>&.png"
    images.write_png(path, np.zeros([SIDE, SIDE, 3], np.uint8))
    html, _, _ = made(networks.visnet, tmp_path, 1)
    page = Parsed(html)
    assert page.text_of("script") == [choosing.SCRIPT]
    assert page.tables[0][1][3] == str(path)
    assert [text for tag, text in page.texts if tag == "p"].count(str(path)) == 1


HOSTILE = [
    "real<script>alert('1')</script>", "=cmd()", '"><img src=x onerror=alert(1)>', "\x1b[2J\u202e",
    "</script><script>x", "all",
]  # fmt: skip


def made_of(rows, sheets=0, names=HOSTILE, tiles=None, card=None, likelihoods=None, **more):
    """A page of rows that no network gave."""
    attributor = SimpleNamespace(
        resolution=16, source_names=names, calibration=None, model_fingerprints=None,
        least_side=None, rules=RULES, likelihoods=likelihoods,
        precision="float32",
    )  # fmt: skip
    model = Model("<b>m</b>.safetensors", "0" * 64, "residual", attributor, {}, "", card)
    page = ExaminationPage(model, sheets)
    pixels, small = np.zeros([1, 16, 16, 3], np.uint8), io.BytesIO()
    Image.new("RGB", (40, 20), "green").save(small, "JPEG")
    header = Header("JPEG", "RGB", (80, 40), 1, 1, 50)
    for row in rows:
        specimen = Specimen(row.path, pixels, (80, 40), None, "0" * 64, header, small.getvalue())
        one = Examined(specimen, row, tiles=tiles)
        page.add(one, examination.record(one, model) | more)
    return page.page(ORIGIN).html()


def row_of(name, path="a.png", names=HOSTILE, **more):
    shares = [0.9375 if x == name else 0.0625 / (len(names) - 1) for x in names]
    return Attribution(Path(path), name, dict(zip(names, shares, strict=True)), **more)


def test_rows_can_be_chosen_by_numbers_alone(counted):
    html = made_of([row_of(name, f"{name}.png") for name in HOSTILE], 9, turned_by="JPEG")
    page = Parsed(html)
    rows = [attributes for attributes in page.all("tr") if "data-k" in attributes]
    for i, attributes in enumerate(rows):
        assert attributes == {"data-k": f"{i} {i}", "data-m": "0", "data-w": f"{i} 0.9375 x"}
    assert "onerror" not in {name for _, attributes in page.tags for name in attributes}
    assert page.text_of("script") == [choosing.SCRIPT]
    first = f"like the photographs it was trained on ({HOSTILE[0]})"
    options = page.text_of("option")
    assert options[:3] == ["all", f"{first} (1)", "=cmd() (1)"]
    assert options[options.index("all (1)") :][:2] == ["all (1)", "unknown (0)"]
    labels = page.text_of("label")
    assert labels == ["verdict", "most like", "order", " unstable"]  # no opinions conflict
    assert [x["id"] for x in page.all("article")] == [f"image-{i}" for i in range(6)]
    assert not [x for x in html if not x.isprintable() and x != "\n"]
    counted(len(rows), len(HOSTILE))


def test_a_name_of_photographs_never_stands_alone():
    names = ["real", "a_GAN"]
    html = made_of([row_of("real", names=names)], 1, names)
    page = Parsed(html)
    assert "like the photographs it was trained on (real)" in page.text_of("h3")
    assert page.tables[0][1][1] == "like the photographs it was trained on (real)"
    for tag in ("td", "th", "h3", "dt", "option", "p"):
        assert not [x for x in page.text_of(tag) if re.match(r"real\b", x)], tag


def test_likelihood_ratios_name_both_propositions():
    names = ["real", "a_GAN", "b_GAN"]
    ratios = {"log10_lr": {"real": -1.5, "a_GAN": 2.4, "b_GAN": 0.1}, "log10_outside": 0.5}
    opinions = {"convolutions": {"real": 0.1, "a_GAN": 0.9, "b_GAN": 0.0},
                "descriptors": {"real": 0.85, "a_GAN": 0.1, "b_GAN": 0.05}}  # fmt: skip
    html = made_of([row_of("a_GAN", names=names, opinions=opinions)], 1, names, **ratios)
    page = Parsed(html)
    assert page.tables[0] == [
        ["image", "verdict", "support", "probability", "file", "reason"],
        ["", "a_GAN", "log10 LR 2.40, moderately strong support; for these sources against others "
         "log10 LR 0.50, weak support", "0.9375", "a.png", ""],
    ]  # fmt: skip
    texts = page.text_of("p")
    assert (
        "What was seen is 250 times more probable if a_GAN made it than if another of these 3 "
        "sources made it (log10 LR 2.40, moderately strong support)." in texts
    )
    assert (
        "What was seen is 3.2 times more probable if one of the sources that the model was trained "
        "on made it than if a source outside of these made it (log10 LR 0.50, weak support)."
        in texts
    )
    assert page.tables[1] == [
        ["source", "probability", "by convolutions alone", "by descriptors alone", "log10 LR",
         "in words"],
        ["the photographs it was trained on (real)", "0.0312", "0.1000", "0.8500", "-1.50",
         "moderate support for the other"],
        ["a_GAN", "0.9375", "0.9000", "0.1000", "2.40", "moderately strong support"],
        ["b_GAN", "0.0312", "<0.0001", "0.0500", "0.10", "no support"],
    ]  # fmt: skip
    assert 'data-m="1" data-w="1 0.9375 2.4"' in html
    assert meaning.NO_RATIOS not in texts
    assert meaning.NO_RATIOS in Parsed(made_of([row_of("a_GAN", names=names)], 1, names)).text_of(
        "p"
    )
    unnamed = row_of("a_GAN", names=names, images=1)
    html = made_of([replace(unnamed, predicted="unknown")], 1, names, **ratios)
    assert len([x for x in Parsed(html).text_of("p") if x.startswith("What was seen")]) == 1
    # Images that are like no source get no ratio, though the file has some.
    html = made_of([replace(unnamed, predicted="unknown")], 1, names, likelihoods=object())
    assert meaning.RATIOS in Parsed(html).text_of("p")
    photographs = meaning.stated(-3.0, "real", 3)
    assert photographs == (
        "What was seen is 1,000 times less probable if it is a photograph like those that the "
        "model was trained on (real) than if another of these 3 sources made it (log10 LR -3.00, "
        "strong support for the other)."
    )
    assert [meaning.times(x) for x in (0, 0.1, 1, 4.096, 6)] == [
        "1.0", "1.3", "10", "12,000", "1,000,000"
    ]  # fmt: skip


def test_the_map_lies_over_the_picture():
    tiles = (Tile(0, 0, 40, 3.0, "real", 1.0), Tile(40, 0, 40, -1.5, "a_GAN", 1.0))
    html = made_of([row_of("real", names=["real", "a_GAN"])], 1, ["real", "a_GAN"], tiles)
    shown = dict(pictures_of(Parsed(html)))
    (pixels,) = [x for caption, x in shown.items() if caption.startswith("where the evidence is")]
    assert pixels.shape == (260, 520, 3)
    grey = 0.587 * 128  # of green
    left = (1 - 0.65) * grey + 0.65 * tile_map.FOR
    right = (1 - 0.325) * grey + 0.325 * tile_map.AGAINST
    np.testing.assert_allclose(pixels[:, :255], np.broadcast_to(left, (260, 255, 3)), atol=2)
    np.testing.assert_allclose(pixels[:, 265:], np.broadcast_to(right, (260, 255, 3)), atol=2)


def test_what_was_measured_is_quoted():
    condition = {
        "name": "as_is", "about": "as they are", "accuracy": [0.9, 0.8, 0.95], "images": 100,
        "least_side": 64, "most_side": 64,
    }  # fmt: skip
    card = {"measured": {"conditions": [condition]}}
    html = made_of([row_of("a", names=["a", "b"])], 1, ["a", "b"], card=card)
    page = Parsed(html)
    texts = [x for x in page.text_of("p") if "90.0 % (80.0–95.0)" in x]
    assert len(texts) == 2  # in the box, and among the limits
    assert texts[0].startswith("Measured on images of known origin, as_is (as they are)")
    assert meaning.NOT_MEASURED not in page.text_of("p")
    unlike = (
        " how reliable the model is for such an image is not known: its shorter side has 40 "
        "pixels; the model was measured on images of 64; it is a JPEG of quality 50; the model was "
        "measured on none."
    )
    assert unlike in page.text_of("p")
    assert 'data-m="2"' in html


def test_thousands_of_rows_are_written_compactly():
    rows = [row_of("b", f"{i}.png", ["b", "c"], reason="why") for i in range(2000)]
    number = len(made_of(rows, 0, ["b", "c"])) - len(made_of(rows[:1000], 0, ["b", "c"]))
    assert number < 1000 * 450  # bytes, in both tables
