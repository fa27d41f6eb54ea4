"""Fifty mistakes of a newcomer, and the line that each is answered with.

Every one ends with exit status 2, and nothing is written.
"""

import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest

from gan_fingerprints import __main__, images
from gan_fingerprints.program import UserError

ANSWERS = [
    (
        "attribut photo.png",
        "attribut: not a command (did you mean attribute?); gan-fingerprints --help lists them",
    ),
    (
        "attribute",
        "PATH is missing; see gan-fingerprints attribute --help",
    ),
    (
        "attribute photo.png",
        "--model is missing: name a network file that a training run wrote "
        "(network-final.safetensors) or a published one, or set the variable "
        "GAN_FINGERPRINTS_MODEL to it",
    ),
    (
        "attribute gone.png --model model.safetensors",
        "PATH gone.png: found nothing, expected an image or a folder of images",
    ),
    (
        "attribute photo.png --model gone.safetensors",
        "--model gone.safetensors: found nothing, expected a file",
    ),
    (
        "attribute photo.png --model model.safetensors",
        "--model model.safetensors: not a network file of ours nor of the 2019 release; expected "
        "a .safetensors file that a training run wrote or a published .pkl",
    ),
    (
        "attribute photo.png --model notes.txt",
        "--model notes.txt: not a network file of ours nor of the 2019 release; expected a "
        ".safetensors file that a training run wrote or a published .pkl",
    ),
    (
        "attribute empty --model model.safetensors",
        "PATH empty: found an empty folder, expected images … in it or in its subfolders",
    ),
    (
        "attribute photo.png --model model.safetensors --report page.pdf",
        "argument --report: found 'page.pdf', expected a name that ends in .html; see "
        "gan-fingerprints attribute --help",
    ),
    (
        "attribute photo.png --model model.safetensors --out photo.png --overwrite",
        "argument --out: found 'photo.png', expected a name that ends in .jsonl; see "
        "gan-fingerprints attribute --help",
    ),
    (
        "attribute photo.png --model model.safetensors --least_probability 2",
        "argument --least_probability: found '2', expected a number from 0.5 to 1; see "
        "gan-fingerprints attribute --help",
    ),
    (
        "attribute photo.png --modl model.safetensors",
        "unrecognized arguments: --modl model.safetensors (did you mean --model?); see "
        "gan-fingerprints attribute --help",
    ),
    (
        "audit",
        "--in_dir is missing: name the folder that holds one subfolder of images per source",
    ),
    (
        "audit gone",
        "--in_dir gone: found nothing, expected a folder",
    ),
    (
        "audit one",
        "--in_dir one: found one subfolder, only, expected two or more; name the folder that "
        "holds one subfolder per source",
    ),
    (
        "audit notes.txt",
        "--in_dir notes.txt: found a file, expected a folder",
    ),
    (
        "audit broken",
        "broken/a/x.png: found something else than a … image; replace or remove it, or leave such "
        "out by --skip_bad_images",
    ),
    (
        "audit texts",
        "--in_dir texts/a: found 1 other file, no images, expected images … directly in this "
        "folder; name the folder that holds them",
    ),
    (
        "audit sources --resolution 100",
        "argument --resolution: found '100', expected a power of two from 4 up (4, 8, 16, …); see "
        "gan-fingerprints audit --help",
    ),
    (
        "harmonize sources --out sources",
        "--out_dir sources: already exists; name a new one, or remove it first",
    ),
    (
        "harmonize sources --out new --jpeg_quality 200",
        "argument --jpeg_quality: found '200', expected a quality from 1 to 100, or LOW-HIGH, "
        "e.g. 75-95; see gan-fingerprints harmonize --help",
    ),
    (
        "harmonize sources --out new --format jpg",
        "--jpeg_quality is missing: --format jpg needs it, e.g. --jpeg_quality 90",
    ),
    (
        "split sources --out new --parts a=0.5 b=0.2",
        "--parts a=0.5 b=0.2: found shares that add up to 0.7, expected 1; change one",
    ),
    (
        "split sources --out new --group_by '('",
        "argument --group_by: found '(', expected a regular expression (missing ), unterminated "
        r"subpattern at position 0), e.g. 'z(\d+)'; see gan-fingerprints split --help",
    ),
    (
        r"split sources --out new --group_by 'z(\d+)'",
        r"--group_by z(\d+): found no group for 4 of 4 images, e.g. sources/a/000.png, "
        "sources/a/002.png, expected one in the name of every image; allow for all names ('A|B' "
        "matches A or B), or take other images away",
    ),
    (
        "prepare mixed --out new",
        "mixed/b/0.png: found 40x30 pixels, expected a square whose side is a power of two from 4 "
        "up; give --resolution to resize all images",
    ),
    (
        "prepare sources --out new --crops 2",
        "--crops 2: found no --resolution, expected the side of the crops, e.g. --resolution 128",
    ),
    (
        "prepare sources --out new --resolution 32 --against empty",
        "--against empty: found an empty folder, expected a data set (files NAME-rNN.tfrecords); "
        "prepare one with dataset_tool.py or data_preparation.py",
    ),
    (
        "sample_photos empty2 --size 1000",
        "--size: found 1000, expected 256 or less",
    ),
    (
        "sample_photos photos --num 0",
        "argument --num: found '0', expected a whole number of 1 or more; see gan-fingerprints "
        "sample_photos --help",
    ),
    (
        "train --training_data_dir sources --validation_data_dir sources --out new",
        "--training_data_dir sources: found 2 subfolders, no images, expected a data set (files "
        "NAME-rNN.tfrecords); prepare one with dataset_tool.py or data_preparation.py",
    ),
    (
        "train --out new",
        "--training_data_dir is missing: this command needs it; see --help",
    ),
    (
        "test --model model.safetensors --testing_data_path sources",
        "--model_path model.safetensors: not a network file of ours nor of the 2019 release; "
        "expected a .safetensors file that a training run wrote or a published .pkl",
    ),
    (
        "measure --model model.safetensors --testing_data_path sources --out new",
        "--model model.safetensors: not a network file of ours nor of the 2019 release; expected "
        "a .safetensors file that a training run wrote or a published .pkl",
    ),
    (
        "enroll --model model.safetensors --name new",
        "--images is missing: --name needs it; see --help",
    ),
    (
        "card notes.txt",
        "MODEL notes.txt: not a network file of ours nor of the 2019 release; expected a "
        ".safetensors file that a training run wrote or a published .pkl",
    ),
    (
        "convert notes.txt new.safetensors",
        "IN notes.txt: not a network file of ours nor of the 2019 release; expected a folder with "
        "a TensorFlow 1 checkpoint or a .safetensors file that a training run wrote or a snapshot "
        "of SNGAN's or Chainer's (.npz) or a published .pkl",
    ),
    (
        "case verify empty",
        "DIR empty: found no case.jsonl, expected a folder that --case named",
    ),
    (
        "pretrained get everything",
        "KIND everything: expected one of ProGAN, SNGAN, CramerGAN, MMDGAN, classifier, visNet",
    ),
    (
        "run ProGAN/ruin.py",
        "run ProGAN/ruin.py: not a script of the project (did you mean ProGAN/run.py?); "
        "gan-fingerprints run lists them",
    ),
    (
        "run ProGAN/run.py --app train",
        "--training_data_dir is missing: --app train needs it; see --help",
    ),
    (
        "run ProGAN/run.py --app generate",
        "argument --app: found 'generate', expected train or gen; see run.py --help",
    ),
    (
        "run ProGAN/run.py --app train --training_data_dir sources --out new",
        "--training_data_dir sources: found 2 subfolders, no images, expected a data set (files "
        "NAME-rNN.tfrecords); prepare one with dataset_tool.py or data_preparation.py",
    ),
    (
        "run ProGAN/dataset_tool.py create_from_images new mixed/b",
        "IN mixed/b: found images of 40x30 pixels, expected square ones whose size is a power of "
        "two from 4 to 4096; --resolution N resizes them",
    ),
    (
        "run ProGAN/dataset_tool.py create_from_images new sources",
        "IN sources: found 2 subfolders, no images, expected images … directly in this folder; "
        "name the folder that holds them",
    ),
    (
        "run SNGAN/train.py --config_path odd.yml --data_dir sources/a --out new",
        "--config_path odd.yml: key batchsize: found 0, expected a whole number of 1 or more",
    ),
    (
        "run SNGAN/train.py --preset tiny --data_dir sources/a --out new",
        "argument --preset: found 'tiny', expected paper or small; see train.py --help",
    ),
    (
        "run SNGAN/evaluations/gen_images.py --preset small --model notes.txt --out new",
        "--snapshot notes.txt: not a network file of ours nor of the 2019 release; expected a "
        ".safetensors file that a training run wrote or a snapshot of SNGAN's or Chainer's (.npz)",
    ),
    (
        "run CramerGAN/gan/main.py --is_train maybe",
        "argument --is_train: found 'maybe', expected 1 or 0; see main.py --help",
    ),
    (
        "run classifier/perturb.py --attack smudge --in_dir sources --out new",
        "argument --attack: found 'smudge', expected noise, blur, cropping, compression, "
        "relighting or combination; see perturb.py --help",
    ),
]
"""Words after `gan-fingerprints`, and what is said; … stands for the formats of images."""


def write(path: str, width: int = 32, height: int = 32) -> None:
    pixels = np.random.default_rng(len(path)).integers(0, 256, (height, width, 3), np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images.write_png(Path(path), pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a newcomer may have lying about."""
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for source in "ab":
            for i in range(4):
                write(f"sources/{source}/{i:03d}.png")
        for i in range(3):
            write(f"one/only/{i}.png")
        for name in ("photo.png", "mixed/a/0.png", "broken/b/0.png", "texts/b/0.png"):
            write(name)
        write("mixed/b/0.png", 40, 30)
        for name in ("empty", "broken/a", "texts/a"):
            Path(name).mkdir()
        for name in ("broken/a/x.png", "texts/a/n.txt", "notes.txt", "model.safetensors"):
            Path(name).write_text("neither an image nor a network")
        Path("odd.yml").write_text("batchsize: 0\n")
    return folder


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of words that are wrong; scripts end with it as an exit."""
    status: object = 0
    try:
        with warnings.catch_warnings():
            # Of scripts that other tests have imported: a user's process has not.
            warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
            __main__.run(words)
    except UserError as error:
        return " ".join(str(error).split())
    except SystemExit as end:
        status = end.code
    assert status == 2
    return capsys.readouterr().err.strip().removeprefix("error: ")


@pytest.mark.parametrize(("words", "said"), ANSWERS, ids=[words for words, _ in ANSWERS])
def test_a_mistake_is_answered_in_one_line(words, said, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GAN_FINGERPRINTS_MODEL", raising=False)
    before = sorted(folder.rglob("*"))
    expected = re.escape(said).replace("…", "[^;:]+")
    assert re.fullmatch(expected, answer(shlex.split(words), capsys))
    assert sorted(folder.rglob("*")) == before


def test_there_are_fifty_of_them():
    assert len(ANSWERS) >= 50
    assert len({words for words, _ in ANSWERS}) == len(ANSWERS)
