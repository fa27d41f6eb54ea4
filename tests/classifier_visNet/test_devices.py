"""Training on two devices takes the steps of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT


@pytest.mark.slow
def test_two_devices_take_the_same_steps_as_one():
    script = Path(__file__).with_name("two_devices.py")
    done = subprocess.run(
        [sys.executable, script], cwd=PROJECT, env={"PYTHONPATH": str(PROJECT), "PATH": ""},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
