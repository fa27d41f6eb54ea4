"""What visNet's tests share: three sources with artificial fingerprints, and a trained network."""

import pytest

from tests import marks

TINY = (
    "--fmap_base", 64, "--fmap_max", 16, "--minibatch", 8, "--mirror", 0, "--tick_kimg", 0.2,
    "--accuracy_ticks", 10, "--image_ticks", 10, "--snapshots", 2, "--training_seed", 3,
    "--learning_rate", 0.01, "--average_decay", 0.97, "--rec_weight", 10, "--cls_weight", 2,
)  # fmt: skip


@pytest.fixture(scope="session")
def visnet_folders(once, photo_crops):
    return once("visnet_sources", lambda root: marks.write_sources(root, photo_crops, 25))


@pytest.fixture(scope="session")
def visnet_data(once, visnet_folders, run_script):
    def fill(root):
        for split in ("train", "test"):
            run_script(
                "classifier_visNet/data_preparation.py", "--audit", 0,
                "--in_dir", visnet_folders / split, "--out_dir", root / split,
            )  # fmt: skip

    return once("visnet_prepared", fill)


@pytest.fixture(scope="session")
def training_arguments(visnet_data):
    """Of `run.py --app train` for a tiny network, written to `out`."""

    def arguments(out, *more):
        return [
            "--app", "train", "--training_data_dir", visnet_data / "train",
            "--validation_data_dir", visnet_data / "test", "--out_model_dir", out, *TINY, *more,
        ]  # fmt: skip

    return arguments


@pytest.fixture(scope="session")
def visnet_model(once, training_arguments, run_script):
    """The folder of a finished training run."""

    def fill(root):
        arguments = training_arguments(root / "visnet", "--total_kimg", 3)
        run_script("classifier_visNet/run.py", *arguments)

    return once("visnet_models", fill) / "visnet"
