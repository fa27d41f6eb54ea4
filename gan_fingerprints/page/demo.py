"""The demo of the study, live: testing images one after the other, with their fingerprints."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gan_fingerprints.attribution.attributor import Attributor, Examined
from gan_fingerprints.attribution.finding import find_testing_images, in_turns
from gan_fingerprints.attribution.verdict import called, worded
from gan_fingerprints.examiner.evidence import png
from gan_fingerprints.page import serving
from gan_fingerprints.page.desk import Desk, Task
from gan_fingerprints.page.refusing import Refused
from gan_fingerprints.pictures import fingerprints as fingerprint_pictures
from gan_fingerprints.shown import shown

KEPT = 32  # cases
FIRST = 16  # cases, of which the bars' ends are taken
SECONDS = 5.0  # for each case, as in the study


class Case:
    """A testing image, and what the page shows of it.

    Attributes:
        told: what the page is told.
        pictures: PNG of the image, its fingerprint, and its response to each source.
    """

    def __init__(
        self, one: Examined[Any], truth: str | None, attributor: Attributor
    ) -> None:  # fmt: skip
        names, predicted = attributor.source_names, str(one.row.most_probable)
        name = shown(one.row.path.name) if one.row.path else ""
        self.told: dict[str, Any] = {"name": name, "error": one.row.error}
        self.pictures: list[bytes] = []
        if one.picture.pixels is None or one.fingerprint is None or one.logits is None:
            return
        models = attributor.model_fingerprints
        assert models is not None
        self.told |= {
            "truth": truth and called(truth),
            "predicted": worded(predicted),
            "right": None if truth is None else truth == predicted,
            # A bar under the predicted source, and under the true one where that is another.
            "barred": [i for i, x in enumerate(names) if x in (predicted, truth)],
            "true": names.index(truth) if truth in names else None,
            "likely": names.index(predicted),
            "responses": [round(x, 4) for x in one.logits.tolist()],
        }
        responses = fingerprint_pictures.contributions(one.fingerprint, models)
        shows = one.picture.pixels[0], fingerprint_pictures.of_image(one.fingerprint), *responses
        self.pictures = [png(np.asarray(x)) for x in shows]


class Demo:
    """The testing images of a folder, as a visNet sees them.

    Raises UserError where there are none.
    """

    def __init__(self, desk: Desk, folder: str | Path) -> None:
        self.desk = desk
        self.paths, self.truth = in_turns(*find_testing_images(folder, "--demo"), None)
        self._cases: OrderedDict[int, Case] = OrderedDict()
        self._ends: tuple[float, float] | None = None
        self._models: list[bytes] = []

    def attributor(self) -> Attributor:
        """Of the first visNet among the models."""
        for slot in self.desk.slots:
            if slot.model and slot.model.fingerprints is not None:
                return slot.model.attributor
        if self.desk.ready:
            raise Refused(409, "the demo needs a visNet, of classifier_visNet, among the models")
        raise Refused(503, "the models are being read: ask again in some seconds", 1)

    def case(self, number: int) -> Case:
        """A case by its number from 0 on."""
        if number >= len(self.paths):
            raise Refused(404, f"there are {len(self.paths)} testing images")
        if (found := self._cases.get(number)) is None:
            (found,) = self._examined([number])
            self._cases[number] = found
            if len(self._cases) > KEPT:
                self._cases.popitem(last=False)
        return found

    def ends(self) -> tuple[float, float]:
        """The lowest and the highest response of the first cases, with 0 between them."""
        if self._ends is None:
            cases = self._examined(list(range(min(FIRST, len(self.paths)))))
            found = [x for case in cases for x in case.told.get("responses", [])]
            self._ends = min([0.0, *found]), max([0.0, *found])
        return self._ends

    def models(self) -> list[bytes]:
        """PNG of each source's fingerprint."""
        if not self._models:
            weight = self.attributor().model_fingerprints
            assert weight is not None
            self._models = [png(x) for x in fingerprint_pictures.of_models(weight)]
        return self._models

    def _examined(self, numbers: list[int]) -> list[Case]:
        """Cases, made in the thread of the desk."""
        attributor, done = self.attributor(), threading.Event()
        cases: list[Case] = []

        def run() -> None:
            try:
                paths = [self.paths[i] for i in numbers]
                for i, one in zip(numbers, attributor.examine(paths), strict=True):
                    cases.append(Case(one, self.truth[i], attributor))
            finally:
                done.set()

        self.desk.queue.put(self, Task(run))
        done.wait(60)
        if len(cases) < len(numbers):
            raise Refused(503, "the program has much to do: ask again in some seconds", 2)
        return cases


def _demo_of(request: Request) -> Demo:
    serving.sessions_of(request)  # its models begin to be read
    demo: Demo | None = request.app.state.demo
    if demo is None:
        raise Refused(404, "no demo: start the program with --demo and a folder of testing images")
    return demo


async def first(request: Request) -> Response:
    """How many cases there are, the sources, and the ends of the bars."""
    demo = _demo_of(request)
    names = demo.attributor().source_names
    low, high = await run_in_threadpool(demo.ends)
    return JSONResponse({
        "cases": len(demo.paths), "seconds": SECONDS, "sources": list(map(called, names)),
        "ends": [low, high],
    })  # fmt: skip


async def case(request: Request) -> Response:
    """All about a case but its pictures."""
    found = await run_in_threadpool(_demo_of(request).case, request.path_params["case"])
    return JSONResponse(found.told)


async def picture(request: Request) -> Response:
    """A case's picture by its place."""
    demo, place = _demo_of(request), request.path_params["place"]
    number = request.path_params["case"]
    pictures = (await run_in_threadpool(demo.case, number)).pictures
    if place >= len(pictures):
        raise Refused(404, "of this case there is no such picture")
    return Response(pictures[place], media_type="image/png")


async def model(request: Request) -> Response:
    """The fingerprint of a source by its number."""
    pictures, number = _demo_of(request).models(), request.path_params["number"]
    if number >= len(pictures):
        raise Refused(404, "there is no such source")
    return Response(pictures[number], media_type="image/png")
