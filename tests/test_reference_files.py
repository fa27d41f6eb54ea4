"""The reference files that are packed in tests/data: small, inert, and of no machine."""

import io
import pickletools
import re
import tarfile

import numpy as np
import pytest

from tests.conftest import PACKED

ARCHIVES = sorted(path for path in PACKED.iterdir() if path.is_file())
PLACEHOLDER = "# source removed"
TABLES = {".json", ".txt", ".labels", ".tfrecords", ".index", ".data-00000-of-00001", ""}
PICTURES = {".png": b"\x89PNG", ".jpg": b"\xff\xd8\xff"}


def files(archive):
    with tarfile.open(archive) as file:
        for member in file:
            assert member.isfile(), member.name
            yield member.name, file.extractfile(member).read()


def require_placeholder(name, content):
    """In the place of the source text that the release's pickles hold and would execute."""
    texts = [x for _, x, _ in pickletools.genops(content) if isinstance(x, str)]
    assert texts.count("build_module_src") == 1, name  # written once, then referred to
    assert texts[texts.index("build_module_src") + 1] == PLACEHOLDER, name
    assert not [text for text in texts if "\n" in text or "import " in text], name


def test_together_they_are_small():
    assert {path.name.partition(".")[2] for path in ARCHIVES} == {"tar.xz"}
    assert sum(path.stat().st_size for path in ARCHIVES) <= 12_000_000


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_they_hold_numbers_and_no_code(archive):
    for name, content in files(archive):
        suffix = re.search(r"(\.(data-\S+|[a-z]+))?$", name).group()
        assert name.startswith(archive.name.partition(".")[0] + "/")
        if suffix == ".npz":
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                assert all(arrays[key].dtype.kind in "bfiu" for key in arrays.files), name
        elif suffix == ".pkl":
            require_placeholder(name, content)
        else:
            assert suffix in TABLES or content.startswith(PICTURES[suffix]), name
        assert not re.search(rb"/(home|root|tmp|work|mnt|Users)/", content), name
