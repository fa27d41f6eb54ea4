"""The quickstart: what it plans, and what it reads out of logs and results."""

import json

import pytest
from PIL import Image

from experiments import figures, quickstart


@pytest.mark.parametrize("full", [False, True])
def test_four_gans_three_classifiers_an_attack_and_an_unknown_source(full):
    tables, steps = quickstart.planned(full)
    assert [table.name for table in tables] == ["architectures", "attacks", "open_set"]
    trained = {name for name, step in steps.items() if "train" in step.command or step.resumes}
    assert trained == {
        "gans/ProGAN_seed_v0", "gans/SNGAN", "gans/CramerGAN", "gans/MMDGAN",
        "models/architectures", "models/architectures_residual", "models/architectures_visnet",
        "models/architectures_immune_combination", "models/without_MMDGAN",
    }  # fmt: skip
    seen = set()
    for step in steps.values():
        assert seen.issuperset(step.needs)
        seen.add(step.name)
    for table in tables:
        assert set(table.steps) <= seen
    assert {"fingerprints", "attacked", "attributed"} <= set(tables[0].steps)
    asked = " ".join(steps["attributed"].command)
    assert "models/architectures_residual/network-final.safetensors" in asked
    assert "sets/examples/testing" in asked  # images that no network was trained on


def test_photographs_of_yours_take_the_place_of_those_of_the_packages():
    _, own = quickstart.planned(False)
    _, yours = quickstart.planned(False, "images", "checksum")
    assert "data/records" not in own
    assert yours["data/records"].command[-1] == "$DATA"
    assert yours["data/records"].inputs == {"data": "checksum"}
    assert [x for x in yours if x != "data/records"] == [*own]


def test_too_few_photographs_are_refused_in_one_line(tmp_path, run_script):
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    out = tmp_path / "out"
    done = run_script("experiments/quickstart.py", out, "--data", tmp_path, check=False)
    assert done.returncode == 2
    assert "--data" in done.stderr
    assert "found 1 images, expected 1500 or more for the scale fast" in done.stderr
    assert not out.exists()


def test_answers_are_shown_beside_the_true_source(tmp_path):
    rows = [
        {"path": f"{tmp_path}/testing/real/a.png", "verdict": "real", "error": None},
        {"path": f"{tmp_path}/testing/SNGAN/b.png", "verdict": "unknown", "error": None},
        {"path": f"{tmp_path}/testing/SNGAN/c.png", "verdict": None, "error": "not an image"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / quickstart.ANSWERS).write_text(text)
    assert [line.split(maxsplit=2) for line in quickstart.answers(tmp_path)] == [
        ["real", "a.png", "like the photographs it was trained on (real)"],
        ["SNGAN", "b.png", "unknown"],
        ["SNGAN", "c.png", "not an image"],
    ]


def test_what_the_model_cannot_do_is_said_with_its_numbers():
    architectures = {"rows": [{"method": "residual", "accuracy": 0.914,
                               "per_source": dict.fromkeys("abcde")}]}  # fmt: skip
    areas = {"name": "AUROC, without MMDGAN", "value": 0.8}
    unknown = {"measures": [areas, {"name": "TNR at 95 % TPR, without MMDGAN", "value": 0.354}]}
    said = quickstart.limits([architectures, {}, unknown])
    assert "names 91% of such test images rightly, but knows only 5 sources" in said
    assert "noticed 35% of MMDGAN's images as unknown" in said


LOG = """tick 1 kimg 1.02 minibatch 32 sec/kimg 1.3 loss 1.5000 skipped_steps 0
kimg 2.00 training accuracy 50.50% validation accuracy 40.25%
kimg 4.00 training accuracy 90.00% validation accuracy 80.00%
calibrated: temperature 1.2, unknown below energy 3.4
"""


def test_accuracies_are_shown_where_there_are_any():
    assert quickstart._curves_of(LOG) == {
        "training accuracy": [(2.0, 50.5), (4.0, 90.0)],
        "validation accuracy": [(2.0, 40.25), (4.0, 80.0)],
    }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("tick 151 kimg 75.52 lod 0.00 G_loss 0.9747 D_loss -0.6698 skipped_steps 0",
         {"G_loss": [(75.52, 0.9747)], "D_loss": [(75.52, -0.6698)]}),
        ("iteration 850 loss_gen 0.2663 loss_dis 1.7252 alpha 0.0004 sec/iteration 0.549",
         {"loss_gen": [(850.0, 0.2663)], "loss_dis": [(850.0, 1.7252)]}),
        ("iteration 4000 g_loss 0.6457 d_loss -0.4705 lr 5.18e-05",
         {"g_loss": [(4000.0, 0.6457)], "d_loss": [(4000.0, -0.4705)]}),
    ],
)  # fmt: skip
def test_losses_of_each_gan(line, names):
    assert quickstart._curves_of(line) == names


def test_training_curves_are_drawn(tmp_path):
    curves = {f"network {i}": quickstart._curves_of(LOG) for i in range(5)}
    figures.training_curves(curves, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height > 300
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_what_is_printed_at_the_end():
    row = {"method": "classifier", "correct": 3, "images": 4, "accuracy": 0.75, "low": 0.3,
           "high": 0.95, "chance": 0.2,
           "confusion": {"names": ["real", "gan"], "counts": [[2, 0], [1, 1]]}}  # fmt: skip
    text = "\n".join(quickstart.lines({"rows": [row]}))
    assert "classifier: accuracy 3/4 = 75.00% (95% interval 30.00% to 95.00%; chance 20%)" in text
    assert "50.0 %" in text  # recall of the second source
