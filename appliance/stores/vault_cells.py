"""Which columns of the vault are encrypted, and the place that each cell is bound to."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select, update

from appliance.sealing import CellCipher
from appliance.stores.vault_schema import identities, manifests, pooled, samplings


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The encrypted column of a table; its rows are named by their primary key."""

    table: Table
    column: str

    def seal(self, cipher: CellCipher, content: bytes, *row: str) -> bytes:
        """Encrypt the cell of a row."""
        return cipher.encrypt(content, table=self.table.name, row="/".join(row), column=self.column)

    def open(self, cipher: CellCipher, row: Row[Any]) -> bytes:
        """Decrypt the cell of a row; raises IdentityDoubt."""
        return cipher.decrypt(
            getattr(row, self.column),
            table=self.table.name,
            row="/".join(self._names(row)),
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
            cell = self.seal(cipher, self.open(cipher, row), *self._names(row))
            values = {self.column: cell, "key_id": cipher.key_id}
            connection.execute(update(self.table).where(self._is(row)).values(values))
        return len(rows)

    def _names(self, row: Row[Any]) -> list[str]:
        return [getattr(row, column.name) for column in self.table.primary_key]

    def _is(self, row: Row[Any]) -> ColumnElement[bool]:
        return and_(*(c == getattr(row, c.name) for c in self.table.primary_key))


SEALED_IDENTITY: Final = Cells(table=identities, column="sealed")
PLACEMENTS: Final = Cells(table=samplings, column="placements")
TILE: Final = Cells(table=pooled, column="content")
MANIFEST: Final = Cells(table=manifests, column="content")
EVERY: Final = (SEALED_IDENTITY, PLACEMENTS, TILE, MANIFEST)
