"""The data audit of folders of images, for which no data set is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gan_fingerprints.data.audit.copies import digest_of
from gan_fingerprints.data.preparation import examine, list_jobs
from gan_fingerprints.data.preparing import Job, Prepared, Reader
from gan_fingerprints.images import ImageError
from gan_fingerprints.workers import parallel

SIDE = 128  # pixels that images are compared at


def findings_of(
    sources: Mapping[str, Sequence[Path]], resolution: int = SIDE, skip_bad: bool = False,
    title: str = "", names: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What `audit.report.examine` finds in the sample of the images that preparation audits.

    Args:
        sources: name → image files.
        resolution: the side that the images are resized to, a power of two from 4 up.
        skip_bad: leave out images that cannot be used; else the first raises ImageError.
        title: of the bar; without one there is none.
        names: what files are called, by their paths, if not as they are.
    """
    jobs = [job for job in list_jobs(sources.values(), 100, shuffle=False) if job.sampled]
    see = partial(_seen, Reader(resolution, None, audited=True), skip_bad)
    with (
        closing(parallel(see, jobs)) as results,
        tqdm(
            results, title, len(jobs), unit="image", dynamic_ncols=True, disable=not title
        ) as seen,
    ):
        outcomes, digests = zip(*seen, strict=True)
    usable = [digest for digest in digests if digest]
    if names is not None:
        jobs = [job._replace(path=names[str(job.path)]) for job in jobs]
    return examine(list(sources), jobs, outcomes, usable, None, None)


def _seen(reader: Reader, skip_bad: bool, job: Job) -> tuple[Prepared | ImageError, bytes]:
    """What became of a file, and the digest of its image."""
    try:
        pictures, prepared = reader(job)
    except ImageError as error:
        if not skip_bad:
            raise
        return error, b""
    return prepared, digest_of(pictures[0])
