"""Images that two data sets have in common: what was seen in training tests nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gan_fingerprints.data.reading import DataSet
from gan_fingerprints.program import UserError
from gan_fingerprints.shown import shown

FEW = 3  # that a message names
WHY = "what a network saw in training says nothing about new images"


def shared_records(data: DataSet, other: DataSet) -> list[tuple[int, int]]:
    """Records of the same pixels in two data sets of one resolution: pairs of their numbers.

    They are found by the checksums that each record ends with, and compared; so it takes seconds
    for a million. Records that another program wrote in its own way are not compared with ours.
    """
    ours, theirs = data.record_checksums(), other.record_checksums()
    order = np.argsort(theirs, kind="stable")
    places = np.searchsorted(theirs[order], ours)
    found = theirs[order[np.minimum(places, len(order) - 1)]] == ours
    pairs = zip(np.flatnonzero(found).tolist(), order[places[found]].tolist(), strict=True)
    return [(i, j) for i, j in pairs if np.array_equal(_image(data, i), _image(other, j))]


def _image(data: DataSet, record: int) -> np.ndarray:
    return data.images(np.array([record]))


def refuse_in_training(data: DataSet, validation: DataSet) -> None:
    """UserError when validation images are among the training images."""
    pairs = shared_records(validation, data)
    if pairs:
        some = ", ".join(f"record {i} = record {j} of the training data" for i, j in pairs[:FEW])
        raise UserError(
            f"--validation_data_dir {validation.folder}: found {len(pairs)} images that "
            f"--training_data_dir {data.folder} has, too, e.g. {some}, expected none: {WHY}; "
            f"prepare the training data with --against {validation.folder}, which names the "
            "files, and take them away"
        )


def refuse_in_preparation(also_there: Mapping[str, int], where: str) -> None:
    """UserError, after a line for each, when files are in another data set, too.

    also_there: file → number of the record there; where: flag and folder of that data set.
    """
    for file, record in also_there.items():
        print(shown(f"shared: {file} = record {record}"))
    if also_there:
        some = ", ".join(list(also_there)[:FEW])
        raise UserError(
            f"{where}: found {len(also_there)} images that are in both data sets, e.g. {some} "
            f"(all are listed above), expected none: {WHY}; take them out of one of both"
        )
