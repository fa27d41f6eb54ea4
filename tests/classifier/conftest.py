"""Sources with artificial fingerprints, for the tests of the classifier's programs."""

import sys

import pytest

from classifier import data_preparation
from gan_fingerprints.data.reading import DataSet
from tests import marks

TINY = (
    "--fmap_base", 128, "--fmap_max", 32, "--minibatch", 16, "--mirror", 0, "--tick_kimg", 0.2,
    "--accuracy_ticks", 2, "--snapshots", 2, "--training_seed", 3,
)  # fmt: skip


@pytest.fixture(scope="session")
def folders(once, photo_crops):
    return once("marked_16", lambda root: marks.write_sources(root, photo_crops, 20))


@pytest.fixture(scope="session")
def prepared(once, folders, run_script):
    def fill(root):
        for split in ("train", "test"):
            run_script(
                "classifier/data_preparation.py", "--in_dir", folders / split, "--out_dir",
                root / split,
            )  # fmt: skip

    return once("marked_16_prepared", fill)


def training_arguments(prepared, out, *more):
    return [
        "--app", "train", "--training_data_dir", prepared / "train", "--validation_data_dir",
        prepared / "test", "--out_model_dir", out, *TINY, *more,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def model(once, prepared, run_script):
    """The folder of a finished training run."""

    def fill(root):
        length = ("--total_kimg", 12, "--accuracy_ticks", 10)
        arguments = training_arguments(prepared, root / "classifier", *length)
        run_script("classifier/run.py", *arguments)

    return once("classifier_models", fill) / "classifier"


@pytest.fixture
def prepare(monkeypatch):
    """Runs the command in this process and opens what it wrote."""

    def run(in_dir, out_dir, *flags) -> DataSet:
        arguments = ["data_preparation.py", "--in_dir", in_dir, "--out_dir", out_dir, *flags]
        monkeypatch.setattr(sys, "argv", [str(x) for x in arguments])
        data_preparation.main()
        return DataSet.open(out_dir, "--out_dir")

    return run
