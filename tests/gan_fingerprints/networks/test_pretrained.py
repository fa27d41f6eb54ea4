"""Listing, downloading and verifying published models; a stand-in takes the place of Drive."""

import hashlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

from gan_fingerprints import __main__
from gan_fingerprints.networks import pretrained
from gan_fingerprints.program import UserError
from tests.gan_fingerprints.networks.published.hostile_pickles import Evil, network
from tests.published import pickled

GOOD = pickled((network(), network(), network()))


class Drive:
    """Behaves as gdown does, with files in memory."""

    def __init__(self, files):
        self.files = files
        self.fetched = []
        self.fails = None

    def download_folder(self, id, output, skip_download, **_):
        assert skip_download
        return [
            types.SimpleNamespace(id=name, path=name, local_path=f"{output}/{name}")
            for name in self.files
        ]

    def download(self, id, output, resume, **_):
        assert resume
        if self.fails:
            raise self.fails
        self.fetched.append(id)
        Path(output).write_bytes(self.files[id])


@pytest.fixture
def drive(monkeypatch):
    fake = Drive({"celeba.pkl": GOOD, "sub/lsun.pkl": GOOD[:100]})
    module = types.ModuleType("gdown")
    module.download, module.download_folder = fake.download, fake.download_folder
    module.exceptions = types.ModuleType("gdown.exceptions")
    module.exceptions.DownloadError = type("DownloadError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "gdown", module)
    monkeypatch.setitem(sys.modules, "gdown.exceptions", module.exceptions)
    return fake


def run(*arguments) -> None:
    __main__.run(["pretrained", *map(str, arguments)])


def test_the_table():
    rows = pretrained.table()
    assert [row.kind for row in rows] == [
        "ProGAN", "ProGAN", "SNGAN", "CramerGAN", "MMDGAN", "classifier", "visNet",
    ]  # fmt: skip
    assert all(len(row.folder_id) == 33 for row in rows)
    assert {row.folder for row in rows} >= {"ProGAN/models", "MMDGAN/models/mmd"}


def test_list(capsys, tmp_path):
    (tmp_path / "SNGAN" / "models").mkdir(parents=True)
    (tmp_path / "SNGAN" / "models" / "celeba_align_png_cropped.npz").touch()
    run("list", "--root", tmp_path)
    printed = capsys.readouterr().out
    assert "https://drive.google.com/drive/folders/1E4Bm8xshBTDPBU3Nh8x6ASFduLZZmtVI" in printed
    assert "to SNGAN/models/ (1 files here)" in printed
    assert "non-commercial research only" in printed


def test_get_records_and_checks_ever_after(capsys, tmp_path, drive):
    get = ["get", "ProGAN", "--root", tmp_path]
    run(*get)
    folder = tmp_path / "ProGAN" / "models"
    assert (folder / "celeba.pkl").read_bytes() == GOOD
    assert sorted(drive.fetched) == ["celeba.pkl", "sub/lsun.pkl"]
    sums = (folder / "SHA256SUMS").read_text()
    assert f"{hashlib.sha256(GOOD).hexdigest()}  celeba.pkl\n" in sums
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert "non-commercial research only" in capsys.readouterr().out

    run(*get)  # nothing is fetched twice
    assert len(drive.fetched) == 2

    (folder / "celeba.pkl").write_bytes(GOOD[:-1] + b",")
    with pytest.raises(UserError, match=r"celeba\.pkl: SHA-256 .* was recorded"):
        run(*get)

    (folder / "celeba.pkl").unlink()  # fetched again, but it is another file now
    drive.files["celeba.pkl"] = GOOD[:200]
    with pytest.raises(UserError, match=r"SHA-256 .* was recorded"):
        run(*get)
    assert not (folder / "celeba.pkl").exists()
    assert (folder / "SHA256SUMS").read_text() == sums


def test_get_only_some_files(tmp_path, drive):
    run("get", "ProGAN", "--root", tmp_path, "--files", "celeba*")
    assert drive.fetched == ["celeba.pkl"]
    with pytest.raises(UserError, match="nothing of that name among the 2 files"):
        run("get", "ProGAN", "--root", tmp_path, "--files", "none*")


@pytest.mark.parametrize("name", ["../evil.pkl", "/evil.pkl", "a/../../evil.pkl", "a\\..\\b.pkl"])
def test_names_that_lead_elsewhere(tmp_path, drive, name):
    drive.files = {name: b""}
    with pytest.raises(UserError, match="it would be written elsewhere"):
        run("get", "SNGAN", "--root", tmp_path)
    assert drive.fetched == []


def test_without_a_network_it_says_how_by_hand(capsys, tmp_path, drive):
    drive.fails = ConnectionError("no route")
    with pytest.raises(UserError, match=r"visNet: cannot download from .* \(no route\)"):
        run("get", "visNet", "--root", tmp_path)
    printed = capsys.readouterr().out
    assert "By hand: open each link" in printed
    assert "1LE_h8KToDllX9R-Fii5QxNYg-Cmded3_  →  classifier_visNet/models/" in printed


def test_without_gdown_it_says_how_to_install_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(UserError, match="pip install 'gdown"):
        run("get", "MMDGAN", "--root", tmp_path)
    assert "By hand" in capsys.readouterr().out


def test_verify(capsys, tmp_path):
    folder = tmp_path / "classifier" / "models"
    run_of_ours = folder / "mine"
    run_of_ours.mkdir(parents=True)
    (run_of_ours / "settings.json").touch()
    (run_of_ours / "network.npz").write_bytes(b"of a training run")
    run("verify", "--root", tmp_path)
    assert "no published models" in capsys.readouterr().out

    (folder / "a.pkl").write_bytes(GOOD)
    run("verify", "--root", tmp_path)
    printed = capsys.readouterr().out
    assert "SHA-256 recorded; holds generator, generator, generator" in printed
    run("verify", "classifier", "--root", tmp_path)
    assert "SHA-256 as recorded" in capsys.readouterr().out

    (folder / "evil.pkl").write_bytes(pickled(Evil(eval, "1/0")))
    with pytest.raises(UserError, match=r"1 of 2 files .* evil\.pkl"):
        run("verify", "--root", tmp_path)
    assert "it wants builtins.eval" in capsys.readouterr().out
    assert "evil" not in (folder / "SHA256SUMS").read_text()
    (folder / "evil.pkl").unlink()

    (folder / "a.pkl").write_bytes(GOOD + b" ")
    with pytest.raises(UserError, match="1 of 1 files"):
        run("verify", "--root", tmp_path)
    (folder / "a.pkl").unlink()
    with pytest.raises(UserError, match="1 of 1 files"):
        run("verify", "--root", tmp_path)
    assert "found nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["get"], "KIND is missing"), (["get", "StyleGAN"], "KIND StyleGAN: expected one of"),
     (["verify", "--root", "/none"], "--root /none: found nothing")],
)  # fmt: skip
def test_wrong_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)


def test_as_a_module(run_script, tmp_path):
    done = run_script("gan_fingerprints", "pretrained", "list", "--root", tmp_path)
    assert done.stdout.count("not here") == 7
