"""The whole pipeline, small: four GANs, two classifiers, an attack, an unknown source, a page."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder

import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments import figures, report, results, scale, steps, study
from experiments.plan import DATA, NETWORK, Plan
from experiments.steps import OUT, Folder, Step
from experiments.study import Table
from gan_fingerprints import metrics, program, typed
from gan_fingerprints.program import REQUIRED, option

DESCRIPTION = """\
The whole pipeline, small, on crops of photographs that come with the dependencies: trains four
GANs and generates images with them, trains both classifiers, attacks the images, trains a
classifier that has never seen one of the GANs, and writes it all into one page.

  python3 experiments/quickstart.py quickstart_output

What is complete is kept: after an interruption the same command goes on where it was."""

SOURCES = "architectures"
ATTACK = "combination"
LEFT_OUT = "MMDGAN"
TITLE = "GAN fingerprints: what the quickstart made"
LEAD = (
    "Four GANs, trained for minutes on crops of a few photographs, and two classifiers that tell "
    "their images apart. The crops overlap, so this shows that everything works, not how well "
    "fingerprints can be told apart."
)


OPTIONS = {
    "out": option(typed.text.of("OUT"), REQUIRED, "where everything goes"),
    "--fast": option(typed.given, False, "train a third as long or less, for lower accuracies"),
}


def planned(fast: bool) -> tuple[list[Table], dict[str, Step]]:
    """The tables of the quickstart, and all steps by name."""
    size = scale.read("fast" if fast else "quickstart")
    plan, *others = (Plan(size, None, "") for _ in range(3))
    unjudged: dict[str, Any] = {"expected": {}, "published": {}}  # trained for minutes only
    methods = ["classifier", "visnet"]
    tables = [
        study.plan(SOURCES, plan, methods=methods, without_samples_of=[], **unjudged),
        study.plan("attacks", others[0], sources=SOURCES, attacks=[ATTACK], also=[], **unjudged),
        study.plan("open_set", others[1], left_out=[LEFT_OUT], also=[]),
    ]
    folders = " ".join(plan.source(name) for name in study.sources(SOURCES, size))
    seen = size.images["training"] + size.images["validation"]
    split = f"experiments/split.py --out_dir {OUT}/sets/examples --first {seen}"
    examples = plan.step("sets/examples", f"{split} --testing 2 {folders}")
    picture, model = "pictures/examples.png", f"{OUT}/models/{SOURCES}_visnet/{NETWORK}"
    test = f"classifier_visNet/run.py --app test --model_path {model}"
    test += f" --testing_data_path {examples}/testing --out_fingerprint_dir {OUT}/fingerprints"
    plan.step("fingerprints", f"{test} --out_confusion {OUT}/{picture}", "fingerprints", picture)
    tables[0].steps = list(plan.steps)
    return tables, plan.steps | others[0].steps | others[1].steps


def curves(folder: Path) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Training curves of every network, from the logs: network → name → (progress, value)."""
    logs = {path.relative_to(folder).parts[1]: path for path in folder.glob("gans/**/log.txt")}
    logs |= {
        name: folder / "models" / place / "log.txt"
        for name, place in (("classifier", SOURCES), ("visNet", f"{SOURCES}_visnet"))
    }
    return {name: _curves_of(path.read_text()) for name, path in logs.items()}


def _curves_of(log: str) -> dict[str, list[tuple[float, float]]]:
    series: dict[str, list[tuple[float, float]]] = {}
    for line in log.splitlines():
        if where := re.search(r"\b(?:kimg|iteration) ([\d.]+)", line):
            for name, value in re.findall(r"(\w+ accuracy|\w*loss\w*) (-?[\d.]+)", line):
                series.setdefault(name, []).append((float(where[1]), float(value)))
    accuracies = {name: x for name, x in series.items() if name.endswith("accuracy")}
    return accuracies or series


def pictures(folder: Path) -> list[dict[str, str]]:
    """What the report shows beside the tables."""
    figures.training_curves(curves(folder), folder / "pictures" / "curves.png")
    return [
        {"path": "pictures/curves.png", "caption": "How the networks were trained."},
        {"path": "fingerprints/fingerprint_confusion_matrix.png",
         "caption": "The visNet's view: an image of each source, its fingerprint, and how that "
                    "responds to each source's fingerprint."},
    ]  # fmt: skip


def write(tables: list[Table], folder: Folder, reused: set[str], sources: int) -> dict[str, Any]:
    """All results and the page; returns those of the first table."""
    facts = {"folder": "photographs of the packages", "images": sources, "checksum": None}
    made = [results.of(table, folder, facts, "quickstart", reused) for table in tables]
    samples, *maps = made[0]["pictures"]
    made[0]["pictures"] = [samples, *pictures(folder.path), *maps]
    for one in made:
        report.write(one, folder.path / one["table"])
    report.write_study(made, folder.path, TITLE, LEAD)
    return made[0]


def lines(table: Mapping[str, Any]) -> Iterator[str]:
    """What is printed at the end: accuracies, and who was taken for whom."""
    for row in table["rows"]:
        yield (
            f"{row['method']}: accuracy {row['correct']}/{row['images']} = {row['accuracy']:.2%} "
            f"(95% interval {row['low']:.2%} to {row['high']:.2%}; chance {row['chance']:.0%})"
        )
    confusion = table["rows"][0]["confusion"]
    yield ""
    yield metrics.confusion_text(np.array(confusion["counts"]), confusion["names"])


def main() -> None:
    started = time.monotonic()
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    tables, every = planned(arguments.fast)
    size = scale.read("fast" if arguments.fast else "quickstart")
    folder = Folder(arguments.out, every, {DATA: ""})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with steps.locked(folder.path, "OUT"):
        reused = set(every).difference(folder.incomplete(every))
        for _ in steps.run(folder, list(every), size.jobs):
            pass
        shown = write(tables, folder, reused, size.photos_needed)
    print("", *lines(shown), sep="\n")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    model = folder.path / "models" / SOURCES / NETWORK
    print(f"""
Finished in {minutes} min {seconds} s. Look at
  {folder.path / "report.html"}    everything on one page: open it in a browser
  {folder.path / SOURCES}    results as JSON, CSV, Markdown and figures
  {folder.path / "models"}    networks and logs; tensorboard --logdir shows the curves
Attribute images of yours, files or folders, and write a page that explains the answers:
  cd {shlex.quote(str(steps.PROJECT))}
  {shlex.quote(sys.executable)} -m gan_fingerprints attribute IMAGES \\
      --model {shlex.quote(str(model))} --report attributed.html""")


if __name__ == "__main__":
    program.run(main)
