import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_fingerprints import images
from gan_fingerprints.data import shared
from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.data.writing import shuffled_order
from gan_fingerprints.program import UserError
from gan_fingerprints.training.classifying import open_splits

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = "classifier/data_preparation.py"


def pictures(n: int, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def write(folder, pixels, suffix=".png", **options) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:03d}{suffix}", **options)


@pytest.fixture
def sources(tmp_path):
    """Four images of each of two sources, 16x16."""
    write(tmp_path / "in" / "gan", pictures(4, seed=1))
    write(tmp_path / "in" / "real", pictures(4, seed=2))
    return tmp_path / "in"


def everything(data: DataSet) -> np.ndarray:
    return data.images(np.arange(data.count))


@pytest.fixture
def published(reference, tmp_path):
    """The published tool's input, named so that sorting gives the order it happened to take."""
    folder = tmp_path / "published"
    folder.mkdir()
    for i, name in enumerate(("ProGAN", "CelebA", "SNGAN")):
        (found,) = reference("data/classes128").glob(f"{name}*")
        (folder / f"{i}_{name}").symlink_to(found)
    return folder


def test_order_pixels_and_labels_are_as_published(prepare, published, reference, tmp_path):
    expected = np.load(reference("data/classifier_tfr32.decoded.npz"))
    data = prepare(published, tmp_path / "out", "--resolution", 32)
    found = data.images(np.arange(60))
    np.testing.assert_array_equal(found, expected["images"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(data.labels, expected["labels"])


def test_half_of_the_samples_unshuffled_as_published(prepare, published, reference, tmp_path):
    info = json.loads(reference("data/classifier_data_info.json").read_text())
    expected = info["classifier_tfr32_p50_noshuffle"]["labels_argmax"]
    flags = ("--resolution", 32, "--percentage_samples", 50, "--shuffle", 0)
    data = prepare(published, tmp_path / "out", *flags)
    assert data.labels.argmax(axis=1).tolist() == expected


def test_without_resolution_pixels_are_untouched(prepare, published, tmp_path):
    data = prepare(published, tmp_path / "out")
    files = [file for folder in sorted(published.iterdir()) for file in sorted(folder.iterdir())]
    assert data.resolution == 128
    for record, i in enumerate(shuffled_order(60)):
        (pixels,) = data.images([record])
        np.testing.assert_array_equal(pixels, images.read_image(files[i]))


def test_sources_are_sorted_and_recorded(prepare, sources, tmp_path):
    write(sources / "another", pictures(3, seed=3))
    data = prepare(sources, tmp_path / "new" / "training", "--shuffle", 0)
    assert data.name == "training"
    assert data.source_names == ["another", "gan", "real"]
    assert data.labels.dtype == np.float32
    assert data.labels.argmax(axis=1).tolist() == [0] * 3 + [1] * 4 + [2] * 4
    assert data.manifest["source_counts"] == [3, 4, 4]
    assert data.manifest["shuffle"] is False
    expected = np.concatenate([pictures(3, seed=3), pictures(4, seed=1), pictures(4, seed=2)])
    np.testing.assert_array_equal(everything(data), expected)


@pytest.mark.parametrize(("percent", "number"), [(100, 4), (75, 3), (60, 2), (1, 1)])
def test_percentage_takes_the_first_images(prepare, sources, tmp_path, percent, number):
    flags = ("--percentage_samples", percent, "--shuffle", 0)
    data = prepare(sources, tmp_path / "out", *flags)
    assert data.count == 2 * number
    np.testing.assert_array_equal(everything(data)[:number], pictures(4, seed=1)[:number])


def test_labels_can_be_left_out(prepare, sources, tmp_path):
    data = prepare(sources, tmp_path / "out", "--export_labels", 0)
    assert data.labels is None
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"out-r04.tfrecords", "out.json", "out-audit.json"}


def test_images_of_any_size_mode_and_format_are_resized(prepare, sources, tmp_path):
    odd = pictures(1, side=30)[0][:20]
    Image.fromarray(odd).save(sources / "gan" / "zz_odd.bmp")
    Image.fromarray(odd).convert("L").save(sources / "real" / "zz_grey.png")
    data = prepare(sources, tmp_path / "out", "--resolution", 8, "--shuffle", 0)
    records = everything(data)
    np.testing.assert_array_equal(records[4], images.resize(odd, 8))
    assert (records[9] == records[9][..., :1]).all()


def test_worker_processes_keep_order_labels_and_facts_together(prepare, tmp_path):
    in_dir = tmp_path / "in"
    write(in_dir / "dark", pictures(70, seed=1) // 2)
    write(in_dir / "light", 128 + pictures(70, seed=2) // 2)
    data = prepare(in_dir, tmp_path / "out")
    light = everything(data).mean(axis=(1, 2, 3)) > 128
    np.testing.assert_array_equal(data.labels.argmax(axis=1), light)
    findings = json.loads((tmp_path / "out" / "out-audit.json").read_text())
    (mean,) = (x for x in findings["separability"] if x["property"] == "mean brightness")
    assert mean["images"] == 140
    assert mean["accuracy"] == 1


def test_the_audit_is_printed_and_saved(prepare, tmp_path, capsys):
    write(tmp_path / "in" / "real", pictures(20, seed=1), ".jpg", quality=75)
    write(tmp_path / "in" / "gan", pictures(20, seed=2))
    prepare(tmp_path / "in", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "warning: file format alone can tell the sources apart (accuracy 100.0 %" in printed
    assert "warning: JPEG quality alone can tell" in printed
    assert "put every source through the same processing" in printed
    assert printed.splitlines()[-1] == f"40 images of 2 sources, 16x16: {tmp_path / 'out'}"
    findings = json.loads((tmp_path / "out" / "out-audit.json").read_text())
    assert findings["sources"]["real"]["quality"] == "75"
    assert all(f"warning: {warning}" in printed for warning in findings["warnings"])


def test_alike_sources_are_not_warned_about(prepare, tmp_path, capsys):
    write(tmp_path / "in" / "a", pictures(40, seed=1))
    write(tmp_path / "in" / "b", pictures(40, seed=2))
    prepare(tmp_path / "in", tmp_path / "out")
    assert "warning" not in capsys.readouterr().out


def test_the_audit_can_be_left_out(prepare, sources, tmp_path, capsys):
    prepare(sources, tmp_path / "out", "--audit", 0)
    assert "Data audit" not in capsys.readouterr().out
    assert not (tmp_path / "out" / "out-audit.json").exists()


def test_copies_are_found_in_other_formats_and_in_the_other_split(
    prepare, sources, tmp_path, capsys
):
    prepare(sources, tmp_path / "training", "--shuffle", 0)
    assert "also in" not in capsys.readouterr().out
    write(tmp_path / "test" / "gan", pictures(3, seed=7))
    write(tmp_path / "test" / "real", pictures(1, seed=1), ".bmp")  # gan/000 of the training split
    write(tmp_path / "test" / "real", pictures(1, seed=7), ".tif")
    flags = ("--against", tmp_path / "training")
    said = rf"--against {tmp_path}/training: found 1 images that are in both .*e\.g\. real/000\.bmp"
    with pytest.raises(UserError, match=said):
        prepare(tmp_path / "test", tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()
    printed = capsys.readouterr().out
    assert "shared: real/000.bmp = record 0\n" in printed
    assert f"also in {tmp_path / 'training'}: 1, e.g. real/000.bmp = record 0" in printed
    assert "in several sources" in printed
    assert "gan/000.png = real/000.tif" in printed


def test_training_refuses_validation_images_that_it_has_seen(prepare, sources, tmp_path):
    training = prepare(sources, tmp_path / "training", "--shuffle", 0)  # gan 0-3, real 4-7
    write(tmp_path / "test" / "gan", [*pictures(2, seed=7), pictures(4, seed=2)[1]])
    write(tmp_path / "test" / "real", pictures(3, seed=8))
    validation = prepare(tmp_path / "test", tmp_path / "validation", "--shuffle", 0)
    assert shared.shared_records(validation, training) == [(2, 5)]
    assert shared.shared_records(training, validation) == [(5, 2)]
    given = argparse.Namespace(
        training_data_dir=training.folder, validation_data_dir=validation.folder, verify=True
    )
    said = "validation: found 1 images that .*has, too, e.g. record 2 = record 5 of the training"
    with pytest.raises(UserError, match=said):
        open_splits(given, 1, 1)
    (tmp_path / "test" / "gan" / "002.png").unlink()
    given.validation_data_dir = prepare(tmp_path / "test", tmp_path / "other").folder
    assert [data.count for data in open_splits(given, 1, 1)] == [8, 5]


def test_records_with_the_same_checksum_are_compared(prepare, sources, tmp_path, monkeypatch):
    training = prepare(sources, tmp_path / "training")
    write(tmp_path / "test" / "gan", pictures(4, seed=5))
    write(tmp_path / "test" / "real", pictures(4, seed=6))
    other = prepare(tmp_path / "test", tmp_path / "other")
    for data in (training, other):
        monkeypatch.setattr(data, "record_checksums", lambda: np.full(8, 7, np.uint32))
    assert shared.shared_records(other, training) == []


@pytest.mark.parametrize("fit", ["squeeze", "crop"])
def test_what_is_done_to_other_shapes_and_animations_is_said(prepare, tmp_path, capsys, fit):
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 200  # the square in the middle
    for name in ("a", "b"):
        write(tmp_path / "in" / name, [wide] * 2)
        write(tmp_path / "in" / name, pictures(3, side=16, seed=3), ".bmp")
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "in" / "a" / "film.gif", save_all=True, append_images=frames[1:])
    data = prepare(
        tmp_path / "in", tmp_path / "out", "--resolution", 16, "--shuffle", 0, "--fit", fit
    )
    printed = capsys.readouterr().out
    assert "several pictures (animations, pages): 1; the first was taken" in printed
    assert ("images that are no squares: 4; they were squeezed" in printed) is (fit == "squeeze")
    assert data.manifest.get("fit") == {"squeeze": None, "crop": "crop"}[fit]
    pixels = data.images(np.arange(data.count))
    expected = 200 if fit == "crop" else 200 / 3  # a third of the squeezed image
    assert abs(pixels[1].mean() - expected) < 2
    assert (pixels[5] == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.png", b"no image", "something else than"),
        ("cut.jpg", None, "truncated"),
        ("odd.png", pictures(1, 20)[0], "found 20x20 pixels, expected 16x16 as"),
        ("000.png", pictures(1, 20)[0], "power of two|expected 16x16"),
    ],
)
def test_a_bad_image_is_named_or_skipped(prepare, sources, tmp_path, capsys, name, content, reason):
    path = sources / "gan" / name
    if content is None:
        Image.fromarray(pictures(1, 64)[0]).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path)
    with pytest.raises(UserError, match=f"{path}: .*({reason})"):
        prepare(sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    total = len(list(sources.rglob("*.*")))
    data = prepare(sources, tmp_path / "out", "--skip_bad_images")
    assert data.count == len(data.labels) == total - 1
    assert data.manifest["skipped"] == 1
    assert f"skipped: {path}: " in capsys.readouterr().out
    first = data.images([np.flatnonzero(data.labels[:, 1])[0]])[0]
    assert any((first == image).all() for image in pictures(4, seed=2))  # "real" stays real


def test_a_source_without_usable_images_is_an_error(prepare, sources, tmp_path):
    (sources / "broken").mkdir()
    (sources / "broken" / "a.png").write_text("no image")
    with pytest.raises(UserError, match="no usable image in broken"):
        prepare(sources, tmp_path / "out", "--skip_bad_images")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("side", [(16, 20), (20, 20)])
def test_images_that_do_not_fit_by_themselves_need_a_resolution(prepare, tmp_path, side):
    for source in "ab":
        (tmp_path / "in" / source).mkdir(parents=True)
        Image.new("RGB", side).save(tmp_path / "in" / source / "0.png")
    expected = f"found {side[0]}x{side[1]} pixels, expected a square .* give --resolution"
    for flags in ([], ["--skip_bad_images"]):
        with pytest.raises(UserError, match=expected):
            prepare(tmp_path / "in", tmp_path / "out", *flags)
    assert prepare(tmp_path / "in", tmp_path / "out", "--resolution", 16).count == 2


def test_bad_input_folders_are_errors(prepare, tmp_path):
    def fails(expected):
        with pytest.raises(UserError, match=expected):
            prepare(tmp_path / "in", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    fails("--in_dir .*found nothing, expected a folder")
    (tmp_path / "in").mkdir()
    fails("expected one subfolder of images per source")
    write(tmp_path / "in" / "gan", pictures(2))
    fails("found one subfolder, gan, expected two or more")
    (tmp_path / "in" / "real").mkdir()
    (tmp_path / "in" / "real" / "notes.txt").touch()
    fails("real: .*expected images")


def test_bad_outputs_are_errors(prepare, sources, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("")
    with pytest.raises(UserError, match=r"--out_dir .*is a file"):
        prepare(sources, tmp_path / "file" / "out")
    with pytest.raises(UserError, match=r"--out_dir .*already exists"):
        prepare(sources, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["kept.txt"]


def test_bad_other_splits_are_errors(prepare, sources, tmp_path):
    prepare(sources, tmp_path / "small", "--resolution", 8)

    def fails(expected, *flags):
        with pytest.raises(UserError, match=expected):
            prepare(sources, tmp_path / "out", *flags)
        assert not (tmp_path / "out").exists()

    fails("found 8 pixels, expected 16 .*cannot be compared", "--against", tmp_path / "small")
    fails("--against .*expected .*data set", "--against", sources)
    fails("--against .*nothing", "--against", tmp_path / "missing")
    fails("--against: found --audit 0", "--against", tmp_path / "small", "--audit", 0)


@pytest.mark.parametrize("resolution", ["100", "2", "0", "x"])
def test_a_resolution_is_a_power_of_two(prepare, sources, tmp_path, resolution):
    with pytest.raises(UserError, match=r"--resolution: found .*power of two"):
        prepare(sources, tmp_path / "out", "--resolution", resolution)


def test_the_program_runs_from_any_folder(run_script, sources, tmp_path):
    done = run_script(SCRIPT, "--in_dir", "in", "--out_dir", "out", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "8 images of 2 sources, 16x16: out"
    assert DataSet.open(tmp_path / "out", "--out_dir").count == 8
    again = run_script(SCRIPT, "--in_dir", "in", "--out_dir", "out", cwd=tmp_path, check=False)
    assert again.returncode == 2
    assert again.stderr.startswith("error: --out_dir out: already exists")
    assert len(again.stderr.splitlines()) == 1


def test_help_lists_every_flag(run_script):
    printed = run_script(SCRIPT, "--help").stdout
    for flag in ("--in_dir", "--out_dir", "--resolution", "--shuffle", "--export_labels"):
        assert flag in printed
    for flag in ("--crops", "--seed", "--group_by"):
        assert flag in printed
    for flag in ("--percentage_samples", "--against", "--skip_bad_images", "--audit"):
        assert flag in printed


def test_workers_import_nothing_heavy():
    code = "import sys, classifier.data_preparation; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert not {"tensorflow", "keras", "sklearn", "scipy", "matplotlib"} & set(printed.split())
