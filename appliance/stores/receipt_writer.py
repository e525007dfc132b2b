"""The hot path of the receipts store: one durable commit for all receipts that wait for it.

Every receipt is on disk before its C-STORE is answered. A commit costs a flush of the disk and a
turn at the database's only write lock, so threads that arrive while another one commits are
committed together by the next, and processes queue at a lock of the operating system instead of
asking SQLite again and again whether it is free.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.sqlite import insert

from appliance.stores.receipts_schema import instances

_TURN: Final = "-turn"


@dataclass(slots=True)
class _Waiting:
    """A row that waits for its commit, and what became of it."""

    values: dict[str, Any]
    is_new: bool = False
    error: BaseException | None = field(default=None)
    done: bool = False


class ReceiptWriter:
    """Commits rows of the instance table.

    Parameters
    ----------
    engine
        Of the receipts store; SQLite, since the spool that it describes lies on one machine.
    clock
        Seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._connection: Connection | None = None
        self._queue: list[_Waiting] = []
        self._queue_lock = threading.Lock()
        self._turn = threading.Lock()
        statement = insert(instances).on_conflict_do_nothing()
        columns = [one.name for one in instances.columns if one.name != "number"]
        compiled = statement.compile(dialect=engine.dialect, column_keys=columns)
        self._sql = str(compiled)
        self._columns = tuple(getattr(compiled, "positiontup", None) or columns)

    def add(self, values: dict[str, Any]) -> bool:
        """Commit a row; False when this content was receipted under this UID before.

        Raises
        ------
        TransientError
            The store cannot take it now; it was not committed.
        """
        mine = _Waiting(values)
        with self._queue_lock:
            self._queue.append(mine)
        with self._turn:
            if not mine.done:
                with self._queue_lock:
                    waiting, self._queue = self._queue, []
                self._commit(waiting)
        if mine.error is not None:
            raise mine.error
        return mine.is_new

    def _commit(self, waiting: Sequence[_Waiting]) -> None:
        """Commit rows together; when that fails each alone, so that none spoils the others."""
        try:
            self._insert(waiting)
        except BaseException as error:  # noqa: BLE001  raised to whom it belongs
            self._disconnect()
            for one in waiting:
                if len(waiting) > 1:
                    self._commit([one])
                else:
                    one.error = error
        for one in waiting:
            one.done = True

    def _insert(self, waiting: Sequence[_Waiting]) -> None:
        connection = self._connected()
        now = self._clock()
        with self._in_turn(), connection.begin():
            for one in waiting:
                row = one.values | {"committed_at": now, "dismissed": False}
                result = connection.exec_driver_sql(
                    self._sql, tuple(row.get(name) for name in self._columns)
                )
                one.is_new = result.rowcount == 1

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Queue with the other processes that write receipts; the place ends with the process."""
        descriptor = os.open(f"{self._engine.url.database}{_TURN}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
