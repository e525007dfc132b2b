"""Upkeep of the vault: who holds it, whether every cell opens, and new keys for old cells."""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Table, insert, select
from sqlalchemy.exc import DatabaseError

from appliance.errors import ConfigError, ForbiddenAction, IdentityDoubt, TransientError
from appliance.sealing import CellCipher
from appliance.storage import Root
from appliance.stores.database import READ_ONLY, open_engine
from appliance.stores.vault_cells import EVERY, LEDGER, SEALED_IDENTITY, TALLIED, Cells
from appliance.stores.vault_rows import tallied
from appliance.stores.vault_schema import pinned_keys

FILE: Final = "vault.db"
_CELLS_A_COMMIT: Final = 64


def has_vault(root: Root) -> bool:
    """Whether there is a vault: only release makes one, so that it belongs to release's user."""
    return (root.zone("vault") / FILE).exists()


def open_vault_engine(root: Root) -> Engine:
    """Open the database of the vault; raises ConfigError when it is damaged."""
    try:
        return open_engine(f"sqlite:///{root.zone('vault') / FILE}", store="vault")
    except DatabaseError as error:
        raise ConfigError(
            "The database of the vault is damaged; restore a backup: coverslip vault restore FILE"
        ) from error


@contextmanager
def holding(root: Root, *, alone: bool) -> Iterator[None]:
    """Hold the vault: release daemons beside each other, whoever rotates or restores alone.

    The hold ends with the process, however it ends.

    Raises
    ------
    ForbiddenAction
        Asked for alone while somebody else holds it.
    TransientError
        Somebody holds it alone.
    """
    descriptor = os.open(root.zone("vault"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, alone=alone)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, alone: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if alone:
            raise ForbiddenAction("The vault is in use: stop the release daemon first.") from error
        raise TransientError("The vault is being restored, or gets new keys.") from error


def pin_keys(engine: Engine, key_ids: Mapping[str, str]) -> None:
    """See that the keys that are never rotated are those that the vault was begun with.

    Raises
    ------
    ConfigError
        A key is another one: every patient would become someone else, and the ledger of what a
        recipient holds would be about nobody.
    """
    with engine.begin() as connection:
        known = {row.name: row.key_id for row in connection.execute(select(pinned_keys))}
        for name, key_id in key_ids.items():
            if name not in known:
                connection.execute(insert(pinned_keys).values(name=name, key_id=key_id))
            elif known[name] != key_id:
                raise ConfigError(
                    f"{name}.key is not the key that the vault was begun with; restore that one."
                )


def check_key_ids(engine: Engine, cipher: CellCipher) -> None:
    """See that every row was written with a key that is at hand; raises ConfigError."""
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        found = {
            key_id
            for cells in EVERY
            for key_id in connection.scalars(select(cells.table.c.key_id).distinct())
        }
    if found - set(cipher.key_ids):
        raise ConfigError("vault.key is not the key of this vault; restore the keys that belong.")


def check_ledger(engine: Engine, cipher: CellCipher) -> None:
    """See that every row of the ledger is as release wrote it, and that none is missing.

    Rows are also opened when they are used. This finds those that no longer come up: a sample that
    was put under another patient, say, so that this one's budget looks unused.

    Raises
    ------
    ConfigError
        One is not.
    """
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one moment, though others write meanwhile
        try:
            for table in TALLIED:
                tallied(connection, table, cipher)
            for cells in LEDGER:
                for row in connection.execute(select(cells.table)):
                    cells.open(cipher, row)
        except IdentityDoubt as error:
            raise ConfigError(
                "The ledger of the vault was altered by somebody else; restore a backup: "
                "coverslip vault restore FILE"
            ) from error


def rewrite(engine: Engine, cipher: CellCipher, done: Callable[[int], None]) -> None:
    """Encrypt every cell of an earlier key with the present one, few in each commit.

    Whoever is killed leaves a vault that both keys open, and goes on where it stopped.

    Parameters
    ----------
    engine, cipher
        The vault, and its keys: the present one and those that are to go.
    done
        Told after each commit how many cells it changed.

    Raises
    ------
    IdentityDoubt
        A cell does not open; those before it are changed, and nothing is lost.
    """
    for cells in EVERY:
        changed = _CELLS_A_COMMIT
        while changed == _CELLS_A_COMMIT:
            with engine.begin() as connection:
                changed = cells.rewrite(connection, cipher, limit=_CELLS_A_COMMIT)
            done(changed)


def compact(engine: Engine) -> None:
    """Write the file anew, so that no free page keeps what was deleted or replaced."""
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check of the vault found."""

    rows: Mapping[str, int]
    """By table."""
    closed: Mapping[str, int]
    """By table, rows that do not open."""
    sound: bool
    """Whether SQLite finds its file whole."""
    complete: bool = True
    """Whether no row of the ledger is missing."""

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return self.sound and self.complete and not any(self.closed.values())


def check(
    engine: Engine,
    cipher: CellCipher,
    opens: Callable[[str, bytes], object] = lambda _slide_id, _sealed: None,
) -> Check:
    """Open every cell of the vault; what is in them is looked at by `opens` only.

    Parameters
    ----------
    engine, cipher
        The vault and its keys.
    opens
        Given the sealed identity of each slide; raises IdentityDoubt when it does not open.
    """
    rows: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one moment, though others write meanwhile
        try:
            sound = connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            for cells in EVERY:
                for row in connection.execute(select(cells.table)):
                    rows[cells.table.name] += 1
                    closed[cells.table.name] += not _opens(cells, row, cipher, opens)
            complete = all(_is_complete(connection, table, cipher) for table in TALLIED)
        except (DatabaseError, IdentityDoubt):
            sound = complete = False
    return Check(rows=dict(rows), closed=dict(closed), sound=sound, complete=complete)


def _is_complete(connection: Connection, table: Table, cipher: CellCipher) -> bool:
    try:
        tallied(connection, table, cipher)
    except IdentityDoubt:
        return False
    return True


def _opens(
    cells: Cells, row: Row[Any], cipher: CellCipher, opens: Callable[[str, bytes], object]
) -> bool:
    try:
        content = cells.open(cipher, row)
        if cells is SEALED_IDENTITY:
            opens(row.slide_id, content)
    except IdentityDoubt:
        return False
    return True
