// Images of known sources: enrolled in a model, or audited for what tells their files apart.

import {$, ask, made, post, table, tell, trying} from "./api.js";
import {send} from "./dropping.js";

class Brought {
  constructor(id) {
    this.id = id;
    this.largest = Infinity;
    this.empty();
    $(`${id}-go`).addEventListener("click", () => this.start());
    $(`${id}-none`).addEventListener("click", () => this.empty());
  }

  empty() {
    this.numbers = [];
    this.folders = new Map();
    this.waiting = 0;
    this.refused = 0;
    this.show();
    $(`${this.id}-result`).replaceChildren();
  }

  async take(found) {
    tell("");
    this.waiting += found.length;
    this.show();
    const path = {path: "api/sources", query: {}, largest: this.largest};
    await send(found, path, (one, error, answer) => {
      this.waiting--;
      if (error) {
        this.refused++;
        tell(`${one.file.name}: ${error.message}`);
      } else {
        const name = one.folder.split("/").pop();
        this.numbers.push(answer.number);
        this.folders.set(name, (this.folders.get(name) ?? 0) + 1);
      }
      this.show();
    });
  }

  show() {
    const count = this.numbers.length, refused = this.refused ? `, ${this.refused} refused` : "";
    const said = this.waiting ? `${count} brought, ${this.waiting} on their way` : this.said(count);
    $(`${this.id}-brought`).textContent = said + refused;
    $(`${this.id}-go`).disabled = !count || this.waiting > 0;
    $(`${this.id}-none`).disabled = !count && !this.refused;
  }

  async start() {
    const result = $(`${this.id}-result`), button = $(`${this.id}-go`);
    button.disabled = true;
    result.replaceChildren(made("p", {}, this.working));
    const answer = await trying(() => this.asked());
    this.empty();
    if (answer) result.replaceChildren(...this.told(answer));
  }
}

const link = (file, name) =>
  made("p", {}, made("a", {class: "button", href: file, download: ""}, name));

export class Enrolment extends Brought {
  constructor(models, changed) {
    super("enrol");
    this.models = models;
    this.changed = changed;
    this.working = "The source is being enrolled; images that wait come first.";
  }

  said(count) { return count ? `${count} images brought.` : "No image yet."; }

  async asked() {
    const query = new URLSearchParams({model: $("enrol-model").value || 0});
    const answer = await post(`api/enrol?${query}`,
                              {name: $("enrol-name").value, numbers: this.numbers});
    this.models.show((await (await ask("POST", "api/session")).json()).models);
    return answer;
  }

  told(answer) {
    return [made("h3", {}, answer.name), made("ul", {},
              ...answer.said.map((line) => made("li", {}, line))),
            link(answer.file, "Download the new model"),
            made("p", {}, "It is among the models to choose from, until this program ends.")];
  }
}

export class Audit extends Brought {
  constructor() {
    super("audit");
    this.working = "The files are being compared.";
  }

  said(count) {
    if (!count) return "No folder yet.";
    const folders = [...this.folders].map(([name, number]) => `${name || "no folder"} ${number}`);
    return `${count} images brought: ${folders.join(", ")}.`;
  }

  asked() { return post("api/audit", {numbers: this.numbers}); }

  told(answer) {
    const differs = answer.warnings.length
      ? made("ul", {}, ...answer.warnings.map((line) => made("li", {}, line)))
      : made("p", {}, "Nothing was found that surely tells them apart.");
    return [made("h3", {}, "What differs"), differs,
            ...answer.tables.flatMap((one) => [made("h3", {}, one.title),
              table(one.header, one.rows, one.title)]),
            made("details", {}, made("summary", {}, "All that was found, as the command says it"),
              made("pre", {tabindex: 0, role: "region", "aria-label": "the audit as text"},
                answer.text)),
            link(answer.file, "Download all as JSON")];
  }
}
