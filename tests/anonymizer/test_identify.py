"""Identity is shown over one socket only, to those who may, and never without a trace."""

import grp
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from anonymizer.keys.files import init_keys
from anonymizer.release.identify import identify_command
from anonymizer.release.opened import read_keys
from appliance.control import ControlServer, Operator
from appliance.errors import EXIT_CONFIG, ForbiddenAction, TransientError
from appliance.line import Role
from appliance.settings import Operators
from appliance.stores.vault import Vault
from appliance.stores.vault_upkeep import holding
from tests.anonymizer.release_line import INSIDE, Line
from tests.anonymizer.release_parts import CANARY
from tests.anonymizer.test_release_daemon import LIMIT_S, START, answered

ANNA = Operator(name="anna", role=Role.TECHNICIAN)
NOBODY = 65534


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path, [INSIDE])
    line.bring("slide-a")
    line.work()
    yield line
    line.close()


def command_of(line, vault=None):
    return identify_command(
        journal=line.journal, root=line.root, vault=vault or line.vault, keys=line.keys
    )


def audited(line):
    """Events as whoever opens the journal's file finds them: committed ones only."""
    path = line.root.zone("journal") / "journal.db"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT actor, text FROM event WHERE kind = 'identify'"
        ).fetchall()
    finally:
        connection.close()
    return rows


class Watched(Vault):
    """A vault that notes what the journal said when it was first touched, and then fails."""

    def __init__(self, line):
        super().__init__(line.engines[1], line.keys.cipher)
        self.line = line
        self.said_before = None

    def identity_source(self, slide_id):
        self.said_before = audited(self.line)
        raise TransientError("The vault database does not answer.")


def test_the_audit_event_is_durable_before_the_vault_is_touched_and_stays_when_it_fails(line):
    vault = Watched(line)
    with pytest.raises(TransientError):
        command_of(line, vault).run(ANNA, {"slide_ids": ["slide-a", "slide-b"]})
    assert vault.said_before == [("anna", "Saw the container of 2 slides.")] == audited(line)


def test_what_cannot_be_audited_is_not_shown(line):
    with sqlite3.connect(line.root.zone("journal") / "journal.db") as connection:
        connection.execute("ALTER TABLE event RENAME TO gone")
    connection.close()
    vault = Watched(line)
    with pytest.raises(TransientError):
        command_of(line, vault).run(ANNA, {"slide_ids": ["slide-a"]})
    assert vault.said_before is None


def test_a_screenful_is_one_event_that_says_how_many(line):
    asked = {"slide_ids": ["slide-a"] * 40, "with_patient_name": True}
    assert command_of(line).run(ANNA, asked)["slides"]["slide-a"]["patient_name"]
    assert audited(line) == [("anna", "Saw the container and patient name of 40 slides.")]


def test_to_ask_for_too_much_is_audited_too(line):
    with pytest.raises(ForbiddenAction):
        command_of(line).run(ANNA, {"slide_ids": ["slide-a"] * 201})
    assert audited(line) == [("anna", "Was refused: asked for more than a screen.")]


def test_a_row_that_does_not_open_is_left_out_and_the_look_is_audited(line):
    with sqlite3.connect(line.root.zone("vault") / "vault.db") as connection:
        connection.execute("UPDATE identity SET sealed = x'00'")
    connection.close()
    assert command_of(line).run(ANNA, {"slide_ids": ["slide-a"]}) == {"slides": {}}
    assert len(audited(line)) == 1


class Stranger:
    """Another user of the machine, who asks once over a socket when told to."""

    def __init__(self, path):
        (go, self._go), (self._answer, answer) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                os.read(go, 1)
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(path))
                    asked = {"command": "identify", "arguments": {"slide_ids": ["slide-a"]}}
                    connection.sendall(json.dumps(asked).encode() + b"\n")
                    os.write(answer, connection.makefile("rb").readline())
            finally:
                os._exit(0)
        os.close(answer)

    def ask(self):
        os.write(self._go, b"!")
        with os.fdopen(self._answer, "rb") as answer:
            said = answer.read()
        os.waitpid(self._pid, 0)
        return said.decode()


@pytest.fixture
def open_folder():
    """A folder that every user may enter, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="coverslip-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("role", "shown"), [(None, False), ("viewer", False), ("technician", True)]
)
def test_the_socket_knows_who_asks_and_shows_identity_to_technicians_only(
    line, open_folder, role, shown
):
    own = grp.getgrgid(NOBODY).gr_name
    groups = Operators(**({f"{role}_group": own} if role else {}))
    path = open_folder / "r.sock"
    stranger = Stranger(path)  # before the server has threads
    server = ControlServer(path, {"identify": command_of(line)}, groups)
    path.chmod(0o666)  # the group's permission stands in the way otherwise
    server.start()
    try:
        said = stranger.ask()
    finally:
        server.close()
    answer = json.loads(said)
    who, text = audited(line)[0]
    assert who == "nobody"
    if shown:
        assert answer["result"]["slides"]["slide-a"]["container_identifier"] == f"{CANARY}-C1"
        assert text == "Saw the container of 1 slides."
    else:
        assert answer["code"] == "forbidden-action"
        assert CANARY not in said
        assert text == "Was refused: has not the role of a technician."


def settings_of(line, keys=None):
    path = line.path / "coverslip.toml"
    path.write_text(
        f'[storage]\nroot = "{line.root.path}"\n[keys]\nfolder = "{keys or line.keys_folder}"\n'
    )
    return path


def start(settings):
    return subprocess.Popen(
        [sys.executable, "-c", START, "--settings", str(settings), "release"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_what_the_daemon_shows_is_in_no_log_and_no_journal(line):
    daemon = start(settings_of(line))
    try:
        shown = answered(
            line.root.path / "run" / "release.sock",
            "identify",
            slide_ids=["slide-a", CANARY],
            with_patient_name=True,
        )
    finally:
        daemon.send_signal(signal.SIGTERM)
        said, _ = daemon.communicate(timeout=LIMIT_S)
    assert CANARY in shown["slides"]["slide-a"]["patient_name"]
    assert audited(line)[0][1] == "Saw the container and patient name of 2 slides."
    canary = CANARY.encode()
    assert canary not in said
    for zone in ("log", "journal", "run"):
        files = [path for path in line.root.zone(zone).rglob("*") if path.is_file()]
        assert files or zone == "run"
        assert not [path for path in files if canary in path.read_bytes()]


def test_release_does_not_start_with_keys_that_are_not_the_vaults(line, tmp_path):
    init_keys(tmp_path / "others")
    daemon = start(settings_of(line, keys=tmp_path / "others"))
    assert daemon.wait(LIMIT_S) == EXIT_CONFIG
    daemon.communicate()


def test_release_does_not_start_while_the_vault_gets_new_keys(line):
    with holding(line.root, alone=True):
        daemon = start(settings_of(line))
        said, _ = daemon.communicate(timeout=LIMIT_S)
    assert daemon.returncode not in (0, EXIT_CONFIG)  # systemd starts it again
    assert b"gets new keys" in said
    assert read_keys(line.keys_folder)
