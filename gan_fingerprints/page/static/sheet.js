// The evidence on one image, or on two side by side, and pictures enlarged.

import {$, facts, get, made, table, trying} from "./api.js";

export class Sheet {
  // files: number → the file that was dropped, as long as this page has it.
  constructor(list, files) {
    this.list = list;
    this.files = files;
    this.number = null;
    $("close").addEventListener("click", () => $("sheet").close());
    $("smaller").addEventListener("click", () => $("picture").close());
    $("previous").addEventListener("click", () => this.step(-1));
    $("next").addEventListener("click", () => this.step(1));
    $("picture").addEventListener("close", () => this.forget());
    $("sheet").addEventListener("keydown", (event) => {
      if (event.target.closest(".scroll")) return;
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
  }

  async show(numbers) {
    const sheets = await trying(() => Promise.all(numbers.map((x) => get(`api/images/${x}`))));
    if (!sheets) return;
    const one = numbers.length === 1;
    this.number = one ? numbers[0] : null;
    $("previous").hidden = $("next").hidden = !one;
    $("sheet-title").textContent = one ? this.list.rows.get(numbers[0]).verdict : "Two images";
    const parts = sheets.map((sheet, i) => this.evidence(numbers[i], sheet, !one));
    $("evidence").replaceChildren(made("div", {class: one ? "" : "two"}, ...parts));
    if (!$("sheet").open) $("sheet").showModal();
    $("sheet").scrollTop = 0;
    $("sheet-title").focus();
  }

  step(by) {
    if (this.number === null) return;
    const numbers = this.list.ordered.map((row) => row.number);
    const at = numbers.indexOf(this.number) + by;
    if (at >= 0 && at < numbers.length) this.show([numbers[at]]);
  }

  evidence(number, sheet, headed) {
    const row = this.list.rows.get(number);
    const figures = sheet.pictures.map((caption, i) => this.figure(number, i, caption));
    return made("div", {class: "evidence"},
      headed && made("h3", {}, row.verdict), made("p", {class: "path"}, sheet.facts.file),
      ...sheet.said.map((text) => made("p", {}, text)),
      sheet.warning && made("p", {class: "warning"}, made("strong", {}, "Mind: "), sheet.warning),
      sheet.stability && made("p", {}, `Stability: ${sheet.stability}.`),
      figures.length ? made("div", {class: "pictures large"}, ...figures) : null,
      sheet.table.header.length
        ? table(sheet.table.header, sheet.table.rows, `sources of ${row.name}`) : null,
      made("details", {}, made("summary", {}, "The file and what was done with it"),
        facts(sheet.facts)));
  }

  figure(number, place, caption) {
    const image = made("img", {src: `api/images/${number}/${place}`, alt: caption,
                               class: place ? "pixelated" : ""});
    image.addEventListener("load", () => {
      image.classList.toggle("pixelated", place > 0 || image.naturalWidth < 256);
    });
    const button = made("button", {type: "button", class: "enlarge",
                                   "aria-label": `enlarge: ${caption}`}, image);
    button.addEventListener("click", () => this.enlarge(number, place, caption));
    return made("figure", {}, button, made("figcaption", {}, caption));
  }

  // The file itself shows more than the small picture of it, where the browser can show it.
  enlarge(number, place, caption) {
    const image = $("enlarged"), small = `api/images/${number}/${place}`;
    const file = place === 0 && this.files.get(number);
    image.onload = () => { image.className = image.naturalWidth < 256 ? "pixelated" : ""; };
    image.alt = caption;
    image.onerror = () => { image.onerror = null; image.src = small; };
    image.src = file ? (this.address = URL.createObjectURL(file)) : small;
    $("picture-title").textContent = `${this.list.rows.get(number).name}: ${caption}`;
    $("picture").showModal();
    $("picture-title").focus();
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    $("enlarged").onerror = null;
    $("enlarged").removeAttribute("src");
  }
}
