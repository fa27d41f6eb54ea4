"""SNGAN's training through its command line: files, exact continuation, bad input."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gan_fingerprints.program import UserError
from SNGAN import config as configuration
from SNGAN import train
from tests import run_log
from tests.published import arrays_in

CONFIGS = Path(configuration.__file__).parent / "configs"
TRAIN = Path(configuration.__file__).with_name("train.py")


@pytest.fixture(scope="module")
def work(tmp_path_factory, photo_crops):
    """A folder with images and a configuration of a small, short run."""
    work = tmp_path_factory.mktemp("sngan")
    photo_crops(work / "faces", 24, 40)
    write_config(work / "tiny.yml")
    return work


def write_config(path, **changes):
    tree = yaml.safe_load((CONFIGS / "small_32.yml").read_text())
    tree |= {"batchsize": 4, "iteration": 8, "iteration_decay_start": 4, "display_interval": 1}
    tree |= {"snapshot_interval": 4, "evaluation_interval": 4, **changes}
    for model in tree["models"].values():
        model["args"].update(ch=2)
    tree["updater"]["args"].update(n_gen_samples=4)
    path.write_text(yaml.safe_dump(tree))


def arguments(work, results, *more, config="tiny.yml"):
    return ["--config_path", work / config, "--data_dir", work / "faces", "--loaderjob", "1",
            "--results_dir", work / results, *more]  # fmt: skip


@pytest.fixture(scope="module")
def finished(work, run_script):
    run_script("SNGAN/train.py", *arguments(work, "whole"), cwd=work)
    return work / "whole"


def snapshot_arrays(folder, iteration=8):
    return [
        arrays_in(folder / f"{name}_{iteration}.npz")
        for name in ("ResNetGenerator", "SNResNetProjectionDiscriminator")
    ]


def require_same(folder, other):
    for found, expected in zip(snapshot_arrays(folder), snapshot_arrays(other), strict=True):
        assert found.keys() == expected.keys()
        for key, array in found.items():
            np.testing.assert_array_equal(array, expected[key], key)


def test_what_a_run_writes(finished):
    settings = json.loads((finished / "settings.json").read_text())
    assert settings["config"]["batchsize"] == 4
    assert settings["data"]["count"] == 24
    assert json.loads((finished / "finished.json").read_text())["images_shown"] == 64
    assert "iteration 8 loss_gen" in (finished / "log.txt").read_text()
    names = {path.name for path in (finished / "preview").iterdir()}
    assert names == {"image_latest.png", "image00000004.png", "image00000008.png"}
    assert (finished / "reals.png").is_file()
    board = run_log.tensorboard(finished / "tensorboard")
    assert board.scalars.keys() == run_log.OF_GANS
    assert board.images == {"reals", "fakes"}
    assert '"batchsize": 4' in board.texts["settings"]
    before, after = snapshot_arrays(finished, 4), snapshot_arrays(finished, 8)
    for old, new in zip(before, after, strict=True):
        moved = [key for key in old if not np.array_equal(old[key], new[key])]
        # u of one output is ±1; while all scores are in (-1, 1), hinge moves no last bias.
        allowed = {key for key in old if key.endswith("/N") or key.startswith(("l_y/", "l5/"))}
        assert set(old) - set(moved) <= allowed


@pytest.mark.slow
def test_killed_and_continued_is_bit_for_bit_the_same(work, finished, run_script, start_script):
    more = ["--checkpoint_minutes", "0"]
    process = start_script("SNGAN/train.py", *arguments(work, "killed", *more))
    log = work / "killed" / "log.txt"
    while process.poll() is None and not (log.is_file() and "iteration 5" in log.read_text()):
        time.sleep(0.01)
    process.kill()
    assert not (work / "killed" / "finished.json").exists()
    run_script("SNGAN/train.py", *arguments(work, "killed", *more, "--resume"))
    assert "continuing at" in log.read_text()
    require_same(work / "killed", finished)
    assert run_log.lines(log) == run_log.lines(finished / "log.txt") != []


@pytest.mark.slow
def test_finished_and_taken_folders(work, finished, call, capsys):
    call(train, *arguments(work, "whole", "--resume"))
    assert "this run is finished" in capsys.readouterr().out
    write_config(work / "other.yml", batchsize=2)
    with pytest.raises(UserError, match=r"config\.batchsize was 4, now 2"):
        call(train, *arguments(work, "whole", "--resume", config="other.yml"))
    with pytest.raises(UserError, match=r"^--results_dir .*: already exists; add --resume"):
        call(train, *arguments(work, "whole"))


@pytest.mark.slow
def test_starting_from_old_weights_and_bfloat16(work, finished, run_script):
    old = finished / "ResNetGenerator_8.npz"
    write_config(work / "one.yml", iteration=1, iteration_decay_start=1)
    more = ["--init_from", old, "--mixed_precision", "bfloat16"]
    run_script("SNGAN/train.py", *arguments(work, "warm", *more, config="one.yml"))
    expected = arrays_in(old)
    found = snapshot_arrays(work / "warm", 1)[0]
    assert {a.dtype for a in found.values()} == {np.dtype("float32"), np.dtype("int64")}
    change = np.abs(found["l1/W"] - expected["l1/W"]).max()
    assert 0 < change < 1e-3


@pytest.mark.slow
def test_conditional_training_with_dcgan_loss(work, run_script, call):
    tree = yaml.safe_load((work / "tiny.yml").read_text())
    for model in tree["models"].values():
        model["args"]["n_classes"] = 2
    tree["updater"]["args"].update(conditional=True, loss_type="dcgan")
    (work / "conditional.yml").write_text(yaml.safe_dump(tree))
    names = sorted(path.name for path in (work / "faces").iterdir())
    lines = [f"{name} {i % 2}\n" for i, name in enumerate(names)]
    (work / "list.txt").write_text("".join(lines))
    more = ["--image_list", work / "list.txt"]
    run_script("SNGAN/train.py", *arguments(work, "classes", *more, config="conditional.yml"))
    G, D = snapshot_arrays(work / "classes")
    assert not np.array_equal(*G["block2/b1/gammas/W"])
    assert D["l_y/W"].shape == (2, 16)
    (work / "list.txt").write_text(lines[0] + lines[1].replace(" 1", " 2"))
    with pytest.raises(UserError, match=r"--image_list: class 2.*0 to 1"):
        call(train, *arguments(work, "new", *more, config="conditional.yml"))


def test_dry_run_writes_nothing(work, call, capsys):
    call(train, *arguments(work, "dry", "--dry_run"))
    assert '"batchsize": 4' in capsys.readouterr().out
    assert not (work / "dry").exists()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"--config_path": "none.yml"}, ["--config_path", "none.yml", "expected a file"]),
        ({"--data_dir": "none"}, ["--data_dir", "none", "expected a folder"]),
        ({"--data_dir": "."}, ["--data_dir", "no images"]),
        ({"--loaderjob": "0"}, ["--loaderjob", "'0'", "1 or more"]),
        ({"--image_list": "none.txt"}, ["--image_list", "none.txt"]),
        ({"--snapshot": "a", "--init_from": "b"}, ["--snapshot and --init_from", "at most one"]),
        ({"--results_dirr": "x"}, ["--results_dirr", "did you mean --results_dir?"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(work, run_script, changes, parts):
    flags = {"--config_path": "tiny.yml", "--data_dir": "faces", "--results_dir": "new", **changes}
    pairs = [word for pair in flags.items() for word in pair]
    done = run_script("SNGAN/train.py", *pairs, cwd=work, check=False)
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("error: ")
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in message
    assert not (work / "new").exists()


def test_weights_of_another_width_are_refused(work, finished, call):
    tree = yaml.safe_load((work / "tiny.yml").read_text())
    tree["models"]["generator"]["args"]["ch"] = 3
    (work / "wide.yml").write_text(yaml.safe_dump(tree))
    more = ["--init_from", finished / "ResNetGenerator_8.npz"]
    with pytest.raises(UserError, match=r"found \(256, 128\), expected \(384, 128\)"):
        call(train, *arguments(work, "new", *more, config="wide.yml"))
    assert not (work / "new").exists()


def test_help_answers_within_a_second(run_script):
    """Of processor time, so that a busy machine does not matter."""
    for script in ("train", "evaluations/gen_images", "evaluations/gen_interpolated_images",
                   "evaluations/diversity", "datasets/celeba"):  # fmt: skip
        before = os.times()
        run_script(f"SNGAN/{script}.py", "--help")
        after = os.times()
        assert after.children_user - before.children_user < 1
