"""docs/commands.md says what the programs say, and no page names a flag that does not exist."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from gan_fingerprints.flags import ALIASES
from gan_fingerprints.version import __version__
from tests import help_pages
from tests.help_pages import PROJECT

RENEW = "renew it: python3 tests/help_pages.py"
PAGES = ["README.md", "CONTRIBUTING.md", "quickstart.sh", *sorted(
    f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md") if path != help_pages.PAGE
)]  # fmt: skip
PYTHONS = ("venv/__main__.py",)  # of Python itself
OTHERS = {
    "--logdir": "TensorBoard", "--check": "ruff", "--rm": "Docker", "--target": "Docker",
    "--nodes": "Slurm", "--ntasks": "Slurm", "--gpus": "Slurm", "--requeue": "Slurm",
}  # fmt: skip
FLAG = r"(?<![\w-])--[A-Za-z]\w*"


@pytest.fixture(scope="module")
def asked():
    start = time.monotonic()
    found = {help.title: help for help in help_pages.helps()}
    print(f"{len(found)} helps in {time.monotonic() - start:.1f} s")
    return found


@pytest.fixture(scope="module")
def written():
    return help_pages.read()


def test_programs_are_found():
    known = """ProGAN/dataset_tool.py ProGAN/run.py SNGAN/train.py SNGAN/evaluations/gen_images.py
        SNGAN/datasets/celeba.py CramerGAN/gan/main.py MMDGAN/gan/main.py classifier/run.py
        classifier_visNet/demo.py gan_fingerprints/__main__.py benchmarks/run.py quickstart.sh"""
    assert set(known.split()) <= set(help_pages.programs())
    assert "SNGAN/datasets/listing.py" not in help_pages.programs()  # has no main


@pytest.mark.slow
def test_page_has_every_command(asked, written):
    assert list(written) == list(asked), (
        f"docs/commands.md lacks a command, or has one more; {RENEW}"
    )
    assert help_pages.page(written) == help_pages.PAGE.read_text(encoding="utf-8"), RENEW


@pytest.mark.slow
def test_page_says_what_the_programs_say(asked, written):
    """Word by word: where a usage line is broken differs between versions of Python."""
    other = [title for title, help in asked.items()
             if help.text.split() != written.get(title, "").split()]  # fmt: skip
    assert not other, f"docs/commands.md is not what {', '.join(other)} says now; {RENEW}"


@pytest.mark.slow
def test_every_program_says_its_version(asked, run_script):
    lacking = [title for title, help in asked.items() if "--version" not in help.text]
    assert lacking == ["gan_fingerprints/__main__.py run"]
    for script in help_pages.SCRIPTS:
        asked_of = ["bash", PROJECT / script, "--version"]
        done = subprocess.run(asked_of, capture_output=True, text=True, check=True)
        assert done.stdout == f"gan-fingerprints {__version__}\n"
    for script in ("classifier/run.py", "gan_fingerprints"):
        assert run_script(script, "--version").stdout == f"gan-fingerprints {__version__}\n"


@pytest.mark.slow
def test_flags_of_2019_have_the_same_second_name_everywhere(asked):
    """But where a program has another option of that name."""
    found = 0
    for help in asked.values():
        for flag, alias in ALIASES.items():
            if shown := re.search(rf"(?m)^  (--\w+ [^-\s]+, )?{flag} .*(\n {{10}}.*)*", help.text):
                first = (shown[1] or "").startswith(f"{alias} ")
                other = re.search(rf"(?m)^  {alias} (?!.*, --)", help.text)
                assert first or f"or {alias}" in shown[0] or other, (help.title, flag)
                found += first
    assert found > 30


@pytest.mark.slow
def test_help_is_quick(asked):
    slow = {title: round(help.seconds, 2) for title, help in asked.items() if help.seconds > 1}
    assert not slow, f"seconds of processor time for --help: {slow}"


def commands_of(text: str, page: str) -> list[tuple[str, str, str]]:
    """Folder, program and arguments of every Python command in a page's code, in its order."""
    lines = [("", line) for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    if page.endswith(".md"):
        lines = help_pages.bash_lines(text)
        lines += [("", span) for span in re.findall(r"`(python3 [^`\n]+)`", text)]
        inline = re.findall(r"`([\w/]+\.py [^`\n]*--[^`\n]*)`", text)
        lines += [("", f"python3 {span}") for span in inline]
    found = []
    for folder, line in lines:
        # What is installed stands for these.
        line = re.sub(r"\bgan-fingerprints run (?=\S+\.py\b)", "python3 ", line)
        line = re.sub(r"\bgan-fingerprints (?=\w)", "python3 -m gan_fingerprints ", line)
        for module, program, rest in re.findall(
            r'(?:python3|"\$python") (-m )?([\w./]+)(.*)', line
        ):
            name = f"{program}/__main__.py" if module else program
            found.append((folder, name, rest))
    return found


def title_of(page: str, folder: str, program: str, rest: str, known: dict[str, str]) -> str | None:
    """The section of docs/commands.md about a command of a page."""
    home = Path(page).stem  # docs/SNGAN.md is about SNGAN/
    names = [f"{folder}/{program}", f"{home}/{program}", program]
    title = next((name for name in names if name in known), None)
    words = rest.split()
    return f"{title} {words[0]}" if words and f"{title} {words[0]}" in known else title


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_exist_and_have_their_flags(page, written):
    text = (PROJECT / page).read_text(encoding="utf-8")
    for folder, program, rest in commands_of(text, page):
        if program in PYTHONS:
            continue
        if program.startswith("tests/"):
            assert (PROJECT / program).is_file(), f"{page}: no {program}"
            continue
        title = title_of(page, folder, program, rest, written)
        assert title, f"{page}: no program {program}"
        unknown = set(re.findall(FLAG, rest)) - set(re.findall(FLAG, written[title]))
        assert not unknown, f"{page}: {title} has no {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("page", PAGES)
def test_flags_that_a_page_mentions_exist(page, written):
    text = (PROJECT / page).read_text(encoding="utf-8")
    known = set(re.findall(FLAG, "\n".join(written.values())))
    unknown = set(re.findall(FLAG, text)) - known - set(OTHERS)
    assert not unknown, f"{page}: no program has {', '.join(sorted(unknown))}"


def test_every_command_of_the_2019_release_is_on_its_page_and_in_the_table_word_for_word():
    published = (PROJECT / "tests/data/published_commands.txt").read_text().splitlines()
    assert len(published) == 17
    table = (PROJECT / "docs/published_commands.md").read_text("utf-8")
    assert re.findall(r"(?m)^\|[^|]+\|[^|]+\| `(cd [^`]+)` \|$", table) == published
    for line in published:
        room = line.removeprefix("cd ").partition("/")[0]
        page = (PROJECT / "docs" / f"{room}.md").read_text("utf-8")
        ours = [f"cd {x}/ && {' '.join(y.split())}" for x, y in help_pages.bash_lines(page)]
        assert line in ours, f"docs/{room}.md"


def test_a_wrong_flag_would_be_found(written):
    (found,) = commands_of(
        "```bash\ncd ProGAN/\npython3 run.py \\\n  --app gen --png 3\n```", "x.md"
    )
    assert found == ("ProGAN", "run.py", " --app gen --png 3")
    assert title_of("README.md", *found, written) == "ProGAN/run.py"
    assert set(re.findall(FLAG, found[2])) - set(re.findall(FLAG, written["ProGAN/run.py"])) == {
        "--png"
    }
    installed = "```bash\ngan-fingerprints run ProGAN/run.py --png 3\ngan-fingerprints card x\n```"
    assert commands_of(installed, "x.md") == [
        ("", "ProGAN/run.py", " --png 3"), ("", "gan_fingerprints/__main__.py", " card x")
    ]  # fmt: skip
    (made,) = commands_of("`python3 dataset_tool.py display d --shuffle 0`", "x.md")
    assert title_of("docs/ProGAN.md", *made, written) == "ProGAN/dataset_tool.py display"
    assert "--shuffle" not in written["ProGAN/dataset_tool.py display"]
