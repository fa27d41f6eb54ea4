// The models that can be chosen, and what their files say of them.

import {$, facts, made} from "./api.js";

export class Models {
  constructor() {
    this.all = [];
    $("model").addEventListener("change", () => this.chosen());
  }

  get number() { return Number($("model").value) || 0; }

  show(models) {
    this.all = models;
    for (const select of [$("model"), $("enrol-model")]) {
      const before = select.value;
      select.replaceChildren(...models.map((model, i) => made("option", {value: i},
        model.ready ? model.name : `${model.name} (being read)`)));
      if (before !== "" && before < models.length) select.value = before;
    }
    const waiting = models.filter((model) => !model.ready).length;
    $("loading").textContent = waiting
      ? `${waiting === 1 ? "A model is" : `${waiting} models are`} being read; ` +
        "what is dropped meanwhile waits for it." : "";
    $("cards").replaceChildren(...models.map(card));
    this.chosen();
  }

  chosen() {
    const model = this.all[this.number];
    $("before").hidden = !model?.ready;
    $("before").querySelector("dl").replaceChildren(
      ...Object.entries(model?.before ?? {}).flatMap(([name, texts]) => [
        made("dt", {}, name), made("dd", {}, ...texts.map((text) => made("p", {}, text)))]));
    $("report").href = `api/report.html?model=${this.number}`;
    $("case").href = `api/case.zip?model=${this.number}`;
  }
}

function card(model) {
  if (!model.ready) return made("section", {}, made("h3", {}, model.name), "Being read.");
  const meanings = Object.entries(model.meanings).flatMap(([name, text]) =>
    [made("h4", {}, name), made("p", {}, text)]);
  return made("section", {}, made("h3", {}, model.name), facts(model.facts),
    made("details", {}, made("summary", {}, `Card of ${model.name}`),
      ...(model.card.length ? blocks(model.card) : [made("p", {}, "Its file has no card.")])),
    made("details", {}, made("summary", {}, `What verdicts of ${model.name} mean`),
      ...meanings, made("h4", {}, "Limits"), ...model.limits.map((text) => made("p", {}, text))));
}

// Of Markdown what cards use: headings, lists, paragraphs.
function blocks(lines) {
  const found = [];
  for (const line of lines) {
    const [, mark, text] = /^(#+ |- )?(.*)$/.exec(line);
    if (!text) continue;
    if (mark === "- ") {
      if (found.at(-1)?.tagName !== "UL") found.push(made("ul"));
      found.at(-1).append(made("li", {}, text));
    } else if (mark) {
      found.push(made("h4", {}, text));
    } else {
      found.push(made("p", {}, text));
    }
  }
  return found;
}
