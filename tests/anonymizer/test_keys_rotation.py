"""Rotation: whatever was written before still opens, whoever is killed loses nothing."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anonymizer import commands
from anonymizer.keys import files, rotation
from anonymizer.keys.names import names_of
from anonymizer.release.opened import read_keys
from anonymizer.release.parcels import EXPIRES_AFTER_S
from appliance.errors import ConfigError, DeliveryRefused, ForbiddenAction, IdentityDoubt
from appliance.sealing import CellCipher, open_sealed, seal
from appliance.settings import Keys
from appliance.storage import Root
from appliance.stores import vault_upkeep
from appliance.stores.vault import Batch, Load, Sampling, Vault
from appliance.stores.vault_upkeep import check, holding, open_vault_engine
from appliance.trust import read_retired, read_sign_publics
from dicom_node.deliver.daemon import opener
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route

NOW = 1_800_000_000.0
DAY_S = 86_400.0
SLIDES = 70
"""More than one commit holds."""


@pytest.fixture
def folder(tmp_path):
    files.init_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


def settings_file(root, folder, routes=""):
    path = folder.parent / "coverslip.toml"
    path.write_text(
        f'[storage]\nroot = "{root.path}"\n[keys]\nfolder = "{folder}"\n{routes}', encoding="utf-8"
    )
    return path


def coverslip(settings, *arguments):
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path)
    commands.register(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["--settings", str(settings), *arguments])
    return parsed.run(parsed)


def filled(root, folder, slides=SLIDES):
    """A vault with a row of every kind."""
    engine = open_vault_engine(root)
    vault = Vault(engine, files.cipher_of(folder))
    for number in range(slides):
        vault.put_identity(f"slide-{number}", f"sealed {number}".encode(), source="folder")
    sampling = Sampling(
        container="C",
        recipient="university",
        patient="P",
        slide_id="slide-0",
        place="outside",
        colludes_with="all",
        plan_digest="0",
        n_tiles=1,
        placements=b"places",
    )
    vault.sample(sampling, route="tiles", terms="t", tiles={"t1": b"tile"})
    vault.grant("C", "university", "tiles")
    vault.allot("parcel", "tiles", Load(n_tiles=1), today=1, choose=lambda _: 1)
    batch = Batch(parcel_id="parcel", route="tiles", policy_digest="p", made_at=1.0)
    vault.make_batch(batch, vault.waiting_tiles("t"), terms="t")
    vault.keep_manifest("parcel", b"manifest")
    engine.dispose()


def opened(root, folder):
    """Everything the vault tells with the keys as they are."""
    engine = open_vault_engine(root)
    vault = Vault(engine, files.cipher_of(folder))
    try:
        return (
            {vault.identity(f"slide-{number}") for number in range(SLIDES)},
            vault.samplings("C")[0].placements,
            vault.manifest("parcel"),
            check(engine, files.cipher_of(folder)).passed,
        )
    finally:
        engine.dispose()


def test_a_rotated_vault_opens_with_the_new_key_and_never_again_with_the_old(root, folder):
    filled(root, folder)
    before, old = opened(root, folder), files.cipher_of(folder)
    assert coverslip(settings_file(root, folder), "keys", "rotate", "vault") == 0
    assert opened(root, folder) == before
    assert files.cipher_of(folder).key_ids != old.key_ids
    assert len(files.cipher_of(folder).key_ids) == 1
    engine = open_vault_engine(root)
    with pytest.raises(ConfigError, match="not the key of this vault"):
        vault_upkeep.check_key_ids(engine, old)
    with pytest.raises(IdentityDoubt):
        Vault(engine, old).identity("slide-0")
    engine.dispose()
    assert (folder / "vault.key").stat().st_mode & 0o777 == 0o600


def test_after_a_rotation_no_page_of_the_file_holds_a_cell_of_the_old_key(root, folder):
    filled(root, folder)
    engine = open_vault_engine(root)
    with engine.connect() as connection:
        cells = connection.exec_driver_sql("SELECT sealed FROM identity").scalars().all()
    engine.dispose()
    coverslip(settings_file(root, folder), "keys", "rotate", "vault")
    content = b"".join(path.read_bytes() for path in root.zone("vault").iterdir())
    assert not [cell for cell in cells if cell in content]


KILLED = """
import os, signal, sys
from pathlib import Path
from anonymizer.keys import files, rotation
from appliance.storage import Root
from appliance.stores import vault_upkeep
root, folder, after = Root(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
steps = 0
def step(*_):
    global steps
    steps += 1
    if steps > after:
        os.kill(os.getpid(), signal.SIGKILL)
before = files.replace
def replace(path, data):
    step(); before(path, data); step()
rotation.replace = replace
def rewrite(cipher):
    engine = vault_upkeep.open_vault_engine(root)
    vault_upkeep.rewrite(engine, cipher, step)
    vault_upkeep.compact(engine)
    engine.dispose()
rotation.rotate_vault(folder, rewrite)
"""


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_killed_rotation_of_the_vault_loses_nothing_and_is_finished_later(root, folder, after):
    filled(root, folder)
    before = opened(root, folder)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(root.path), str(folder), str(after)],
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert killed.returncode == -signal.SIGKILL
    assert opened(root, folder) == before
    ids = files.cipher_of(folder).key_ids
    coverslip(settings_file(root, folder), "keys", "rotate", "vault")
    assert opened(root, folder) == before
    finished = files.cipher_of(folder).key_ids
    assert len(finished) == 1
    if len(ids) == 2:  # it goes on with the key that was begun
        assert finished[0] == ids[0]


def test_release_works_on_in_the_middle_of_a_rotation(root, folder):
    filled(root, folder)

    def cut_off(cipher: CellCipher) -> None:
        engine = open_vault_engine(root)
        count = 0

        def done(_cells):
            nonlocal count
            count += 1
            if count == 1:
                raise KeyboardInterrupt

        try:
            vault_upkeep.rewrite(engine, cipher, done)
        finally:
            engine.dispose()

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_vault(folder, cut_off)
    engine = open_vault_engine(root)
    cipher = files.cipher_of(folder)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT DISTINCT key_id FROM identity").scalars().all()
    assert set(found) == set(cipher.key_ids)
    vault = Vault(engine, cipher)
    vault.put_identity("slide-0", b"again", source="folder")
    assert vault.identity("slide-0") == b"again"
    vault_upkeep.check_key_ids(engine, cipher)
    engine.dispose()


def test_a_rotation_before_the_first_slide_makes_no_vault(root, folder):
    before = files.cipher_of(folder).key_id
    assert coverslip(settings_file(root, folder), "keys", "rotate", "vault") == 0
    assert files.cipher_of(folder).key_id != before
    assert not list(root.zone("vault").iterdir())


def test_a_row_that_claims_another_key_does_not_open(root, folder):
    filled(root, folder)
    engine = open_vault_engine(root)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE identity SET key_id = '0000000000000000'")
    with pytest.raises(IdentityDoubt):
        Vault(engine, files.cipher_of(folder)).identity("slide-0")
    engine.dispose()


def test_a_damaged_row_stops_a_rotation_and_both_keys_stay(root, folder):
    filled(root, folder)
    engine = open_vault_engine(root)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE identity SET sealed = x'00' WHERE slide_id = 'slide-9'")
    engine.dispose()
    with pytest.raises(IdentityDoubt):
        coverslip(settings_file(root, folder), "keys", "rotate", "vault")
    assert len(files.cipher_of(folder).key_ids) == 2


@pytest.mark.parametrize("key", ["vault", "sign", "seal"])
def test_no_key_is_rotated_while_release_runs(root, folder, key):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with (
        holding(root, alone=False),
        holding(root, alone=False),
        pytest.raises(ForbiddenAction, match="stop the release daemon"),
    ):
        coverslip(settings_file(root, folder), "keys", "rotate", key)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("key", ["pseudonym", "sampling"])
def test_what_belongs_to_a_recipient_is_never_rotated(root, folder, key):
    before = (folder / f"{key}.key").read_bytes()
    with pytest.raises(ForbiddenAction, match="keys retire"):
        coverslip(settings_file(root, folder), "keys", "rotate", key)
    assert (folder / f"{key}.key").read_bytes() == before


def test_another_pseudonym_key_than_the_vault_was_begun_with_is_refused(root):
    engine = open_vault_engine(root)
    vault_upkeep.pin_keys(engine, {"pseudonym": "a", "sampling": "b"})
    vault_upkeep.pin_keys(engine, {"pseudonym": "a", "sampling": "b"})
    with pytest.raises(ConfigError, match=r"sampling\.key"):
        vault_upkeep.pin_keys(engine, {"pseudonym": "a", "sampling": "other"})
    engine.dispose()


# Signing.


def line_with_keys_of_its_own(tmp_path, *routes):
    """A line whose keys may be changed: the tests share the folder that it has otherwise."""
    line = Line(tmp_path, list(routes))
    line.keys_folder = Path(shutil.copytree(line.keys_folder, tmp_path / "keys"))
    return line


def test_what_was_signed_before_a_rotation_is_delivered_until_it_expires(tmp_path):
    line = line_with_keys_of_its_own(tmp_path, INSIDE)
    route = line.settings.route("pacs")
    try:
        line.bring("slide-a")
        assert line.work()
        [parcel] = line.parcels("pacs")
        open_parcel = opener(
            route, Keys(folder=line.keys_folder)
        )  # a deliver that runs all the while
        rotation.rotate_sign(line.keys_folder, now=line.now)
        with open_parcel(parcel, now=line.now + 29 * DAY_S) as verified:
            assert verified.files
        line.keys = read_keys(line.keys_folder)
        line.bring("slide-b", number=2)
        assert line.work()
        for path in line.parcels("pacs"):
            with open_parcel(path, now=line.now) as verified:
                assert verified.files
    finally:
        line.close()


def test_a_signing_key_is_trusted_longer_than_what_it_signed_may_wait():
    assert rotation.TRUSTED_FOR_S > EXPIRES_AFTER_S


def test_an_earlier_signing_key_is_not_trusted_for_ever(folder):
    old = files.read_sign_pub(folder)
    rotation.rotate_sign(folder, now=NOW)
    path = folder / "sign.pub"
    assert read_sign_publics(path, now=NOW)[1:] == (old,)
    assert read_sign_publics(path, now=NOW + 30 * DAY_S)[1:] == (old,)
    assert read_sign_publics(path, now=NOW + 32 * DAY_S)[1:] == ()
    rotation.rotate_sign(folder, now=NOW + 40 * DAY_S)
    assert len(read_sign_publics(path, now=NOW + 40 * DAY_S)) == 2
    assert path.read_bytes().count(b"BEGIN PUBLIC KEY") == 2


def test_a_rotation_of_the_signing_key_that_was_cut_off_is_mended_by_another(folder, monkeypatch):
    old = files.read_sign_pub(folder)
    replaced = files.replace

    def cut_off(path, data):
        replaced(path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(rotation, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_sign(folder, now=NOW)
    assert old in read_sign_publics(folder / "sign.pub", now=NOW)
    with pytest.raises(ConfigError, match="keys rotate sign"):
        read_keys(folder)
    monkeypatch.setattr(rotation, "replace", replaced)
    rotation.rotate_sign(folder, now=NOW)
    read_keys(folder)
    assert read_sign_publics(folder / "sign.pub", now=NOW)[1:] == (old,)  # the orphan is gone


@pytest.mark.parametrize(
    "words",
    [b"Trusted until tomorrow\n", b"Trust me\n", b"\n\xff\n", b"-----END PUBLIC KEY-----\n"],
)
def test_a_file_of_signing_keys_with_other_words_in_it_is_refused(folder, words):
    path = folder / "sign.pub"
    path.write_bytes(words + path.read_bytes())
    with pytest.raises(ConfigError, match=r"sign\.pub"):
        read_sign_publics(path, now=NOW)


# Sealing.


def test_what_was_sealed_before_a_rotation_still_opens(folder):
    old = seal(files.read_seal_pub(folder), b"identity", "slide-1")
    rotation.rotate_seal(folder)
    rotation.rotate_seal(folder)
    keys = read_keys(folder)
    new = seal(files.read_seal_pub(folder), b"identity", "slide-1")
    for sealed in (old, new):
        assert b"identity" not in sealed
        assert open_sealed(keys.seal_key, sealed, "slide-1", earlier=keys.earlier_seal_keys)
    assert open_sealed(keys.seal_key, new, "slide-1") == b"identity"
    with pytest.raises(IdentityDoubt):
        open_sealed(keys.seal_key, old, "slide-2", earlier=keys.earlier_seal_keys)


def test_a_rotation_of_the_sealing_key_that_was_cut_off_leaves_keys_that_fit(folder, monkeypatch):
    replaced = files.replace

    def cut_off(path, data):
        replaced(path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(rotation, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_seal(folder)
    keys = read_keys(folder)
    sealed = seal(files.read_seal_pub(folder), b"identity", "slide-1")
    assert open_sealed(keys.seal_key, sealed, "slide-1", earlier=keys.earlier_seal_keys)


def test_a_key_file_keeps_its_mode_when_it_is_replaced(folder):
    (folder / "seal.key").chmod(0o640)
    rotation.rotate_seal(folder)
    assert (folder / "seal.key").stat().st_mode & 0o777 == 0o640
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


# Recipients.


def test_nothing_is_released_or_delivered_to_a_retired_recipient(tmp_path):
    line = line_with_keys_of_its_own(tmp_path, INSIDE, outside_sr_route())
    route = line.settings.route("registry")
    try:
        line.bring("slide-a")
        line.work()
        [earlier] = line.parcels("registry")  # made before, and still on its way
        open_parcel = opener(route, Keys(folder=line.keys_folder))
        with open_parcel(earlier, now=line.now):
            pass
        rotation.retire(line.keys_folder, "registry")
        line.keys = read_keys(line.keys_folder)
        line.bring("slide-b", number=2)
        line.work()
        assert len(line.parcels("registry")) == 1
        assert len(line.parcels("pacs")) == 2
        told = [event.text for event in line.journal.board.events()]
        assert any("Its recipient is retired." in text for text in told)
        with pytest.raises(DeliveryRefused, match="retired"), open_parcel(earlier, now=line.now):
            pass
    finally:
        line.close()


ROUTE = """
[[routes]]
name = "registry"
recipient = "registry"
place = "outside"
kind = "folder"
carries = ["outside_sr"]
folder = "/nowhere"
[routes.policy]
mechanism = "bare_report"
statement = "does not protect against whoever holds the original"
"""


def test_a_recipient_is_retired_once_by_its_name_and_its_keys_are_still_known(root, folder, capsys):
    settings = settings_file(root, folder, ROUTE)
    before = read_keys(folder).pseudonyms.for_recipient("registry").key_id
    with pytest.raises(ConfigError, match="mistyped"):
        coverslip(settings, "keys", "retire", "registri")
    assert coverslip(settings, "keys", "retire", "registry") == 0
    assert read_keys(folder).retired == {"registry"} == read_retired(folder / "retired")
    assert read_keys(folder).pseudonyms.for_recipient("registry").key_id == before
    with pytest.raises(ForbiddenAction, match="already"):
        coverslip(settings, "keys", "retire", "registry")
    capsys.readouterr()
    coverslip(settings, "keys", "show-id")
    assert "retired    registry" in capsys.readouterr().out


def test_show_id_prints_names_as_json_too(root, folder, capsys):
    import json

    coverslip(settings_file(root, folder), "keys", "show-id", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown == {name: list(values) for name, values in names_of(folder, now=NOW).items()}


def test_the_day_until_which_a_key_is_trusted_can_be_read(folder):
    rotation.rotate_sign(folder, now=datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    assert (
        b"Trusted until 2026-12-22T00:00:00+00:00\n-----BEGIN" in (folder / "sign.pub").read_bytes()
    )


def test_the_hold_on_the_vault_ends_with_whoever_held_it(root):
    script = "import sys; from pathlib import Path; from appliance.storage import Root\n"
    script += "from appliance.stores.vault_upkeep import holding\n"
    script += (
        "with holding(Root(Path(sys.argv[1])), alone=True): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root.path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ForbiddenAction), holding(root, alone=True):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with holding(root, alone=True):
        pass
