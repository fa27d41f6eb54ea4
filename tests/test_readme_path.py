"""README's path from photos to a report, copied as it is into a shell with an empty home.

The environment gets its packages from the one that runs the tests; all else is as README has it.
What README shows below a command is what must be printed, but for its digits.
"""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import result_lines
from tests.conftest import PROJECT
from tests.help_pages import bash_lines, path_section
from tests.test_from_python import run_notebook

LONGEST = 45 * 60  # seconds, on a machine that is busy with other things
MARK = "@@@"
README = PROJECT / "README.md"


@dataclass(frozen=True)
class Step:
    """Commands of the path, and lines of what README says that they print."""

    commands: str
    shown: list[str]


def steps() -> list[Step]:
    """The path's steps: a bash block, and a text block after it where there is one."""
    section = path_section(README.read_text("utf-8"))
    blocks = re.findall(r"(?ms)^```(bash|text)\n(.*?)^```", section)
    found: list[Step] = []
    for kind, text in blocks:
        if kind == "bash":
            found.append(Step(text, []))
        else:
            found[-1].shown.extend(line for line in text.splitlines() if line.strip(" …"))
    return found


def pattern(line: str) -> str:
    """What a line must look like: its words, any numbers, and anything for "…"."""
    words = re.escape(" ".join(line.split()))
    return re.sub(r"\d+(\\?[.,]\d+)*", r"[\\d.,]+", words).replace("…", ".*")


def is_printed(line: str, output: str) -> bool:
    lines = (" ".join(x.split()) for x in re.split(r"[\r\n]", output))
    return any(re.fullmatch(pattern(line), x) for x in lines)


def follow(home: Path) -> list[tuple[int, str]]:
    """Runs all steps in one shell whose home is an empty folder.

    The second at which each was done, and what it printed.
    """
    script = "".join(f"{step.commands}\necho {MARK} $SECONDS\n" for step in steps())
    site = sysconfig.get_path("purelib")
    environment = {name: x for name, x in os.environ.items() if not name.startswith("XDG_")} | {
        "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": site,  # where the packages are, also the one that builds the wheel
        "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=PROJECT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    parts = re.split(rf"{MARK} (\d+)\n", done.stdout)
    return list(zip(map(int, parts[1::2]), parts[:-1:2], strict=True))


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    done = follow(home)
    seconds = [0, *(second for second, _ in done)]
    took = ", ".join(f"{b - a} s" for a, b in itertools.pairwise(seconds))
    print(f"README's path took {seconds[-1] / 60:.1f} minutes, its steps {took}")
    return home / "first", [printed for _, printed in done]


def test_the_path_is_read():
    found = steps()
    assert len(found) == 9
    assert "pip3 install '.[train]'" in found[0].commands
    assert all(step.shown for step in found[1:])
    assert is_printed("accuracy 98.1 % of 1,200 …", "accuracy  9 % of 12 images\nx")
    assert not is_printed("accuracy 98.1 %", "accuracy none %")


WRITES = ("--out", "--out_model", "--report")
READS = ("--training_data_dir", "--validation_data_dir", "--data_dir", "--model", "--against",
         "--testing_data_path")  # fmt: skip
MAKERS = ("sample_photos", "create_from_images")  # what follows is made, and then read
TAKERS = ("audit", "harmonize", "split", "prepare", "attribute")  # what follows is read


def files_of(command: str) -> tuple[list[str], list[str]]:
    """What a command of the path reads, and what it writes."""
    words = shlex.split(command)
    pairs = list(itertools.pairwise(words))
    if words[0] == "cp":
        return words[2:3], words[3:]
    reads = [value for flag, value in pairs if flag in (*READS, *TAKERS)]
    writes = [value for flag, value in pairs if flag in (*WRITES, *MAKERS)]
    reads += [c for a, b, c in zip(words, words[1:], words[2:], strict=False)
              if a in MAKERS and not c.startswith("--")]  # fmt: skip
    return reads, writes


def test_each_step_reads_what_an_earlier_one_wrote():
    written: list[Path] = []
    commands = [text for _, text in bash_lines(path_section(README.read_text("utf-8")))]
    for command in commands[commands.index("mkdir ~/first") + 1 :]:
        reads, writes = files_of(command)
        assert reads or "sample_photos" in command, command
        for path in map(Path, reads):
            known = any(x == path or x in path.parents or path in x.parents for x in written)
            assert known, f"{path}: {command}"
        written += map(Path, writes)
    assert {Path("model"), Path("report.html"), Path("sources/SNGAN")} <= set(written)


@pytest.mark.slow
@pytest.mark.timeout(LONGEST)
def test_every_step_prints_what_readme_shows(followed):
    for step, printed in zip(steps(), followed[1], strict=True):
        lacking = [line for line in step.shown if not is_printed(line, printed)]
        assert not lacking, f"{step.commands}\nprinted\n{printed}"


@pytest.mark.slow
@pytest.mark.timeout(LONGEST)
def test_it_ends_with_a_report_that_is_right(followed):
    folder, printed = followed
    (right,) = {
        re.search(r"Accuracy: \d+/\d+ = ([\d.]+)%", x)[1] for x in printed if "Accuracy" in x
    }
    assert float(right) > 80  # chance is a third
    lines = result_lines.checked(folder / "results.jsonl")
    assert {line["model"]["file"] for line in lines} == {"model/measured.safetensors"}
    named = [x for x in lines if x["verdict"] in x["probabilities"]]
    assert len(named) > len(lines) / 2
    assert sum(Path(x["path"]).parent.name == x["verdict"] for x in named) > 0.9 * len(named)
    page = (folder / "report.html").read_text("utf-8")
    assert f"The sources of {len(lines)} images" in page
    measured = json.loads((folder / "measured/measured.json").read_text("utf-8"))
    assert [x["name"] for x in measured["conditions"]] == ["as they are", "jpeg75"]


@pytest.mark.slow
def test_the_notebook_goes_on_where_the_path_ends(followed):
    names = run_notebook(followed[0])
    assert names["found"]["accuracy"][0] > 0.8
