"""The vault: unreadable when stolen, useless when rows are moved, and it forgets no tile."""

import sqlite3
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, event

from appliance.errors import ConfigError, IdentityDoubt, IncompleteSlide, TransientError
from appliance.sealing import CellCipher
from appliance.stores.database import MIGRATIONS, open_engine
from appliance.stores.vault import Batch, PooledTile, Sampling, Vault
from appliance.stores.vault_schema import metadata
from appliance.stores.vault_upkeep import check_ledger

CANARY = b"ZEBRAFINCH"
CIPHER = CellCipher(key=bytes(range(32)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vault.db"


@pytest.fixture
def engine(path):
    engine = open_engine(f"sqlite:///{path}", store="vault")
    yield engine
    engine.dispose()


@pytest.fixture
def vault(engine):
    return Vault(engine, CIPHER)


def sampling(recipient: str = "university", **changes) -> Sampling:
    values = {
        "container": "CONTAINER",
        "recipient": recipient,
        "patient": "PATIENT",
        "slide_id": "slide-1",
        "place": "outside",
        "colludes_with": "all",
        "plan_digest": "0" * 64,
        "n_tiles": 2,
        "placements": b"[" + CANARY + b"]",
    }
    return Sampling(**(values | changes))


def test_the_migrations_and_the_tables_agree(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_the_file_holds_nothing_in_clear(vault, engine, path):
    vault.put_identity("slide-1", CANARY * 100, source="slide-1@token")
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": CANARY * 100})
    vault.keep_manifest("parcel", CANARY * 100)
    engine.dispose()
    for file in path.parent.glob("vault.db*"):
        assert CANARY not in file.read_bytes()


def test_an_identity_comes_back(vault):
    vault.put_identity("slide-1", b"sealed", source="slide-1@token")
    assert vault.identity("slide-1") == b"sealed"
    assert vault.identity_source("slide-1") == "slide-1@token"


def test_a_later_revision_replaces_the_identity(vault):
    vault.put_identity("slide-1", b"first", source="slide-1@a")
    vault.put_identity("slide-1", b"second", source="slide-1@b")
    assert vault.identity("slide-1") == b"second"


def test_a_slide_without_identity_says_so(vault):
    assert vault.identity_source("slide-1") is None
    with pytest.raises(IncompleteSlide):
        vault.identity("slide-1")


@pytest.mark.parametrize(
    "swap",
    [
        "UPDATE identity SET sealed = (SELECT sealed FROM identity WHERE slide_id = 'slide-2')",
        "UPDATE identity SET slide_id = CASE slide_id WHEN 'slide-1' THEN 'x' ELSE 'slide-1' END",
        "UPDATE identity SET sealed = x'00' WHERE slide_id = 'slide-1'",
    ],
)
def test_a_row_swapped_by_hand_does_not_open(vault, path, swap):
    vault.put_identity("slide-1", b"one", source="slide-1@a")
    vault.put_identity("slide-2", b"two", source="slide-2@a")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(swap)
    connection.close()
    with pytest.raises(IdentityDoubt):
        vault.identity("slide-1")


def test_a_recipient_gets_tiles_or_reports_of_a_container_never_both(vault):
    assert vault.grant("CONTAINER", "university", "tiles")
    assert vault.grant("CONTAINER", "university", "tiles")
    assert not vault.grant("CONTAINER", "university", "outside_sr")
    assert vault.grant("CONTAINER", "registry", "outside_sr")
    assert vault.grant("OTHER", "university", "outside_sr")


def test_a_container_is_sampled_once_for_a_recipient_for_ever(vault):
    assert vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1", "t2": b"2"})
    assert not vault.sample(
        sampling(slide_id="rescan"), route="tiles", terms="t", tiles={"t3": b"3", "t4": b"4"}
    )
    assert [tile.tile_id for tile in vault.waiting_tiles("t")] == ["t1", "t2"]
    assert vault.samplings("CONTAINER") == (sampling(),)


def test_what_a_patient_gave_is_counted_over_all_containers(vault):
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1"})
    vault.sample(
        sampling(container="OTHER", n_tiles=5), route="tiles", terms="t", tiles={"t2": b"1"}
    )
    assert vault.given("PATIENT", "university") == 7
    assert vault.given("PATIENT", "registry") == 0


def test_a_sample_that_was_decided_upon_before_another_was_taken_is_not_written(vault):
    """Two release daemons work beside each other, on two slides of one patient."""
    basis = vault.basis("OTHER", patient="PATIENT", recipient="university")
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1"})
    with pytest.raises(TransientError):
        vault.sample(
            sampling(container="OTHER"), route="tiles", terms="t", tiles={"t2": b"2"}, basis=basis
        )
    assert vault.samplings("OTHER") == ()
    basis = vault.basis("OTHER", patient="PATIENT", recipient="university")
    assert basis.given == 2
    vault.sample(
        sampling(container="OTHER"), route="tiles", terms="t", tiles={"t2": b"2"}, basis=basis
    )
    assert vault.given("PATIENT", "university") == 4


@pytest.mark.parametrize("read", ["basis", "check_ledger"])
def test_a_row_that_another_release_daemon_writes_meanwhile_is_no_forged_one(
    vault, engine, path, read
):
    vault.sample(sampling(), route="tiles", terms="t", tiles={})
    other = open_engine(f"sqlite:///{path}", store="vault")
    written = []

    def write_between(_connection, _cursor, statement, *_rest) -> None:
        if "FROM tally" in statement and not written:
            written.append(statement)
            more = sampling(container="COMING")  # in the bucket of the one that is read
            Vault(other, CIPHER).sample(more, route="tiles", terms="t", tiles={})

    event.listen(engine, "after_cursor_execute", write_between)
    if read == "basis":
        vault.basis("CONTAINER", patient="PATIENT", recipient="university")
    else:
        check_ledger(engine, CIPHER)
    assert written
    assert vault.given("PATIENT", "university") == 4
    other.dispose()


BATCH = Batch(parcel_id="p1", route="tiles", policy_digest="p", made_at=1.0)
T1, T2 = (PooledTile(tile_id=name, patient="PATIENT", slide_id="slide-1") for name in ("t1", "t2"))


def test_a_tile_goes_into_one_batch_only(vault):
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1", "t2": b"2"})
    assert vault.make_batch(BATCH, [T1, T2], terms="t")
    assert not vault.make_batch(replace(BATCH, parcel_id="p2"), [T2], terms="t")
    assert vault.open_batches("tiles") == (BATCH,)
    assert vault.batch_tiles(BATCH) == {"t1": b"1", "t2": b"2"}
    assert vault.waiting_tiles("t") == ()


def test_a_dissolved_batch_is_back_in_the_pool(vault):
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1", "t2": b"2"})
    vault.make_batch(BATCH, [T1, T2], terms="t")
    vault.dissolve_batch("p1")
    assert vault.open_batches("tiles") == ()
    assert vault.batch_tiles(BATCH) == {}
    assert vault.waiting_tiles("t") == (T1, T2)


def test_a_closed_batch_keeps_no_pixels_but_the_ledger_remembers(vault):
    vault.sample(sampling(), route="tiles", terms="t", tiles={"t1": b"1", "t2": b"2"})
    vault.make_batch(BATCH, [T1, T2], terms="t")
    vault.close_batch("p1")
    assert vault.open_batches("tiles") == ()
    assert vault.batch_tiles(BATCH) == {}
    assert len(vault.samplings("CONTAINER")) == 1


def test_a_manifest_comes_back_and_is_none_before(vault):
    assert vault.manifest("p1") is None
    vault.keep_manifest("p1", b"one")
    vault.keep_manifest("p1", b"two")
    assert vault.manifest("p1") == b"two"


def test_a_ledger_that_was_written_before_its_rows_were_sealed_is_refused(path):
    """Nobody could tell its rows from forged ones."""
    old = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / "vault"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    environment = EnvironmentContext(
        config, script, fn=lambda revision, _: script._upgrade_revs("vault_0003", revision)
    )
    with old.begin() as connection:
        environment.configure(connection=connection, target_metadata=MetaData())
        environment.run_migrations()
        connection.exec_driver_sql("INSERT INTO \"grant\" VALUES ('C', 'university', 'tiles')")
    old.dispose()
    with pytest.raises(ConfigError, match="begin a new vault"):
        open_engine(f"sqlite:///{path}", store="vault")
