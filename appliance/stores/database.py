"""Opening a store: SQLite settings that make a commit durable, and the schema brought to head."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from appliance.errors import ApplianceError, ConfigError, IdentityDoubt, StorageFull, TransientError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 10_000
READ_ONLY = "coverslip_read_only"
"""Execution option of an engine whose connections only read, and so never take the write lock."""


def open_engine(url: str, *, store: str) -> Engine:
    """Open a store's database and bring its schema to the newest revision.

    Parameters
    ----------
    url
        SQLAlchemy URL: SQLite for one machine, PostgreSQL for several.
    store
        "journal", "receipts" or "vault": the folder of its migrations.

    Raises
    ------
    ConfigError
        The database was written by a newer version of Coverslip, or cannot be opened.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_sqlite_pragmas)
        event.listen(engine, "begin", _begin_immediate)
    _upgrade(engine, store)
    event.listen(engine, "handle_error", _translating(store), retval=True)
    return engine


def _set_sqlite_pragmas(connection: Any, _record: Any) -> None:
    """Durable commits in WAL mode; transactions are begun by us, not by the driver."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that two claims never both read before they write."""
    if not connection.get_execution_options().get(READ_ONLY):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(engine: Engine, store: str) -> None:
    """Bring the schema to head; one that is there already is not locked for it.

    Most processes find it there, so that only one that does not imports what migrates.
    """
    try:
        if schema_of(engine) == newest_revision(store):
            return
        from appliance.stores.upgrade import upgrade

        upgrade(engine, store=store, migrations=MIGRATIONS)
    except OperationalError as error:
        if "locked" in str(error.orig):
            raise TransientError(f"The {store} database does not answer.") from error
        raise ConfigError(f"The {store} database cannot be opened.") from error


def newest_revision(store: str) -> str:
    """Tell the head of a store's migrations by the numbers of their files."""
    newest = max(path.name for path in (MIGRATIONS / store).glob("[0-9]*.py"))
    return f"{store}_{newest[:4]}"


def schema_of(engine: Engine) -> str | None:
    """Tell the revision that a store's schema has; None before its first migration."""
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def _translating(store: str) -> Callable[[ExceptionContext], ApplianceError | None]:
    """Make the one door at which a database failure becomes an error the line can wait for."""

    def translate(context: ExceptionContext) -> ApplianceError | None:
        if not isinstance(context.sqlalchemy_exception, OperationalError):
            return None
        if "full" in str(context.original_exception):
            return StorageFull("The disk of the appliance is full.")
        if "decode" in str(context.original_exception):  # bytes where a text has to be
            return IdentityDoubt(f"A row of the {store} database was altered.")
        return TransientError(f"The {store} database does not answer.")

    return translate
