"""What visNet's tests share: three sources with artificial fingerprints, and a trained network."""

import numpy as np
import pytest
from PIL import Image

SOURCES = ["marked_a", "marked_b", "real"]
TINY = (
    "--fmap_base", 64, "--fmap_max", 16, "--minibatch", 8, "--mirror", 0, "--tick_kimg", 0.2,
    "--accuracy_ticks", 10, "--image_ticks", 10, "--snapshots", 2, "--training_seed", 3,
    "--learning_rate", 0.01, "--average_decay", 0.97, "--rec_weight", 10, "--cls_weight", 2,
)  # fmt: skip


def marked(photo, source):
    """A faint fixed pattern, another one per source: an artificial fingerprint."""
    rows, columns = np.indices(photo.shape[:2])[..., None] % 2
    pattern = {"real": 0, "marked_a": 50 * rows - 25, "marked_b": 50 * columns - 25}[source]
    return np.clip(photo.astype(int) + pattern, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def visnet_folders(tmp_path_factory, photo_crops):
    """train/ and test/ with one subfolder per source; no photo is in two of them."""
    root = tmp_path_factory.mktemp("visnet_sources")
    photos = sorted(photo_crops(root / "photos", 900, 16).iterdir())
    for i, path in enumerate(photos):
        source, split = SOURCES[i % 3], "test" if i % 5 == 0 else "train"
        target = root / split / source / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked(np.asarray(Image.open(path)), source)).save(target)
    return root


@pytest.fixture(scope="session")
def visnet_data(visnet_folders, tmp_path_factory, run_script):
    root = tmp_path_factory.mktemp("visnet_prepared")
    for split in ("train", "test"):
        run_script(
            "classifier_visNet/data_preparation.py", "--audit", 0,
            "--in_dir", visnet_folders / split, "--out_dir", root / split,
        )  # fmt: skip
    return root


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
def visnet_model(training_arguments, tmp_path_factory, run_script):
    """The folder of a finished training run."""
    out = tmp_path_factory.mktemp("visnet_models") / "visnet"
    run_script("classifier_visNet/run.py", *training_arguments(out, "--total_kimg", 3))
    return out
