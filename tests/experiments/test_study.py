"""What the study plans, and what it makes of answers."""

import csv
import itertools
import json
import re

import numpy as np
import pytest

from experiments import plan, results, scale, study
from experiments.steps import Folder
from experiments.study import Answers, Table
from gan_fingerprints import metrics
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT


def planned(name, size="small", kind="images"):
    steps = plan.Plan(scale.read(size), kind, "sum")
    return study.plan(name, steps), steps


@pytest.mark.parametrize("size", scale.names())
@pytest.mark.parametrize("name", study.TABLES)
def test_steps_come_after_what_they_need_and_name_real_programs(name, size):
    table, made = planned(name, size, None if size == "mini" else "celeba")
    seen, outputs = set(), {"$DATA"}
    for step in made.steps.values():
        assert seen.issuperset(step.needs)
        program = step.command[0]
        assert program == "-m" or (PROJECT / program).is_file()
        reads = [word for word in step.command if word.startswith("$OUT/")]
        for word in reads:
            path = word.removeprefix("$OUT/")
            made_here = any(f"{path}/".startswith(f"{out}/") for out in step.outputs)
            earlier = any(f"{path}/".startswith(f"{out}/") or out.startswith(f"{path}/")
                          for out in outputs)  # fmt: skip
            assert made_here or earlier, f"{step.name} reads {word}, which nobody makes"
        seen.add(step.name)
        outputs.update(step.outputs)
    assert table.steps == list(made.steps)
    for line in table.lines:
        assert line.place.removeprefix("$OUT/") in outputs


def test_no_two_steps_write_to_one_place():
    steps = {}
    for name in study.TABLES:
        steps |= planned(name)[1].steps
    places = sorted(out for step in steps.values() for out in step.outputs)
    for one, other in itertools.pairwise(places):
        assert not f"{other}/".startswith(f"{one}/"), (one, other)


@pytest.mark.parametrize("name", ["architectures", "artifact_free", "attacks", "open_set"])
def test_the_residual_network_stands_beside_the_publications(name):
    """Trained by its own command, on the same data, tested on the same images."""
    table, made = planned(name)
    lines = {
        kind: [x for x in table.lines if x.method == kind] for kind in ("classifier", "residual")
    }
    assert len(lines["residual"]) == {"architectures": 1, "artifact_free": 1, "attacks": 7,
                                      "open_set": 4}[name]  # fmt: skip
    of_both = {x.variant for x in lines["classifier"]}
    assert {x.variant for x in lines["residual"]} <= of_both
    trained = [x for x in made.steps.values() if re.fullmatch("models/.*_residual", x.name)]
    for step in trained:
        assert step.command[:3] == ("-m", "gan_fingerprints", "train")
        beside = made.steps[step.name.removesuffix("_residual")]
        data = "--training_data_dir"
        assert step.command[step.command.index(data) + 1] in beside.command
    assert len(trained) == (4 if name == "open_set" else 1)
    assert len({x.place for x in table.lines}) == len(table.lines)


def test_a_file_of_weights_may_have_a_space_in_its_name():
    steps = plan.Plan(scale.read("small"), "images", "sum", "my weights/it.h5")
    study.plan("seeds", steps)
    command = steps.steps["spaces/seeds_inception"].command
    assert command[command.index("--inception_weights") + 1] == "my weights/it.h5"


def test_one_name_means_one_step():
    steps = plan.Plan(scale.read("small"), "images", "sum")
    assert steps.step("a", "make $OUT/a") == steps.step("a", "make $OUT/a") == "$OUT/a"
    with pytest.raises(ValueError, match="two steps are called a"):
        steps.step("a", "make otherwise $OUT/a")


def test_real_test_images_are_such_as_no_gan_saw():
    size = scale.read("small")
    _, made = planned("seeds")
    words = made.steps["images/real"].command
    flags = {words[i]: int(words[i + 1]) for i, word in enumerate(words)
             if word in ("--num", "--replace", "--spare")}  # fmt: skip
    assert flags == {"--num": 4900, "--replace": 900, "--spare": 5000}
    assert size.held_out_from == 5000
    assert size.photos_needed == 6000
    training = made.steps["data/training"].command
    assert training[training.index("--num") + 1] == "5000"


@pytest.mark.parametrize(("factor", "side"), [(1, 3), (2, 10), (4, 24), (8, 52), (16, 108)])
def test_patch_sides_are_the_published_ones(factor, side):
    assert study.patch_side(factor) == side


def write_answers(path, names, probabilities, truth, unknown=(), scores=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "predicted", "probability", *names, "error"])
        for i, (row, name) in enumerate(zip(probabilities, truth, strict=True)):
            answer = "unknown" if i in unknown else names[int(np.argmax(row))]
            table.writerow([f"set/{name}/{i}.png", answer, max(row), *row, ""])
        table.writerow(["set/real/bad.png", "", "", *[""] * len(names), "not an image"])
    if scores is not None:
        with path.with_suffix(".scores.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "predicted", "most_probable", "energy", "threshold", "error"])
            table.writerows([[f"{i}.png", "", "", x, 1.0, ""] for i, x in enumerate(scores)])


NAMES = ["real", "gan_a"]
PROBABILITIES = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]]
TRUTH = ["real", "real", "gan_a", "gan_a", "gan_b"]


@pytest.fixture
def folder(tmp_path):
    write_answers(
        tmp_path / "x.csv", NAMES, PROBABILITIES, TRUTH, unknown={1, 4}, scores=[5, 1, 4, 3, 2]
    )
    return Folder(tmp_path, {}, {})


def test_a_line_by_hand(folder):
    table = Table("open_set", "t", "c", {"without gan_b": {"CelebA": 1.0}}, {}, chance=0.5)
    table.lines = [Answers("classifier", "without gan_b", "$OUT/x.csv", "gan_b")]
    made = results.of(table, folder, {"images": 5}, "small", set())
    (row,) = made["rows"]
    assert (row["correct"], row["images"], row["accuracy"]) == (3, 4, 0.75)
    assert (row["low"], row["high"]) == metrics.wilson_interval(3, 4)
    assert row["confusion"] == {"names": NAMES, "counts": [[2, 0], [1, 1]]}
    assert row["per_source"]["gan_a"] == {"precision": 1.0, "recall": 0.5}
    assert row["brier"] == pytest.approx((2 * 0.01 + 2 * 0.04 + 2 * 0.09 + 2 * 0.36) / 4)
    assert row["published"] == {"CelebA": 1.0}
    values = {x["name"].partition(",")[0].partition(" (")[0]: x["value"] for x in made["measures"]}
    assert values["known images answered unknown"] == 0.25
    assert values["AUROC"] == 0.75  # 5, 1, 4, 3 against 2
    assert values["TNR at 95 % TPR"] == 0.0  # the threshold is 1, and 2 is above
    (curve,) = made["curves"][0]["lines"]
    assert curve["x"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve["y"] == pytest.approx([0, 0, 1 / 3, 2 / 4, 2 / 5])
    json.dumps(made, allow_nan=False)


def row(variant, right, method="classifier"):
    low, high = metrics.wilson_interval(right, 1000)
    return {"method": method, "variant": variant, "accuracy": right / 1000, "low": low,
            "high": high}  # fmt: skip


def expectations(expected, *rows):
    table = Table("t", "t", "c", {}, expected)
    return {x["statement"]: x["met"] for x in results.expectations(table, list(rows))}


def test_expectations_are_judged():
    lines = [row("", 980), row("", 985, "prnu"), row("", 300, "knn")]
    found = expectations({"at_least": {"classifier": 97}, "baselines_below": "classifier"}, *lines)
    assert found == {
        "classifier at least 97 %": True,
        "knn below the classifier": True,
        "prnu below the classifier": False,
    }
    found = expectations({"after_at_least": 80}, row("blur after", 799), row("blur before", 999))
    assert found == {"blur after immunization at least 80 %": False}
    rising = {"rising": ["low"]}
    assert all(expectations(rising, row("low 8", 700), row("low 4", 400)).values())
    assert all(expectations(rising, row("low 8", 895), row("low 4", 900)).values())  # within
    assert not any(expectations(rising, row("low 8", 700), row("low 4", 900)).values())


def test_a_scale_of_ones_own(tmp_path):
    text = (scale.FOLDER / "mini.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text.replace("resolution: 32", "resolution: 64"))
    assert scale.read(str(tmp_path / "own.yaml")).resolution == 64
    (tmp_path / "bad.yaml").write_text(text.replace("visnet:", "visnett:"))
    with pytest.raises(UserError, match="missing are visnet, unknown are visnett"):
        scale.read(str(tmp_path / "bad.yaml"))
    with pytest.raises(UserError, match="--scale tiny"):
        scale.read("tiny")
