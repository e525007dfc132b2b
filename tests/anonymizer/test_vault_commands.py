"""What a person types to back up, restore and check the vault."""

import argparse
import os
import pwd
import shutil
import sqlite3
from pathlib import Path

import pytest

from anonymizer import commands
from anonymizer.keys import rotation
from anonymizer.keys.files import init_keys
from anonymizer.release.opened import ingest
from anonymizer.release.vault_commands import EXIT_NOT_WELL
from appliance.errors import ConfigError, ForbiddenAction
from appliance.line import Stage
from appliance.stores.vault_upkeep import holding
from tests.anonymizer.release_line import INSIDE, Line
from tests.anonymizer.release_parts import CANARY


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path, [INSIDE])
    line.keys_folder = Path(shutil.copytree(line.keys_folder, tmp_path / "keys"))
    line.bring("slide-a")
    folder = line.journal.board.folder("slide-a", Stage.ASSEMBLE)
    ingest("slide-a", folder=folder, root=line.root, vault=line.vault)
    yield line
    line.close()


def coverslip(line, *arguments):
    settings = line.path / "coverslip.toml"
    settings.write_text(
        f'[storage]\nroot = "{line.root.path}"\n[keys]\nfolder = "{line.keys_folder}"\n'
    )
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path)
    commands.register(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["--settings", str(settings), *map(str, arguments)])
    return parsed.run(parsed)


def test_a_backup_says_what_it_needs_to_be_of_use(line, tmp_path, capsys):
    assert coverslip(line, "vault", "backup", tmp_path / "vault.backup") == 0
    said = capsys.readouterr().out
    assert "1 slides, 0 samples, 0 manifests" in said
    assert f"back up {line.keys_folder} too" in said
    assert CANARY.encode() not in (tmp_path / "vault.backup").read_bytes()


def test_a_restore_needs_release_to_be_stopped(line, tmp_path):
    coverslip(line, "vault", "backup", tmp_path / "vault.backup")
    with holding(line.root, alone=False), pytest.raises(ForbiddenAction, match="stop the release"):
        coverslip(line, "vault", "restore", tmp_path / "vault.backup")


def test_a_restore_says_what_it_put_in_place_and_what_is_forgotten(line, tmp_path, capsys):
    coverslip(line, "vault", "backup", tmp_path / "vault.backup")
    line.vault.grant("container", "university", "tiles")
    capsys.readouterr()
    assert coverslip(line, "vault", "restore", tmp_path / "vault.backup") == 0
    said = capsys.readouterr().out
    assert "is kept as" in said
    assert "1 containers were given to a recipient after that backup" in said
    line.engines[1].dispose()
    assert line.vault.identity("slide-a")


def test_a_check_opens_the_identities_too(line, capsys):
    assert coverslip(line, "vault", "check") == 0
    assert "The vault is sound." in capsys.readouterr().out
    init_keys(line.path / "others")  # vault.key fits, seal.key does not
    shutil.copy(line.path / "others" / "seal.key", line.keys_folder / "seal.key")
    assert coverslip(line, "vault", "check") == EXIT_NOT_WELL
    assert "1 rows, 1 that do not open" in capsys.readouterr().out


def test_a_check_still_passes_after_every_key_that_rotates_has_rotated(line, capsys):
    for key in ("vault", "seal", "sign"):
        assert coverslip(line, "keys", "rotate", key) == 0
    assert coverslip(line, "vault", "check") == 0
    rotation.rotate_seal(line.keys_folder)
    assert coverslip(line, "vault", "check") == 0
    assert CANARY not in capsys.readouterr().out


def test_a_check_finds_a_row_that_was_moved(line, capsys):
    line.vault.put_identity("slide-b", b"other", source="folder")
    with sqlite3.connect(line.root.zone("vault") / "vault.db") as connection:
        connection.execute(
            "UPDATE identity SET sealed = (SELECT sealed FROM identity WHERE slide_id = 'slide-a')"
        )
    connection.close()
    assert coverslip(line, "vault", "check") == EXIT_NOT_WELL
    assert "2 rows, 1 that do not open" in capsys.readouterr().out


def test_a_check_of_no_vault_says_so(line):
    line.close()
    for path in line.root.zone("vault").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="no vault yet"):
        coverslip(line, "vault", "check")


def test_what_is_done_to_vault_and_keys_by_hand_is_an_audit_event(line, tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "anna")
    coverslip(line, "vault", "backup", tmp_path / "vault.backup")
    coverslip(line, "vault", "restore", tmp_path / "vault.backup")
    coverslip(line, "keys", "rotate", "sign")
    events = [e for e in line.journal.board.events() if e.kind in {"vault", "keys"}]
    assert sorted(event.text for event in events) == [
        "Backs the vault up.",
        "Restores a backup of the vault.",
        "Rotates the sign key.",
    ]
    assert {event.actor for event in events} == {"anna" if os.geteuid() == 0 else own_name()}


def own_name():
    return pwd.getpwuid(os.geteuid()).pw_name
