// The demo of the study, live: a testing image every few seconds, until it is paused.

import {$, get, made, Refused, tell} from "./api.js";

export class Demo {
  constructor() {
    this.at = 0;
    this.shown = false;
    this.timer = 0;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("demo-back").addEventListener("click", () => this.go(-1));
    $("demo-next").addEventListener("click", () => this.go(1));
    $("demo-play").addEventListener("click", () => { this.playing = !this.playing; this.wait(); });
    $("demo-speed").addEventListener("change", () => this.wait());
    $("demo").addEventListener("keydown", (event) => {
      if (event.target.matches("select")) return;
      if (event.key === "ArrowLeft") this.go(-1);
      if (event.key === "ArrowRight") this.go(1);
    });
  }

  async visible(on) {
    this.shown = on;
    if (on) await this.show();
    else clearTimeout(this.timer);
  }

  go(by) {
    this.at += by;
    return this.show();
  }

  wait() {
    clearTimeout(this.timer);
    $("demo-play").textContent = this.playing ? "Pause" : "Play";
    $("demo-play").setAttribute("aria-pressed", String(!this.playing));
    if (!this.playing || !this.shown) return;
    this.timer = setTimeout(() => this.go(1), 1000 * Number($("demo-speed").value));
  }

  async show() {
    clearTimeout(this.timer);
    try {
      this.all ??= await get("api/demo");
      this.at = (this.at + this.all.cases) % this.all.cases;
      const at = this.at, one = await get(`api/demo/${at}`);
      if (at !== this.at || !this.shown) return;
      this.draw(one);
      this.wait();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.retry) {
        $("demo-said").textContent = `${error.message}.`;
        this.timer = setTimeout(() => this.show(), 1000 * error.retry);
      } else {
        tell(error.message);
      }
    }
  }

  draw(one) {
    $("demo-case").textContent = `${this.at + 1} of ${this.all.cases}: ${one.name}`;
    $("demo-seen").replaceChildren();
    $("demo-sources").replaceChildren();
    if (one.error) {
      $("demo-said").textContent = `Left out: ${one.error}.`;
      return;
    }
    const kind = one.right === null ? "" : one.right ? "right" : "wrong";
    const truth = one.truth === null ? "the true source is not known" : `in truth: ${one.truth}`;
    $("demo-said").replaceChildren("Predicted: ", made("strong", {class: kind}, one.predicted),
                                   `; ${truth}.`);
    const picture = (place, alt) => made("img", {src: `api/demo/${this.at}/${place}`, alt});
    for (const [place, text] of ["the image, as the model saw it", "its fingerprint"].entries()) {
      $("demo-seen").append(made("figure", {}, picture(place, text),
                                 made("figcaption", {}, text)));
    }
    $("demo-sources").append(...this.all.sources.map((name, i) => {
      const look = i === one.true ? "true" : i === one.likely && one.right === false ? "wrong" : "";
      return made("figure", {class: look}, made("h4", {}, name),
        made("img", {src: `api/demo/sources/${i}`, alt: `fingerprint of ${name}`}),
        picture(i + 2, `response to ${name}`),
        ...(one.barred.includes(i) ? this.bar(one.responses[i]) : []));
    }));
  }

  bar(value) {
    const [low, high] = this.all.ends, whole = high - low || 1;
    const part = (x) => 100 * Math.min(Math.max((x - low) / whole, 0), 1);
    const [left, right] = [part(0), part(value)].sort((a, b) => a - b);
    const span = made("span");
    span.style.left = `${left}%`;
    span.style.width = `${Math.max(right - left, 0.5)}%`;
    return [made("div", {class: "meter"}, span),
            made("figcaption", {}, `response ${value.toFixed(2)}`)];
  }
}
