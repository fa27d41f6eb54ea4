"""The model that `attribute` is given."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gan_fingerprints import program
from gan_fingerprints.attribution.flags import looks_of, rules_of, say_precision
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.program import UserError

MODEL = "GAN_FINGERPRINTS_MODEL"


def model_file(given: str | None) -> tuple[Path, str]:
    """The network file, and the flag or variable that named it."""
    named = os.environ.get(MODEL)
    (file,), flag = _existing([given] if given else [], [named] if named else [])
    return file, flag


def model_files(given: Sequence[str] = ()) -> list[Path]:
    """The network files that a flag or, with : between them, the variable names."""
    named = os.environ.get(MODEL, "").split(os.pathsep)
    return _existing(given, [x for x in named if x])[0]


def _existing(given: Sequence[str], named: Sequence[str]) -> tuple[list[Path], str]:
    if not given and not named:
        raise UserError(
            f"--model is missing: name a network file that a training run wrote "
            f"(network-final.safetensors) or a published one, or set the variable {MODEL} to it"
        )
    flag = "--model" if given else MODEL
    return [program.existing_file(file, flag) for file in given or named], flag


def load(arguments: argparse.Namespace, path: Path, flag: str, called: str = "") -> Model:
    """The model of a file, to be asked as the flags of `attribute` say.

    called: what rows call the file, if not by its path.
    """
    how = arguments.source_names, arguments.batch, rules_of(arguments)
    model = Model.load(path, flag, *how, **looks_of(arguments))
    say_precision(model.attributor)
    return replace(model, file=called or model.file)
