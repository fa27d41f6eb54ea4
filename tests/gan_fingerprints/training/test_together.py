"""Programs that train on two workers: what they write, agree on, and do when one is lost."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tests.conftest import PROJECT
from tests.gan_fingerprints.training.workers import ends, start, together

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TINY = ["--fmap_base", 64, "--fmap_max", 8, "--minibatch", 8]
SHORT = [*TINY, "--total_kimg", 0.064, "--tick_kimg", 0.032]


@pytest.fixture(scope="module")
def data(tmp_path_factory, noise_sets):
    """Data sets of noise, for a classifier and for a GAN, and a folder of images."""
    folder = noise_sets(tmp_path_factory.mktemp("workers"), 32, 20)
    tree = yaml.safe_load((PROJECT / "SNGAN" / "configs" / "small_32.yml").read_text())
    tree |= {"batchsize": 4, "iteration": 3, "iteration_decay_start": 2, "display_interval": 1}
    for model in tree["models"].values():
        model["args"].update(ch=2)
    tree["updater"]["args"].update(n_gen_samples=4)
    (folder / "sngan.yml").write_text(yaml.safe_dump(tree))
    return folder


def classifier(data, model, *more):
    sets = [f"--{name}_data_dir={data / name}_data" for name in ("training", "validation")]
    return ["classifier/run.py", "--app", "train", "--out_model_dir", model, *sets, *more]


def programs(data, folder):
    """Name → the words of a program that trains into `folder`/models of its worker."""
    sets = [f"--{name}_data_dir={data / name}_data" for name in ("training", "validation")]
    models = folder / "models-@"
    ipm = ["--is_train", "True", "--data_dir", data / "training/real", "--architecture", "dcgan",
           "--output_size", 32, "--gf_dim", 4, "--df_dim", 4, "--batch_size", 4,
           "--max_iteration", 3, "--log_interval", 1, "--checkpoint_dir", models,
           "--sample_dir", folder / "samples-@", "--log_dir", folder / "logs-@"]  # fmt: skip
    return {
        "classifier": classifier(data, models, *SHORT),
        "classifier_visNet": [
            "classifier_visNet/run.py", "--app", "train", *sets, *SHORT, "--out_model_dir", models
        ],
        "ProGAN": [
            "ProGAN/run.py", "--app", "train", "--training_data_dir", data / "faces", *SHORT,
            "--resolution", 8, "--lod_training_kimg", 0.016, "--lod_transition_kimg", 0.016,
            "--minibatch_repeats", 1, "--out_model_dir", models,
        ],
        "SNGAN": [
            "SNGAN/train.py", "--config_path", data / "sngan.yml", "--loaderjob", 1,
            "--data_dir", data / "training/real", "--results_dir", models,
        ],
        "CramerGAN": ["CramerGAN/gan/main.py", *ipm],
        "MMDGAN": ["MMDGAN/gan/main.py", *ipm],
    }  # fmt: skip


def network_of(folder):
    return load_file(folder / "network-final.safetensors")


def same(found, expected):
    assert found.keys() == expected.keys()
    return all(np.array_equal(found[name], expected[name]) for name in found)


NAMES = ("classifier", "classifier_visNet", "ProGAN", "SNGAN", "CramerGAN", "MMDGAN")


@pytest.mark.parametrize("name", NAMES)
def test_the_chief_alone_writes_and_the_weights_are_the_same_on_both(data, tmp_path, name):
    first, second = together(programs(data, tmp_path)[name])
    assert first.returncode == second.returncode == 0, first.stderr[-3000:] + second.stderr[-3000:]
    assert second.stdout.endswith("finished, as the chief has\n")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith("-1")) == []
    (log,) = tmp_path.rglob("log.txt")
    assert "weights on 2 workers: the same\n" in log.read_text()
    assert len(list(tmp_path.rglob("network-final.safetensors"))) == (name != "SNGAN")
    assert list(tmp_path.rglob("finished.json"))


def test_two_workers_train_what_one_does(data, tmp_path, run_script):
    run_script(*classifier(data, tmp_path / "one", *SHORT))
    first, _ = together(classifier(data, tmp_path / "two", *SHORT))
    assert first.returncode == 0, first.stderr[-3000:]
    one, two = network_of(tmp_path / "one"), network_of(tmp_path / "two")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-4, err_msg=name)


LONG = [*TINY, "--total_kimg", 2, "--checkpoint_minutes", 0.02, "--snapshots", 0]


def newest(folder):
    numbers = [int(x.name[5:]) for x in (folder / "checkpoints").glob("ckpt-*")]
    return max(numbers, default=0)


def trained_a_bit(processes, folder, images):
    """Waits for a checkpoint of so many images."""
    until = time.monotonic() + 120
    while newest(folder) < images and time.monotonic() < until:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    assert newest(folder) >= images


@pytest.fixture(scope="module")
def undisturbed(data):
    """A run of the same settings that nothing stopped."""
    for one in together(classifier(data, data / "undisturbed", *LONG)):
        assert one.returncode == 0, one.stderr[-3000:]
    return data / "undisturbed"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_stops_the_other_and_resume_goes_on_bit_for_bit(
    data, undisturbed, tmp_path, lost
):
    model = tmp_path / "run"
    words = classifier(data, model, *LONG)
    processes = start(words)
    trained_a_bit(processes, model, 100)
    processes[lost].kill()
    killed = time.monotonic()
    done = ends(processes)
    assert time.monotonic() - killed < 60
    other = done[1 - lost]
    assert other.returncode == 2, other.stderr
    (said,) = re.findall("error: .*", other.stderr)
    assert f"so worker {1 - lost} (127.0.0.1:" in said
    assert "--resume" in said
    reached = newest(model)
    for one in together([*words, "--resume"]):
        assert one.returncode == 0, one.stderr[-3000:]
    assert f"continuing at {reached / 1000:.1f} kimg" in (model / "log.txt").read_text()
    assert same(network_of(model), network_of(undisturbed))


def test_a_signal_to_one_stops_both_after_the_same_step(data, tmp_path):
    model = tmp_path / "run"
    processes = start(classifier(data, model, *LONG))
    trained_a_bit(processes, model, 50)
    processes[1].send_signal(signal.SIGTERM)
    done = ends(processes)
    assert [x.returncode for x in done] == [143, 143], done[0].stderr[-2000:]
    (stopped,) = re.findall(r"stopped at ([\d.]+) kimg", (model / "log.txt").read_text())
    assert f"{newest(model) / 1000:.1f}" == stopped


def test_workers_that_would_do_different_runs_refuse(data, tmp_path):
    for one in together(classifier(data, tmp_path / "run", *SHORT, "--training_seed", "@")):
        assert one.returncode == 2
        expected = (
            r"error: worker 1 was started otherwise than the chief \(settings\.config\."
            r"training_seed on the chief 0, on worker 1 1\); start all workers"
        )
        assert re.match(expected, one.stderr.splitlines()[-1])
    assert not (tmp_path / "run").exists()


def test_workers_that_find_different_checkpoints_refuse(data, tmp_path):
    """One that was a chief before has a folder of its own, which is further than the chief's."""
    for index, number in ((0, 2384), (1, 2400)):
        (tmp_path / f"run-{index}" / "checkpoints" / f"ckpt-{number}").mkdir(parents=True)
    for one in together(classifier(data, tmp_path / "run-@", *SHORT, "--resume")):
        assert one.returncode == 2
        last = one.stderr.splitlines()[-1]
        assert "worker 1 finds checkpoint 2400 there, and the chief 2384: give the chief" in last


def test_a_refusal_of_the_chief_ends_all(data, tmp_path):
    (tmp_path / "run-0").mkdir()
    (tmp_path / "run-0" / "photo.png").write_bytes(b"")
    first, second = together(classifier(data, tmp_path / "run-@", *SHORT))
    assert (first.returncode, second.returncode) == (2, 2)
    assert "run-0: already exists; name a new folder" in first.stderr
    assert re.search(r"error: worker 0 .*, the chief, says: .*already exists", second.stderr)


def test_the_command_of_the_page_works_as_typed(data, tmp_path):
    page = (PROJECT / "docs" / "scale.md").read_text()
    (block,) = re.findall(r"```bash\n(cd classifier/\nfor index.*?)```", page, re.DOTALL)
    for old, new in (
        ("datasets/training/", f"{data}/training_data"),
        ("datasets/validation/", f"{data}/validation_data"),
        ("models/on_two", f"{tmp_path}/model " + " ".join(map(str, SHORT))),
    ):
        assert old in block
        block = block.replace(old, new)
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", block], cwd=PROJECT, capture_output=True, text=True, check=False, env=here
    )
    assert (tmp_path / "model" / "log.txt").exists(), done.stderr[-3000:]
    assert "weights on 2 workers: the same" in (tmp_path / "model" / "log.txt").read_text()
