"""Training through the real command line: repeatable, interruptible, honest about bad steps."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy

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


def test_the_network_has_moved_and_is_finite(finished):
    arrays = safetensors.numpy.load_file(finished / "network-final.safetensors")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert float(arrays["lod"]) == 0
    assert arrays["ToRGB_lod0/weight"].std() > 0.5
    assert np.abs(arrays["8x8_Conv1/bias"]).max() > 1e-4


def test_same_seed_same_network(data, finished, tmp_path, run_script):
    again = tmp_path / "again"
    run_script(
        "ProGAN/run.py",
        "--app",
        "train",
        "--training_data_dir",
        data,
        "--out_model_dir",
        again,
        *TINY,
    )
    for name in ("network-final.safetensors", "network-snapshot-000000.safetensors"):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


def test_killed_and_resumed_run_ends_with_the_same_weights(data, finished, tmp_path, run_script):
    out = tmp_path / "killed"
    arguments = [
        "--app", "train", "--training_data_dir", data, "--out_model_dir", out, *TINY,
        "--checkpoint_minutes", 0, "--resume",
    ]  # fmt: skip
    command = [sys.executable, PROJECT / "ProGAN/run.py", *arguments]
    kills = 0
    for checkpoints in (1, 3):
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pointer = out / "checkpoints" / "checkpoint"
        seen, deadline = set(), time.monotonic() + 120
        while len(seen) < checkpoints and process.poll() is None and time.monotonic() < deadline:
            if pointer.exists():
                seen.add(pointer.stat().st_mtime_ns)
            time.sleep(0.01)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "finished.json").exists()
    assert kills == 2
    run_script("ProGAN/run.py", *arguments)
    assert "continuing at" in (out / "log.txt").read_text()
    final = "network-final.safetensors"
    assert (out / final).read_bytes() == (finished / final).read_bytes()


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
    assert "add --resume to continue it" in run.stderr
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
