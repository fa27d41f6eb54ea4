"""Networks that see a part of the images, through the command line."""

import re

import pytest

from classifier.config import Config
from tests.classifier.conftest import training_arguments


def accuracy(run_script, prepared, out, *more):
    run_script("classifier/run.py", *training_arguments(prepared, out, *more))
    log = (out / "log.txt").read_text()
    return float(re.findall(r"validation accuracy ([\d.]+)%", log)[-1])


@pytest.mark.slow
def test_marks_of_high_frequency_are_in_the_high_band_alone(prepared, tmp_path, run_script):
    """Rows or columns that alternate: shrinking blurs them away, a patch of 10 pixels has them."""
    length = ("--total_kimg", 8)
    high = ("--component", "high_frequency", "--component_res", 16)
    assert accuracy(run_script, prepared, tmp_path / "high", *length, *high) >= 90
    patch = ("--component", "patch", "--component_res", 8)
    assert accuracy(run_script, prepared, tmp_path / "patch", *length, *patch) >= 90
    low = ("--component", "low_frequency", "--component_res", 8)
    assert accuracy(run_script, prepared, tmp_path / "low", *length, *low) <= 60


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--component", "patch"), "--component_res: found none with --component patch"),
        (("--component_res", 8), "--component_res: found 8 with --component full, expected none"),
        (
            ("--component", "patch", "--component_res", 64),
            "--component_res 64: expected at most 16",
        ),
        (("--component", "middle"), "found 'middle', expected full, low_frequency"),
    ],
)
def test_what_does_not_fit_is_refused(prepared, tmp_path, run_script, flags, message):
    arguments = training_arguments(prepared, tmp_path / "out", *flags)
    done = run_script("classifier/run.py", *arguments, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_old_weights_of_another_view_are_refused(model, prepared, tmp_path, run_script):
    """The highest band's network has the layers of the whole image's: only its view differs."""
    band = Config(component="high_frequency", component_res=16).network_arguments(16)
    whole = Config().network_arguments(16)
    assert band["mode"] != whole["mode"]
    assert band.keys() == whole.keys()
    arguments = training_arguments(
        prepared, tmp_path / "out", "--component", "high_frequency", "--component_res", 16,
        "--init_from", model / "network-final.safetensors",
    )  # fmt: skip
    done = run_script("classifier/run.py", *arguments, check=False)
    assert done.returncode == 2
    assert "its mode is postpool, expected predownscale_residual" in done.stderr
    assert not (tmp_path / "out").exists()
