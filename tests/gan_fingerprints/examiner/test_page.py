"""The report of an examination: complete, self-contained, and true to the records."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.attribution.finding import find
from gan_fingerprints.attribution.verdict import Rules
from gan_fingerprints.examiner import examination
from gan_fingerprints.examiner.examination import Model, rounded
from gan_fingerprints.examiner.page import ExaminationPage
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from tests.gan_fingerprints.conftest import NAMES, SIDE
from tests.markup import Parsed

RULES = Rules(0.5, 0.5)
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
        assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
        assert {tag for tag, _ in page.tags}.isdisjoint(
            {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}
        )
        assert len(page.all("img")) > 8
        for _, attributes in page.tags:
            assert "srcset" not in attributes
            assert attributes.get("src", "data:image/").startswith("data:image/")
            assert attributes.get("href", "#").startswith("#")
        assert not re.search(r"url\(|@import|https?://", html)


def test_the_table_is_that_of_the_records(classifier_page):
    html, _, records = classifier_page
    header, *rows = Parsed(html).tables[0]
    assert header == ["file", "verdict", "probability", "image", "reason"]
    for row, one in zip(rows, records, strict=True):
        shown = rounded(one["probability"]) if one["verdict"] in NAMES else "–"
        assert row[:3] == [one["path"], one["verdict"] or "could not be read", shown]
        assert row[4] == one["reason"]
    cards = dict(zip(Parsed(html).text_of("dt"), Parsed(html).text_of("dd"), strict=True))
    verdicts = [one["verdict"] or "could not be read" for one in records]
    assert cards == {
        name: str(verdicts.count(name))
        for name in [*NAMES, "unknown", "inconclusive", "could not be read"]
    }
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
    assert "Pictures are shown of the first 3." in page.text_of("p")
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
    assert page.all("script") == []
    assert page.tables[0][1][0] == str(path)
    assert page.text_of("h3").count(f"{path}: {page.tables[0][1][1]}") == 1
