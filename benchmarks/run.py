"""Runs every benchmark, one after the other, and writes one JSON file.

Ratios within one run are what counts; absolute rates are those of the machine at that moment, so
let nothing else run meanwhile. About a quarter of an hour on two CPU cores.

    python3 benchmarks/run.py --out benchmarks.json
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import json
import subprocess
import tempfile

from gan_fingerprints import program, typed
from gan_fingerprints.program import option
from gan_fingerprints.training.run import write_json

BENCHMARKS = ("data", "answers", "classifier", "visnet", "sngan", "ipm")

OPTIONS = {
    "--out": option(typed.file, "benchmarks.json", "the results"),
    "--rounds": option(typed.positive_int, 5, "measurements of each ratio; the median counts"),
}


def main() -> None:
    arguments = program.Parser(__doc__.partition("\n")[0], OPTIONS).parse_args()
    program.check_writable(Path(arguments.out), "--out")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in BENCHMARKS:
            print(f"== {name}", flush=True)
            script = Path(__file__).with_name(f"{name}.py")
            out = Path(folder, f"{name}.json")
            # Each in a process of its own, so that its peak memory is its own.
            subprocess.run(
                [sys.executable, script, "--out", out, "--rounds", str(arguments.rounds)],
                check=True,
            )
            results[name] = json.loads(out.read_text())
    write_json(Path(arguments.out), results)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    program.run(main)
