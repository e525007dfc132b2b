"""Bringing a store's schema to the newest revision; Alembic is imported here alone."""

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, MetaData

from appliance.errors import ConfigError


def upgrade(engine: Engine, *, store: str, migrations: Path) -> None:
    """Run the migrations that a store's database lacks.

    Raises
    ------
    ConfigError
        The database was written by a newer version of Coverslip.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("version_locations", str(migrations / store))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def to_head(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001  alembic's own commands do this

    environment = EnvironmentContext(config, script, fn=to_head)
    try:
        with engine.begin() as connection:
            environment.configure(connection=connection, target_metadata=MetaData())
            environment.run_migrations()
    except CommandError as error:
        raise ConfigError(
            f"The {store} database was written by a newer version of Coverslip; "
            "install that version again."
        ) from error
