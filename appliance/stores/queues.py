"""How much waits on a route, and when it is tried again: parcels, and originals for archives."""

from typing import Any

from sqlalchemy import Engine, Table, and_, case, func, select

from appliance.facts import ArchiveQueue, RouteQueue
from appliance.line import State
from appliance.stores.journal_schema import parcels
from appliance.stores.receipts_schema import deposits, instances

_WAITS = (State.WAITING, State.RUNNING, State.HELD)


def route_queue(engine: Engine, route: str) -> RouteQueue:
    """Count the parcels of a route that have not arrived."""
    on_route = parcels.c.route == route
    waits = parcels.c.state.in_(_WAITS)
    statement = select(
        _sum(waits).label("waiting"),
        _sum(parcels.c.state == State.ASIDE).label("refused"),
        func.min(case((waits, parcels.c.next_try_at))).label("next_try_at"),
    ).where(on_route, parcels.c.state.in_((*_WAITS, State.ASIDE)))
    with engine.connect() as connection:
        row = connection.execute(statement).one()
        error = connection.scalar(_newest_error(parcels, and_(on_route, waits)))
        refused = and_(on_route, parcels.c.state == State.ASIDE)
        refusal = connection.scalar(_newest_error(parcels, refused))
    return RouteQueue(
        waiting=row.waiting,
        refused=row.refused,
        next_try_at=row.next_try_at,
        error=error,
        refusal=refusal,
    )


def archive_queue(engine: Engine, route: str) -> ArchiveQueue:
    """Count the originals that an archive does not have, or has not confirmed."""
    on_route = deposits.c.route == route
    waits = deposits.c.state == "waiting"
    statement = (
        select(
            _sum(waits).label("waiting"),
            _sum(waits, instances.c.size_bytes).label("waiting_bytes"),
            _sum(deposits.c.state == "sent").label("unconfirmed"),
            _sum(deposits.c.state == "aside").label("refused"),
            func.min(deposits.c.next_try_at).label("next_try_at"),
        )
        .select_from(deposits.join(instances, instances.c.number == deposits.c.instance))
        .where(on_route, deposits.c.state.in_(("waiting", "sent", "aside")))
    )
    with engine.connect() as connection:
        row = connection.execute(statement).one()
        open_ones = and_(on_route, deposits.c.state.in_(("waiting", "sent")))
        error = connection.scalar(_newest_error(deposits, open_ones))
        refused = and_(on_route, deposits.c.state == "aside")
        refusal = connection.scalar(_newest_error(deposits, refused))
    return ArchiveQueue(
        waiting=row.waiting,
        waiting_bytes=row.waiting_bytes,
        unconfirmed=row.unconfirmed,
        refused=row.refused,
        next_try_at=row.next_try_at,
        error=error,
        refusal=refusal,
    )


def _sum(condition: Any, value: Any = 1) -> Any:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)


def _newest_error(table: Table, condition: Any) -> Any:
    statement = select(table.c.error).where(condition, table.c.error.is_not(None))
    # An expression: few rows are to be sorted, and not all of the table walked by their time.
    return statement.order_by((table.c.updated_at + 0).desc()).limit(1)
