"""Backup of the vault in one file, and its way back.

The file is the database as SQLite copies it while release works on, and behind it one line of JSON
that says what it holds. A cell of the vault's cipher seals that line, so without the vault's key a
backup can neither be read nor be made to hold less than it did.
"""

import hashlib
import json
import os
import sqlite3
import struct
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from appliance.errors import ConfigError, ForbiddenAction, IdentityDoubt, StorageFull
from appliance.sealing import CellCipher
from appliance.storage import Root, fsync_folder, storage_errors
from appliance.stores.database import open_engine
from appliance.stores.vault_upkeep import FILE, Check, check

_MAGIC: Final = b"coverslip-vault-backup-1\n"
_LENGTH: Final = struct.Struct(">Q")
_END_BYTES: Final = _LENGTH.size + len(_MAGIC)
_LONGEST_FACTS_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 20
_DAMAGED: Final = "{} is damaged or no backup of a vault; take another one."
_TABLES: Final = ("identity", "grant", "sampling", "departure", "batch", "pooled", "manifest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a backup holds."""

    made_at: float
    """Seconds since the epoch."""
    key_id: str
    """Vault key that the line of facts is sealed with."""
    rows: dict[str, int]
    """By table."""
    size_bytes: int
    """Of the database in it."""
    sha256: str

    def to_bytes(self) -> bytes:
        """Encode as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did."""

    facts: Facts
    aside: Path | None
    """Where the vault that was in place lies now."""
    forgotten: int | None
    """Samples and reports given away that only that vault knew of; None when it does not open."""


def backup(root: Root, target: Path, cipher: CellCipher, *, now: float) -> Facts:
    """Copy the vault into a file; release may work on meanwhile.

    Raises
    ------
    ForbiddenAction
        The file is there already.
    ConfigError
        The vault is damaged, or there is none.
    StorageFull
        The disk is full.
    """
    if target.exists():
        raise ForbiddenAction(f"{target} is there already; nothing is overwritten.")
    part = target.with_name(f".{target.name}.part")
    with storage_errors():
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        rows = _copy(root.zone("vault") / FILE, part)
        facts = _close(part, rows, cipher, now)
        part.rename(target)
        fsync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return facts


def _copy(source: Path, part: Path) -> dict[str, int]:
    """Copy a database in one snapshot, as a single file without a journal beside it."""
    if not source.exists():
        raise ConfigError("There is no vault yet, so nothing to back up.")
    try:
        with closing(sqlite3.connect(source)) as before, closing(sqlite3.connect(part)) as copy:
            before.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise ConfigError("The vault is damaged: coverslip vault check says more.")
            return {table: _count(copy, table) for table in _TABLES}
    except sqlite3.DatabaseError as error:
        if "full" in str(error):
            raise StorageFull("The disk is full; no backup was made.") from error
        raise ConfigError("The vault is damaged: coverslip vault check says more.") from error


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608  a name of ours


def _close(part: Path, rows: dict[str, int], cipher: CellCipher, now: float) -> Facts:
    """Write the sealed facts behind the database and make the file durable."""
    with storage_errors(), part.open("r+b") as file:
        size = part.stat().st_size
        digest = _digest(file, size)
        facts = Facts(made_at=now, key_id=cipher.key_id, rows=rows, size_bytes=size, sha256=digest)
        seal = cipher.encrypt(facts.to_bytes(), table="backup", row=digest, column="facts")
        line = json.dumps({**asdict(facts), "seal": seal.hex()}).encode() + b"\n"
        file.seek(size)
        file.write(line + _LENGTH.pack(len(line)) + _MAGIC)
        file.flush()
        os.fsync(file.fileno())
    return facts


def read_facts(backup_file: Path, cipher: CellCipher) -> Facts:
    """Read what a backup holds, and see that every byte of it is the one that was written.

    Raises
    ------
    ConfigError
        It is missing, cut off, altered, or of a vault with another key.
    """
    try:
        with backup_file.open("rb") as file:
            found = _line(file, backup_file.stat().st_size)
            seal = bytes.fromhex(found.pop("seal"))
            facts = Facts(**found)
            digest = _digest(file, facts.size_bytes)
    except FileNotFoundError as error:
        raise ConfigError(f"{backup_file} does not exist.") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(_DAMAGED.format(backup_file)) from error
    if facts.key_id not in cipher.key_ids:
        raise ConfigError(
            f"{backup_file} was made with another vault key; restore the keys that belong to it."
        )
    _check_seal(backup_file, facts, seal, digest, cipher)
    return facts


def _line(file: IO[bytes], length: int) -> dict[str, Any]:
    file.seek(max(0, length - _END_BYTES))
    end = file.read()
    if len(end) != _END_BYTES or not end.endswith(_MAGIC):
        raise ValueError("no backup")
    (count,) = _LENGTH.unpack(end[: _LENGTH.size])
    start = length - _END_BYTES - count
    file.seek(start)
    found: dict[str, Any] = json.loads(file.read(min(count, _LONGEST_FACTS_BYTES)))
    if found["size_bytes"] != start:
        raise ValueError("of another length")
    return found


def _check_seal(
    backup_file: Path, facts: Facts, seal: bytes, digest: str, cipher: CellCipher
) -> None:
    try:
        sealed = cipher.decrypt(
            seal, table="backup", row=digest, column="facts", key_id=facts.key_id
        )
    except IdentityDoubt as error:
        raise ConfigError(_DAMAGED.format(backup_file)) from error
    if sealed != facts.to_bytes() or digest != facts.sha256:
        raise ConfigError(_DAMAGED.format(backup_file))


def restore(root: Root, backup_file: Path, cipher: CellCipher, *, stamp: str) -> Restored:
    """Put a backup in the place of the vault, whose file is kept beside it.

    Whoever is killed meanwhile leaves the old vault or the new one in place, never none.

    Parameters
    ----------
    root, backup_file, cipher
        Where the vault is, what to restore, and the keys that open it.
    stamp
        Names the file of the vault that is moved aside: `vault-<stamp>.db`.

    Raises
    ------
    ConfigError
        The backup is damaged or of another key, or a cell of it does not open; the vault in
        place is untouched.
    StorageFull
        The disk is full.
    """
    facts = read_facts(backup_file, cipher)
    folder = root.zone("vault")
    new, present = folder / ".restoring.db", folder / FILE
    _remove(new)
    try:
        _extract(backup_file, facts, new)
        _check_copy(backup_file, new, cipher)
        forgotten = _forgotten(present, new) if present.exists() else 0
        aside = _keep(present, folder / f"vault-{stamp}.db") if present.exists() else None
        new.replace(present)
        fsync_folder(folder)
    finally:
        _remove(new)
    return Restored(facts=facts, aside=aside, forgotten=forgotten)


def _extract(backup_file: Path, facts: Facts, new: Path) -> None:
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    digest = hashlib.sha256()
    with storage_errors(), backup_file.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
        left = facts.size_bytes
        while left > 0 and (chunk := file.read(min(_CHUNK_BYTES, left))):
            copy.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
        owner = new.parent.stat()  # release's user, though root restores
        os.fchown(copy.fileno(), owner.st_uid, owner.st_gid)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != facts.sha256:  # replaced since it was checked
        raise ConfigError(_DAMAGED.format(backup_file))


def _check_copy(backup_file: Path, new: Path, cipher: CellCipher) -> None:
    engine = open_engine(f"sqlite:///{new}", store="vault")
    try:
        found: Check = check(engine, cipher)
    finally:
        engine.dispose()
    if not found.passed:
        raise ConfigError(f"{backup_file} holds rows that the vault's keys do not open.")


def _forgotten(present: Path, new: Path) -> int | None:
    """Count what recipients were given that the new vault does not know of."""
    try:
        with closing(sqlite3.connect(present)) as connection:
            connection.execute("ATTACH ? AS new", (f"{new}",))
            query = (
                'SELECT count(*) FROM (SELECT container, recipient FROM main."grant" '
                'EXCEPT SELECT container, recipient FROM new."grant")'
            )
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _keep(present: Path, aside: Path) -> Path:
    """Give the vault in place a second name, its last commits in it or beside it."""
    try:
        with closing(sqlite3.connect(present)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.DatabaseError:
        pass  # damaged, which may be why it is replaced; kept as it is
    os.link(present, aside)
    for end in ("-wal", "-shm"):
        beside = present.with_name(present.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))
    return aside


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _digest(file: IO[bytes], length: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    left = length
    while left > 0 and (chunk := file.read(min(_CHUNK_BYTES, left))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()
