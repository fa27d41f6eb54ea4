"""Shows, case by case, which fingerprint an image carries: in a window, as a film or as a page."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # runs from any folder
    from gan_fingerprints import missing

    missing.explain()

import argparse
import itertools
import time
from collections.abc import Iterator

import numpy as np

from gan_fingerprints import images, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find_testing_images, in_turns
from gan_fingerprints.attribution.flags import model_options
from gan_fingerprints.attribution.tables import load_network
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown

DESCRIPTION = """\
Shows, case by case, which fingerprint an image carries.

  python3 demo.py --model_path models/GAN_classifier/network-final.safetensors \\
      --testing_data_path ../GAN_classifier_datasets/test/ --refresh 5
  python3 demo.py --model_path … --testing_data_path … --out demo.gif

Left: the image and its fingerprint. First row: the model fingerprint of each source, always the
same. Second row: where the image's fingerprint responds to it. Third row, under the predicted
source: the bar of the response's intensity. If the folder has one subfolder per source, the true
source's title and bar are green and the bar of a wrong prediction is red."""

MOST_FRAMES = 24  # in a file, by default
FILMS = (".gif", ".mp4")
OTHER_FILMS = (".apng", ".avi", ".htm", ".html", ".jpg", ".mkv", ".mov", ".pdf", ".png", ".webm")
OPTIONS = {
    **model_options(REQUIRED),
    "--refresh": option(typed.non_negative.of("SECONDS"), 5.0, "time for each case"),
    "--out": option(
        typed.path, None, "write the frames: a film FILE.gif or FILE.mp4, or a new folder of PNGs"
    ),
    "--html": option(typed.new_file(".html"), None, "write one page that steps through the cases"),
    **program.OVERWRITE,
    "--num_cases": option(
        typed.positive_int,
        None,
        f"most cases, spread over sources (default: all; {MOST_FRAMES} to a file)",
    ),
}


def check(arguments: argparse.Namespace) -> None:
    """UserError unless there is something to show and a place for it."""
    program.existing_file(arguments.model_path, "--model_path")
    if arguments.html:
        program.new_file(arguments.html, "--html", arguments.overwrite)
    ending = Path(arguments.out or "").suffix.lower()
    if ending in OTHER_FILMS:  # or it would become the name of a folder
        raise UserError(f"--out {arguments.out}: expected a film .gif or .mp4, or a folder's name")
    if ending in FILMS:
        program.new_file(arguments.out, "--out", arguments.overwrite)
    elif arguments.out:
        program.new_output(arguments.out, "--out")


def open_window():
    """A Matplotlib figure in a window; UserError where none can be opened."""
    import matplotlib.pyplot as plt

    advice = "give --out demo.gif, --out demo.mp4, --out FOLDER or --html demo.html instead"
    try:
        figure = plt.figure("GAN fingerprints")
    except Exception as error:  # each window system fails in its own way
        raise UserError(f"no window: {str(error) or type(error).__name__}; {advice}") from None
    if plt.get_backend().lower() == "agg":
        raise UserError(f"no window: found no display, or no window system for Python; {advice}")
    return figure


def run_window(display, cases: Iterator, count: int, seconds: float) -> None:
    """Shows each case for so long, until all were shown and the window is closed."""
    import matplotlib.pyplot as plt

    for i, case in enumerate(cases):
        display.show(case, f"{i + 1}/{count}")
        display.figure.canvas.draw_idle()
        end = time.monotonic() + seconds
        while plt.fignum_exists(display.figure.number):
            plt.pause(max(0.01, min(0.1, end - time.monotonic())))
            if time.monotonic() >= end:
                break
        else:
            return
    plt.show()


def write_files(display, cases: list, out: str | None, page: str | None, seconds: float) -> None:
    """Renders the frames into the files that were asked for."""
    from classifier_visNet import cases_page, frames

    def rendered() -> Iterator[np.ndarray]:
        for i, case in enumerate(cases):
            display.show(case, f"{i + 1}/{len(cases)}")
            yield display.frame()

    if page:
        models = cases_page.Models(display.names, display.model_fingerprints, display.limits)
        text = cases_page.html(cases, models, seconds)
        program.write_whole(page, text.encode("utf-8", "backslashreplace"))
        print(f"page: {page}")
    if out and Path(out).suffix.lower() in FILMS:
        write = frames.write_gif if Path(out).suffix.lower() == ".gif" else frames.write_mp4
        with program.whole_file(out) as partial:
            write(partial, rendered(), seconds)
        print(f"film: {out}")
    elif out:
        with program.whole_folder(out) as folder:
            for i, frame in enumerate(rendered()):
                images.write_png(folder / f"frame_{i:04d}.png", frame)
        print(f"frames: {out}")


def usable_cases(examined: Iterator, truth: list[str | None]) -> Iterator:
    """Cases of all images that could be read; says which could not."""
    from classifier_visNet.frames import Case

    for image, name in zip(examined, truth, strict=True):
        if image.row.error:
            print(shown(f"{image.row.path}: skipped: {image.row.error}"))
        else:
            yield Case(image, name)


def main() -> None:
    arguments = program.Parser(DESCRIPTION, OPTIONS).parse_args()
    check(arguments)
    to_files = bool(arguments.out or arguments.html)
    most = arguments.num_cases or (MOST_FRAMES if to_files else None)
    paths, truth = in_turns(*find_testing_images(arguments.testing_data_path), most)
    figure = None if to_files else open_window()
    program.load_tensorflow()
    from classifier_visNet import frames
    from classifier_visNet.networks import AutoEncoder

    batch = min(arguments.batch, len(paths))
    loaded = load_network(arguments, {"visnet_autoencoder": AutoEncoder}, batch)
    attributor = Attributor.of(loaded, batch, fingerprints=True, precision=arguments.precision)
    cases = usable_cases(attributor.examine(paths), truth)
    # A window shows the first cases while later ones are not read yet.
    first = list(itertools.islice(cases, None if to_files else batch))
    if not first:
        raise UserError(f"--testing_data_path {arguments.testing_data_path}: no usable image")
    logits = np.stack([case.image.logits for case in first])
    limits = float(logits.min()), float(logits.max())
    models = attributor.model_fingerprints
    display = frames.Display(attributor.source_names, models, limits, figure)
    if to_files:
        write_files(display, first, arguments.out, arguments.html, arguments.refresh)
    else:
        run_window(display, itertools.chain(first, cases), len(paths), arguments.refresh)


if __name__ == "__main__":
    program.run(main)
