"""The baselines through their command line."""

import re

import numpy as np
import pytest

SCRIPT = "classifier/baselines.py"


def accuracy_of(done) -> float:
    return float(re.search(r"Accuracy: \d+/\d+ = ([\d.]+)%", done.stdout)[1])


@pytest.fixture
def fit(prepared, folders, tmp_path, run_script):
    def run(method, *more):
        return run_script(
            SCRIPT, "--method", method, "--training_data_dir", prepared / "train",
            "--validation_data_dir", prepared / "test", "--out_model", tmp_path / "m.safetensors",
            "--testing_data_path", folders / "test", "--out_confusion", tmp_path / "c.png", *more,
            check=False,
        )  # fmt: skip

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "chosen"), [("knn", r"k \d+"), ("eigenface", r"variance [\d.]+ C [\d.e-]+"),
                           ("prnu", r"levels 1 sigma [\d.]+")],
)  # fmt: skip
def test_fitted_saved_and_used_again(fit, folders, tmp_path, run_script, method, chosen):
    """Three sources that differ in a pattern: by chance a third would be right."""
    done = fit(method, "--training_images", 500)
    lines = re.findall(rf"({chosen}): validation accuracy ([\d.]+)%( \(chosen\))?", done.stdout)
    assert sum(mark != "" for _, _, mark in lines) == 1
    assert max(float(share) for _, share, _ in lines) == float(
        next(share for _, share, mark in lines if mark)
    )
    assert "fitted on 500 images" in done.stdout
    assert accuracy_of(done) >= 60
    again = run_script(
        SCRIPT, "--model_path", tmp_path / "m.safetensors", "--testing_data_path", folders / "test",
        "--out_csv", tmp_path / "t.csv", "--out_confusion", tmp_path / "d.png",
    )  # fmt: skip
    assert accuracy_of(again) == accuracy_of(done)
    assert (tmp_path / "t.csv").read_text().count("\n") == 181


@pytest.mark.slow
def test_cooccurrence_writes_a_network_that_programs_take(fit, folders, tmp_path, run_script):
    done = fit("cooccurrence")
    assert re.search(r"shrinkage [\d.]+: validation accuracy [\d.]+% \(chosen\)", done.stdout)
    assert accuracy_of(done) >= 60
    model = tmp_path / "m.safetensors"
    tables = {}
    for name, script, *more in (
        ("again", SCRIPT),
        ("run", "classifier/run.py", "--app", "test"),
    ):  # fmt: skip
        path = tmp_path / f"{name}.csv"
        again = run_script(
            script, *more, "--model_path", model, "--testing_data_path", folders / "test",
            "--out_csv", path, "--out_confusion", path.with_suffix(".png"),
        )  # fmt: skip
        assert accuracy_of(again) == accuracy_of(done)
        tables[name] = [line.split(",") for line in path.read_text().splitlines()[1:]]
    for ours, theirs in zip(*tables.values(), strict=True):
        assert ours[0] == theirs[0]
        np.testing.assert_allclose(np.float64(ours[2:6]), np.float64(theirs[2:6]), atol=1e-3)
    said = run_script("gan_fingerprints", "attribute", folders / "test", "--model", model)
    assert f"model: {model} (cooccurrence, 16×16 pixels)" in said.stdout
    assert "threshold: unknown below" in said.stdout
    distances = run_script(
        "classifier/features.py", "--model_path", model, "--testing_data_path", folders / "test"
    )
    assert "FD ratio: " in distances.stdout


def test_bad_input(fit, prepared, tmp_path, run_script):
    def refused(*arguments):
        done = run_script(SCRIPT, *arguments, check=False)
        assert done.returncode == 2
        return done.stderr

    assert "found neither, expected one of them" in refused()
    assert "found 'svm', expected knn, eigenface, prnu or cooccurrence" in refused(
        "--method", "svm"
    )
    assert "--training_data_dir is missing" in refused("--method", "knn")
    few = fit("knn", "--training_images", 1)
    assert few.returncode == 2
    assert "one of every source" in few.stderr
    assert not (tmp_path / "m.safetensors").exists()
    (tmp_path / "x").write_bytes(b"x")
    there = ("--testing_data_path", tmp_path / "x")
    assert "not a baseline of ours" in refused("--model_path", tmp_path / "x", *there)
