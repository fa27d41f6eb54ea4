"""Sources with artificial fingerprints, for the tests of the classifier's programs."""

import numpy as np
import pytest
from PIL import Image

TINY = (
    "--fmap_base", 128, "--fmap_max", 32, "--minibatch", 16, "--mirror", 0, "--tick_kimg", 0.2,
    "--accuracy_ticks", 2, "--snapshots", 2, "--training_seed", 3,
)  # fmt: skip
SOURCES = ["marked_a", "marked_b", "real"]


def marked(photo, source):
    """A faint fixed pattern, another one per source: an artificial fingerprint."""
    rows, columns = np.indices(photo.shape[:2])[..., None] % 2
    pattern = {"real": 0, "marked_a": 40 * rows - 20, "marked_b": 40 * columns - 20}[source]
    return np.clip(photo.astype(int) + pattern, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, photo_crops):
    """train/ and test/ with one subfolder per source; no photo is in two of them."""
    root = tmp_path_factory.mktemp("sources")
    photos = sorted(photo_crops(root / "photos", 900, 16).iterdir())
    for i, path in enumerate(photos):
        source, split = SOURCES[i % 3], "test" if i % 5 == 0 else "train"
        target = root / split / source / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked(np.asarray(Image.open(path)), source)).save(target)
    return root


@pytest.fixture(scope="module")
def prepared(folders, tmp_path_factory, run_script):
    root = tmp_path_factory.mktemp("prepared")
    for split in ("train", "test"):
        run_script(
            "classifier/data_preparation.py", "--in_dir", folders / split, "--out_dir", root / split
        )
    return root


def training_arguments(prepared, out, *more):
    return [
        "--app", "train", "--training_data_dir", prepared / "train", "--validation_data_dir",
        prepared / "test", "--out_model_dir", out, *TINY, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def model(prepared, tmp_path_factory, run_script):
    out = tmp_path_factory.mktemp("models") / "classifier"
    run_script("classifier/run.py", *training_arguments(prepared, out, "--total_kimg", 12))
    return out
