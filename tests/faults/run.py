"""The fault job: everything that may go wrong is made to, and what became of it is counted.

    python3 tests/faults/run.py [--out FILE.md] [--slice]

Kills at every file operation of a checkpoint, power cuts on a disk of its own, damaged checkpoints,
data sets, images and network files, hostile names, full disks, limits of memory and time: under 40
minutes on two cores, with --slice 3. Power cuts and full disks need root and are skipped without.
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
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = "tests/gan_fingerprints"
GROUPS = {
    "power cuts": ["tests/faults/test_power_cuts.py"],
    "checkpoints: damage, kills at every file operation": [
        f"{LIBRARY}/training/test_checkpoints.py"
    ],
    "runs: signals, leftovers, what is finished": [
        f"{LIBRARY}/training/test_run.py", f"{LIBRARY}/training/test_begin.py",
    ],
    "outputs: whole or not at all": [f"{LIBRARY}/test_program.py"],
    "data sets": ["tests/faults/test_data_sets.py", f"{LIBRARY}/data/test_verifying.py"],
    "images": ["tests/faults/test_images.py"],
    "network files": ["tests/faults/test_network_files.py", f"{LIBRARY}/networks/test_header.py"],
    "published files": [f"{LIBRARY}/networks/published/test_hostile.py"],
}  # fmt: skip
"""What may go wrong → the tests that make it."""


def counts_of(report: Path) -> tuple[Counter[str], float]:
    """Tried, survived and skipped in a JUnit report, and its seconds.

    A test that counts says so in its properties; another counts as one.
    """
    counts: Counter[str] = Counter()
    suite = next(iter(xml.parse(report).getroot()))
    for case in suite.iter("testcase"):
        said = {p.get("name"): int(p.get("value") or 0) for p in case.iter("property")}
        tags = {child.tag for child in case}
        if "skipped" in tags:
            counts["skipped"] += 1
            continue
        counts["tried"] += said.get("tried", 1)
        counts["survived"] += said.get("survived", 1) * (not tags & {"failure", "error"})
    return counts, float(suite.get("time") or 0)


def run_group(places: list[str], scale: str, folder: Path) -> tuple[Counter[str], float]:
    report = folder / "report.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *places]
    # In a group's own process: what one leaves behind does not help or hurt the next.
    subprocess.run([sys.executable, *words], cwd=PROJECT, env={**os.environ, "FAULTS": scale})
    return counts_of(report)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", metavar="FILE.md", help="write the table there too")
    parser.add_argument("--slice", action="store_true", help="the part that continuous tests have")
    arguments = parser.parse_args()
    start, failed = time.monotonic(), False
    lines = ["| what | tried | survived | skipped | seconds |", "|---|---:|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, places in GROUPS.items():
            there = [place for place in places if (PROJECT / place).exists()]
            scale = "slice" if arguments.slice else "full"
            counts, seconds = run_group(there, scale, Path(folder))
            failed |= counts["survived"] < counts["tried"]
            numbers = (counts[x] for x in ("tried", "survived", "skipped"))
            lines.append(f"| {name} | {' | '.join(map(str, numbers))} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    text = "\n".join([*lines, "", f"{time.monotonic() - start:.0f} seconds in all"]) + "\n"
    print(f"\n{text}")
    if arguments.out:
        Path(arguments.out).write_text(text, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
