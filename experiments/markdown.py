"""A Markdown file that is built with the same calls as `pictures.html_page.Page`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gan_fingerprints import program


class Markdown:
    """See `Page`, whose calls mean the same; pictures are paths and are linked.

    Args:
        title, lead: as those of a Page.
        folder: where the file will be, so that pictures can be named from there.
    """

    def __init__(self, title: str, lead: str, folder: str | Path) -> None:
        self._parts = [f"# {_plain(title)}", _plain(lead)]
        self._folder = folder

    def section(self, heading: str) -> None:
        self._parts.append(f"## {_plain(heading)}")

    def heading(self, text: str) -> None:
        self._parts.append(f"### {_plain(text)}")

    def text(self, text: str) -> None:
        self._parts.append(_plain(text))

    def facts(self, facts: Mapping[str, object]) -> None:
        self._parts.append("\n".join(f"- {name}: {_plain(x)}" for name, x in facts.items()))

    def checks(self, checks: Iterable[tuple[bool, str, str]]) -> None:
        self._parts.append(
            "\n".join(
                f"- **{'met' if met else 'NOT MET'}**: {_plain(statement)} (found: {_plain(found)})"
                for met, statement, found in checks
            )
        )

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[object]],
        numbers: Sequence[int] = (),
        caption: str = "",
    ) -> None:
        rule = ["---:" if i in numbers else "---" for i in range(len(header))]
        lines = [_line(header), f"|{'|'.join(rule)}|", *map(_line, rows)]
        self._parts += [_plain(caption)] if caption else []
        self._parts.append("\n".join(lines))

    def picture(self, picture: str | Path, caption: str = "") -> None:
        place = Path(os.path.relpath(picture, self._folder)).as_posix()
        self._parts.append(f"![{_plain(caption)}](<{place}>)\n\n{_plain(caption)}".rstrip())

    def code(self, text: str) -> None:
        self._parts.append(f"```text\n{text}\n```")

    @contextmanager
    def details(self, summary: str) -> Iterator[None]:
        self._parts.append(f"<details><summary>{_plain(summary)}</summary>")
        yield
        self._parts.append("</details>")

    def write(self, path: str | Path) -> None:
        with program.whole_file(path) as partial:
            text = "\n\n".join(self._parts) + "\n"
            partial.write_bytes(text.encode("utf-8", "backslashreplace"))


def _plain(value: object) -> str:
    text = "–" if value is None else " ".join(str(value).split())
    return re.sub(r"([\\`*|<])", r"\\\1", text)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"
