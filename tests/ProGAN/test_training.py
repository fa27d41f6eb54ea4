"""Training through the real command line: repeatable, interruptible, honest about bad steps."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy

from tests import run_log
from tests.conftest import PROJECT

TINY = (
    "--fmap_base", 32, "--fmap_max", 8, "--minibatch", 8, "--total_kimg", 0.4,
    "--lod_training_kimg", 0.1, "--lod_transition_kimg", 0.1, "--tick_kimg", 0.05,
    "--image_ticks", 4, "--snapshot_ticks", 4, "--training_seed", 5,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory, photo_crops, run_script):
    folder = tmp_path_factory.mktemp("data")
    photos = photo_crops(folder / "photos", 40, 8)
    run_script("ProGAN/dataset_tool.py", "create_from_images", folder / "real", photos)
    return folder / "real"


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory, run_script):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    run_script(
        "ProGAN/run.py",
        "--app",
        "train",
        "--training_data_dir",
        data,
        "--out_model_dir",
        out,
        *TINY,
    )
    return out


def test_a_run_writes_what_it_should(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "settings.json", "log.txt", "tensorboard", "checkpoints", "finished.json", "reals.png",
        "fakes-final.png", "network-final.safetensors", "network-snapshot-000000.safetensors",
    }  # fmt: skip
    assert not [name for name in names if "partial" in name]
    settings = json.loads((finished / "settings.json").read_text())
    assert settings["config"]["training_seed"] == 5
    assert len(settings["data"]["checksum"]) == 64
    assert settings["versions"]["tensorflow"]
    log = (finished / "log.txt").read_text()
    for phase in ("training at 4x4", "fading to 8x8", "training at 8x8"):
        assert phase in log
    assert "skipped_steps 0" in log
    board = run_log.tensorboard(finished / "tensorboard")
    assert board.scalars.keys() == {*run_log.OF_GANS, "schedule/lod"}
    assert board.scalars["seconds_per_kimg"] > 0
    assert board.images == {"reals", "fakes"}
    assert '"training_seed": 5' in board.texts["settings"]


def test_the_network_has_moved_and_is_finite(finished):
    arrays = safetensors.numpy.load_file(finished / "network-final.safetensors")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert float(arrays["lod"]) == 0
    assert arrays["ToRGB_lod0/weight"].std() > 0.5
    assert np.abs(arrays["8x8_Conv1/bias"]).max() > 1e-4


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory, run_script, start_script):
    """A run with the same seed that was killed twice and then went on, and its flags."""
    out = tmp_path_factory.mktemp("runs") / "killed"
    arguments = [
        "--app", "train", "--training_data_dir", data, "--out_model_dir", out, *TINY,
        "--checkpoint_minutes", 0, "--resume",
    ]  # fmt: skip
    kills = 0
    for checkpoints in (3, 5):  # of 13; some may pass between two looks
        process = start_script("ProGAN/run.py", *arguments)
        pointer = out / "checkpoints" / "checkpoint"
        seen, deadline = set(), time.monotonic() + 120
        while len(seen) < checkpoints and process.poll() is None and time.monotonic() < deadline:
            if pointer.exists():
                seen.add(pointer.stat().st_mtime_ns)
            time.sleep(0.01)
        kills += process.poll() is None
        process.kill()
        assert not (out / "finished.json").exists()
    assert kills == 2
    run_script("ProGAN/run.py", *arguments)
    return out, arguments


@pytest.mark.slow
def test_same_seed_same_network(finished, killed):
    for name in ("network-final.safetensors", "network-snapshot-000000.safetensors"):
        assert (killed[0] / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
def test_killed_and_resumed_run_ends_with_the_same_weights(finished, killed, run_script):
    out, arguments = killed
    assert "continuing at" in (out / "log.txt").read_text()
    final = "network-final.safetensors"
    assert (out / final).read_bytes() == (finished / final).read_bytes()
    said = run_log.lines(finished / "log.txt")
    assert len(said) > 8
    assert run_log.lines(out / "log.txt") == said
    (out / "finished.json").unlink()
    run_script("ProGAN/run.py", *arguments)
    assert run_log.lines(out / "log.txt") == said


@pytest.mark.slow
def test_interrupted_run_saves_first(data, tmp_path, run_script):
    out = tmp_path / "interrupted"
    arguments = [
        "--app", "train", "--training_data_dir", data, "--out_model_dir", out, *TINY,
        "--total_kimg", 500, "--checkpoint_minutes", 60,
    ]  # fmt: skip
    command = [sys.executable, PROJECT / "ProGAN/run.py", *arguments]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log, deadline = out / "log.txt", time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and "tick 8 " in log.read_text()):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert "--resume continues" in log.read_text()
    assert (out / "checkpoints" / "checkpoint").exists()


def test_other_settings_are_refused_and_listed(data, finished, run_script):
    run = run_script(
        "ProGAN/run.py", "--app", "train", "--training_data_dir", data, "--out_model_dir", finished,
        *TINY, "--training_seed", 6, "--fmap_max", 4, "--resume", check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "config.fmap_max was 8, now 4" in run.stderr
    assert "config.training_seed was 5, now 6" in run.stderr


def test_taken_folder_is_refused_and_finished_run_is_said(data, finished, run_script):
    arguments = ["--app", "train", "--training_data_dir", data, "--out_model_dir", finished, *TINY]
    run = run_script("ProGAN/run.py", *arguments, check=False)
    assert run.returncode == 2
    message = f"error: --out_model_dir {finished}: already exists; add --resume to continue it"
    assert message in run.stderr
    run = run_script("ProGAN/run.py", *arguments, "--resume")
    assert "this run is finished" in run.stdout


def test_generation_repeats_itself(finished, tmp_path, run_script):
    model = finished / "network-final.safetensors"
    for name, more in (("a", []), ("b", ["--gen_minibatch", 3]), ("c", ["--gen_seed", 1])):
        run_script(
            "ProGAN/run.py", "--app", "gen", "--model_path", model, "--out_image_dir",
            tmp_path / name, "--num_pngs", 10, *more,
        )  # fmt: skip
    a, b, c = ({p.name: p.read_bytes() for p in (tmp_path / k).iterdir()} for k in "abc")
    assert sorted(a) == [f"ProGAN_{i:08d}.png" for i in range(10)]
    assert a == b
    assert all(a[name] != c[name] for name in a)


def test_init_from_starts_with_old_weights(data, finished, tmp_path, run_script):
    model = finished / "network-final.safetensors"
    out = tmp_path / "tuned"
    arguments = [
        "--app", "train", "--training_data_dir", data, "--out_model_dir", out, *TINY,
        "--init_from", model, "--total_kimg", 0,
    ]  # fmt: skip
    run_script("ProGAN/run.py", *arguments)
    old = safetensors.numpy.load_file(model)
    new = safetensors.numpy.load_file(out / "network-final.safetensors")
    for name in set(old) - {"lod"}:
        np.testing.assert_array_equal(new[name], old[name])
    wide = run_script(
        "ProGAN/run.py", *arguments[:6], *TINY, "--init_from", model, "--fmap_max", 16,
        "--out_model_dir", tmp_path / "wide", check=False,
    )  # fmt: skip
    assert wide.returncode == 2
    assert "its fmap_max is 8, expected 16" in wide.stderr
    assert not (tmp_path / "wide").exists()


def refused(run_script, *arguments):
    done = run_script("ProGAN/run.py", *arguments, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    return errors[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resolution", 16], "missing, the data set holds 4x4, 8x8"),
        (["--resolution", 12], "found '12', expected a power of two"),
        (["--lod_initial_resolution", 16], "expected at most that"),
        (["--minibatch", 6], "6 images per device are not a multiple of --mbstd_group_size 4"),
        (["--use_labels", 1], "the data set has no labels"),
        (["--num_gpus", 3, "--minibatch", 12], "found 0 GPUs"),
        (["--mixed_precision", "float8"], "found 'float8', expected float32 or bfloat16"),
        (["--total_kimgs", 3], "did you mean --total_kimg"),
        (["--init_from", "none.safetensors"], "found nothing, expected a file"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(
    data, tmp_path, run_script, flags, message
):
    out = tmp_path / "out"
    arguments = ["--app", "train", "--training_data_dir", data, "--out_model_dir", out, *flags]
    assert message in refused(run_script, *arguments)
    assert not out.exists()


def test_missing_level_is_named(data, tmp_path, run_script):
    shutil.copytree(data, tmp_path / "copy")
    (tmp_path / "copy" / "real-r03.tfrecords").unlink()
    error = refused(
        run_script, "--app", "train", "--training_data_dir", tmp_path / "copy",
        "--out_model_dir", tmp_path / "out",
    )  # fmt: skip
    assert "real-r03.tfrecords" in error
    assert not (tmp_path / "out").exists()


def test_generation_refuses_what_it_cannot_use(finished, tmp_path, run_script):
    model = finished / "network-final.safetensors"
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "x").write_text("")
    for flags, message in (
        (["--model_path", tmp_path / "none"], "found nothing, expected a file"),
        (["--model_path", finished / "settings.json"], "not a network file of ours"),
        (["--model_path", model, "--num_pngs", 0], "found '0'"),
        (["--model_path", model, "--out_image_dir", taken], "already exists"),
        (["--model_path", model, "--out_image_dir", taken / "x" / "y"], "is a file"),
    ):
        error = refused(run_script, "--app", "gen", "--out_image_dir", tmp_path / "out", *flags)
        assert message in error
        assert not (tmp_path / "out").exists()


def test_dry_run_writes_nothing(data, tmp_path, run_script):
    out = tmp_path / "out"
    done = run_script(
        "ProGAN/run.py", "--app", "train", "--training_data_dir", data, "--out_model_dir", out,
        "--dry_run",
    )  # fmt: skip
    assert '"total_kimg": 12000.0' in done.stdout
    assert not out.exists()


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_paper_configuration_takes_three_steps(tmp_path, photo_crops, run_script):
    photos = photo_crops(tmp_path / "photos", 40, 128)
    run_script("ProGAN/dataset_tool.py", "create_from_images", tmp_path / "data", photos)
    run_script(
        "ProGAN/run.py", "--app", "train", "--training_data_dir", tmp_path / "data",
        "--out_model_dir", tmp_path / "out", "--lod_initial_resolution", 128,
        "--minibatch_repeats", 1, "--total_kimg", 0.096, "--tick_kimg", 0.096, timeout=1200,
    )  # fmt: skip
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "lod 0.00 minibatch 32" in log
    assert "skipped_steps 0" in log
    arrays = safetensors.numpy.load_file(tmp_path / "out" / "network-final.safetensors")
    assert arrays["4x4_Dense/weight"].shape == (512, 8192)
    assert arrays["128x128_Conv1/weight"].shape == (3, 3, 128, 128)
