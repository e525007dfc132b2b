"""What the parts of the journal have in common: slides are changed, and each change is noted."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Select, insert, select, update

from appliance.line import SIDING, State
from appliance.stores.board import Board
from appliance.stores.database import READ_ONLY
from appliance.stores.journal_schema import events, products, slides
from appliance.stores.parcels import Parcels
from appliance.stores.shown_board import ShownBoard

Clock = Callable[[], float]

CLEAR = {"error": None, "error_code": None, "next_step": None, "next_try_at": None}
"""New values of a slide about which nothing is wrong any more."""
AGAIN = {"state": State.WAITING, "attempts": 0, "retries": 0, "lease_token": None, "words": ""}
"""New values of a slide that waits to be worked again."""


class SlideRows:
    """Rows of slides.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="journal")`.
    clock
        Seconds since the epoch.
    lease_s
        How long a claim lives without being renewed.
    """

    def __init__(self, engine: Engine, clock: Clock, *, lease_s: float) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self.lease_s = lease_s
        self.board = Board(engine)
        self.shown = ShownBoard(engine)
        self.parcels = Parcels(engine, clock, lease_s=lease_s)

    def _set(self, condition: Any, **values: Any) -> bool:
        with self._engine.begin() as connection:
            return self._update(connection, condition, **values)

    def _update(self, connection: Connection, condition: Any, **values: Any) -> bool:
        values.setdefault("updated_at", self._clock())
        result = connection.execute(update(slides).where(condition).values(**values))
        assert isinstance(result, CursorResult)  # noqa: S101  for the type checker
        return bool(result.rowcount)

    def _note(
        self, connection: Connection, actor: str, slide_id: str | None, kind: str, text: str
    ) -> None:
        connection.execute(
            insert(events).values(
                at=self._clock(), actor=actor, slide_id=slide_id, kind=kind, text=text
            )
        )


def siding_folder(slide_id: str, revision: int) -> Select[str]:
    """Select the folder of answers that a revision came back with."""
    return select(products.c.folder).where(
        products.c.slide_id == slide_id,
        products.c.revision == revision,
        products.c.stage == SIDING,
    )
