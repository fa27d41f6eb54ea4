"""The page: well-formed, complete in itself, true to what it was given, legible."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import program
from gan_fingerprints.pictures.html_page import Page
from tests.markup import Parsed

NASTY = '<script src="http://a.b/c.js">x</script> & "quoted" \'single\' url(http://a.b/d) ü†'


def encoded(size=(32, 32), kind="PNG", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def full_page(text=NASTY):
    """A page that uses everything, with the same text wherever there can be one."""
    page = Page(text, text)
    page.text(text)
    page.section(text)
    page.heading(text)
    page.warning(text)
    page.facts({text: text})
    page.checks([(True, text, text), (False, text, text)])
    page.table([text, "n"], [[text, 1], [encoded(), None]], numbers=[1], caption=text)
    page.section(text)
    page.picture(encoded(), text, alt=text)
    page.pictures([(encoded(kind="JPEG"), text), (encoded(kind="GIF"), "")], pixelated=True)
    with page.details(text):
        page.code(text)
        with page.details(text):
            page.code(text, wrap=False)
    return page


def test_tags_balance_and_text_arrives_as_it_was_given():
    parsed = Parsed(full_page().html())
    for tag, times in {"title": 1, "h1": 1, "h2": 2, "h3": 1, "dt": 1, "dd": 1, "caption": 1,
                       "figcaption": 2, "summary": 2, "code": 2}.items():  # fmt: skip
        assert parsed.text_of(tag) == [NASTY] * times, tag
    assert parsed.text_of("p") == [NASTY, NASTY, f" {NASTY}"]
    assert parsed.text_of("li")[-2:] == [f" {NASTY} "] * 2
    assert parsed.text_of("span") == [f"found: {NASTY}"] * 2
    assert [image["alt"] for image in parsed.all("img")] == ["", NASTY, NASTY, ""]


def test_nothing_is_loaded_from_elsewhere():
    html = full_page().html()
    parsed = Parsed(html)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    values = [(name, value) for _, attrs in parsed.tags for name, value in attrs.items()]
    assert all(value.startswith("data:image/") for name, value in values if name == "src")
    anchors = [value for name, value in values if name == "href"]
    assert len(anchors) == 2
    assert all(value[0] == "#" for value in anchors)
    assert not [name for name, _ in values if name.startswith("on") or name == "style"]
    style = parsed.text_of("style")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = parsed.all("meta")[-1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


def test_contents_link_to_every_section():
    page = Page("t", "l")
    page.section("Seeds & sets")
    assert "<nav" not in page.html()
    page.section("Seeds, sets")
    page.section("†")
    parsed = Parsed(page.html())
    anchors = [section["id"] for section in parsed.all("section")]
    assert anchors == ["seeds-sets", "seeds-sets-2", "section"]
    assert [link["href"] for link in parsed.all("a")] == [f"#{anchor}" for anchor in anchors]
    assert parsed.text_of("a") == ["Seeds & sets", "Seeds, sets", "†"]
    with page.details("more"), pytest.raises(ValueError, match="within details"):
        page.section("x")


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif")])
def test_pictures_become_part_of_the_page_byte_for_byte(tmp_path, kind, mime):
    data = encoded((40, 20), kind)
    path = tmp_path / "picture.dat"  # the content counts, not the name
    path.write_bytes(data)
    page = Page("t", "l")
    page.picture(path, "caption")
    page.picture(data, "caption", pixelated=True)
    first, second = Parsed(page.html()).all("img")
    assert first["src"] == second["src"]
    head, _, body = first["src"].partition(",")
    assert head == f"data:image/{mime};base64"
    assert base64.b64decode(body) == data
    assert (first["width"], first["height"], first["alt"]) == ("40", "20", "caption")
    assert "class" not in first
    assert (second["width"], second["height"], second["class"]) == ("280", "140", "pixelated")


def test_figures_are_shown_at_their_size_on_paper():
    page = Page("t", "l")
    page.picture(encoded((300, 150), dpi=(150, 150)))
    page.picture(encoded((300, 150), dpi=(72, 72)))
    page.picture(encoded((300, 150), "JPEG", dpi=(300, 300)))
    shown = [(image["width"], image["height"]) for image in Parsed(page.html()).all("img")]
    assert shown == [("192", "96"), ("300", "150"), ("300", "150")]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("no picture")
    page = Page("t", "l")
    with pytest.raises(program.UserError, match=r"picture.png: found something else, expected"):
        page.picture(path)
    with pytest.raises(program.UserError, match="found BMP, expected a PNG, JPEG or GIF"):
        page.picture(encoded(kind="BMP"))


def test_table():
    page = Page("t", "l")
    page.table(["source", "right", "share"], [["real", 5, 0.5], ["ProGAN", None, "1 < 2"]], (1, 2))
    page.table(["", "x"], [[encoded(), "y"]])
    parsed = Parsed(page.html())
    first, second = parsed.tables
    assert first == [["source", "right", "share"], ["real", "5", "0.5"], ["ProGAN", "–", "1 < 2"]]
    assert second == [["", "x"], ["", "y"]]
    assert [th["scope"] for th in parsed.all("th")] == ["col"] * 3 + ["row"] * 2 + ["col"] * 2
    cells = [cell.get("class") for cell in (*parsed.all("th")[:3], *parsed.all("td")[:4])]
    assert cells == [None] + ["number"] * 6
    assert [x["aria-label"] for x in parsed.all("div")] == ["table by source", "table by row"]


def test_checks_say_in_words_what_was_not_met():
    page = Page("t", "l")
    page.checks([(True, "at least 97 %", "98 %"), (False, "at least 99 %", "98 %")])
    parsed = Parsed(page.html())
    assert [li["class"] for li in parsed.all("li")] == ["met", "unmet"]
    assert parsed.text_of("strong") == ["✓ met", "✗ not met"]


def test_same_calls_same_bytes(tmp_path):
    full_page().write(tmp_path / "new" / "page.html")
    full_page().write(tmp_path / "new" / "again.html")
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("page.html", "again.html"))
    assert first == second == full_page().html().encode()
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_file_names_that_are_no_text(tmp_path):
    page = Page("t", "l")
    page.text(b"caf\xe9.png".decode("utf-8", "surrogateescape"))
    page.write(tmp_path / "page.html")
    assert "caf\\udce9.png" in (tmp_path / "page.html").read_text("utf-8")


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * x for x in colour[1:])
    x = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_all_text_has_contrast_in_light_dark_and_print():
    style = Parsed(Page("t", "l").html()).text_of("style")[0]
    palettes = [dict(re.findall(r"--(\w+): (#\w+)", part)) for part in style.split(":root {")[1:]]
    assert len(palettes) == 3
    for palette in palettes:
        for front in ("ink", "soft", "accent", "good", "bad", "warn"):
            for back in ("back", "card"):
                low, high = sorted(luminance(palette[x]) for x in (front, back))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back, palette)
