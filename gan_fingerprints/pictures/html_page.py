"""One HTML page in one file: text, tables and pictures; nothing is loaded from anywhere else.

page = Page("Four GANs told apart", "What a classifier makes of 1,200 test images.")
page.section("Result")
page.table(["source", "recall (%)"], [["real", 98.7], ["ProGAN", 99.3]], numbers=[1])
page.picture("confusion.png", "Confusion matrix")
page.write("report.html")
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from gan_fingerprints import program
from gan_fingerprints.shown import shown, shown_lines

Picture = str | Path | bytes

_TYPES = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "GIF": "gif"}
_ENLARGED = 256  # pixels on the screen that a small pixelated picture is brought to at least
_SCREEN = 96  # pixels per inch, by the definition of CSS

# Browsers that keep to this policy fetch nothing, whatever the text of a page may contain.
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>
<p class="lead">{lead}</p></header>
"""

_STYLE = """
:root { --ink: #1d2430; --soft: #5a6472; --line: #d9dee5; --back: #fff; --card: #f5f7fa;
  --accent: #1f5fa8; --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #a3adba; --line: #363e49;
  --back: #14181e; --card: #1d232b; --accent: #7fb3ec; --good: #5cc27a; --bad: #ff8d80;
  --warn: #e3b25c; } }
* { box-sizing: border-box; }
body { max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: var(--back);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: break-word; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 2px solid var(--accent); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, ul, li { max-width: 46rem; }
p, li, dd, figcaption, td, th { overflow-wrap: break-word; }
a { color: var(--accent); }
.lead { font-size: 1.15rem; color: var(--soft); margin: 0; }
nav ol { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; padding: 0; margin: 1.5rem 0 0;
  list-style: none; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.facts div { padding: .6rem .85rem; background: var(--card); border-radius: .4rem;
  border-left: 3px solid var(--accent); }
dt, caption, figcaption, .found { color: var(--soft); font-size: .9rem; }
dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .4rem 1.1rem .4rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); min-width: 4rem; max-width: 26rem; }
thead th { color: var(--soft); font-weight: 600; font-size: .9rem; vertical-align: bottom; }
tbody th { font-weight: 600; }
.number { text-align: right; padding-left: .9rem; }
td.number { white-space: nowrap; }
td img { display: block; height: 6rem; width: auto; }
figure { margin: 1.25rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .25rem; }
.pixelated { image-rendering: pixelated; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr));
  gap: 1rem; margin: 1.25rem 0; align-items: start; }
.pictures figure { margin: 0; min-width: 0; }
.pictures img { width: 100%; display: block; }
figcaption { margin-top: .35rem; max-width: 46rem; }
pre { background: var(--card); border-radius: .4rem; padding: .8rem 1rem; overflow-x: auto;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .9rem; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; }
.checks { list-style: none; padding: 0; }
.checks li { margin: .4rem 0; padding-left: .75rem; border-left: 3px solid var(--line); }
.met strong { color: var(--good); }
.checks .unmet { border-left-color: var(--bad); }
.unmet strong { color: var(--bad); }
.warning { padding: .6rem .9rem; background: var(--card); border-left: 3px solid var(--warn); }
.warning strong { color: var(--warn); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 40rem) { body { padding: 1.25rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  table { width: max-content; } th, td { max-width: 13rem; } caption { max-width: 18rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
  .pictures { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --card: #fff;
  --accent: #1f5fa8; --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; }
  html { font-size: 10pt; } body { max-width: none; padding: 0; } nav { display: none; }
  figure, tr, li, .facts div { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""


class Page:
    """A page, built from top to bottom; what it is given is plain text, and escaped.

    Pictures are PNG, JPEG or GIF, paths or the bytes of a file, and become part of the page. The
    same calls give the same bytes.

    Args:
        title: the heading of the page, and of its window.
        lead: one or two sentences that say what it is.
    """

    def __init__(self, title: str, lead: str) -> None:
        self._title, self._lead = title, lead
        self._parts: list[str] = []
        self._sections: dict[str, str] = {}  # anchor → heading
        self._folded = False

    def section(self, heading: str) -> None:
        """Begins a section, linked from the list of contents."""
        if self._folded:
            raise ValueError(f"section {heading!r} within details")
        anchor = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        if anchor in self._sections:
            anchor += f"-{len(self._sections) + 1}"
        if self._sections:
            self._parts.append("</section>")
        self._sections[anchor] = heading
        self._parts.append(f'<section id="{anchor}">\n<h2>{_safe(heading)}</h2>')

    def heading(self, text: str) -> None:
        """A heading within a section."""
        self._parts.append(f"<h3>{_safe(text)}</h3>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{_safe(text)}</p>")

    def warning(self, text: str) -> None:
        """A paragraph that must not be overlooked."""
        self._parts.append(
            f'<p class="warning" role="note"><strong>Mind:</strong> {_safe(text)}</p>'
        )

    def facts(self, facts: Mapping[str, object]) -> None:
        """A few names with their values, as cards."""
        cards = "\n".join(
            f"<div><dt>{_safe(name)}</dt><dd>{_text(value)}</dd></div>"
            for name, value in facts.items()
        )
        self._parts.append(f'<dl class="facts">\n{cards}\n</dl>')

    def checks(self, checks: Iterable[tuple[bool, str, str]]) -> None:
        """What was expected: whether it was met, the statement, what was found."""
        items = "\n".join(
            f'<li class="{"met" if met else "unmet"}"><strong>{"✓ met" if met else "✗ not met"}'
            f'</strong> {_safe(statement)} <span class="found">found: {_safe(found)}</span></li>'
            for met, statement, found in checks
        )
        self._parts.append(f'<ul class="checks">\n{items}\n</ul>')

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[object]],
        numbers: Sequence[int] = (),
        caption: str = "",
    ) -> None:
        """A table whose first column names the rows; it scrolls by itself where it is too wide.

        rows: cells as long as the header: anything as its text, None as –, bytes as a picture.
        numbers: the columns to be aligned to the right.
        """
        lines = "\n".join(_row(row, numbers) for row in rows)
        head = "".join(
            f'<th scope="col"{_number(i, numbers)}>{_safe(name)}</th>'
            for i, name in enumerate(header)
        )
        title = f"<caption>{_safe(caption)}</caption>\n" if caption else ""
        label = _safe(caption or f"table by {header[0] or 'row'}")
        self._parts.append(
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n<table>\n'
            f"{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>\n</div>"
        )

    def picture(
        self, picture: Picture, caption: str = "", alt: str | None = None, pixelated: bool = False
    ) -> None:
        """A picture, never wider than the page; a small pixelated one is enlarged, unsmoothed."""
        self._parts.append(_figure(picture, caption, alt, pixelated))

    def pictures(self, pictures: Iterable[tuple[Picture, str]], pixelated: bool = False) -> None:
        """A grid of small pictures with captions."""
        figures = "\n".join(_figure(picture, text, None, pixelated) for picture, text in pictures)
        self._parts.append(f'<div class="pictures">\n{figures}\n</div>')

    def code(self, text: str, wrap: bool = True) -> None:
        """Commands or a log; wrap=False keeps the lines, and so columns, and scrolls."""
        kind = ' class="wrap"' if wrap else ' tabindex="0"'
        self._parts.append(f"<pre{kind}><code>{escape(shown_lines(text))}</code></pre>")

    @contextmanager
    def details(self, summary: str) -> Iterator[None]:
        """`with page.details("Commands"):` what is added within is folded under the summary."""
        self._parts.append(f"<details>\n<summary>{_safe(summary)}</summary>")
        outer, self._folded = self._folded, True
        yield
        self._folded = outer
        self._parts.append("</details>")

    def html(self) -> str:
        """The whole page."""
        head = _HEAD.format(title=_safe(self._title), lead=_safe(self._lead), style=_STYLE)
        end = "</section>\n" if self._sections else ""
        body = "\n".join(self._parts)
        return f"{head}{self._contents()}<main>\n{body}\n{end}</main>\n</body>\n</html>\n"

    def _contents(self) -> str:
        if len(self._sections) < 2:
            return ""
        links = "\n".join(
            f'<li><a href="#{anchor}">{_safe(heading)}</a></li>'
            for anchor, heading in self._sections.items()
        )
        return f'<nav aria-label="Contents"><ol>\n{links}\n</ol></nav>\n'

    def write(self, path: str | Path) -> None:
        """Writes the page as UTF-8; what a file name holds beside that is shown as \\udc…"""
        program.write_whole(path, self.html().encode("utf-8", "backslashreplace"))


def _safe(text: object) -> str:
    return escape(shown(text))


def _text(value: object) -> str:
    return "–" if value is None else _safe(value)


def _number(column: int, numbers: Sequence[int]) -> str:
    return ' class="number"' if column in numbers else ""


def _row(cells: Sequence[object], numbers: Sequence[int]) -> str:
    texts = [
        _image(cell, "", pixelated=True) if isinstance(cell, bytes) else _text(cell)
        for cell in cells
    ]
    first, *others = texts
    rest = "".join(f"<td{_number(i, numbers)}>{x}</td>" for i, x in enumerate(others, 1))
    # A picture names nothing: then the row has no heading.
    tag = "td" if isinstance(cells[0], bytes) else 'th scope="row"'
    return f"<tr><{tag}{_number(0, numbers)}>{first}</{tag[:2]}>{rest}</tr>"


def _figure(picture: Picture, caption: str, alt: str | None, pixelated: bool) -> str:
    image = _image(picture, caption if alt is None else alt, pixelated)
    below = f"\n<figcaption>{_safe(caption)}</figcaption>" if caption else ""
    return f"<figure>{image}{below}</figure>"


def _image(picture: Picture, alt: str, pixelated: bool) -> str:
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    kind, width, height, dpi = _properties(picture, data)
    times = max(1, -(-_ENLARGED // width)) if pixelated else 1
    look = ' class="pixelated"' if times > 1 else ""
    # A figure drawn for 150 points per inch has its letters at their size when shown for 96.
    scale = _SCREEN / dpi if kind == "png" and dpi > _SCREEN and not pixelated else times
    return (
        f'<img{look} alt="{_safe(alt)}" width="{scale * width:.0f}" height="{scale * height:.0f}"'
        f' src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
    )


def _properties(picture: Picture, data: bytes) -> tuple[str, int, int, float]:
    """Type, width, height, and points per inch, 0 where not stated."""
    name = "picture" if isinstance(picture, bytes) else str(picture)
    try:
        with Image.open(io.BytesIO(data)) as image:
            found, (width, height), dpi = image.format, image.size, image.info.get("dpi", (0, 0))
    except UnidentifiedImageError:
        found, width, height, dpi = "something else", 0, 0, (0, 0)
    if found not in _TYPES:
        raise program.UserError(f"{name}: found {found}, expected a PNG, JPEG or GIF picture")
    return _TYPES[found], width, height, round(float(dpi[0]), 1)
