"""What `attribute` prints of each image and each pool."""

from __future__ import annotations

from collections.abc import Sequence

from gan_fingerprints.attribution.verdict import Attribution, worded
from gan_fingerprints.examiner import examination, meaning
from gan_fingerprints.examiner.bulk.rows import Rows
from gan_fingerprints.examiner.examination import UNREADABLE, Model, rounded
from gan_fingerprints.examiner.page import ExaminationPage
from gan_fingerprints.shown import shown


def tell_pools(
    pools: Sequence[Attribution], model: Model, lines: Rows | None, page: ExaminationPage | None
) -> str:
    """The table of folders as text; writes their lines, and gives them to the page."""
    for row in pools:
        if lines:
            lines.write(examination.json_line(examination.record_of_pool(row, model)))
    if page:
        page.pools = [*pools]
    widths = max(len(shown(x.path)) for x in pools), max(len(worded(x.predicted)) for x in pools)
    table = [table_row(widths, "folder", "verdict", "probability", "reason")]
    for row in pools:
        probability = str(rounded(row.probability)) if row.named else "–"
        reason = "; ".join(filter(None, [meaning.supported_row(row), row.reason]))
        table.append(table_row(widths, row.path, worded(row.predicted), probability, reason))
    return "\n" + "\n".join(table)


def table_line(widths: tuple[int, int], row: Attribution) -> str:
    """An image's row of the table: a probability where a source is named, else the reason."""
    if row.named:
        probability = str(rounded(row.probability))
        support = meaning.supported_row(row) or ""
        return table_row(widths, row.path, worded(row.predicted), probability, support)
    return table_row(widths, row.path, row.predicted or UNREADABLE, "–", row.reason)


def table_row(
    widths: tuple[int, int], path: object, verdict: str, probability: str, reason: str
) -> str:
    """A line of the table."""
    row = f"{shown(path):<{widths[0]}}  {verdict:<{widths[1]}}  {probability:>11}  {reason}"
    return shown(row.rstrip())
