"""Shards done one after the other, by as many processes as there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gan_fingerprints import disk, program
from gan_fingerprints.examiner.bulk.plan import Plan
from gan_fingerprints.examiner.bulk.rows import Rows, examined
from gan_fingerprints.examiner.bulk.totals import Tally
from gan_fingerprints.examiner.examination import Model
from gan_fingerprints.program import UserError

PATIENCE = 0.5  # seconds between looks at what another process does


def write_shard(
    model: Model, plan: Plan, shard: int, progress: Callable[[], object], wait: bool = False
) -> Tally | None:
    """Writes the rows of a shard; they are counted, None if another process has it.

    wait: until the other process has written it, or has died.
    """
    out = plan.results(shard)
    # Of a name of its own, as the system knows no owner of a file that is yet to be renamed.
    while not (held := disk.lock(place := out.with_name(f".{out.name}.lock"))):
        if not wait:
            return None
        time.sleep(PATIENCE)
    with held:
        try:
            return Tally() if out.exists() else _written(model, plan, shard, progress)
        finally:
            place.unlink(missing_ok=True)


def _written(model: Model, plan: Plan, shard: int, progress: Callable[[], object]) -> Tally:
    def told() -> Iterator[dict[str, Any]]:
        for _, record in examined(model, plan.inputs(shard), Rows(file)):
            yield record
            progress()

    with program.whole_file(plan.results(shard)) as partial, partial.open("w+b") as file:
        return Tally.of(told())


def write_shards(
    model: Model, plan: Plan, shards: Iterable[int], progress: Callable[[], object],
    refuse: bool = False,
) -> Tally:  # fmt: skip
    """Writes those of some shards that are missing, and counts their rows.

    What other processes are writing is left to them, and waited for at the end.

    refuse: UserError where another process has one, as where these were asked for.
    """
    tally = Tally()
    others = []
    for shard in shards:
        if (found := write_shard(model, plan, shard, progress)) is not None:
            tally += found
        elif refuse:
            raise UserError(program.BEING_WRITTEN.format(plan.results(shard)))
        else:
            others.append(shard)
    for shard in others:
        tally += write_shard(model, plan, shard, progress, wait=True) or Tally()
    return tally
