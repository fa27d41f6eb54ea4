"""Tables whose rows can be filtered and sorted where they are read, without a server.

The page's script is this one alone, which its policy names by hash. It holds no data: what rows
are and are worth is written in their attributes, as whole numbers and figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from gan_fingerprints.pictures.page_style import policy
from gan_fingerprints.shown import shown

SCRIPT = """"use strict";
const most = 200;  // rows at once, as sorting thousands on a page takes seconds
for (const box of document.querySelectorAll(".choose")) {
  const tools = box.querySelector(".tools"), said = box.querySelector("[role=status]");
  const body = box.querySelector("tbody"), order = tools.querySelector("[data-order]");
  const more = box.querySelector("button"), kinds = tools.querySelectorAll("[data-kind]");
  const marks = tools.querySelectorAll("[data-mark]");
  const rows = Array.from(body.rows, (row, place) => ({
    row, place, kinds: row.dataset.k.split(" "), marks: row.dataset.m.split(" "),
    worth: row.dataset.w.split(" ").map(parseFloat),
    sheet: document.getElementById("image-" + place),
  }));
  const fits = (one) =>
    Array.from(kinds).every((x, i) => x.value === "" || x.value === one.kinds[i]) &&
    Array.from(marks).every((x) => !x.checked || one.marks.includes(x.dataset.mark));
  const show = (limit) => {
    const chosen = rows.filter(fits), part = chosen.slice(0, limit);
    body.replaceChildren(...part.map((one) => one.row));
    for (const one of rows) if (one.sheet) one.sheet.hidden = !fits(one);
    said.textContent = part.length + " shown of " + chosen.length + " chosen of " + rows.length;
    more.hidden = part.length === chosen.length;
  };
  const sort = () => {
    const [column, sign] = order.value.split(" ").map(Number);
    const unknown = (one) => Number(Number.isNaN(one.worth[column]));
    rows.sort((a, b) => order.value === "" ? a.place - b.place : unknown(a) - unknown(b) ||
      (unknown(a) ? 0 : sign * (a.worth[column] - b.worth[column])) || a.place - b.place);
    const sheets = rows.filter((one) => one.sheet).map((one) => one.sheet);
    if (sheets.length) sheets[0].parentElement.append(...sheets);
    show(most);
  };
  for (const x of [...kinds, ...marks]) x.addEventListener("change", () => show(most));
  order.addEventListener("change", sort);
  more.addEventListener("click", () => show(rows.length));
  addEventListener("beforeprint", () => show(rows.length));
  tools.hidden = false;
  sort();
}
"""
POLICY = policy(SCRIPT)


class Row(NamedTuple):
    """A row, and what it is chosen by.

    Attributes:
        cells: as of a table.
        kinds: of each filter the number of the option that the row has.
        marks: the numbers of the marks that it has.
        worth: of each order, what the row is sorted by; None, unknown, comes last.
    """

    cells: Sequence[object]
    kinds: Sequence[int]
    marks: Sequence[int]
    worth: Sequence[float | None]

    @property
    def attributes(self) -> str:
        """What the script reads."""
        worth = " ".join("x" if x is None else f"{x:.6g}" for x in self.worth)
        kinds, marks = (" ".join(map(str, x)) for x in (self.kinds, self.marks))
        return f' data-k="{kinds}" data-m="{marks}" data-w="{worth}"'


def tools(
    filters: Mapping[str, Sequence[str]], marks: Mapping[int, str],
    orders: Mapping[str, tuple[int, int]],
) -> str:  # fmt: skip
    """What rows are chosen with; hidden where scripts do not run.

    filters: name → its options; marks: number → what it means; orders: name → the place in
    `Row.worth`, and 1 for the lowest first, -1 for the highest.
    """
    parts = [
        _select(name, "data-kind", "all", ((x, str(i)) for i, x in enumerate(options)))
        for name, options in filters.items()
    ]
    listed = ((name, f"{at} {sign}") for name, (at, sign) in orders.items())
    parts.append(_select("order", "data-order", "as given", listed))
    parts += [
        f'<label><input type="checkbox" data-mark="{i}" autocomplete="off"> {_safe(name)}</label>'
        for i, name in marks.items()
    ]
    controls = "\n".join(parts)
    return f'<div class="tools" hidden>\n{controls}\n</div>\n<p role="status"></p>'


def _select(name: str, what: str, first: str, options: Iterable[tuple[str, str]]) -> str:
    """A list to choose from; the first choice has no value."""
    listed = "".join(
        f'<option value="{value}">{_safe(text)}</option>' for text, value in [(first, ""), *options]
    )
    return f'<label>{_safe(name)}<select {what} autocomplete="off">{listed}</select></label>'


def _safe(text: object) -> str:
    return escape(shown(text))
