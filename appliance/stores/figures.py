"""Counts over the journal: what came in, was judged and left, in bins of time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, func, literal, select, union_all

from appliance.line import State
from appliance.stores.journal_schema import parcels, slides
from appliance.stores.sound_rows import END_OF_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """How many in each bin of time, the oldest bin first."""

    since: float
    bin_s: float
    received: tuple[int, ...]
    verdicts: tuple[int, ...]
    deliveries: tuple[int, ...]


def throughput(engine: Engine, *, since: float, bin_s: float, n_bins: int) -> Throughput:
    """Count slides that came, verdicts, and parcels that arrived, in one query.

    Parameters
    ----------
    engine
        Of the journal, reading.
    since
        Where the first bin begins; seconds since the epoch.
    bin_s, n_bins
        Length and number of the bins.
    """
    # What was judged since then was changed since then, too: that column has an index.
    judged = and_(slides.c.updated_at >= since, slides.c.verdict_at >= since)
    arrived = and_(parcels.c.updated_at >= since, parcels.c.state == State.DONE)

    def counted(what: str, at: Any, condition: ColumnElement[bool]) -> Select[Any]:
        number = func.round((at - since) / bin_s - 0.5).label("number")
        columns = (literal(what).label("what"), number, func.count().label("n"))
        # What is no moment, such as a text, is none of these: SQLite holds it in any column.
        return select(*columns).where(condition, at < END_OF_TIME).group_by(number)

    statement = union_all(
        counted("received", slides.c.created_at, slides.c.created_at >= since),
        counted("verdicts", slides.c.verdict_at, judged),
        counted("deliveries", parcels.c.updated_at, arrived),
    )
    bins = {what: [0] * n_bins for what in ("received", "verdicts", "deliveries")}
    with engine.connect() as connection:
        for row in connection.execute(statement):
            number = min(n_bins - 1, max(0, int(row.number)))
            bins[row.what][number] += row.n
    counts = {what: tuple(numbers) for what, numbers in bins.items()}
    return Throughput(since=since, bin_s=bin_s, **counts)
