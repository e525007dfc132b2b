"""Which columns of the vault are encrypted, and the place that each cell is bound to.

A cell opens in its own row only, and only while the clear columns that it is bound to say what
they said when it was written. So a row that was swapped, re-labelled or made up does not open.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select, update

from appliance.sealing import CellCipher
from appliance.stores.vault_schema import (
    answered_tiles,
    asked_tiles,
    askings,
    batches,
    departures,
    grants,
    identities,
    manifests,
    pooled,
    samplings,
    tallies,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The encrypted column of a table; its rows are named by their primary key."""

    table: Table
    column: str
    bound: tuple[str, ...] = ()
    """Clear columns beside the primary key that may not be changed either."""

    def row(self, cipher: CellCipher, content: bytes, **columns: Any) -> dict[str, Any]:
        """Give the values of a new row, its cell encrypted for just these."""
        names = [columns[name] for name in self._place]
        return {**columns, "key_id": cipher.key_id, self.column: self.seal(cipher, content, *names)}

    def seal(self, cipher: CellCipher, content: bytes, *place: Any) -> bytes:
        """Encrypt the cell of a row, named by its primary key and then its bound columns."""
        row = self._name(place)
        return cipher.encrypt(content, table=self.table.name, row=row, column=self.column)

    def open(self, cipher: CellCipher, row: Row[Any]) -> bytes:
        """Decrypt the cell of a row; raises IdentityDoubt."""
        return cipher.decrypt(
            getattr(row, self.column),
            table=self.table.name,
            row=self._name(self._values(row)),
            column=self.column,
            key_id=row.key_id,
        )

    def rewrite(self, connection: Connection, cipher: CellCipher, *, limit: int) -> int:
        """Encrypt cells of earlier keys with the present one, at most so many; give their number.

        Raises
        ------
        IdentityDoubt
            One does not open.
        """
        old = select(self.table).where(self.table.c.key_id != cipher.key_id).limit(limit)
        rows = connection.execute(old).all()
        for row in rows:
            cell = self.seal(cipher, self.open(cipher, row), *self._values(row))
            values = {self.column: cell, "key_id": cipher.key_id}
            connection.execute(update(self.table).where(self._is(row)).values(values))
        return len(rows)

    @property
    def _place(self) -> tuple[str, ...]:
        return (*(column.name for column in self.table.primary_key), *self.bound)

    def _values(self, row: Row[Any]) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self._place)

    def _name(self, values: tuple[Any, ...]) -> str:
        return json.dumps(values) if self.bound else "/".join(values)

    def _is(self, row: Row[Any]) -> ColumnElement[bool]:
        return and_(*(c == getattr(row, c.name) for c in self.table.primary_key))


SEALED_IDENTITY: Final = Cells(table=identities, column="sealed")
GRANT: Final = Cells(table=grants, column="seal", bound=("kind",))
PLACEMENTS: Final = Cells(
    table=samplings,
    column="placements",
    bound=("patient", "slide_id", "place", "plan_digest", "colludes_with", "n_tiles"),
)
DEPARTURE: Final = Cells(table=departures, column="seal", bound=("day", "n_tiles", "size_bytes"))
TALLY: Final = Cells(table=tallies, column="n_rows")
BATCH: Final = Cells(table=batches, column="tile_ids", bound=("route", "policy_digest", "made_at"))
TILE: Final = Cells(table=pooled, column="content", bound=("route", "terms", "slide_id", "patient"))
MANIFEST: Final = Cells(table=manifests, column="content")
TERMS: Final = Cells(table=askings, column="terms")
PLACE: Final = Cells(table=asked_tiles, column="place", bound=("slide_id",))
ANSWER: Final = Cells(table=answered_tiles, column="answer", bound=("slide_id",))
LEDGER: Final = (GRANT, PLACEMENTS, DEPARTURE, TALLY, BATCH)
"""What says who was given what. Small, so that all of it is looked at when release starts."""
TALLIED: Final = (grants, samplings, departures)
"""Tables of which no row is ever taken away."""
EVERY: Final = (SEALED_IDENTITY, *LEDGER, TILE, MANIFEST, TERMS, PLACE, ANSWER)
