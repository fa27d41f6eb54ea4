"""How a run begins: its settings, its folder and what is refused, old weights."""

import hashlib
import json
import types

import numpy as np
import pytest
import tensorflow as tf

from classifier.networks import Classifier
from gan_fingerprints import disk, program
from gan_fingerprints.networks import files
from gan_fingerprints.program import UserError
from gan_fingerprints.training import begin
from gan_fingerprints.training.run import RUN, Execution
from gan_fingerprints.version import versions

FACTS = {"name": "faces", "count": 3, "resolution": 16, "source_names": None, "checksum": "ab"}
DATA = types.SimpleNamespace(**FACTS, labels=None)
CONFIG = {"size": {"4": 2}, "rate": 0.1}


def start(folder, *flags, flag="--out_model_dir", config=CONFIG, **more):
    arguments = program.Parser(None, *RUN).parse_args(flags)
    given = {"command": "x/run.py", "config": config, "seed": 7, "data": DATA, **more}
    return begin.Start(arguments, folder, flag, **given)


def test_settings_keep_the_names_that_runs_are_continued_by(tmp_path, capsys):
    validation = types.SimpleNamespace(**{**FACTS, "name": "others", "count": 2})
    begun = start(tmp_path / "run", "--init_from", "old", validation=validation, features="f.h5")
    expected = {
        "command": "x/run.py", "config": CONFIG, "mixed_precision": "float32", "num_gpus": None,
        "init_from": "old", "features": "f.h5", "data": FACTS,
        "validation_data": {**FACTS, "name": "others", "count": 2},
    }  # fmt: skip
    assert list(json.loads(capsys.readouterr().out).items()) == list(expected.items())
    assert not (tmp_path / "run").exists()
    run = begun.open_run()
    stored = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert stored == {**expected, "versions": versions()}
    assert stored["versions"]["tensorflow"] == tf.__version__
    run.start({"counters": []}, 1.0, tf.Variable(5, dtype=tf.int64))
    run.close()
    origin = {"command": "x/run.py", "seed": 7, "data": FACTS}
    assert run.provenance() == {**origin, "images_shown": 5, "versions": versions()}


@pytest.mark.parametrize("flag", ["--out_model_dir", "--results_dir", "--checkpoint_dir"])
def test_refusals_name_the_flag_that_the_program_has(tmp_path, flag):
    folder = tmp_path / "run"
    run = start(folder, flag=flag).open_run()
    with pytest.raises(UserError, match=f"^{flag} {folder}: another process is training in this"):
        start(folder, "--resume", flag=flag).open_run()
    run.close()
    with pytest.raises(UserError, match=f"^{flag} {folder}: already exists; add --resume"):
        start(folder, flag=flag).open_run()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"^{flag} .*: .* is a file, expected a folder"):
        start(tmp_path / "file" / "run", flag=flag).open_run()


def test_a_run_is_continued_with_its_own_settings_until_it_is_finished(tmp_path, capsys):
    folder = tmp_path / "run"
    start(folder).open_run().close()
    changed = {"size": {"4": 3}, "rate": 0.1, "more": 1}
    data = types.SimpleNamespace(**{**FACTS, "count": 4})
    message = (
        r"--resume .*run: the run has other settings \(config\.more was None, now 1; "
        r"config\.size\.4 was 2, now 3; data\.count was 3, now 4\); repeat"
    )
    with pytest.raises(UserError, match=message):
        start(folder, "--resume", config=changed, data=data).open_run()
    start(folder, "--resume").open_run().close()
    (folder / "finished.json").write_text("{}")
    assert start(folder, "--resume").open_run() is None
    assert capsys.readouterr().out.endswith(f"{folder}: this run is finished\n")


def test_a_run_is_finished_only_with_the_network_that_it_names(tmp_path, capsys):
    folder = tmp_path / "run"
    run = start(folder).open_run()
    run.start({"counters": []}, 1.0, tf.Variable(5, dtype=tf.int64))
    network = folder / "network-final.safetensors"
    network.write_bytes(b"weights")
    run.finish(network.name)
    marker = json.loads((folder / "finished.json").read_text())
    assert marker["sha256"] == {network.name: hashlib.sha256(b"weights").hexdigest()}
    assert start(folder, "--resume").open_run() is None
    capsys.readouterr()
    for content in (b"weightr", b"", None):
        network.unlink()
        if content is not None:
            network.write_bytes(content)
        start(folder, "--resume").open_run().close()
        said = f"{folder}/finished.json does not fit the run ({network.name}): continuing from its"
        assert said in capsys.readouterr().out or content is None
    network.write_bytes(b"weights")
    for content in ("", "[]", "{"):
        (folder / "finished.json").write_text(content)
        start(folder, "--resume").open_run().close()
        assert "finished.json does not fit the run" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--resume"]])
def test_a_folder_without_settings_that_was_just_made_has_not_begun(tmp_path, flags, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(begin, "write_json", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            start(folder).open_run()
    partial = folder / f"{disk.PARTIAL}1"
    partial.mkdir()
    (partial / "settings.json").write_text("{")
    start(folder, *flags).open_run().close()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "settings.json"]
    assert json.loads((folder / "settings.json").read_text())["config"] == CONFIG


def test_other_folders_are_not_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("")
    with pytest.raises(UserError, match="already exists; name a new folder"):
        start(tmp_path / "photos").open_run()
    with pytest.raises(UserError, match="this folder holds no run"):
        start(tmp_path / "photos", "--resume").open_run()


def test_a_dry_run_writes_nothing_and_looks_at_no_folder(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert start(tmp_path / "taken", "--dry_run").open_run() is None
    assert capsys.readouterr().out.endswith("dry run: everything fits; nothing was written\n")
    assert (tmp_path / "taken").read_text() == ""


def test_devices_that_share_a_minibatch():
    for given, expected in ((None, 1), (0, 1), (1, 1), (4, 4)):
        assert begin.devices(types.SimpleNamespace(num_gpus=given)) == expected
    with pytest.raises(UserError, match="--num_gpus 7: found 0 GPUs"):
        begin.set_up_tensorflow(Execution(num_gpus=7))


def test_old_weights_fill_a_network_of_the_same_kind_shape_and_sources(tmp_path):
    old = Classifier(16, 2, fmap_base=64, fmap_max=16)
    files.save(tmp_path / "old.safetensors", old, {}, ["real", "fake"])
    path = str(tmp_path / "old.safetensors")
    same = Classifier(16, 2, fmap_base=64, fmap_max=16)
    begin.fill_from(path, same, ("resolution", "fmap_max"), ["real", "fake"])
    for a, b in zip(same.variables, old.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    origin = f"^--init_from {path}: "
    with pytest.raises(UserError, match=rf"{origin}its source_names is .*, expected \['fake', "):
        begin.fill_from(path, same, (), ["fake", "real"])
    other = Classifier(16, 2, fmap_base=64, fmap_max=8)
    with pytest.raises(UserError, match=f"{origin}its fmap_max is 16, expected 8"):
        begin.fill_from(path, other, ("resolution", "fmap_max"))
    with pytest.raises(UserError, match=f"{origin}array .*: found"):
        begin.fill_from(path, other)
    other.name = "generator"
    with pytest.raises(UserError, match=f"{origin}holds a classifier, expected a generator"):
        begin.fill_from(path, other)


def test_workers_that_are_not_described_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    with pytest.raises(
        UserError, match=r"^TF_CONFIG: found the task \{\}, expected this process's"
    ):
        start(tmp_path / "run")
    one = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(one))
    with pytest.raises(UserError, match=r"^--xla 1: TF_CONFIG names 2 workers, between which"):
        start(tmp_path / "run", "--xla", "1")
    assert begin.devices(types.SimpleNamespace(num_gpus=3)) == 6
    assert not (tmp_path / "run").exists()


def test_a_cluster_of_one_is_none(tmp_path, monkeypatch):
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(one))
    begun = start(tmp_path / "run")
    assert begun.workers.cluster is None
    assert begun.workers.gather({"a": 1}) == [{"a": 1}]
    assert begun.workers.any(True)
    assert begun.workers.from_chief(lambda: 7) == 7
    begun.open_run().close()
