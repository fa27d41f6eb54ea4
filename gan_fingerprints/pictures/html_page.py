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
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from gan_fingerprints import program
from gan_fingerprints.pictures import choosing
from gan_fingerprints.pictures.page_style import HEAD, STYLE
from gan_fingerprints.shown import shown, shown_lines

Picture = str | Path | bytes

_TYPES = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "GIF": "gif"}
_ENLARGED = 256  # pixels on the screen that a small pixelated picture is brought to at least
_SCREEN = 96  # pixels per inch, by the definition of CSS


class Link(NamedTuple):
    """A cell that leads to a file; `file` is a path relative to the page."""

    text: str
    file: str


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
        self._box = ""
        self._scripted = False

    def box(self, heading: str, texts: Mapping[str, Sequence[str]]) -> None:
        """What must be read before all else, above the contents: name → paragraphs."""
        items = "\n".join(
            f"<dt>{_safe(name)}</dt><dd>{''.join(f'<p>{_safe(x)}</p>' for x in paragraphs)}</dd>"
            for name, paragraphs in texts.items()
        )
        self._box = f'<div class="box"><h2>{_safe(heading)}</h2>\n<dl>\n{items}\n</dl></div>'

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
        long: bool = False,
    ) -> None:
        """A table whose first column names the rows; it scrolls by itself where it is too wide.

        rows: cells as long as the header: anything as its text, None as –, bytes as a picture.
        numbers: the columns to be aligned to the right.
        long: columns are of one width, and below each other on small screens; thousands of rows
            stay quick, as only those in sight are laid out.
        """
        kind = "long" if long else "few" if len(header) < 4 else ""
        self._table(header, [_row(row, numbers) for row in rows], numbers, caption, kind)

    def chosen(
        self, header: Sequence[str], rows: Sequence[choosing.Row],
        filters: Mapping[str, Sequence[str]], marks: Mapping[int, str],
        orders: Mapping[str, tuple[int, int]],
    ) -> None:  # fmt: skip
        """A long table whose rows can be filtered and sorted; see `choosing.tools`.

        header: picture, verdict, …, probability, file, reason. `one` of the same number is hidden
        with its row.
        """
        self._scripted = True
        self._parts.append(f'<div class="choose">\n{choosing.tools(filters, marks, orders)}')
        lines = [_row(row.cells, (), row.attributes) for row in rows]
        self._table(header, lines, (), "", f"long chosen c{len(header)}")
        self._parts.append('<button type="button" hidden>Show all that are chosen</button>\n</div>')

    def _table(
        self, header: Sequence[str], lines: Sequence[str], numbers: Sequence[int], caption: str,
        kind: str,
    ) -> None:  # fmt: skip
        head = "".join(
            f'<th scope="col"{_number(i, numbers)}>{_safe(name)}</th>'
            for i, name in enumerate(header)
        )
        title = f"<caption>{_safe(caption)}</caption>\n" if caption else ""
        label = _safe(caption or f"table by {header[0] or 'row'}")
        look, body = f' class="{kind}"' if kind else "", "\n".join(lines)
        self._parts.append(
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n<table{look}>\n'
            f"{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
        )

    def picture(
        self, picture: Picture, caption: str = "", alt: str | None = None, pixelated: bool = False
    ) -> None:
        """A picture, never wider than the page; a small pixelated one is enlarged, unsmoothed."""
        self._parts.append(_figure(picture, caption, alt, pixelated))

    def pictures(
        self, pictures: Iterable[tuple[Picture, str]], pixelated: bool = False, large: bool = False
    ) -> None:
        """A grid of small pictures, or of large ones, with captions."""
        figures = "\n".join(_figure(picture, text, None, pixelated) for picture, text in pictures)
        size = " large" if large else ""
        self._parts.append(f'<div class="pictures{size}">\n{figures}\n</div>')

    @contextmanager
    def one(self, number: int) -> Iterator[None]:
        """All about one of the things of which `chosen` has a row, from 0 on."""
        self._parts.append(f'<article class="one" id="image-{number}">')
        yield
        self._parts.append("</article>")

    def path(self, text: object) -> None:
        """Where something is, which may be long."""
        self._parts.append(f'<p class="path">{_safe(text)}</p>')

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
        scripts = f"; script-src {choosing.POLICY}" if self._scripted else ""
        head = HEAD.format(
            title=_safe(self._title), lead=_safe(self._lead), style=STYLE, box=self._box,
            scripts=scripts,
        )  # fmt: skip
        end = "</section>\n" if self._sections else ""
        body = "\n".join(self._parts)
        script = f"<script>{choosing.SCRIPT}</script>\n" if self._scripted else ""
        return f"{head}{self._contents()}<main>\n{body}\n{end}</main>\n{script}</body>\n</html>\n"

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
    if isinstance(value, Link):
        return f'<a href="{escape(quote(os.fsencode(value.file)))}">{_safe(value.text)}</a>'
    return "–" if value is None else _safe(value)


def _number(column: int, numbers: Sequence[int]) -> str:
    return ' class="number"' if column in numbers else ""


def _row(cells: Sequence[object], numbers: Sequence[int], attributes: str = "") -> str:
    texts = [
        _image(cell, "", pixelated=True) if isinstance(cell, bytes) else _text(cell)
        for cell in cells
    ]
    first, *others = texts
    rest = "".join(f"<td{_number(i, numbers)}>{x}</td>" for i, x in enumerate(others, 1))
    # A picture names nothing, nor does the lack of one: then the row has no heading.
    tag = "td" if isinstance(cells[0], bytes) or cells[0] == "" else 'th scope="row"'
    return f"<tr{attributes}><{tag}{_number(0, numbers)}>{first}</{tag[:2]}>{rest}</tr>"


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
