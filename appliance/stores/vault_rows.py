"""What every part of the vault has in common: a database, a cipher, and rows that are counted."""

from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from appliance.errors import IdentityDoubt
from appliance.sealing import CellCipher
from appliance.stores.database import READ_ONLY
from appliance.stores.vault_cells import TALLY, Cells
from appliance.stores.vault_schema import tallies


class Rows:
    """Rows of the vault, encrypted and decrypted at this door.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="vault")`.
    cipher
        Made from `vault.key`.
    """

    def __init__(self, engine: Engine, cipher: CellCipher) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        self._cipher = cipher

    def _add_for_ever(
        self, connection: Connection, cells: Cells, content: bytes, **columns: Any
    ) -> None:
        """Insert a row that nobody takes away again, and count it.

        Raises
        ------
        IdentityDoubt
            The table has another number of rows than were ever written into it.
        """
        n_rows = tallied(connection, cells.table, self._cipher)
        connection.execute(insert(cells.table).values(cells.row(self._cipher, content, **columns)))
        name = cells.table.name
        connection.execute(delete(tallies).where(tallies.c.name == name))
        count = str(n_rows + 1).encode()
        connection.execute(insert(tallies).values(TALLY.row(self._cipher, count, name=name)))


def tallied(connection: Connection, table: Table, cipher: CellCipher) -> int:
    """Count the rows of a table of which none may be missing.

    Raises
    ------
    IdentityDoubt
        One is missing, or one was put there by somebody else.
    """
    row = connection.execute(select(tallies).where(tallies.c.name == table.name)).first()
    expected = 0 if row is None else int(TALLY.open(cipher, row))
    found = connection.scalar(select(func.count()).select_from(table))
    if found != expected:
        raise IdentityDoubt(
            f"The vault has another number of rows (table {table.name}) than release wrote."
        )
    return expected
