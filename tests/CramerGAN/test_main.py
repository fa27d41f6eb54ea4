"""Both programs through their command lines: files, exact continuation, generation, bad input."""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from CramerGAN.gan import main as cramer_main
from gan_fingerprints import images
from gan_fingerprints.program import UserError
from MMDGAN.gan import main as mmd_main
from tests import run_log
from tests.published import those_kept

PROGRAMS = {"cramer": "CramerGAN/gan/main.py", "mmd": "MMDGAN/gan/main.py"}
MODULES = {"cramer": cramer_main, "mmd": mmd_main}
PREFIXES = {"cramer": "CRAMER", "mmd": "MMD"}
FOLDERS = {
    "cramer": "cramer_gan/faces2x2_dcgan_dc_d2-2-1_4_16_lr0.00010000_bn",
    "mmd": "mmd/faces2x2_dcgan_dc_mix_rq_1dotd2-2-1_4_16_lr0.00010000_bn",
}
SMALL = ["--dataset", "faces", "--data_dir", "faces", "--output_size", "16",
         "--architecture", "dcgan", "--gf_dim", "2", "--df_dim", "2", "--batch_size", "4",
         "--dsteps", "2", "--start_dsteps", "2",
         "--max_iteration", "8", "--log_interval", "1", "--sample_interval", "4",
         "--snapshot_interval", "4", "--threads", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory, photo_crops):
    work = tmp_path_factory.mktemp("ipm")
    photo_crops(work / "faces", 12, 36)
    return work


@pytest.fixture
def call(monkeypatch):
    """`call(model, flag, …)` runs a program's `main` here, without starting an interpreter."""

    def run(model, *arguments):
        module = MODULES[model]
        monkeypatch.setattr(sys, "argv", [module.__file__, *(str(x) for x in arguments)])
        module.main()

    return run


@pytest.fixture(scope="module", params=["cramer", pytest.param("mmd", marks=pytest.mark.slow)])
def trained(request, work, run_script):
    """A finished run: (model, its folder below models)."""
    model = request.param
    switch = ["--is_train", "True"] if model == "cramer" else ["--is_train"]
    done = run_script(PROGRAMS[model], *switch, *SMALL, "--MMD_lr_scheduler", cwd=work)
    assert "warning: --MMD_lr_scheduler without --features_weights" in done.stderr + done.stdout
    return model, work / "models" / FOLDERS[model]


@pytest.mark.slow
def test_a_dead_discriminator_is_said_once(work, run_script):
    flags = [*SMALL, "--name", "dead", "--learning_rate", "0.01", "--max_iteration", "60"]
    done = run_script(PROGRAMS["mmd"], "--is_train", *flags, cwd=work)
    log = next((work / "logs" / "dead").rglob("log.txt")).read_text()
    assert re.search(r"iteration 60 g_loss -?0\.0000 ", log)
    assert log.count("start again with a lower --learning_rate") == 1
    assert "start again with a lower --learning_rate" in done.stderr + done.stdout


def arrays(folder):
    return load_file(folder / "network-final.safetensors")


def test_what_a_run_writes(work, trained):
    model, folder = trained
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["config"]["model"] == model
    assert settings["config"]["training_seed"] == 0
    assert settings["data"]["count"] == 12
    assert json.loads((folder / "finished.json").read_text())["images_shown"] == 8 * 3 * 4
    assert (folder / "network-snapshot-000000.safetensors").is_file()
    log = (work / "logs" / FOLDERS[model] / "log.txt").read_text()
    assert "iteration 8 g_loss" in log
    assert "the learning rate stays 0.0001 to the end" in log
    assert "lr 0.0001 " in log.splitlines()[-2]
    board = run_log.tensorboard(work / "logs" / FOLDERS[model] / "tensorboard")
    assert board.scalars.keys() == run_log.OF_GANS
    assert board.scalars["learning_rate"] == pytest.approx(1e-4)
    assert board.images == {"reals", "fakes"}
    assert '"count": 12' in board.texts["settings"]
    pictures = {path.name for path in (work / "samples" / FOLDERS[model]).iterdir()}
    expected = {"reals.png", "train_00000004.png", "train_00000008.png", "latest.png"}
    assert pictures == expected
    before, after = load_file(folder / "network-snapshot-000000.safetensors"), arrays(folder)
    assert not np.array_equal(before["g_h1/w"], after["g_h1/w"])


@pytest.mark.slow
def test_killed_and_continued_is_bit_for_bit_the_same(work, trained, run_script, start_script):
    model, folder = trained
    flags = [*SMALL, "--is_train", "--MMD_lr_scheduler", "--checkpoint_minutes", "0",
             "--checkpoint_dir", "killed", "--log_dir", "killed_logs",
             "--sample_dir", "killed_samples"]  # fmt: skip
    process = start_script(PROGRAMS[model], *flags, cwd=work)
    log = work / "killed_logs" / FOLDERS[model] / "log.txt"
    while process.poll() is None and not (
        log.is_file() and "iteration 5 g_loss" in log.read_text()
    ):
        time.sleep(0.01)
    process.kill()
    killed = work / "killed" / FOLDERS[model]
    assert not (killed / "finished.json").exists()
    run_script(PROGRAMS[model], *flags, "--resume", cwd=work)
    assert "continuing at" in log.read_text()
    assert run_log.lines(log) == run_log.lines(work / "logs" / FOLDERS[model] / "log.txt") != []
    found, expected = arrays(killed), arrays(folder)
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key], key)


def pictures_in(folder):
    return np.stack([images.read_image(path) for path in images.find_images(folder)])


def test_generation_needs_no_data_and_repeats_itself(work, trained, call, monkeypatch, capsys):
    """An image depends on the seed and its number alone: not on how many, nor on the batch."""
    model, _ = trained
    monkeypatch.chdir(work)
    flags = ["--dataset", "faces", "--data_dir", "nowhere", "--output_dir_of_test_samples"]
    call(model, *flags, f"{model}/a", "--no_of_samples", "7", "--random_seed", "1")
    assert "network-final.safetensors (population statistics)" in capsys.readouterr().out
    names = sorted(path.name for path in Path(f"{model}/a").iterdir())
    assert names == [f"{PREFIXES[model]}_{i:08d}.png" for i in range(7)]
    call(model, *flags, f"{model}/b", "--no_of_samples", "4", "--random_seed", "1",
         "--batch_size", "3", "--nois_train")  # fmt: skip
    a, b = pictures_in(f"{model}/a"), pictures_in(f"{model}/b")
    np.testing.assert_array_equal(a[:4], b)
    call(model, *flags, f"{model}/c", "--no_of_samples", "4", "--is_train", "False")
    assert not np.array_equal(pictures_in(f"{model}/c"), b)


def test_published_checkpoints_give_the_published_images(reference, tmp_path, call, capsys):
    for model in PROGRAMS:
        folder = reference(f"gan/{model}_r32_g8")
        name = "cramer_gan" if model == "cramer" else "mmd"
        call(model, "--checkpoint_dir", folder / "models", "--name", name, "--dataset", "celebA",
             "--output_dir_of_test_samples", tmp_path / model, "--no_of_samples", "40",
             "--architecture", "g_resnet5", "--random_seed", "0")  # fmt: skip
        assert "MMDGAN.model-150000 (batch statistics)" in capsys.readouterr().out
        with np.load(folder / "ref_gen.npz") as file:
            kept = those_kept(np.arange(64), file["samples"])
            expected = np.rint(file["samples"][kept < 40] * 255)
        difference = np.abs(pictures_in(tmp_path / model)[kept[kept < 40]] - expected)
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 1e-3


@pytest.mark.slow
def test_a_published_checkpoint_directly_in_the_named_folder(reference, tmp_path, call):
    """As the release's README has it; with a population's statistics, batches do not matter."""
    source = next(reference("gan/mmd_r32_g8/models/mmd").iterdir())
    shutil.copytree(source, tmp_path / "models" / "mmd")
    flags = ["--checkpoint_dir", tmp_path / "models", "--sampling_statistics", "population"]
    flags += ["--output_dir_of_test_samples"]
    call("mmd", *flags, tmp_path / "a", "--no_of_samples", "3")
    assert len(list((tmp_path / "a").iterdir())) == 3
    with pytest.raises(UserError, match=r"--output_size 128: .*150000 has 32; leave the flag out"):
        call("mmd", *flags, tmp_path / "b", "--output_size", "128")
    with pytest.raises(UserError, match=r"--architecture dcgan: .*150000 has g_resnet5"):
        call("mmd", *flags, tmp_path / "b", "--architecture", "dcgan")
    assert not (tmp_path / "b").exists()


def test_a_converted_checkpoint_is_still_a_published_one(reference, tmp_path, call, run_script):
    """It carries no population statistics, and its latents are the release's."""
    source = reference("gan/mmd_r32_g8/models")
    converted = tmp_path / "models" / "mmd" / "converted.safetensors"
    converted.parent.mkdir(parents=True)
    run_script("gan_fingerprints", "convert", source, converted)
    flags = ["--no_of_samples", "2", "--output_dir_of_test_samples"]
    call("mmd", "--checkpoint_dir", tmp_path / "models", *flags, tmp_path / "a")
    call("mmd", "--checkpoint_dir", source, *flags, tmp_path / "b")
    np.testing.assert_array_equal(pictures_in(tmp_path / "a"), pictures_in(tmp_path / "b"))


def test_finished_and_taken_folders(work, trained, call, monkeypatch, capsys):
    model, _ = trained
    monkeypatch.chdir(work)
    flags = ["--is_train", *SMALL, "--MMD_lr_scheduler"]
    call(model, *flags, "--resume")
    assert "this run is finished" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"^--checkpoint_dir .*: already exists; add --resume"):
        call(model, *flags)
    with pytest.raises(UserError, match=r"config\.beta1 was 0\.5, now 0\.4"):
        call(model, *flags, "--resume", "--beta1", "0.4")
    call(model, *flags, "--suffix", "_other", "--dry_run")
    assert "nothing was written" in capsys.readouterr().out
    assert not list((work / "models").glob("*/*_other"))


BAD = [
    ("mmd", ["--kernel", "mix_rq_1dott"], ["--kernel", "did you mean mix_rq_1dot?", "tanh_mix_rq"]),
    ("mmd", ["--model", "cramer"], ["--model cramer", "CramerGAN/gan/main.py"]),
    ("cramer", ["--model", "crammer"], ["did you mean cramer?", "reddit_cramer"]),
    ("cramer", ["--output_size", "100"], ["--output_size 100", "multiples of 32", "96 or 128"]),
    ("cramer", ["--architecture", "vgg"], ["--architecture", "'vgg'", "g_resnet5"]),
    ("cramer", ["--data_dir", "none"], ["--data_dir none", "expected a folder"]),
    ("cramer", ["--data_dir", "."], ["--data_dir", "no images"]),
    ("cramer", ["--batch_size", "1"], ["--batch_size 1", "2 or more"]),
    ("cramer", ["--beta1", "1"], ["--beta1", "below 1"]),
    ("cramer", ["--is_train", "maybe"], ["--is_train", "'maybe'"]),
    ("cramer", ["--gradient_penalti", "1"], ["did you mean --gradient_penalty?"]),
    ("cramer", ["--grad", "1"], ["--grad"]),
    ("mmd", ["--model", "wgan_gp"], ["--dof_dim 16", "expected 1"]),
    ("mmd", ["--features_weights", "a", "--features_model", "b"], ["found both"]),
    ("mmd", ["--features_weights", "a.h5"], ["--features_weights a.h5", "expected a file"]),
]


@pytest.mark.parametrize(("model", "flags", "parts"), BAD)
def test_bad_input_for_training(work, call, monkeypatch, model, flags, parts):
    monkeypatch.chdir(work)
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    size = [] if "--output_size" in given else ["--output_size", "32"]
    places = ["--data_dir", "faces", "--checkpoint_dir", "new"]
    with pytest.raises(UserError) as error:
        call(model, "--is_train", *places, *size, *flags)
    for part in parts:
        assert part in str(error.value)
    assert not (work / "new").exists()


def test_bad_input_for_generation(work, trained, call, monkeypatch):
    model, folder = trained
    monkeypatch.chdir(work)
    with pytest.raises(UserError, match="--output_dir_of_test_samples is missing"):
        call(model, "--is_train", "False")
    out = ["--output_dir_of_test_samples", "out"]
    with pytest.raises(UserError, match=r"looked in none/.*: no such folder; .*--is_train"):
        call(model, *out, "--checkpoint_dir", "none")
    with pytest.raises(UserError, match=r"looked in faces and .*: no checkpoint in or below it"):
        call(model, *out, "--checkpoint_dir", "faces", "--name", ".")
    with pytest.raises(UserError, match=r"--gf_dim 3: .*network-final.safetensors has 2"):
        call(model, *out, "--gf_dim", "3")
    with pytest.raises(UserError, match="already exists"):
        call(model, "--output_dir_of_test_samples", "faces")
    damaged = Path("damaged", folder.parent.name, "x")
    shutil.copytree(folder, damaged)
    file = damaged / "network-final.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"final.safetensors: not a network file of ours, or damag"):
        call(model, *out, "--checkpoint_dir", "damaged")
    assert not Path("out").exists()


def test_errors_are_one_line_and_status_2(work, run_script):
    done = run_script(PROGRAMS["mmd"], "--kernel", "rbf", cwd=work, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --kernel rbf: unknown")
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_answers_within_a_second(run_script):
    """Of processor time, so that a busy machine does not matter."""
    for program in PROGRAMS.values():
        before = os.times()
        text = run_script(program, "--help").stdout
        after = os.times()
        assert after.children_user - before.children_user < 1
        assert "--gradient_penalty X" in text
        assert "--L2_discriminator_penalty X" not in text
        assert "--L2_discriminator_penalty X" in run_script(program, "--help_all").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("cramer", ["--model", "reddit_cramer", "--architecture", "resnet5"]),
        ("cramer", ["--architecture", "dcgan5", "--gradient_penalty", "0"]),
        ("mmd", ["--kernel", "distance", "--architecture", "d_fullconv5", "--nobatch_norm"]),
        ("mmd", ["--model", "wgan_gp", "--dof_dim", "1", "--gsteps", "2"]),
        ("mmd", ["--gradient_norm", "rows", "--mmd_diagonal", "published",
                 "--architecture", "g_resnet5", "--mixed_precision", "bfloat16"]),
    ],
)  # fmt: skip
def test_every_model_and_architecture_trains(work, call, monkeypatch, model, flags):
    monkeypatch.chdir(work)
    number = len(list(work.glob("m*")))
    size = "32" if "--architecture" in flags else "16"
    short = ["--max_iteration", "2", "--output_size", size, "--checkpoint_dir", f"m{number}",
             "--log_dir", f"m{number}/l", "--sample_dir", f"m{number}/s"]  # fmt: skip
    try:
        call(model, "--is_train", *SMALL, *short, *flags)
    finally:
        import keras

        keras.config.set_dtype_policy("float32")
    (network,) = Path(f"m{number}").rglob("network-final.safetensors")
    assert all(np.isfinite(array).all() for array in load_file(network).values())
    (log,) = Path(f"m{number}").rglob("log.txt")
    assert "skipped_steps 0" in log.read_text().splitlines()[1]


@pytest.mark.slow
def test_starting_from_old_weights(work, trained, call, monkeypatch):
    model, folder = trained
    monkeypatch.chdir(work)
    old = folder / "network-final.safetensors"
    flags = [*SMALL, "--is_train", "--max_iteration", "1", "--checkpoint_dir", "warm"]
    call(model, *flags, "--init_from", old)
    found, expected = arrays(work / "warm" / FOLDERS[model]), load_file(old)
    change = np.abs(found["g_h0_lin/Matrix"] - expected["g_h0_lin/Matrix"]).max()
    assert 0 < change < 1e-3
    with pytest.raises(UserError, match=r"--init_from .*: array .*: found"):
        call(model, *flags, "--init_from", old, "--gf_dim", "3", "--dry_run")
