"""The demo as one page: an image and its fingerprint, and how each model fingerprint answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from gan_fingerprints.attribution.verdict import worded
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.pictures.page_style import HEAD, STYLE, policy
from gan_fingerprints.shown import shown

if TYPE_CHECKING:
    from classifier_visNet.frames import Case

TITLE = "GAN fingerprints, case by case"
LEAD = (
    "Red points of an image's fingerprint speak for a source, blue ones against it. The bar is the "
    "sum of all: of the predicted source and, where the prediction is wrong, of the true one."
)
OWN_STYLE = """
.case { border-top: 1px solid var(--line); margin-top: 1.5rem; }
.case[hidden] { display: none; }
.case h2 { border: 0; margin: 0; font-size: 1.2rem; overflow-wrap: anywhere; }
.pictures.seen { grid-template-columns: repeat(2, minmax(0, 16rem)); }
.pictures.sources { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
.sources figure > * { margin-bottom: .4rem; }
.sources h3 { font-size: .95rem; line-height: 1.2; margin: 0; min-height: 2.4em;
  overflow-wrap: anywhere; }
.model { aspect-ratio: 1; background-size: contain; image-rendering: pixelated;
  border-radius: .25rem; }
.sources img, .seen img { aspect-ratio: 1; image-rendering: pixelated; }
.bar { height: 1rem; position: relative; background: var(--card); border-radius: .2rem; }
.bar span { position: absolute; top: 0; bottom: 0; border-radius: .2rem; background: var(--soft); }
.true, .true h3 { color: var(--good); } .wrong { color: var(--bad); }
.true .bar span { background: var(--good); } .wrong .bar span { background: var(--bad); }
"""
SCRIPT = """
const cases = [...document.querySelectorAll(".case")], tools = document.querySelector(".tools");
const list = document.getElementById("list"), play = document.getElementById("play");
let at = 0, timer = null;
function show(i) {
  at = (i + cases.length) % cases.length;
  cases.forEach((one, k) => { one.hidden = k !== at; });
  list.value = at;
}
function toggle() {
  timer = timer ? clearInterval(timer) : setInterval(() => show(at + 1), play.dataset.wait);
  play.textContent = timer ? "stop" : "play";
  play.setAttribute("aria-pressed", Boolean(timer));
}
document.getElementById("back").addEventListener("click", () => show(at - 1));
document.getElementById("next").addEventListener("click", () => show(at + 1));
play.addEventListener("click", toggle);
list.addEventListener("change", () => show(Number(list.value)));
document.addEventListener("keydown", event => {
  if (event.target === list) return;
  if (event.key === "ArrowLeft") show(at - 1);
  if (event.key === "ArrowRight") show(at + 1);
});
addEventListener("beforeprint", () => cases.forEach(one => { one.hidden = false; }));
addEventListener("afterprint", () => show(at));
tools.hidden = false;
show(0);
"""


class Models(NamedTuple):
    """What is the same in all cases.

    Attributes:
        names: the sources in label order.
        fingerprints: float [R, R, 3, sources].
        limits: lowest and highest end of the bars, with 0 between them.
    """

    names: Sequence[str]
    fingerprints: np.ndarray
    limits: tuple[float, float]


def html(cases: Sequence[Case], models: Models, seconds: float) -> str:
    """The page, whole in itself; without scripts it shows all cases below each other."""
    pictures = fingerprint_pictures.of_models(models.fingerprints)
    rules = "".join(
        f".m{i} {{ background-image: url({_data(x)}); }}\n" for i, x in enumerate(pictures)
    )
    head = HEAD.format(
        title=TITLE, lead=LEAD, style=STYLE + OWN_STYLE + rules, box="",
        scripts=f"; script-src {policy(SCRIPT)}",
    )  # fmt: skip
    body = "\n".join(_case(i, case, len(cases), models) for i, case in enumerate(cases))
    return (
        f"{head}<main>\n{_tools(cases, seconds)}\n{body}\n</main>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _tools(cases: Sequence[Case], seconds: float) -> str:
    options = "\n".join(
        f'<option value="{i}">{i + 1}: {_name(case)}, {_safe(case.image.row.most_probable)}'
        "</option>"
        for i, case in enumerate(cases)
    )
    wait = round(seconds * 1000)
    return (
        '<div class="tools" hidden>\n<button id="back">previous</button>\n'
        '<button id="next">next</button>\n'
        f'<button id="play" aria-pressed="false" data-wait="{wait}">play</button>\n'
        f'<label>case <select id="list">\n{options}\n</select></label>\n</div>'
    )


def _case(i: int, case: Case, number: int, models: Models) -> str:
    image, truth = case.image, case.truth
    predicted = str(image.row.most_probable)
    told = "the true source is not known" if truth is None else f"in truth: {_safe(truth)}"
    right = "" if truth is None else ' class="true"' if truth == predicted else ' class="wrong"'
    seen = (
        (image.picture.pixels[0], "the image, as the model saw it"),
        (fingerprint_pictures.of_image(image.fingerprint), "its fingerprint"),
    )
    figures = "".join(
        f'<figure><img alt="{text}" src="{_data(x)}"><figcaption>{text}</figcaption></figure>\n'
        for x, text in seen
    )
    return (
        f'<article class="case">\n<h2>{i + 1} of {number}: {_name(case)}</h2>\n'
        f"<p>Predicted: <strong{right}>{_safe(worded(predicted))}</strong>; {told}.</p>\n"
        f'<div class="pictures seen">\n{figures}</div>\n'
        f'<div class="pictures sources">\n{"".join(_sources(case, models))}</div>\n</article>'
    )


def _sources(case: Case, models: Models) -> Iterator[str]:
    """Of each source its name, its fingerprint, the response to it, and a bar if there is one."""
    image, predicted = case.image, case.image.row.most_probable
    responses = fingerprint_pictures.contributions(image.fingerprint, models.fingerprints)
    for i, (name, response) in enumerate(zip(models.names, responses, strict=True)):
        told = f"response to {_safe(name)}"
        kind = "true" if name == case.truth else "wrong" if name == predicted else ""
        kind = "" if case.truth is None else kind
        barred = name in (predicted, case.truth)
        bar = _bar(float(image.logits[i]), models.limits) if barred else ""
        yield (
            f'<figure class="{kind}"><h3>{_safe(name)}</h3>'
            f'<div class="model m{i}" role="img" aria-label="fingerprint of {_safe(name)}"></div>'
            f'<img alt="{told}" src="{_data(response)}">{bar}</figure>\n'
        )


def _bar(value: float, limits: tuple[float, float]) -> str:
    low, high = limits
    ends = sorted(100 * (x - low) / (high - low) for x in (0.0, value))
    left, width = ends[0], max(ends[1] - ends[0], 0.5)
    return (
        f'<div class="bar"><span style="left: {left:.1f}%; width: {width:.1f}%"></span></div>'
        f"<figcaption>{value:.2f}</figcaption>"
    )


def _name(case: Case) -> str:
    return _safe(case.image.row.path.name)


def _safe(text: object) -> str:
    return escape(shown(text))


def _data(pixels: np.ndarray) -> str:
    """A PNG of uint8 [H, W, 3] as an address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
