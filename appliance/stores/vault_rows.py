"""What every part of the vault has in common: a database, a cipher, and rows that are counted.

A sealed row shows that it is there, but nothing would show that one is not: a sample put under
another container would leave the first one free. So rows are counted in buckets, and the counts are
sealed; who asks for a row looks at all of its bucket, opens each, and misses one that went away.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from appliance.errors import IdentityDoubt
from appliance.sealing import CellCipher
from appliance.stores.database import READ_ONLY
from appliance.stores.vault_cells import TALLY, Cells
from appliance.stores.vault_schema import tallies

_ALL: Final = ""
"""The bucket of all rows of a table."""


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

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """Read everything as of one moment, though others write meanwhile."""
        with self._reader.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def _add_for_ever(
        self,
        connection: Connection,
        cells: Cells,
        content: bytes,
        *,
        buckets: Sequence[str],
        **columns: Any,
    ) -> None:
        """Insert a row that nobody takes away again, and count it in its buckets.

        Raises
        ------
        IdentityDoubt
            The table has another number of rows than were ever written into it.
        """
        name = cells.table.name
        counts = Counter(tallied(connection, cells.table, self._cipher))
        connection.execute(insert(cells.table).values(cells.row(self._cipher, content, **columns)))
        counts.update([_ALL, *buckets])
        connection.execute(delete(tallies).where(tallies.c.name == name))
        row = TALLY.row(self._cipher, json.dumps(counts, sort_keys=True).encode(), name=name)
        connection.execute(insert(tallies).values(row))


def tallied(connection: Connection, table: Table, cipher: CellCipher) -> Mapping[str, int]:
    """Count the rows of a table of which none may be missing.

    Returns
    -------
    Mapping
        How many rows there have to be in each bucket.

    Raises
    ------
    IdentityDoubt
        One is missing, or one was put there by somebody else.
    """
    row = connection.execute(select(tallies).where(tallies.c.name == table.name)).first()
    counts: dict[str, int] = {} if row is None else json.loads(TALLY.open(cipher, row))
    if connection.scalar(select(func.count()).select_from(table)) != counts.get(_ALL, 0):
        raise missing(table)
    return counts


def missing(table: Table) -> IdentityDoubt:
    """Say that a table of the ledger is not whole."""
    return IdentityDoubt(f"The vault has other rows (table {table.name}) than release wrote.")
