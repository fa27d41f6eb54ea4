"""`gan-fingerprints measure`: how reliable a trained network is on images of known source."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gan_fingerprints import card, missing, program, typed
from gan_fingerprints.attribution.attributor import Attributor
from gan_fingerprints.attribution.finding import find_testing_images
from gan_fingerprints.attribution.flags import (
    LOOKING,
    SEEING,
    looks_of,
    rule_options,
    rules_of,
    say_precision,
)
from gan_fingerprints.attribution.tables import groups_of
from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.data import groups
from gan_fingerprints.degradations import AS_THEY_ARE, DEGRADATIONS, Degradation
from gan_fingerprints.measuring import page
from gan_fingerprints.measuring.figures import Shown, of_condition
from gan_fingerprints.measuring.plots import ece_png, tippett_png
from gan_fingerprints.networks import files
from gan_fingerprints.program import REQUIRED, UserError, option
from gan_fingerprints.shown import shown
from gan_fingerprints.version import __version__

USUAL = ("jpeg90", "jpeg75", "jpeg50", "resize75", "resize125", "screenshot")
DESCRIPTION = f"""\
Measures on images of known source how reliable a trained network is: how often it is right, what
its likelihood ratios are worth, and how often they mislead. As the images are, and after each of
some degradations, which should be those of the images in question.

  gan-fingerprints measure --model network-final.safetensors --testing_data_path testing/ \\
      --outside others/ --out measured/
  gan-fingerprints measure --model network-final.safetensors --testing_data_path testing/ \\
      --degrade jpeg75 screenshot --out measured/ --out_model with_card.safetensors

The images must be none that the network was trained or validated on. measured/ gets measured.json,
measured.csv and measured.html. Degradations are

{card.listed({name: one.about for name, one in DEGRADATIONS.items()})}"""
OPTIONS = {
    "--model": option(typed.file, REQUIRED, "a network that names sources"),
    "--source_names": option(
        typed.names, None, "sources of a published network, in order, as its file lacks them"
    ),
    "--testing_data_path": option(typed.folder, REQUIRED, "a folder of one subfolder per source"),
    "--outside": option(
        typed.folder, None, "images of sources that the model does not know, in a folder or several"
    ),
    "--degrade": option(
        typed.several(typed.one_of(*DEGRADATIONS), "*"),
        list(USUAL),
        "what happens to the images, one after another; without a name nothing",
    ),
    "--group_by": option(
        groups.pattern,
        None,
        "what in a file's name images of one latent, photograph or person share; intervals are "
        "then by group",
    ),
    "--out": option(typed.folder, REQUIRED, "a new folder for the results"),
    "--out_model": option(
        typed.new_file(".safetensors"),
        None,
        "a new network file with the results in its card; --model is not changed",
    ),
    **rule_options(0),
    "--batch": option(typed.positive_int, 64, "images per step; changes only the speed"),
    **SEEING,
    **LOOKING,
}


class Images(NamedTuple):
    """Images to measure on: files, the source of each, its group where that is known."""

    paths: list[Path]
    truth: list[str]
    groups: list[str] | None


def main(arguments: argparse.Namespace) -> None:
    """Measures, and writes what was found."""
    missing.require("measure")
    path = program.existing_file(arguments.model, "--model")
    out = program.new_output(arguments.out, "--out")
    out_model = arguments.out_model and program.new_output(arguments.out_model, "--out_model")
    known, outside = images_of(arguments)
    how_asked = arguments.source_names, arguments.batch, arguments.precision
    loaded = files.attributing(path, "--model", *how_asked)
    require_sources(known, outside, loaded.source_names or [], arguments)
    how = arguments.batch, False, rules_of(arguments)
    attributor = Attributor.of(loaded, *how, **looks_of(arguments))
    say_precision(attributor)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    result: dict[str, Any] = {
        "program": f"gan-fingerprints {__version__}",
        "model": {"file": str(path), "sha256": digest},
        "precision": attributor.precision,
        "sources": attributor.source_names,
        "images": len(known.paths),
        "groups": None if known.groups is None else len(set(known.groups)),
        "outside_images": len(outside.paths) if outside else 0,
        "warnings": warnings_of(loaded, known),
        "conditions": [],
    }
    for warning in result["warnings"]:
        print(shown(f"mind: {warning}"), flush=True)
    plots = []
    chosen = {AS_THEY_ARE: None} | {name: DEGRADATIONS[name] for name in arguments.degrade}
    for name, degradation in chosen.items():
        print(f"{name}: {degradation.about if degradation else 'not changed'}", flush=True)
        found, drawn = condition(attributor, known, outside, name, degradation)
        result["conditions"].append(found)
        plots.append(drawn)
        print("  " + line(found), flush=True)
    write(out, result, plots)
    if out_model:
        add_to_card(path, out_model, result)
        print(shown(f"model with its card: {out_model}"))


def images_of(arguments: argparse.Namespace) -> tuple[Images, Images | None]:
    """The images of both kinds; UserError unless the truth of the known ones is known."""
    paths, truth = find_testing_images(arguments.testing_data_path)
    if truth is None:
        raise UserError(
            f"--testing_data_path {arguments.testing_data_path}: found images without a known "
            "source, expected one subfolder of images per source, named as the model names it"
        )
    known = Images(paths, truth, groups_of(arguments, paths))
    if arguments.outside is None:
        return known, None
    others, names = find_testing_images(arguments.outside, "--outside")
    return known, Images(others, names or [Path(arguments.outside).name] * len(others), None)


def require_sources(
    known: Images, outside: Images | None, names: Sequence[str], arguments: argparse.Namespace
) -> None:
    """UserError unless known images are of the model's sources, and the others of none."""
    strange = sorted(set(known.truth).difference(names))
    if strange:
        raise UserError(
            f"--testing_data_path {arguments.testing_data_path}: found subfolders "
            f"{', '.join(strange)}, expected only names of the model's sources: "
            f"{', '.join(names)}; give images of other sources with --outside"
        )
    shared = sorted(set(outside.truth if outside else ()).intersection(names))
    if shared:
        raise UserError(
            f"--outside {arguments.outside}: has images of {', '.join(shared)}, which the model "
            "knows; expected other sources only"
        )


def warnings_of(loaded: files.Loaded, known: Images) -> list[str]:
    """What a reader of the results must know of them."""
    missing = sorted(set(loaded.source_names or []).difference(known.truth))
    found = []
    if missing:
        found.append(f"no images of {', '.join(missing)} were tested")
    if loaded.likelihoods is None:
        found.append(
            "the model has no likelihood ratios: train with --likelihoods 1, as --network "
            "residual does"
        )
    if known.groups is None:
        found.append(
            "without --group_by each image counts as independent: intervals are too narrow where "
            "images share a latent, a photograph or a person"
        )
    return found


def condition(
    attributor: Attributor, known: Images, outside: Images | None, name: str,
    degradation: Degradation | None,
) -> tuple[dict[str, Any], page.Plots]:  # fmt: skip
    """What was measured under one condition, and its plots."""
    seen, sizes = answered(attributor, known, degradation)
    others = answered(attributor, outside, degradation)[0] if outside else None
    found = {
        "name": name,
        "about": degradation.about if degradation else "not changed",
        "quality": degradation.quality if degradation else None,
        "scale": degradation.scale if degradation else 1.0,
        "least_side": min(sizes, default=0),
        "most_side": max(sizes, default=0),
        "unreadable": len(known.paths) - len(seen.rows),
        **of_condition(seen, others),
    }
    same, other = seen.ratios
    if not len(same) or not len(other):
        return found, page.Plots()
    return found, page.Plots(tippett_png(same, other), ece_png(same, other))


def answered(
    attributor: Attributor, images: Images, degradation: Degradation | None
) -> tuple[Shown, list[int]]:
    """The rows of all images that can be read, and their shorter sides."""
    change = partial(_changed, degradation) if degradation else None
    rows: list[Attribution] = []
    sizes, kept = [], []
    examined = attributor.examine(images.paths, change)
    shown_by = {"total": len(images.paths), "unit": "image", "leave": False, "disable": None}
    for i, one in enumerate(tqdm(examined, **shown_by)):
        if one.row.error is None:
            rows.append(one.row)
            sizes.append(min(one.picture.size))
            kept.append(i)
    of_each = images.groups and [images.groups[i] for i in kept]
    return Shown(rows, [images.truth[i] for i in kept], of_each), sizes


def _changed(degradation: Degradation, image: np.ndarray, path: Path) -> np.ndarray:
    # The folder belongs to the key: sources may name their files alike.
    return degradation.apply(image, f"{path.parent.name}/{path.name}")


def line(found: dict[str, Any]) -> str:
    """One condition in a line."""
    parts = [f"right {page.said('accuracy', found['accuracy'])}",
             f"named wrongly {page.said('named_wrongly', found['named_wrongly'])}",
             f"unknown {page.said('unknown', found['unknown'])}"]  # fmt: skip
    if found["cllr"]:
        loss = page.said("calibration_loss", found["calibration_loss"])
        parts.append(f"Cllr {page.said('cllr', found['cllr'])}, calibration loss {loss}")
    if found["outside"]:
        share = page.said("unknown", found["outside"]["unknown"])
        parts.append(f"outside answered unknown {share}")
    return "; ".join(parts)


def write(out: Path, result: dict[str, Any], plots: Sequence[page.Plots]) -> None:
    """Writes the folder of results, whole or not at all."""
    with program.whole_folder(out) as folder:
        program.write_json(folder / "measured.json", result)
        program.write_whole(folder / "measured.csv", page.csv_of(result["conditions"]))
        page.page_of(result, plots).write(folder / "measured.html")
    print(shown(f"results: {out / 'measured.html'}, .json and .csv"))


def add_to_card(path: Path, out: Path, result: dict[str, Any]) -> None:
    """Writes the network as it is with the results in its card."""
    stored = files.read(path, "--model", files.NAMING)[-1]
    side, names = stored.arguments["resolution"], stored.source_names or result["sources"]
    made = stored.card or card.of_training(names, {}, side, stored.kind, None)
    files.write(out, replace(stored, card=card.with_measured(made, result)))
