"""Sources in tars and Parquet files: the data set of the same images as files."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints.data.unfinished import hidden
from gan_fingerprints.program import UserError
from tests.classifier.test_shards import contents, fill, interrupted, records

COUNT = 12


def files(sources: Path, source: str) -> list[Path]:
    return sorted((sources / source).iterdir())


def tar(out: Path, paths: list[Path]) -> None:
    """A shard as WebDataset's: name.png beside name.cls, in no order."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w") as file:
        for path in reversed(paths):
            file.add(path, path.name)
            label = tarfile.TarInfo(f"{path.stem}.cls")
            label.size = 1
            file.addfile(label, io.BytesIO(b"7"))


def parquet(out: Path, paths: list[Path | None], plain: bool = False, **more) -> None:
    """Rows in two groups of one file; plain: a column of bytes, else as Hugging Face has them."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    out.parent.mkdir(parents=True, exist_ok=True)
    contents = [path and path.read_bytes() for path in paths]
    if plain:
        column = pyarrow.array(contents, pyarrow.binary())
    else:
        names = [path and f"folder/{path.name}" for path in paths]
        rows = [{"bytes": a, "path": b} for a, b in zip(contents, names, strict=True)]
        column = pyarrow.array(rows)
    table = {"image": column, "label": list(range(len(paths))), **more}
    parquet.write_table(pyarrow.table(table), out, row_group_size=5)


@pytest.fixture
def sources(tmp_path):
    return fill(tmp_path / "in", COUNT)


@pytest.fixture
def packed(sources, tmp_path):
    """The same images: one source in two tars, the other in two Parquet files."""
    gan, real = files(sources, "gan"), files(sources, "real")
    for i in range(2):
        half = slice(6 * i, 6 * i + 6)
        tar(tmp_path / "packed" / "gan" / f"{i:06d}.tar", gan[half])
        parquet(tmp_path / "packed" / "real" / f"part-{i}.parquet", real[half])
    return tmp_path / "packed"


@pytest.mark.parametrize("flags", [(), ("--group_by", r"z(\d+)", "--resolution", 8)])
def test_packed_images_give_the_records_of_the_files(prepare, sources, packed, tmp_path, flags):
    one = prepare(sources, tmp_path / "a" / "data", *flags)
    other = prepare(packed, tmp_path / "b" / "data", *flags)
    assert one.checksum == other.checksum
    assert one.group_names == other.group_names
    assert one.source_names == other.source_names == ["gan", "real"]
    assert contents(one.folder)["data-audit.json"] == contents(other.folder)["data-audit.json"]
    assert [x.name for x in (tmp_path / "b").iterdir()] == ["data"]  # what was unpacked is gone


def test_packed_images_in_shards_go_on_after_an_interruption(prepare, packed, tmp_path, capsys):
    whole = contents(prepare(packed, tmp_path / "a" / "data", "--shards", 5).folder)
    out = tmp_path / "b" / "data"
    for _ in range(2):
        with interrupted():
            prepare(packed, out, "--shards", 5)
    assert [x.name for x in (tmp_path / "b").iterdir()] == [hidden(out).name]
    capsys.readouterr()
    assert contents(prepare(packed, out, "--shards", 5).folder) == whole
    assert "2 of 5 shards are there" in capsys.readouterr().out


def test_a_tar_that_changed_is_refused(prepare, packed, sources, tmp_path):
    out = tmp_path / "out"
    with interrupted():
        prepare(packed, out, "--shards", 5)
    tar(packed / "gan" / "000001.tar", files(sources, "gan")[6:11])
    with pytest.raises(UserError, match=r"1 inputs gone, e\.g\. .*/gan/000001\.tar/z011\.png; 5 "):
        prepare(packed, out, "--shards", 5)


def test_a_growing_gan_trains_on_one_file_of_them(sources, packed, tmp_path, run_script):
    tool = "ProGAN/dataset_tool.py"
    whole = tmp_path / "whole.parquet"
    parquet(whole, files(sources, "gan"), plain=True)
    run_script(tool, "create_from_images", tmp_path / "a" / "faces", sources / "gan")
    run_script(tool, "create_from_images", tmp_path / "b" / "faces", packed / "gan")
    run_script(tool, "create_from_images", tmp_path / "c" / "faces", whole)
    for level in ("r02", "r03", "r04"):
        a, b, c = (records(tmp_path / x / "faces", level) for x in "abc")
        assert a == b == c


def test_what_cannot_be_used_is_said(prepare, packed, sources, tmp_path, monkeypatch):
    out, pack = tmp_path / "out", packed / "gan" / "000001.tar"
    whole = pack.read_bytes()

    def refused(said: str, *flags) -> None:
        with pytest.raises(UserError, match=said):
            prepare(packed, out, *flags)
        assert not out.exists()
        assert not list(tmp_path.glob(".*"))

    pack.write_bytes(b"no tar" * 1000)
    refused(r"000001\.tar: cannot be read as a tar \(.*\); get it again or remove it")
    with tarfile.open(pack, "w"):
        pass
    refused(r"000001\.tar: found no images in it, expected some")
    pack.write_bytes(whole)
    part = packed / "real" / "part-1.parquet"
    part.write_bytes(b"PAR1" + bytes(100))
    refused(r"part-1\.parquet: cannot be read as a Parquet file \(.*\); get it again")
    real: list[Path | None] = [*files(sources, "real")[6:]]
    parquet(part, real)
    refused(r"found no column picture, expected one of image, label; name", "--column", "picture")
    parquet(part, [*real, None])
    refused(r"part-1\.parquet/00000006: row 6 has no bytes in image; replace")
    assert prepare(packed, tmp_path / "some", "--skip_bad_images", "--resolution", 8).count == 24
    parquet(part, real, label=[b"x"] * 6)
    assert prepare(packed, tmp_path / "same", "--column", "image").count == 24
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(r"Parquet needs the package pyarrow: pip install 'gan-fingerprints\[parquet\]'")


def test_which_column_must_be_known(prepare, packed, sources, tmp_path):
    from pyarrow import parquet, table

    content = files(sources, "real")[0].read_bytes()
    columns = {"front": [content], "back": [content]}
    for path in (packed / "real").iterdir():
        path.unlink()
    parquet.write_table(table(columns), packed / "real" / "x.parquet")
    with pytest.raises(UserError, match="found front, back of the columns front, back with bytes"):
        prepare(packed, tmp_path / "out")
    assert prepare(packed, tmp_path / "out", "--column", "back").count == COUNT + 1


def test_images_beside_a_tar_are_meant_and_that_is_said(prepare, sources, tmp_path, capsys):
    tar(sources / "gan" / "all.tar", files(sources, "gan"))
    assert prepare(sources, tmp_path / "out").count == 2 * COUNT
    assert "left out: all.tar in " in capsys.readouterr().out


def test_an_image_that_is_damaged_in_a_tar_is_named(prepare, packed, sources, tmp_path):
    bad = sources / "gan" / "z003.png"
    bad.write_bytes(bad.read_bytes()[:100])
    tar(packed / "gan" / "000000.tar", files(sources, "gan")[:6])
    with pytest.raises(UserError, match=r"/gan/000000\.tar/z003\.png: "):
        prepare(packed, tmp_path / "out", "--resolution", 16)
    other = Image.fromarray(np.zeros((20, 16, 3), np.uint8))
    other.save(bad)
    tar(packed / "gan" / "000000.tar", files(sources, "gan")[:6])
    with pytest.raises(UserError, match=r"z003\.png: found 16x20 pixels"):
        prepare(packed, tmp_path / "out")
