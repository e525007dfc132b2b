"""Opening a store that is up to date costs a process nothing that only a migration needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from appliance.stores.database import MIGRATIONS, newest_revision, open_engine


@pytest.mark.parametrize("store", ["journal", "receipts", "vault"])
def test_the_newest_file_of_migrations_is_the_head_that_alembic_finds(store: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / store))
    config.set_main_option("path_separator", "os")
    assert newest_revision(store) == ScriptDirectory.from_config(config).get_current_head()


OPEN = (
    "import sys; from appliance.stores.database import open_engine;"
    "open_engine(sys.argv[1], store='journal'); sys.exit('alembic' in sys.modules)"
)


def test_a_store_at_head_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    open_engine(url, store="journal").dispose()
    subprocess.run([sys.executable, "-c", OPEN, url], check=True)
