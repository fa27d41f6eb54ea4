"""The whole pipeline, small: four GANs, two classifiers, an attack, an unknown source, a page."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import json
import os
import re
import shlex
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments import figures, report, results, scale, steps, study
from experiments.plan import DATA, NETWORK, Plan
from experiments.report import Pictures
from experiments.run import check_data, facts_of
from experiments.steps import OUT, Folder, Step
from experiments.study import Table
from gan_fingerprints import metrics, program, typed
from gan_fingerprints.attribution.verdict import worded
from gan_fingerprints.pictures import contact_sheet
from gan_fingerprints.program import REQUIRED, option
from gan_fingerprints.shown import shown

DESCRIPTION = """\
The whole pipeline, small: trains four GANs on photographs and generates images with them, trains
three classifiers, attacks the images, trains a classifier that has never seen one of the GANs, says
of some images where they come from, and writes it all into one page.

  python3 experiments/quickstart.py quickstart_output
  python3 experiments/quickstart.py quickstart_faces --data my_photos/

The photographs are crops of those that come with the dependencies, or yours: with --data. What is
complete is kept: after an interruption the same command goes on where it was."""

SOURCES = "architectures"
ATTACK = "combination"
LEFT_OUT = "MMDGAN"
BEST = "residual"  # the kind of network that images in question are put to
SAMPLED, SAMPLES = "pictures/architectures", "pictures/architectures.png"  # step, file
EXAMPLES, ATTACKED = "sets/examples", "attacked"
PAIRS, CURVES = "pictures/attacked.png", "pictures/curves.png"
FINGERPRINTS = "fingerprints/fingerprint_confusion_matrix.png"
NAMED, ANSWERS = "attributed", "attributed.jsonl"  # step, file
SHOWN = 10  # images of a row of the picture of attacks
TITLE = "GAN fingerprints: what the quickstart made"
LEAD = (
    "Four GANs, trained for minutes on few photographs, and three classifiers that tell their "
    "images apart. This shows that everything works and what it looks like, not how well "
    "fingerprints can be told apart."
)


OPTIONS = {
    "out": option(typed.text.of("OUT"), REQUIRED, "where everything goes"),
    "--full": option(typed.given, False, "train three times as long or more, for better images"),
    "--data": option(
        typed.folder, None, "photographs of yours, of any size (default: those of the dependencies)"
    ),
}


def planned(
    full: bool, kind: str | None = None, checksum: str = ""
) -> tuple[list[Table], dict[str, Step]]:
    """The tables of the quickstart, and all steps by name. kind, checksum: see `Plan`."""
    size = scale.read(scale_of(full))
    plan, *others = (Plan(size, kind, checksum) for _ in range(3))
    unjudged: dict[str, Any] = {"expected": {}, "published": {}}  # trained for minutes only
    methods = ["classifier", BEST, "visnet"]
    tables = [
        study.plan(SOURCES, plan, methods=methods, without_samples_of=[], **unjudged),
        study.plan("attacks", others[0], sources=SOURCES, attacks=[ATTACK], also=[], **unjudged),
        study.plan("open_set", others[1], left_out=[LEFT_OUT], also=[]),
    ]
    plan_examples(plan, [plan.source(name) for name in study.sources(SOURCES, size)])
    tables[0].steps = list(plan.steps)
    return tables, plan.steps | others[0].steps | others[1].steps


def plan_examples(plan: Plan, folders: list[str]) -> None:
    """Images of each source that no network was trained on: attacked, taken apart, and named."""
    seen = plan.scale.images["training"] + plan.scale.images["validation"]
    split = f"experiments/split.py --out_dir {OUT}/{EXAMPLES} --first {seen}"
    listed = " ".join(folders)
    examples = plan.step(EXAMPLES, f"{split} --testing 2 {listed}") + "/testing"
    perturb = f"classifier/perturb.py --attack {ATTACK} --in_dir {examples}"
    plan.step(ATTACKED, f"{perturb} --out_dir {OUT}/{ATTACKED}")
    picture, model = "pictures/examples.png", f"{OUT}/models/{SOURCES}_visnet/{NETWORK}"
    test = f"classifier_visNet/run.py --app test --model_path {model}"
    test += f" --testing_data_path {examples} --out_fingerprint_dir {OUT}/fingerprints"
    plan.step("fingerprints", f"{test} --out_confusion {OUT}/{picture}", "fingerprints", picture)
    page, model = "attributed.html", f"{OUT}/models/{SOURCES}_{BEST}/{NETWORK}"
    attribute = f"-m gan_fingerprints attribute {examples} --model {model}"
    out = f"--out {OUT}/{ANSWERS} --report {OUT}/{page}"
    plan.step(NAMED, f"{attribute} {out}", ANSWERS, page)


def scale_of(full: bool) -> str:
    """The name of the scale's file."""
    return "quickstart" if full else "fast"


def curves(folder: Path) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Training curves of every network, from the logs: network → name → (progress, value)."""
    logs = {path.relative_to(folder).parts[1]: path for path in folder.glob("gans/**/log.txt")}
    logs |= {
        name: folder / "models" / place / "log.txt"
        for name, place in (
            ("classifier", SOURCES),
            ("residual network", f"{SOURCES}_{BEST}"),
            ("visNet", f"{SOURCES}_visnet"),
        )
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


def pictures(folder: Path) -> tuple[list[Pictures], list[Pictures]]:
    """What the page shows before the tables, and after them."""
    figures.training_curves(curves(folder), folder / CURVES)
    of_each = contact_sheet.samples_of(folder / EXAMPLES / "testing", SHOWN, 64)
    after = contact_sheet.samples_of(folder / ATTACKED, SHOWN, 64)
    pairs = {"as they were": of_each, f"after an attack ({ATTACK})": after}
    rows = {name: np.concatenate([*x.values()])[:SHOWN] for name, x in pairs.items()}
    contact_sheet.contact_sheet(folder / PAIRS, rows)
    first = [
        {"path": SAMPLES, "caption": "Test images of each source; real: photographs."},
        {"path": PAIRS, "caption": "Images of each source, and the same after an attack."},
        {"path": FINGERPRINTS,
         "caption": "The visNet's view: an image of each source, its fingerprint, and how that "
                    "responds to each source's fingerprint."},
    ]  # fmt: skip
    last = [{"path": CURVES, "caption": "Accuracy, or losses, in the course of each training."}]
    return (
        [Pictures("Pictures", "What was made, and what the classifiers look at.", first)],
        [Pictures("How the networks were trained", "From the logs of all runs.", last)],
    )


def write(
    tables: list[Table], folder: Folder, reused: set[str], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """All results and the page; returns the results."""
    made = [results.of(table, folder, facts, "quickstart", reused) for table in tables]
    made[0]["pictures"] = [x for x in made[0]["pictures"] if x["path"] != SAMPLES]
    for one in made:
        report.write(one, folder.path / one["table"])
    report.write_study(made, folder.path, TITLE, LEAD, *pictures(folder.path))
    return made


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


def answers(folder: Path) -> Iterator[str]:
    """What was said of the examples, beside where they are from."""
    for line in (folder / ANSWERS).read_text("utf-8").splitlines():
        one = json.loads(line)
        path = Path(one["path"])
        said = worded(one["verdict"]) if one["verdict"] else one["error"]
        yield shown(f"  {path.parent.name:<16} {path.name:<8} {said}")


def limits(made: list[dict[str, Any]]) -> str:
    """What the best model cannot do, with what was measured."""
    row = next(x for x in made[0]["rows"] if x["method"] == BEST)
    noticed = next(x for x in made[2]["measures"] if x["name"].startswith("TNR"))
    return (
        f"What this model cannot do: it names {row['accuracy']:.0%} of such test images rightly, "
        f"but knows only {len(row['per_source'])} sources. A classifier without {LEFT_OUT} noticed "
        f"{noticed['value']:.0%} of {LEFT_OUT}'s images as unknown: those of other GANs and "
        "cameras may get a wrong name. It was trained for minutes: its answers are no evidence."
    )


def announce(done: set[str], said: set[str], seconds: float, folder: Path) -> None:
    """Tells of the first pictures, and of the first answers, when they are there."""
    for step, text in (
        (SAMPLED, f"first pictures: {folder / SAMPLES}"),
        (NAMED, f"first answers: {folder / 'attributed.html'}"),
    ):
        if step in done and step not in said:
            said.add(step)
            tqdm.write(f"{seconds:7.0f} s  {text}")


def main() -> None:
    started = time.monotonic()
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    size = scale.read(scale_of(arguments.full))
    kind, checksum = check_data(arguments.data, size.photos_needed, size.name)
    tables, every = planned(arguments.full, kind, checksum)
    folder = Folder(arguments.out, every, {DATA: str(Path(arguments.data or "").resolve())})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with steps.locked(folder.path, "OUT"):
        reused = set(every).difference(folder.incomplete(every))
        said = set(reused)
        order = steps.first([SAMPLED, NAMED], every)
        for done in steps.run(folder, order, size.jobs, size.name):
            announce(done, said, time.monotonic() - started, folder.path)
        made = write(tables, folder, reused, facts_of(arguments.data, size.photos_needed, checksum))
    print("", *lines(made[0]), sep="\n")
    print(f"\nImages that no network was trained on: source, file, verdict of the {BEST} network")
    print(*answers(folder.path), sep="\n")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    model = folder.path / "models" / f"{SOURCES}_{BEST}" / NETWORK
    print(f"""
{textwrap.fill(limits(made), 100)}

Finished in {minutes} min {seconds} s. Look at
  {folder.path / "report.html"}    everything on one page: open it in a browser
  {folder.path / "attributed.html"}    what the verdicts above rest on
  {folder.path / SOURCES}    results as JSON, CSV, Markdown and figures
  {folder.path / "models"}    networks and logs; tensorboard --logdir shows the curves
Attribute other images, files or folders, and write a page that explains the answers:
  cd {shlex.quote(str(steps.PROJECT))}
  {shlex.quote(sys.executable)} -m gan_fingerprints attribute IMAGES \\
      --model {shlex.quote(str(model))} --report attributed.html""")


if __name__ == "__main__":
    program.run(main)
