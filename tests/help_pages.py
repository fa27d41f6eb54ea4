"""docs/commands.md, the page of what programs answer to --help_all, and how it is written anew:

python3 tests/help_pages.py
"""

import ast
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):
    sys.path[0] = str(PROJECT)  # runs from any folder

from experiments.gans import GANS

PAGE = PROJECT / "docs" / "commands.md"
WIDTH = 100
SCRIPTS = ("quickstart.sh", "run_tests.sh")
ORDER = (*GANS, "classifier", "classifier_visNet", "gan_fingerprints", "experiments")
NOT_OURS = {"tests", "build", "dist", "site-packages"}
INTRODUCTION = f"""\
# Every command

What each program answers to `--help_all`, {WIDTH} columns wide; `--help` shows the basic options. A
flag with two names has them on one line: the first is the same in all programs.

Programs are started from the project's folder here; from their own folders they work as well. This
page is written by `python3 tests/help_pages.py`, and a test compares it with the programs.
"""


@dataclass(frozen=True)
class Help:
    """What a program printed.

    Attributes:
        title: the program's path, and the name of a subcommand where there is one.
        text: all of it.
        seconds: of processor time.
    """

    title: str
    text: str
    seconds: float


def programs() -> list[str]:
    """Every script, and every Python file that can be run, but for the tests'."""
    found = []
    for path in PROJECT.glob("*/**/*.py"):
        parts = path.relative_to(PROJECT).parts
        foreign = NOT_OURS.intersection(parts) or any(part.startswith(".") for part in parts)
        if not foreign and '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8"):
            found.append("/".join(parts))
    return [*SCRIPTS, *sorted(found, key=_place)]


def _place(program: str) -> tuple[int, str]:
    folder = program.partition("/")[0]
    return (ORDER.index(folder) if folder in ORDER else len(ORDER)), program


def words_of(program: str, python: str = "python3") -> list[str]:
    """The command line that starts a program from the project's folder."""
    if program.endswith(".sh"):
        return ["bash", program]
    if program.startswith("gan_fingerprints/"):
        return [python, "-m", program.removesuffix(".py").replace("/", ".")]
    return [python, program]


def help_of(title: str) -> Help:
    """Asks a program, or one of its subcommands. RuntimeError if it does not answer."""
    program, *subcommand = title.split()
    flag = "--help" if program.endswith(".sh") else "--help_all"
    process = subprocess.Popen(
        [*words_of(program, sys.executable), *subcommand, flag],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    with process.stdout as output:
        text = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{title} {flag} ended with {process.returncode}:\n{text}")
    return Help(title, text, usage.ru_utime + usage.ru_stime)


def subcommands(help: Help) -> list[str]:
    """Titles of a program's subcommands: the names that its help indents below an argument."""
    listed = help.text.partition("\npositional arguments:\n")[2].partition("\n\n")[0]
    return [f"{help.title} {name}" for name in re.findall(r"(?m)^    (\w+)", listed)]


def helps() -> list[Help]:
    """What all programs print, each followed by its subcommands; two are asked at a time."""

    def asked(program: str) -> list[Help]:
        first = help_of(program)
        return [first, *map(help_of, subcommands(first))]

    with ThreadPoolExecutor(2) as pool:
        return [help for group in pool.map(asked, programs()) for help in group]


def page(texts: dict[str, str]) -> str:
    """The page of some helps: title → text."""
    listed = [f"- [{title}](#{_anchor(title)}): {purpose(title)}" for title in texts
              if " " not in title]  # fmt: skip
    sections = [f"{_heading(title)}\n\n```text\n{text.strip()}\n```" for title, text in
                texts.items()]  # fmt: skip
    return "\n\n".join([INTRODUCTION.strip(), "\n".join(listed), *sections]) + "\n"


def _heading(title: str) -> str:
    return f"{'###' if ' ' in title else '##'} {title}"


def _anchor(title: str) -> str:
    """Of a heading, as GitHub makes them."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def purpose(program: str) -> str:
    """The first sentence of a program about itself."""
    text = (PROJECT / program).read_text(encoding="utf-8")
    if program.endswith(".sh"):
        about = " ".join(re.findall(r"^# (.*)", text, re.MULTILINE))
    else:
        about = ast.get_docstring(ast.parse(text)) or ""
    return re.split(r"(?<=\.)\s", about)[0]


def bash_lines(markdown: str) -> list[tuple[str, str]]:
    """Every command of a page's bash blocks: the folder it is in, as `cd` says, and its text.

    Lines that go on after a backslash are one. Each block begins in the project's folder.
    """
    found = []
    for block in re.findall(r"^```bash\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL):
        folder = ""
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if moved := re.match(r"cd (\S+)$", line):
                folder = os.path.normpath(os.path.join(folder, moved[1]))
            elif line.strip() and not line.startswith("#"):
                found.append((folder, line))
    return found


def path_section(readme: str) -> str:
    """README's path from photos to a report, which begins in an empty folder."""
    found = re.search(r"(?ms)^## From photos to a report\n.*?(?=^## )", readme)
    assert found
    return found[0]


def read() -> dict[str, str]:
    """The page as it is: title → text."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"^##+ ([^\n]+)\n\n```text\n(.*?)\n```", text, re.MULTILINE | re.DOTALL))


if __name__ == "__main__":
    PAGE.write_text(page({help.title: help.text for help in helps()}), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PROJECT)}")
