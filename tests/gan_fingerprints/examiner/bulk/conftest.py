"""Many small images, and `attribute` on them."""

import json
from itertools import islice

import numpy as np
import pytest

from gan_fingerprints import __main__, images
from gan_fingerprints.examiner import examination
from tests.gan_fingerprints.conftest import SIDE


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A folder with 30 images in subfolders; the first three have one content."""
    folder = tmp_path_factory.mktemp("many")
    noise = np.random.default_rng(1).integers(0, 256, (30, SIDE, SIDE, 3), np.uint8)
    noise[1:3] = noise[0]
    for i, pixels in enumerate(noise):
        images.write_png(folder / str(i % 3) / f"{i:02d}.png", pixels)
    return folder


@pytest.fixture(scope="session")
def attribute(networks):
    """`attribute(images, "--out", …)`: the exit status."""

    def run(*words, model=networks.classifier.path):
        how = "--model", model, "--batch", 4
        return __main__.run(["attribute", *map(str, (*words, *how))])

    return run


@pytest.fixture
def killed_after(monkeypatch):
    """`killed_after(n)`: from now on, the program is interrupted after so many parts, once."""
    parts = examination.examine_parts

    def kill(number):
        def interrupted(*arguments):
            yield from islice(parts(*arguments), number)
            monkeypatch.setattr(examination, "examine_parts", parts)
            raise KeyboardInterrupt

        monkeypatch.setattr(examination, "examine_parts", interrupted)

    return kill


@pytest.fixture(scope="session")
def rows_in():
    """The rows of files, by path."""

    def read(*paths):
        found = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
        by_path = {row["path"]: row for row in found}
        assert len(by_path) == len(found)
        return by_path

    return read
