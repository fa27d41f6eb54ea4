// The list of images and verdicts: filtered, sorted, chosen; only some are laid out at once.

import {$, made} from "./api.js";

const MOST = 100;  // cards at once, until more are asked for
const PART = 20;  // new ones without a pause
const NO_MARK = "none";

export class List {
  constructor(open, changed) {
    this.open = open;
    this.changed = changed;
    this.rows = new Map();  // number → row
    this.cards = new Map();
    this.chosen = new Set();
    this.limit = MOST;
    this.pending = 0;
    for (const id of ["by-verdict", "by-source", "by-mark", "order"]) {
      $(id).addEventListener("change", () => { this.limit = MOST; this.draw(); });
    }
    $("more").addEventListener("click", () => { this.limit += MOST; this.draw(); });
    $("choose").addEventListener("click", () => this.chooseAll());
  }

  add(rows) {
    for (const row of rows) this.rows.set(row.number, row);
    this.later();
  }

  remove(numbers) {
    for (const number of numbers) {
      this.rows.delete(number);
      this.cards.delete(number);
      this.chosen.delete(number);
    }
    this.draw();
  }

  clear() { this.remove([...this.rows.keys()]); }

  // Many rows come at once; the list is drawn a few times a second at most.
  later(wait = 150) {
    if (!this.pending) this.pending = setTimeout(() => this.draw(), wait);
  }

  // How many rows can be shown now without making too many new cards.
  most(rows) {
    let fresh = 0;
    const at = rows.findIndex((row) => !this.cards.has(row.number) && ++fresh > PART);
    return Math.min(this.limit, at < 0 ? rows.length : at);
  }

  get ordered() {
    const rows = [...this.rows.values()].filter((row) => this.fits(row));
    const [column, sign] = $("order").value.split(" ").map(Number);
    if ($("order").value === "") return rows.sort((a, b) => a.number - b.number);
    const worth = (row) => row.worth[column];
    return rows.sort((a, b) => (worth(a) == null) - (worth(b) == null) ||
      sign * (worth(a) - worth(b)) || a.number - b.number);
  }

  fits(row) {
    const verdict = $("by-verdict").value, source = $("by-source").value, mark = $("by-mark").value;
    return (!verdict || row.verdict === verdict) && (!source || row.likely === source) &&
      (!mark || (mark === NO_MARK ? !row.marks.length : row.marks.includes(mark)));
  }

  draw() {
    clearTimeout(this.pending);
    this.pending = 0;
    this.options();
    const rows = this.ordered, most = this.most(rows), part = rows.slice(0, most);
    if (most < Math.min(this.limit, rows.length)) this.later(0);
    const cards = part.map((row) => this.card(row)), list = $("list");
    const before = list.children.length;  // most often, there are only more of them
    if (before <= cards.length && cards.slice(0, before).every((x, i) => x === list.children[i])) {
      list.append(...cards.slice(before));
    } else {
      list.replaceChildren(...cards);
    }
    $("shown").textContent =
      `${part.length} of ${rows.length} that fit are shown; ${this.rows.size} answered in all`;
    $("more").hidden = part.length === rows.length;
    $("results").hidden = !this.rows.size;
    this.changed();
  }

  options() {
    const rows = [...this.rows.values()];
    const counted = (of) => {
      const counts = new Map();
      for (const x of rows.flatMap(of)) counts.set(x, (counts.get(x) ?? 0) + 1);
      return [...counts].sort((a, b) => a[0].localeCompare(b[0]));
    };
    fill($("by-verdict"), counted((row) => [row.verdict]));
    fill($("by-source"), counted((row) => row.likely ? [row.likely] : []));
    fill($("by-mark"), counted((row) => row.marks.length ? row.marks : [NO_MARK]));
  }

  card(row) {
    let card = this.cards.get(row.number);
    if (card) return card;
    const label = `${row.verdict}: ${row.name}`;
    const box = made("input", {type: "checkbox", autocomplete: "off",
                               "aria-label": `choose ${row.name}`});
    box.checked = this.chosen.has(row.number);
    box.addEventListener("change", () => this.choose(row.number, box.checked));
    // It does what the other button does: for those who point.
    const thumb = made("button", {type: "button", class: "thumb", tabindex: -1, "aria-hidden": "true"},
      row.pictured ? made("img", {src: `api/images/${row.number}/small`, alt: "", loading: "lazy"})
                   : "no picture");
    const more = made("button", {type: "button", "aria-label": `evidence, ${label}`}, "Evidence");
    for (const button of [thumb, more]) {
      button.addEventListener("click", () => this.open(row.number));
    }
    card = made("li", {class: `card ${row.kind}`, "data-number": row.number}, box, thumb,
      made("div", {class: "text"}, made("h3", {}, row.verdict),
        row.probability && made("p", {}, `probability ${row.probability}`),
        row.support && made("p", {}, row.support),
        row.marks.length ? made("p", {class: "marks"}, row.marks.join(", ")) : null,
        made("p", {class: "small"}, row.folder ? `${row.folder}/${row.name}` : row.name),
        made("p", {}, row.reason), made("p", {}, more)));
    this.cards.set(row.number, card);
    return card;
  }

  choose(number, on) {
    if (on) this.chosen.add(number);
    else this.chosen.delete(number);
    this.changed();
  }

  chooseAll() {
    const numbers = this.ordered.map((row) => row.number);
    const on = !numbers.every((number) => this.chosen.has(number));
    for (const number of numbers) {
      if (on) this.chosen.add(number);
      else this.chosen.delete(number);
      const box = this.cards.get(number)?.querySelector("input");
      if (box) box.checked = on;
    }
    this.changed();
  }
}

function fill(select, counts) {
  const before = select.value;
  const options = counts.map(([name, number]) => made("option", {value: name},
                                                     `${name} (${number})`));
  select.replaceChildren(made("option", {value: ""}, "all"), ...options);
  select.value = counts.some(([name]) => name === before) ? before : "";
}
