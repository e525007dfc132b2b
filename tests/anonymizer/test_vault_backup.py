"""Backup of the vault: whole or refused, unreadable by itself, and never instead of the vault."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.errors import ConfigError, ForbiddenAction, IdentityDoubt
from appliance.sealing import CellCipher
from appliance.storage import Root
from appliance.stores.vault import Sampling, Vault
from appliance.stores.vault_backup import backup, read_facts, restore
from appliance.stores.vault_upkeep import check, open_vault_engine

CANARY = "ZEBRAFINCH"
CIPHER = CellCipher(key=bytes(range(32)))
NOW = 1_800_000_000.0


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


def fill(root, slides=8, first=0, cipher=CIPHER):
    engine = open_vault_engine(root)
    vault = Vault(engine, cipher)
    for number in range(first, first + slides):
        vault.put_identity(f"slide-{number}", f"{CANARY} {number}".encode(), source="folder")
        sampling = Sampling(
            container=f"container-{number}",
            recipient="university",
            patient="patient",
            slide_id=f"slide-{number}",
            place="outside",
            colludes_with="all",
            plan_digest="0",
            n_tiles=1,
            placements=CANARY.encode(),
        )
        vault.grant(sampling.container, "university", "tiles")
        vault.sample(
            sampling, route="tiles", terms="t", tiles={f"tile-{number}": CANARY.encode() * 50}
        )
    vault.keep_manifest("parcel", CANARY.encode())
    engine.dispose()


def content(root, cipher=CIPHER):
    """All that the vault in place tells."""
    engine = open_vault_engine(root)
    vault = Vault(engine, cipher)
    with engine.connect() as connection:
        slides = connection.exec_driver_sql("SELECT slide_id FROM identity").scalars().all()
    told = {slide: vault.identity(slide) for slide in slides}
    samples = {slide: vault.samplings(slide.replace("slide", "container")) for slide in slides}
    manifest = vault.manifest("parcel")
    engine.dispose()
    return told, samples, manifest


def test_what_was_backed_up_comes_back(root, tmp_path):
    fill(root)
    before = content(root)
    facts = backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    assert facts.rows["identity"] == facts.rows["sampling"] == facts.rows["pooled"] == 8
    fill(root, slides=3, first=100)
    done = restore(root, tmp_path / "vault.backup", CIPHER, stamp="now")
    assert done.facts == facts
    assert done.forgotten == 3
    assert content(root) == before


def test_the_vault_that_was_in_place_is_kept_whole(root, tmp_path):
    fill(root)
    backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    fill(root, slides=3, first=100)
    later = content(root)
    done = restore(root, tmp_path / "vault.backup", CIPHER, stamp="now")
    other = Root(tmp_path / "other")
    shutil.copy(done.aside, other.zone("vault") / "vault.db")
    assert content(other) == later


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_still_belongs_to_the_user_of_release(root, tmp_path):
    fill(root, slides=1)
    os.chown(root.zone("vault"), 4711, 4712)
    backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    restore(root, tmp_path / "vault.backup", CIPHER, stamp="now")
    now = (root.zone("vault") / "vault.db").stat()
    assert (now.st_uid, now.st_gid, now.st_mode & 0o777) == (4711, 4712, 0o600)


def test_a_backup_goes_into_an_empty_place(root, tmp_path):
    fill(root)
    backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    other = Root(tmp_path / "other")
    done = restore(other, tmp_path / "vault.backup", CIPHER, stamp="now")
    assert (done.aside, done.forgotten) == (None, 0)
    assert content(other) == content(root)


def test_a_backup_tells_nobody_anything(root, tmp_path):
    fill(root)
    backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    assert CANARY.encode() not in (tmp_path / "vault.backup").read_bytes()
    assert (tmp_path / "vault.backup").stat().st_mode & 0o777 == 0o600


def test_a_backup_never_overwrites(root, tmp_path):
    fill(root)
    (tmp_path / "vault.backup").write_text("precious")
    with pytest.raises(ForbiddenAction, match="nothing is overwritten"):
        backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    assert (tmp_path / "vault.backup").read_text() == "precious"


def test_there_is_no_backup_of_no_vault(root, tmp_path):
    with pytest.raises(ConfigError, match="no vault yet"):
        backup(root, tmp_path / "vault.backup", CIPHER, now=NOW)
    assert not list(tmp_path.glob("*backup*"))


def test_a_backup_is_consistent_while_release_writes(root, tmp_path):
    """Each sample is one commit of three rows; a torn copy would have some without the others."""
    fill(root)
    stop, written = threading.Event(), threading.Event()

    def write():
        number = 1000
        while not stop.is_set():
            fill(root, slides=1, first=number)
            number += 1
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(5):
            written.clear()
            assert written.wait(30)
            facts = backup(root, tmp_path / f"{turn}.backup", CIPHER, now=NOW)
            assert facts.rows["sampling"] == facts.rows["pooled"]
            assert facts.rows["identity"] - facts.rows["sampling"] in (0, 1)
    finally:
        stop.set()
        writer.join()
    done = restore(root, tmp_path / "4.backup", CIPHER, stamp="now")
    assert done.facts.rows["sampling"] == len(content(root)[1])


def with_other_facts(whole, facts_at):
    line = whole[facts_at : whole.index(b"\n", facts_at)]
    facts = json.loads(line)
    facts["rows"]["sampling"] = 0
    return whole[:facts_at] + json.dumps(facts).encode() + whole[facts_at + len(line) :]


def flipped(whole, place):
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


DAMAGE = {
    "first byte": lambda whole, _: flipped(whole, 0),
    "a byte of a row": lambda whole, facts_at: flipped(whole, facts_at // 2),
    "a byte of the facts": lambda whole, facts_at: flipped(whole, facts_at + 12),
    "cut in the middle": lambda whole, _: whole[: len(whole) // 2],
    "last byte cut": lambda whole, _: whole[:-1],
    "a byte more": lambda whole, _: whole + b"\n",
    "a page removed": lambda whole, facts_at: whole[: facts_at - 4096] + whole[facts_at:],
    "facts of another": with_other_facts,
    "empty": lambda _whole, _: b"",
    "another file": lambda _whole, _: b"no backup at all, but long enough to hold an end" * 10,
}


@pytest.mark.parametrize("change", DAMAGE)
def test_a_damaged_backup_is_refused_and_the_vault_stays(root, tmp_path, change):
    fill(root, slides=3)
    path = tmp_path / "vault.backup"
    backup(root, path, CIPHER, now=NOW)
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[change](whole, whole.rindex(b'{"made_at"')))
    before = content(root)
    with pytest.raises(ConfigError, match="damaged"):
        restore(root, path, CIPHER, stamp="now")
    assert content(root) == before
    assert [one.name for one in root.zone("vault").iterdir()] == ["vault.db"]


def test_a_missing_backup_is_named(root, tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.backup does not exist"):
        restore(root, tmp_path / "nothing.backup", CIPHER, stamp="now")


def test_a_backup_of_another_vault_key_is_refused(root, tmp_path):
    fill(root, slides=3)
    path = tmp_path / "vault.backup"
    backup(root, path, CIPHER, now=NOW)
    other = CellCipher(key=bytes(range(1, 33)))
    with pytest.raises(ConfigError, match="another vault key"):
        restore(root, path, other, stamp="now")
    facts = read_facts(path, CellCipher(key=other.key, earlier=(CIPHER.key,)))
    assert facts.key_id == CIPHER.key_id


def forged(path, statement):
    """Change rows of a backup, and write its facts anew with the right key, as an insider could."""
    whole = path.read_bytes()
    facts = read_facts(path, CIPHER)
    database = path.with_suffix(".db")
    database.write_bytes(whole[: facts.size_bytes])
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()
    inside = Root(path.parent / "forged")
    shutil.move(database, inside.zone("vault") / "vault.db")
    path.unlink()
    backup(inside, path, CIPHER, now=NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity SET sealed = (SELECT sealed FROM identity WHERE slide_id = 'slide-1')",
        "UPDATE identity SET key_id = '0000000000000000' WHERE slide_id = 'slide-1'",
        "UPDATE sampling SET recipient = 'another' WHERE container = 'container-1'",
        "UPDATE pooled SET content = x'00' WHERE tile_id = 'tile-2'",
        "UPDATE manifest SET parcel_id = 'another'",
    ],
)
def test_a_backup_whose_rows_were_swapped_is_refused(root, tmp_path, statement):
    fill(root, slides=3)
    path = tmp_path / "vault.backup"
    backup(root, path, CIPHER, now=NOW)
    forged(path, statement)
    before = content(root)
    with pytest.raises(ConfigError, match="do not open"):
        restore(root, path, CIPHER, stamp="now")
    assert content(root) == before


def test_a_damaged_vault_is_replaced_and_kept(root, tmp_path):
    fill(root, slides=3)
    before = content(root)
    path = tmp_path / "vault.backup"
    backup(root, path, CIPHER, now=NOW)
    (root.zone("vault") / "vault.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(ConfigError, match="vault restore"):
        open_vault_engine(root)
    done = restore(root, path, CIPHER, stamp="now")
    assert done.forgotten is None
    assert done.aside.read_bytes() == b"garbage" * 1000
    assert content(root) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from appliance.sealing import CellCipher
from appliance.storage import Root
from appliance.stores import vault_backup
what, after = sys.argv[3], sys.argv[4]
def dying(name, before):
    def call(*arguments, **named):
        if after == "after":
            before(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    return call
root, cipher = Root(Path(sys.argv[1])), CellCipher(key=bytes(range(32)))
if what == "rename":
    Path.replace = dying(what, Path.replace)
    Path.rename = dying(what, Path.rename)
elif what == "link":
    os.link = dying(what, os.link)
else:
    setattr(vault_backup, what, dying(what, getattr(vault_backup, what)))
if sys.argv[5] == "backup":
    vault_backup.backup(root, Path(sys.argv[2]), cipher, now=1.0)
else:
    vault_backup.restore(root, Path(sys.argv[2]), cipher, stamp="killed")
"""


def killed(root, path, what, when, action):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root.path), str(path), what, when, action],
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("what", "when"), [("_copy", "after"), ("rename", "before")])
def test_a_killed_backup_leaves_no_file_that_looks_like_one(root, tmp_path, what, when):
    fill(root, slides=3)
    path = tmp_path / "vault.backup"
    killed(root, path, what, when, "backup")
    assert not path.exists()
    backup(root, path, CIPHER, now=NOW)
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == [path.name]


@pytest.mark.parametrize(
    ("what", "when"),
    [("_extract", "after"), ("_check_copy", "after"), ("link", "after"), ("rename", "after")],
)
def test_a_killed_restore_leaves_the_old_vault_or_the_new_one(root, tmp_path, what, when):
    fill(root, slides=3)
    path = tmp_path / "vault.backup"
    backup(root, path, CIPHER, now=NOW)
    backed_up = content(root)
    fill(root, slides=2, first=100)
    later = content(root)
    killed(root, path, what, when, "restore")
    assert content(root) == (backed_up if what == "rename" else later)
    restore(root, path, CIPHER, stamp="again")
    assert content(root) == backed_up
    assert not list(root.zone("vault").glob(".restoring*"))


def test_a_check_counts_what_does_not_open(root):
    fill(root, slides=3)
    engine = open_vault_engine(root)
    assert check(engine, CIPHER).passed
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE pooled SET content = x'00' WHERE tile_id = 'tile-2'")
    found = check(engine, CIPHER)
    assert (found.passed, found.sound, found.closed["pooled"]) == (False, True, 1)

    def refuse(slide_id, _sealed):
        if slide_id == "slide-0":
            raise IdentityDoubt("It does not open.")

    assert check(engine, CIPHER, refuse).closed["identity"] == 1
    engine.dispose()


def test_a_check_sees_a_page_that_was_overwritten(root):
    fill(root, slides=20)
    engine = open_vault_engine(root)
    engine.dispose()
    path = root.zone("vault") / "vault.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    engine = open_vault_engine(root)
    assert not check(engine, CIPHER).passed
    engine.dispose()
