"""One frame of the demo: an image, its fingerprint, and how each model fingerprint answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifier_visNet.figures import GREEN, PLAIN, RED, wrapped
from gan_fingerprints import metrics
from gan_fingerprints.attribution.verdict import is_of_photographs
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.shown import drawn, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gan_fingerprints.attribution.attributor import Examined

SIDE = 1.3  # inches of a small picture
DPI = 100


@dataclass(frozen=True)
class Case:
    """One test case: what the network said of an image, and its true source if that is known."""

    image: Examined
    truth: str | None


def predicted_text(name: str) -> str:
    """A source below the input: of photographs, that they are those of the training."""
    if is_of_photographs(name):
        return f"like the photographs it\nwas trained on\n({wrapped(name, 20, 1)})"
    return wrapped(name, 22, 2)


def bar_colours(names: Sequence[str], predicted: str, truth: str | None) -> dict[str, str]:
    """Source → colour of its bar: the predicted one's, and with a wrong answer the true one's too.

    Green is the truth, red a wrong prediction, grey a prediction whose truth is not known.
    """
    if truth is None:
        return {predicted: PLAIN}
    colours = {truth: GREEN} if truth in names else {}
    return {**colours, predicted: GREEN if predicted == truth else RED}


def new_figure() -> Figure:
    """A figure without a window, whose pixels can be read."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(dpi=DPI)).figure


class Display:
    """The demo's window or frame. Model fingerprints are drawn once, the rest for each case.

    Args:
        names: the sources in label order.
        model_fingerprints: float [R, R, 3, sources].
        limits: lowest and highest logit, the range of the bars.
        figure: where to draw; a new one without a window by default.
    """

    def __init__(
        self, names: Sequence[str], model_fingerprints: np.ndarray, limits: tuple[float, float],
        figure: Figure | None = None,
    ) -> None:  # fmt: skip
        self.names, self.model_fingerprints = list(names), model_fingerprints
        self.figure = figure or new_figure()
        self.figure.set_size_inches(*self.size(len(self.names)))
        # The same for all cases, with 0 in it: bars can be compared from case to case.
        low, high = min(limits[0], 0), max(limits[1], 0)
        margin = 0.25 * max(high - low, 1e-6)
        self.limits = (low - margin, high + margin)
        self._lay_out()

    @staticmethod
    def size(sources: int) -> tuple[float, float]:
        """Inches. Even numbers of pixels, which videos need."""
        return round(4.2 + (SIDE + 0.2) * sources, 1), 5.4

    def _lay_out(self) -> None:
        width, _ = self.size(len(self.names))
        left, right = self.figure.add_gridspec(
            1, 2, width_ratios=(3.6, width - 3.6), left=0.02, right=0.985, top=0.83, bottom=0.04,
            wspace=0.12,
        )  # fmt: skip
        pair = left.subgridspec(1, 2, wspace=0.08)
        self._image, self._fingerprint = (
            _picture(self.figure.add_subplot(place)) for place in pair
        )
        self._image.set_title("input", fontsize=10)
        self._fingerprint.set_title("its fingerprint", fontsize=10)
        columns = len(self.names)
        grid = right.subgridspec(3, columns, wspace=0.15, hspace=0.12, height_ratios=(1, 1, 0.9))
        rows = [[self.figure.add_subplot(grid[r, c]) for c in range(columns)] for r in range(3)]
        models, self._responses, self._bars = rows
        shown = fingerprint_pictures.of_models(self.model_fingerprints)
        for axes, name, model in zip(models, self.names, shown, strict=True):
            _picture(axes).imshow(model)
            axes.set_title(wrapped(name), fontsize=9)
        self._titles = [axes.title for axes in models]
        for axes in self._responses:
            _picture(axes)
        words = ("model\nfingerprint", "response", "intensity")
        for row, text in zip(rows, words, strict=True):
            row[0].set_ylabel(text, fontsize=9)
        for axes in self._bars:
            _picture(axes).set(xlim=(-1, 1), ylim=self.limits)

    def show(self, case: Case, position: str = "") -> None:
        """Draws a case in place of the one before."""
        image = case.image
        _replace(self._image, image.picture.pixels[0])
        _replace(self._fingerprint, fingerprint_pictures.of_image(image.fingerprint))
        colours = bar_colours(self.names, image.row.most_probable, case.truth)
        for k, name in enumerate(self.names):
            model = self.model_fingerprints[..., k]
            _replace(self._responses[k], fingerprint_pictures.response(image.fingerprint, model))
            self._titles[k].set_color(GREEN if name == case.truth else "black")
            self._titles[k].set_fontweight("bold" if name == case.truth else "normal")
            self._bar(self._bars[k], float(image.logits[k]), colours.get(name))
        self._caption(case, position)

    def _bar(self, axes, height: float, colour: str | None) -> None:
        for artist in [*axes.patches, *axes.lines, *axes.texts]:
            artist.remove()
        if colour is None:
            return
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.bar([0], [height], width=0.8, color=colour)
        above = height >= 0
        axes.annotate(
            f"{height:.2f}", (0, height), (0, 2 if above else -2), textcoords="offset points",
            ha="center", va="bottom" if above else "top", fontsize=9, color=colour,
        )  # fmt: skip

    def _caption(self, case: Case, position: str) -> None:
        predicted = predicted_text(str(case.image.row.most_probable))
        self._image.set_xlabel(f"predicted:\n{predicted}", fontsize=9, loc="left")
        truth = "not known" if case.truth is None else wrapped(case.truth, 22, 2)
        self._fingerprint.set_xlabel(f"truth:\n{truth}", fontsize=9, loc="left")
        name = drawn(metrics.shorten(shown(case.image.row.path.name), 40))
        self.figure.suptitle(f"{position}  {name}".strip(), x=0.02, ha="left", fontsize=10)

    def frame(self) -> np.ndarray:
        """The figure as uint8 [H, W, 3]."""
        self.figure.canvas.draw()
        return np.asarray(self.figure.canvas.buffer_rgba())[..., :3].copy()


def _picture(axes):
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _replace(axes, pixels: np.ndarray) -> None:
    if axes.images:
        axes.images[0].set_data(pixels)
    else:
        axes.imshow(pixels, interpolation="nearest")


def write_gif(path: Path, frames: Iterable[np.ndarray], seconds: float) -> None:
    """Writes an endless animation, each frame for so long."""
    from PIL import Image

    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(
        path, format="GIF", save_all=True, append_images=others, loop=0,
        duration=round(seconds * 1000),
    )  # fmt: skip


def write_mp4(path: Path, frames: Iterable[np.ndarray], seconds: float) -> None:
    """Writes a video that every browser plays, each frame for so long."""
    import imageio_ffmpeg

    rate = 10  # frames per second: each picture is repeated
    writer = None
    for frame in frames:
        height, width, _ = frame.shape
        frame = np.ascontiguousarray(frame[: height // 2 * 2, : width // 2 * 2])
        if writer is None:
            writer = imageio_ffmpeg.write_frames(
                str(path), frame.shape[1::-1], fps=rate, codec="libx264", quality=8,
                macro_block_size=2, pix_fmt_out="yuv420p", output_params=["-f", "mp4"],
            )  # fmt: skip
            writer.send(None)
        for _ in range(max(1, round(seconds * rate))):
            writer.send(frame)
    if writer is not None:
        writer.close()
