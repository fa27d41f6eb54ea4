"""The demo's frames: what is where, in which colour, and the files it writes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from classifier_visNet import demo, frames
from classifier_visNet.cases_page import Models, html
from classifier_visNet.figures import GREEN, PLAIN, RED, wrapped
from gan_fingerprints.attribution.answering import Picture
from gan_fingerprints.attribution.attributor import Examined
from gan_fingerprints.attribution.finding import in_turns
from gan_fingerprints.attribution.verdict import row_of
from tests.conftest import PROJECT

RNG = np.random.default_rng(0)
NAMES_11 = ["CelebA_real_data", *(f"ProGAN_seed_{i}_generated_data" for i in range(10))]


def case_of(names, predicted, truth):
    logits = np.full(len(names), -1.5, np.float32)
    logits[predicted] = 3.25
    picture = Picture(Path("a_file.png"), RNG.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8))
    row = row_of(picture, np.abs(logits) / np.abs(logits).sum(), names)
    fingerprint = RNG.uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    return frames.Case(Examined(picture, row, logits, fingerprint), truth)


def display_of(names):
    models = RNG.standard_normal((16, 16, 3, len(names)))
    return frames.Display(names, models, (-2.0, 4.0))


def bars_of(display):
    """Column → (colour, height) of the bars that are drawn."""
    return {
        k: (to_hex(axes.patches[0].get_facecolor()), axes.patches[0].get_height())
        for k, axes in enumerate(display._bars)
        if axes.patches
    }


def title_colours(display):
    return [to_hex(title.get_color()) for title in display._titles]


def test_right_prediction_has_one_green_bar_under_it():
    names = ["real", "gan_a", "gan_b"]
    display = display_of(names)
    display.show(case_of(names, predicted=1, truth="gan_a"))
    assert bars_of(display) == {1: (GREEN, 3.25)}
    assert title_colours(display) == ["#000000", GREEN, "#000000"]


def test_wrong_prediction_is_red_and_the_truth_green():
    names = ["real", "gan_a", "gan_b"]
    display = display_of(names)
    display.show(case_of(names, predicted=2, truth="real"))
    assert bars_of(display) == {0: (GREEN, -1.5), 2: (RED, 3.25)}
    assert title_colours(display) == [GREEN, "#000000", "#000000"]


def test_unknown_truth_is_neither_right_nor_wrong():
    names = ["real", "gan_a", "gan_b"]
    display = display_of(names)
    display.show(case_of(names, predicted=2, truth=None))
    assert bars_of(display) == {2: (PLAIN, 3.25)}
    assert set(title_colours(display)) == {"#000000"}


def test_a_stranger_makes_every_prediction_wrong():
    assert frames.bar_colours(["a", "b"], "a", "stranger") == {"a": RED}


def test_a_refresh_changes_all_but_the_model_fingerprints():
    names = ["real", "gan_a"]
    display = display_of(names)
    display.show(case_of(names, 0, "real"), "1/2")
    before = display.frame()
    height, width = before.shape[:2]
    tops = [axes.get_window_extent() for axes in display.figure.axes]
    display.show(case_of(names, 1, "real"), "2/2")
    after = display.frame()
    changed = []
    for box in tops:
        rows = slice(height - int(box.y1) + 1, height - int(box.y0) - 1)
        columns = slice(int(box.x0) + 1, min(width, int(box.x1)) - 1)
        changed.append(bool((before[rows, columns] != after[rows, columns]).any()))
    assert changed == [True, True, False, False, True, True, True, True]


@pytest.mark.parametrize("names", [NAMES_11[:2], NAMES_11[:5], NAMES_11])
def test_nothing_overlaps_and_nothing_is_cut_off(names):
    display = display_of(names)
    display.show(case_of(names, predicted=1, truth=names[0]), "1/24")
    display.frame()
    figure = display.figure
    page = figure.bbox
    texts = [figure._suptitle]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    boxes += [axes.get_window_extent() for axes in figure.axes if axes.images]
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
        for other in boxes[i + 1 :]:
            apart = (
                box.x1 <= other.x0 + 1 or other.x1 <= box.x0 + 1
                or box.y1 <= other.y0 + 1 or other.y1 <= box.y0 + 1
            )  # fmt: skip
            assert apart, (box, other)
    assert max(title.get_fontsize() for title in display._titles) >= 8


def test_names_are_wrapped_at_underscores():
    assert wrapped("ProGAN_seed_0_generated_data") == "ProGAN_seed_0_\ngenerated_data"
    assert wrapped("real") == "real"
    assert max(map(len, wrapped("x" * 60).split("\n"))) <= 14


def test_cases_take_turns_between_sources():
    paths = [Path(name) for name in ("a1", "a2", "a3", "b1")]
    found = in_turns(paths, ["a", "a", "a", "b"], 3)
    assert found == ([Path("a1"), Path("b1"), Path("a2")], ["a", "b", "a"])
    assert in_turns(paths, None, None) == (paths, [None] * 4)


@pytest.fixture
def written(tmp_path):
    names = NAMES_11[:2]
    cases = [case_of(names, k % 2, names[0]) for k in range(3)]

    def write(name=None, html=None):
        out = tmp_path / (name or html)
        page = str(out) if html else None
        demo.write_files(display_of(names), cases, None if html else str(out), page, 0.5)
        return out

    return write


def test_gif_has_a_frame_per_case_with_its_time(written):
    with Image.open(written("demo.gif")) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 500
        assert film.info["loop"] == 0


def test_mp4_holds_the_frames(written):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    film = imageio_ffmpeg.read_frames(str(written("demo.mp4")))
    facts = next(film)
    assert facts["codec"] == "h264"
    assert facts["duration"] == pytest.approx(1.5, abs=0.2)
    shown = [np.frombuffer(x, np.uint8).reshape(*facts["size"][::-1], 3) for x in film]
    first = display_of(NAMES_11[:2]).frame().shape
    assert shown[0].shape == first
    assert np.abs(shown[0].astype(int) - shown[-1]).max() > 100


def test_folder_holds_numbered_pngs(written):
    folder = written("frames")
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"frame_{i:04d}.png" for i in range(3)]


def test_page_holds_everything_itself(written):
    text = written(html="demo.html").read_text()
    # Of each case the image, its fingerprint and two responses; the models' fingerprints once.
    assert len(re.findall(r"data:image/png;base64,iVBORw0KGgo", text)) == 3 * 4 + 2
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", text)
    assert text.count("<option") == 3
    assert text.count('<article class="case">') == 3  # all are shown where scripts do not run
    assert " hidden>" not in text.replace('<div class="tools" hidden>', "")


def test_page_has_bars_of_the_prediction_and_of_the_truth_it_missed():
    names = NAMES_11[:3]
    case = case_of(names, predicted=1, truth=names[0])
    models = Models(names, np.ones((16, 16, 3, 3)), (-2.0, 6.0))
    figures = re.findall(r'<figure class="(.*?)"><h3>(.*?)</h3>(.*?)</figure>',
                         html([case], models, 5.0), re.S)  # fmt: skip
    assert [kind for kind, *_ in figures] == ["true", "wrong", ""]
    bars = [re.findall(r"left: ([\d.]+)%; width: ([\d.]+)%", rest) for *_, rest in figures]
    logits = case.image.logits
    for (found,), value in zip(bars[:2], logits[:2], strict=True):
        ends = sorted((25.0, 25 + 12.5 * float(value)))  # 0 lies a quarter from the left
        expected = ends[0], max(ends[1] - ends[0], 0.5)
        assert [float(x) for x in found] == pytest.approx(expected, abs=0.06)
    assert bars[2] == []


def test_names_stay_text_on_the_page():
    name = "<script>alert(1)</script>"
    case = case_of([name, "real"], predicted=0, truth=name)
    page = html([case], Models([name, "real"], np.ones((16, 16, 3, 2)), (-2.0, 4.0)), 5.0)
    assert name not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script>") == 1


@pytest.mark.slow
def test_program_writes_film_and_page(visnet_model, visnet_folders, tmp_path, run_script):
    model = visnet_model / "network-final.safetensors"
    done = run_script(
        "classifier_visNet/demo.py", "--model_path", model, "--testing_data_path",
        visnet_folders / "test", "--out", tmp_path / "demo.gif", "--html", tmp_path / "demo.html",
        "--refresh", 1, "--num_cases", 4,
    )  # fmt: skip
    assert f"film: {tmp_path / 'demo.gif'}" in done.stdout
    with Image.open(tmp_path / "demo.gif") as film:
        assert film.n_frames == 4
    assert (tmp_path / "demo.html").stat().st_size > 10_000


def test_without_a_display_it_says_what_to_do(
    visnet_model, visnet_folders, run_script, monkeypatch
):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    done = run_script(
        "classifier_visNet/demo.py", "--model_path", visnet_model / "network-final.safetensors",
        "--testing_data_path", visnet_folders / "test", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no window" in done.stderr
    assert "--out demo.gif" in done.stderr


def test_other_kinds_of_films_are_refused(tmp_path, run_script):
    network = tmp_path / "network.safetensors"
    network.touch()
    done = run_script(
        "classifier_visNet/demo.py", "--model_path", network, "--testing_data_path", tmp_path,
        "--out", tmp_path / "demo.avi", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "demo.avi: expected a film .gif or .mp4, or a folder's name" in done.stderr


@pytest.mark.slow
def test_window_shows_each_case_and_ends_when_it_is_closed(
    visnet_model, visnet_folders, tmp_path, monkeypatch
):
    server = shutil.which("Xvfb")
    if not server:
        pytest.skip("Xvfb, a display without a screen, is not installed")
    pytest.importorskip("tkinter")
    read_end, write_end = os.pipe()
    display = subprocess.Popen(
        [server, "-displayfd", str(write_end), "-screen", "0", "1400x700x24"],
        pass_fds=[write_end], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    monkeypatch.setenv("DISPLAY", f":{os.read(read_end, 16).decode().strip()}")
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    # Closes the window at the third case, as a user would, and says which were shown.
    script = """
import sys
from classifier_visNet import demo, frames
from classifier_visNet.cases_page import Models, html
import matplotlib.pyplot as plt
show = frames.Display.show
def shown(self, case, position):
    show(self, case, position)
    print(position, case.truth, flush=True)
    if position.startswith("3/"):
        plt.close(self.figure)
frames.Display.show = shown
demo.main()
"""
    arguments = ("--model_path", visnet_model / "network-final.safetensors",
                 "--testing_data_path", visnet_folders / "test", "--refresh", "0.3")  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)], cwd=PROJECT, timeout=120,
            capture_output=True, text=True,
        )  # fmt: skip
    finally:
        display.terminate()
        display.wait()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1/180", "marked_a", "2/180", "marked_b", "3/180", "real"]
