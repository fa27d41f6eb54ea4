"""The fault job: everything that may go wrong is made to, and what became of it is counted.

    python3 tests/faults/run.py [--out FILE.md] [--slice]

Kills at every file operation of a checkpoint, power cuts on a disk of its own, damaged checkpoints,
data sets, images and network files, hostile names, full disks, limits of memory and time: under 40
minutes on two cores that have nothing else to do, with --slice 3. Power cuts and full disks need
root; without, they are skipped, and the report says why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
FAULTS, LIBRARY = "tests/faults", "tests/gan_fingerprints"
CHECKPOINTS = f"{LIBRARY}/training/test_checkpoints.py"
KILLS = "any_file_operation"
GROUPS = {
    "power cuts": [f"{FAULTS}/test_power_cuts.py"],
    "full disks": [f"{FAULTS}/test_full_disks.py"],
    "network files": [f"{FAULTS}/test_network_files.py", f"{LIBRARY}/networks/test_header.py",
                      "tests/classifier/test_baseline_files.py"],
    "published network files": [f"{LIBRARY}/networks/published/test_hostile.py"],
    "kills at every file operation of a checkpoint": [CHECKPOINTS, "-k", KILLS],
    "damaged checkpoints": [CHECKPOINTS, "-k", f"not {KILLS}"],
    "runs: signals, leftovers, what is finished": [f"{LIBRARY}/training/test_run.py",
                                                   f"{LIBRARY}/training/test_begin.py"],
    "outputs: whole or not at all": [f"{LIBRARY}/test_outputs.py"],
    "data sets": [f"{LIBRARY}/data/test_verifying.py"],
    "images": [f"{FAULTS}/test_images.py"],
    "hostile names": [f"{LIBRARY}/test_shown.py", "tests/classifier_visNet/test_file_names.py"],
    "limits of memory and time": [f"{LIBRARY}/test_limits.py"],
}  # fmt: skip
"""What may go wrong → the tests that make it, as pytest is told; those that take longest first."""
AT_ONCE = 2  # groups
LONGEST = 3600  # seconds, of one test


class Outcome(NamedTuple):
    """What became of a group: tried, survived and skipped; why skipped; how long it took."""

    counts: Counter[str]
    reasons: set[str]
    seconds: float

    def row(self, name: str) -> str:
        numbers = (str(self.counts[x]) for x in ("tried", "survived", "skipped"))
        return f"| {name} | {' | '.join(numbers)} | {self.seconds:.0f} |"


def outcome_of(report: Path) -> Outcome:
    """The counts in a JUnit report: those in a test's properties; one for a test without."""
    counts: Counter[str] = Counter()
    reasons = set()
    suite = next(iter(xml.parse(report).getroot()))
    for case in suite.iter("testcase"):
        said = {p.get("name"): int(p.get("value") or 0) for p in case.iter("property")}
        parts = {child.tag: child for child in case}
        if "skipped" in parts:
            counts["skipped"] += 1
            reasons.add(parts["skipped"].get("message") or "")
            continue
        counts["tried"] += said.get("tried", 1)
        counts["survived"] += said.get("survived", 1) * (not parts.keys() & {"failure", "error"})
    return Outcome(counts, reasons, float(suite.get("time") or 0))


def run_group(words: list[str], scale: str) -> Outcome:
    """Runs tests in a process of their own: what they leave behind does not help or hurt others."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-q", "-p", "no:cacheprovider", f"--timeout={LONGEST}", f"--junitxml={report}"]
        options += ["-o", "junit_family=legacy"]  # which has the numbers of each test
        command = [sys.executable, "-m", "pytest", *options, *words]
        # Threads of OpenMP wait by spinning, which costs the other groups more than it saves.
        alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=PROJECT, env={**alone, **os.environ, "FAULTS": scale})
        try:
            return outcome_of(report)
        except (OSError, xml.ParseError) as error:
            print(f"{' '.join(words)}: ended with {done.returncode}, its report is broken: {error}")
            if report.is_file():
                print(report.read_bytes()[:2000], len(report.read_bytes()))
            return Outcome(Counter(tried=1), set(), 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", metavar="FILE.md", help="write the table there too")
    parser.add_argument("--slice", action="store_true", help="the part that continuous tests have")
    arguments = parser.parse_args()
    start, scale = time.monotonic(), "slice" if arguments.slice else "full"
    lines = ["| what | tried | survived | skipped | seconds |", "|---|---:|---:|---:|---:|"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda words: run_group(words, scale), GROUPS.values()))
    lines += [outcome.row(name) for name, outcome in zip(GROUPS, done, strict=True)]
    reasons = sorted(set().union(*(outcome.reasons for outcome in done)))
    lines += ["", *(f"skipped: {reason}" for reason in reasons)]
    text = "\n".join([*lines, f"{time.monotonic() - start:.0f} seconds in all"]) + "\n"
    print(f"\n{text}")
    if arguments.out:
        Path(arguments.out).write_text(text, encoding="utf-8")
    return int(any(outcome.counts["survived"] < outcome.counts["tried"] for outcome in done))


if __name__ == "__main__":
    sys.exit(main())
