"""The runner: what is complete is kept, what changed is made anew, what was stopped goes on."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from experiments import steps
from experiments.steps import Folder, Step
from gan_fingerprints.program import UserError
from tests.conftest import PROJECT

# Writes the sum of the numbers in its inputs, plus one, and notes in a diary that it ran.
ADD = """
import pathlib, sys
out, diary, *inputs = sys.argv[1:]
number = sum(int(pathlib.Path(x).read_text()) for x in inputs) + 1
pathlib.Path(out).write_text(str(number))
with open(diary, "a") as file: file.write(pathlib.Path(out).name + "\\n")
"""


def adding(name: str, *needs: str) -> Step:
    inputs = [f"$OUT/{needed}" for needed in needs]
    command = ("-c", ADD, f"$OUT/{name}", "$OUT/diary", *inputs)
    return Step(name, command, (name,), needs)


@pytest.fixture
def study(tmp_path):
    """A diamond: b and c need a, d needs both."""
    made = [adding("a"), adding("b", "a"), adding("c", "a"), adding("d", "b", "c")]
    return {step.name: step for step in made}, tmp_path / "out put"


def finish(study, jobs=2):
    planned, path = study
    folder = Folder(path, planned, {})
    for _ in steps.run(folder, list(planned), jobs):
        pass
    diary = path / "diary"
    ran = sorted(diary.read_text().split()) if diary.exists() else []
    diary.unlink(missing_ok=True)
    return ran


def test_every_step_runs_once_after_what_it_needs(study):
    assert finish(study) == ["a", "b", "c", "d"]
    assert (study[1] / "d").read_text() == "5"  # a 1, b 2, c 2
    assert finish(study) == []
    record = json.loads((study[1] / "steps" / "d.json").read_text())
    assert record["command"].endswith("$OUT/d $OUT/diary $OUT/b $OUT/c")
    assert 0 < record["seconds"] < 60


def test_what_is_wanted_first_and_all_it_needs_come_before_the_others(study):
    planned = dict(reversed({**study[0], "e": adding("e")}.items()))
    assert steps.first([], planned) == ["e", "d", "c", "b", "a"]
    assert steps.first(["c"], planned) == ["c", "a", "e", "d", "b"]
    assert steps.first(["d", "e"], planned) == ["e", "d", "c", "b", "a"]


def test_a_touched_output_and_what_reads_it_are_made_anew(study):
    finish(study)
    (study[1] / "b").write_text("900")
    assert finish(study) == ["b", "d"]
    assert (study[1] / "d").read_text() == "5"


def test_a_missing_output_is_made_anew(study):
    finish(study)
    (study[1] / "c").unlink()
    assert finish(study) == ["c", "d"]


def test_a_changed_command_and_all_after_it_are_made_anew(study):
    finish(study)
    planned, _ = study
    step = planned["c"]
    planned["c"] = replace(step, command=("-c", ADD + "#", *step.command[2:]))
    assert finish(study) == ["c", "d"]


def test_changed_data_make_all_anew(study):
    finish(study)
    planned, _ = study
    planned["a"] = replace(planned["a"], inputs={"data": "other"})
    assert finish(study) == ["a", "b", "c", "d"]


def test_an_interruption_between_a_step_and_its_successors_is_noticed(study):
    """What a later run would take for complete was made from an older input."""
    finish(study)
    planned, path = study
    (path / "a").unlink()
    folder = Folder(path, planned, {})
    for done in steps.run(folder, list(planned), 1):
        if "a" in done:
            break  # the others have not been made anew
    (path / "diary").unlink()
    assert finish(study) == ["b", "c", "d"]


def test_a_failing_command_is_told_and_nothing_after_it_runs(study):
    planned, path = study
    code = "import sys; print('all went well until'); sys.exit('the disk was full')"
    planned["b"] = replace(planned["b"], command=("-c", code))
    with pytest.raises(UserError, match=r"(?s)step b: ended with status 1.*disk was full") as e:
        finish(study)
    assert "all went well until" in str(e.value)
    assert not (path / "d").exists()
    planned["b"] = adding("b", "a")
    assert set(finish(study)) >= {"b", "d"}


def test_a_step_that_does_not_make_its_output_is_told(study):
    planned, _ = study
    planned["a"] = replace(planned["a"], command=("-c", ""))
    with pytest.raises(UserError, match="step a: ended without making a"):
        finish(study)


# Counts to five, one each tenth of a second, from where it was with --resume.
COUNT = """
import pathlib, sys, time
file = pathlib.Path(sys.argv[1]) / "count"
file.parent.mkdir(exist_ok="--resume" in sys.argv)
start = int(file.read_text()) if file.exists() else 0
print("from", start, flush=True)
for i in range(start + 1, 6):
    file.write_text(str(i)); time.sleep(0.3)
"""


def test_a_stopped_training_goes_on_and_its_time_adds_up(tmp_path):
    step = Step("training", ("-c", COUNT, "$OUT/model"), ("model",), resumes=True)
    script = (
        "import sys; from experiments import steps\n"
        "command = ('-c', sys.argv[2], '$OUT/model')\n"
        "step = steps.Step('training', command, ('model',), resumes=True)\n"
        "list(steps.run(steps.Folder(sys.argv[1], {'training': step}, {}), ['training'], 1))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path, COUNT], env=environment)
    count = tmp_path / "model" / "count"
    while not count.exists() or count.read_text() not in ("2", "3"):
        time.sleep(0.05)
    process.kill()  # not even the runner could note anything
    process.wait()
    time.sleep(2)  # the training itself may have gone on to its end
    before = count.read_text()
    folder = Folder(tmp_path, {"training": step}, {})
    assert folder.incomplete(["training"]) == ["training"]
    assert list(steps.run(folder, ["training"], 1))[-1] == {"training"}
    assert count.read_text() == "5"
    log = folder.log_file("training").read_text()
    assert log.splitlines() == ["from 0", f"from {before}"]


def test_a_training_with_another_command_starts_afresh(tmp_path):
    step = Step("training", ("-c", COUNT, "$OUT/model"), ("model",), resumes=True)
    folder = Folder(tmp_path, {"training": step}, {})
    folder.begin("training")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "count").write_text("4")
    assert folder.begin("training")  # the same goes on
    other = Folder(tmp_path, {"training": replace(step, command=("-c", COUNT, "x"))}, {})
    assert not other.begin("training")
    assert not (tmp_path / "model").exists()


def test_two_runners_do_not_share_a_folder(tmp_path):
    message = "another run of the study"
    with (
        steps.locked(tmp_path, "--out"),
        pytest.raises(UserError, match=message),
        steps.locked(tmp_path, "--out"),
    ):
        pass


def test_jobs_share_the_cores():
    cores = os.sched_getaffinity(0)
    shares = steps._shares(2)
    assert set().union(*map(set, shares)) == cores
    assert sum(map(len, shares)) == len(cores)
