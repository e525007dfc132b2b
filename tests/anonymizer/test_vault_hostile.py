"""Whoever can write the vault's file but holds no key changes nothing of what leaves, unnoticed."""

import sqlite3
from dataclasses import replace

import pytest

from appliance.errors import ConfigError, IdentityDoubt
from appliance.sealing import CellCipher
from appliance.storage import Root
from appliance.stores.vault import Batch, Load, PooledTile, Sampling, Vault
from appliance.stores.vault_upkeep import check, check_ledger, open_vault_engine

CIPHER = CellCipher(key=bytes(range(32)))
OTHER = CellCipher(key=bytes(range(1, 33)))


def sampling(container: str, recipient: str, patient: str, n_tiles: int = 2) -> Sampling:
    return Sampling(
        container=container,
        recipient=recipient,
        patient=patient,
        slide_id=f"slide-{container}",
        place="outside",
        colludes_with="all",
        plan_digest="0" * 64,
        n_tiles=n_tiles,
        placements=b"[]",
    )


BATCH = Batch(parcel_id="p1", route="tiles", policy_digest="p", made_at=1.0)


def tile_of(name: str) -> PooledTile:
    return PooledTile(tile_id=name, patient=f"P{name[1]}", slide_id=f"slide-{name[:2]}")


def chosen(*tile_ids: str) -> list[PooledTile]:
    return [tile_of(name) for name in tile_ids]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


@pytest.fixture
def vault(root):
    """Two routes, two patients, a batch of one route, two departures."""
    engine = open_vault_engine(root)
    vault = Vault(engine, CIPHER)
    for name, patient in (("C1", "P1"), ("C2", "P2")):
        vault.grant(name, "university", "tiles")
        tiles = {f"{name}-{number}": b"tile" for number in range(2)}
        vault.sample(sampling(name, "university", patient), route="tiles", terms="t", tiles=tiles)
    vault.grant("C3", "registry", "outside_sr")
    vault.sample(
        sampling("C3", "company", "P3"), route="company", terms="t", tiles={"C3-0": b"tile"}
    )
    vault.make_batch(BATCH, chosen("C1-0", "C2-0"), terms="t")
    for parcel_id in ("p1", "p2"):
        vault.allot(parcel_id, "tiles", Load(n_tiles=2), today=5, choose=lambda _: 5)
    yield vault
    engine.dispose()


def write(root: Root, *statements: str) -> None:
    connection = sqlite3.connect(root.zone("vault") / "vault.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def all_that_is_asked(vault: Vault) -> None:
    """What release asks the vault on its way to a parcel of tiles or a bare report."""
    for container in ("C1", "C2", "C3"):
        vault.samplings(container)
        vault.grant(container, "university", "outside_sr")
    vault.given("P1", "university")
    for route in ("tiles", "company"):
        vault.departing(route, today=5)
        for batch in vault.open_batches(route):
            vault.batch_tiles(batch)


SWAP_SAMPLES = (
    "UPDATE sampling SET container = 'x' WHERE container = 'C1'",
    "UPDATE sampling SET container = 'C1' WHERE container = 'C2'",
    "UPDATE sampling SET container = 'C2' WHERE container = 'x'",
)
POOL = {
    "a tile of another patient": ("UPDATE pooled SET patient = 'P9' WHERE tile_id = 'C1-0'",),
    "a tile of another route": ("UPDATE pooled SET route = 'company' WHERE tile_id = 'C1-0'",),
    "a tile cut under other terms": ("UPDATE pooled SET terms = 'x' WHERE tile_id = 'C1-0'",),
    "a tile of another slide": ("UPDATE pooled SET slide_id = 'x' WHERE tile_id = 'C1-0'",),
    "a tile put into a batch": ("UPDATE pooled SET parcel_id = 'p1' WHERE tile_id = 'C1-1'",),
    "a tile of another route put into a batch": (
        "UPDATE pooled SET parcel_id = 'p1', route = 'tiles' WHERE tile_id = 'C3-0'",
    ),
    "a tile taken out of a batch": ("UPDATE pooled SET parcel_id = NULL WHERE tile_id = 'C1-0'",),
    "a tile exchanged in a batch": (
        "UPDATE pooled SET parcel_id = NULL WHERE tile_id = 'C1-0'",
        "UPDATE pooled SET parcel_id = 'p1' WHERE tile_id = 'C1-1'",
    ),
    "pixels exchanged": (
        "UPDATE pooled SET content = x'00' WHERE tile_id = 'C1-0'",
        "UPDATE pooled SET content = (SELECT content FROM pooled WHERE tile_id = 'C2-1')",
    ),
    "a cell that is text": ("UPDATE pooled SET content = 'text' WHERE tile_id = 'C1-0'",),
    "a cell that is no text": (
        "UPDATE pooled SET content = CAST(x'ff00fe' AS TEXT) WHERE tile_id = 'C1-0'",
    ),
    "a cell that is a number": ("UPDATE pooled SET content = 7 WHERE tile_id = 'C1-0'",),
    "a tile taken away": ("DELETE FROM pooled WHERE tile_id = 'C1-0'",),
}
LEDGER = {
    "a batch for another route": (
        "UPDATE batch SET route = 'company'",
        "UPDATE pooled SET route = 'company' WHERE parcel_id = 'p1'",
    ),
    "a batch of another policy": ("UPDATE batch SET policy_digest = 'x'",),
    "a batch made at another time": ("UPDATE batch SET made_at = 2.0",),
    "samples exchanged": SWAP_SAMPLES,
    "a sample of fewer tiles": ("UPDATE sampling SET n_tiles = 0 WHERE container = 'C1'",),
    "a sample of another scan": ("UPDATE sampling SET slide_id = 'x' WHERE container = 'C1'",),
    "a sample of another plan": ("UPDATE sampling SET plan_digest = 'x' WHERE container = 'C1'",),
    "a sample of another patient": ("UPDATE sampling SET patient = 'P9' WHERE container = 'C1'",),
    "samples of two recipients exchanged": (
        "UPDATE sampling SET container = recipient, recipient = container",
    ),
    "a sample that colludes with nobody": (
        "UPDATE sampling SET colludes_with = '' WHERE container = 'C1'",
    ),
    "a sample of the site": ("UPDATE sampling SET place = 'site' WHERE container = 'C1'",),
    "a sample of another recipient": (
        "UPDATE sampling SET recipient = 'x' WHERE container = 'C1'",
    ),
    "a sample taken away": ("DELETE FROM sampling WHERE container = 'C1'",),
    "every sample taken away": ("DELETE FROM sampling",),
    "a grant of reports in the place of tiles": (
        "UPDATE \"grant\" SET kind = 'outside_sr' WHERE container = 'C1'",
    ),
    "a grant moved away": ("UPDATE \"grant\" SET container = 'x' WHERE container = 'C1'",),
    "a grant taken away": ("DELETE FROM \"grant\" WHERE container = 'C1'",),
    "a departure on another day": ("UPDATE departure SET day = 9 WHERE parcel_id = 'p1'",),
    "a departure of nothing": ("UPDATE departure SET n_tiles = 0 WHERE parcel_id = 'p1'",),
    "a departure taken away": ("DELETE FROM departure WHERE parcel_id = 'p1'",),
    "the tally taken away": ("DELETE FROM tally WHERE name = 'sampling'",),
    "the tally of another table": (
        "DELETE FROM tally WHERE name = 'sampling'",
        "UPDATE tally SET name = 'sampling' WHERE name = 'departure'",
    ),
}


def test_a_vault_that_nobody_touched_tells_all_and_is_sound(vault, root):
    all_that_is_asked(vault)
    engine = open_vault_engine(root)
    check_ledger(engine, CIPHER)
    assert check(engine, CIPHER).passed
    engine.dispose()


CHANGES = POOL | LEDGER


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_row_changed_by_hand_is_found_when_release_asks_for_it(vault, root, change):
    write(root, *change)
    with pytest.raises(IdentityDoubt):
        all_that_is_asked(vault)


@pytest.mark.parametrize("change", LEDGER.values(), ids=LEDGER.keys())
def test_release_does_not_start_over_it_and_a_check_of_the_vault_tells(vault, root, change):
    write(root, *change)
    engine = open_vault_engine(root)
    assert not check(engine, CIPHER).passed
    with pytest.raises(ConfigError, match="altered by somebody else"):
        check_ledger(engine, CIPHER)
    engine.dispose()


def test_a_ledger_that_lost_a_row_takes_no_new_one(vault, root):
    write(root, "DELETE FROM sampling WHERE container = 'C1'")
    with pytest.raises(IdentityDoubt):
        vault.sample(
            sampling("C1", "university", "P1"), route="tiles", terms="t", tiles={"again": b"tile"}
        )
    engine = open_vault_engine(root)
    assert check(engine, CIPHER).complete is False
    engine.dispose()


def test_rows_made_with_another_key_are_not_believed(vault, root):
    engine = open_vault_engine(root)
    row = Vault(engine, OTHER)
    with pytest.raises(IdentityDoubt):
        row.sample(sampling("C9", "university", "P9"), route="tiles", terms="t", tiles={})
    engine.dispose()
    all_that_is_asked(vault)


@pytest.mark.parametrize("column", ["patient", "terms", "route"])
def test_a_label_that_is_put_back_in_time_has_made_no_batch(vault, root, column):
    """One that lied while tiles were chosen and is right again when the batch is opened."""
    write(root, f"UPDATE pooled SET {column} = 'x' WHERE tile_id = 'C1-1'")  # noqa: S608  a name of ours
    tiles = [*chosen("C2-1"), replace(tile_of("C1-1"), patient="x")]
    other = replace(BATCH, parcel_id="p2")
    with pytest.raises(IdentityDoubt):
        vault.make_batch(other, tiles, terms="t")
    back = {"patient": "P1", "terms": "t", "route": "tiles"}[column]
    write(root, f"UPDATE pooled SET {column} = '{back}' WHERE tile_id = 'C1-1'")  # noqa: S608  a name of ours
    with pytest.raises(IdentityDoubt):
        vault.make_batch(other, tiles, terms="t")
    assert [batch.parcel_id for batch in vault.open_batches("tiles")] == ["p1"]
    assert vault.make_batch(other, chosen("C1-1", "C2-1"), terms="t")


def test_a_batch_is_opened_as_the_one_that_was_looked_at(vault):
    with pytest.raises(IdentityDoubt):
        vault.batch_tiles(replace(BATCH, policy_digest="the route's new one"))


def test_a_closed_batch_that_is_opened_again_has_nothing_to_send(vault, root):
    vault.close_batch("p1")
    write(root, "UPDATE batch SET closed = 0")
    assert [batch.parcel_id for batch in vault.open_batches("tiles")] == ["p1"]
    with pytest.raises(IdentityDoubt):
        vault.batch_tiles(BATCH)
