"""The disk is full, a real one: one line says which file; what is finished stays, a run goes on."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gan_fingerprints.calibration import Calibration, Centres
from gan_fingerprints.networks import files
from tests.faults.disks import enlarge, small_disk
from tests.faults.test_power_cuts import NAMES, TINY, write_data

ROOM = 2**15  # KiB, enough for everything
PATIENCE = {"check": False, "timeout": 1800}  # seconds; machines may be busy


def refusal(done) -> str:
    """The error's line, of a program that ended as for bad input."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def size(folder: Path) -> int:
    """KiB of a disk that the files in a folder take, about."""
    return sum(-(-x.stat().st_size // 4096) * 4 for x in folder.rglob("*") if x.is_file())


@pytest.fixture(scope="module")
def train(tmp_path_factory, run_script):
    """`train(run, *flags)` trains a small classifier in that folder."""
    data = tmp_path_factory.mktemp("data")
    for split, seed in (("training", 0), ("validation", 1)):
        write_data(data / split, seed)

    def train(run: Path, *more: str):
        words = f"--training_data_dir {data}/training --validation_data_dir {data}/validation"
        flags = [*words.split(), "--out_model_dir", run, *TINY.split(), *more]
        return run_script("classifier/run.py", "--app", "train", *flags, **PATIENCE)

    return train


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert train(run).returncode == 0
    return run


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """The file of a classifier that was calibrated, and not trained."""
    import keras

    from classifier.networks import Classifier

    keras.utils.set_random_seed(1)
    centres = Centres(np.zeros([2, 8], np.float32), np.ones(8, np.float32))
    path = tmp_path_factory.mktemp("networks") / "network.safetensors"
    scale = Calibration(1.0, "energy", -100.0, 0.05, centres, "5" * 64)
    files.save(path, Classifier(16, 2, fmap_base=64, fmap_max=8), {}, NAMES, scale)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory, photo_crops) -> Path:
    """Two sources of 40 images each."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(NAMES):
        photo_crops(folder / name, 40, 16, seed)
    return folder


@pytest.mark.slow
def test_a_training_run_goes_on_when_there_is_room(undisturbed, train, tmp_path, times, counted):
    """On disks that hold a part of what the run writes, from next to nothing to nearly all."""
    final, whole = (undisturbed / "network-final.safetensors").read_bytes(), size(undisturbed)
    parts = np.linspace(0.03, 0.9, times(12, 2))
    survived = 0
    for part in parts:
        with small_disk(tmp_path / f"{part:.2f}", max(16, int(part * whole))) as place:
            said = refusal(train(place / "run"))
            assert re.search(rf"{place}/\S+: the disk is full: .*[\d,]+ are free; make room", said)
            enlarge(place, ROOM)
            again = train(place / "run", "--resume")
            assert again.returncode == 0, again.stderr
            survived += (place / "run" / "network-final.safetensors").read_bytes() == final
    counted(len(parts), survived)


@pytest.mark.slow
def test_results_that_have_room_are_written(network, photos, tmp_path, run_script, counted):
    """CSV and scores are small, JSON is the largest, the picture comes last."""
    words = ["--app", "test", "--model_path", network]
    words += ["--testing_data_path", photos]
    names = {"--out_csv": "a.csv", "--out_json": "b.json", "--out_scores": "c.csv",
             "--out_confusion": "d.png"}  # fmt: skip

    def test(folder):
        outputs = [x for flag, name in names.items() for x in (flag, folder / name)]
        return run_script("classifier/run.py", *words, *outputs, **PATIENCE)

    (tmp_path / "whole").mkdir()
    assert test(tmp_path / "whole").returncode == 0
    needed = {path.name: size(path.parent) for path in (tmp_path / "whole").iterdir()}
    assert needed.keys() == {*names.values()}
    tried = survived = 0
    for kilobytes in (12, 20, 32, 44):
        with small_disk(tmp_path / str(kilobytes), kilobytes) as place:
            said = refusal(test(place))
            tried += 1
            found = {path.name for path in place.iterdir()}
            first = sorted({*names.values()} - found)[0]
            assert said.startswith(f"error: {place / first}: the disk is full: ")
            for name in found:  # what is there is whole
                content = (place / name).read_bytes()
                survived += content == (tmp_path / "whole" / name).read_bytes()
                tried += 1
            survived += 1
    counted(tried, survived)


def test_the_lines_stay_when_the_report_has_no_room(network, photos, tmp_path, run_script, counted):
    words = ["attribute", photos, "--model", network, "--out"]
    with small_disk(tmp_path / "disk", 128) as place:
        flags = [place / "results.jsonl", "--report", place / "report.html"]
        done = run_script("gan_fingerprints", *words, *flags, **PATIENCE)
        assert refusal(done).startswith(f"error: {place}/report.html: the disk is full: it needs ")
        assert f"results: {place}/results.jsonl" in done.stdout
        lines = (place / "results.jsonl").read_text().splitlines()
        assert len([json.loads(line) for line in lines]) == 80
        assert [path.name for path in place.iterdir()] == ["results.jsonl"]
    counted(1, 1)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("classifier/data_preparation.py", "--in_dir {photos} --out_dir {out}"),
        ("classifier/perturb.py", "--attack noise --in_dir {photos} --out_dir {out}"),
        ("ProGAN/dataset_tool.py", "create_from_images {out} {photos}/real"),
        ("gan_fingerprints", "contact_sheet {photos} {out}"),
        ("gan_fingerprints", "sample_photos {out} --num 99"),
    ],
)
def test_other_outputs_are_whole_or_not_there(script, words, photos, tmp_path, run_script, counted):
    with small_disk(tmp_path / "disk", 24) as place:
        words = words.format(photos=photos, out=place / "out").split()
        said = refusal(run_script(script, *words, **PATIENCE))
        assert said.startswith(f"error: {place}/out")
        assert ": the disk is full: " in said
        assert list(place.iterdir()) == []
    counted(1, 1)
