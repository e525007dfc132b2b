"""Control sockets: who asks is known from the system, and a refusal is a sentence."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.control import AnsweredError, Command, ControlServer, Operator, call, operator_of
from appliance.errors import PeerUnavailable, StorageFull
from appliance.line import Role
from appliance.settings import Operators

GROUPS = Operators()


def whoami(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": operator.name, "role": operator.role, **arguments}


def full(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
    raise StorageFull("The disk of the appliance is full.")


@pytest.fixture
def socket_path(tmp_path: Path) -> Iterator[Path]:
    commands = {
        "whoami": Command(role=Role.VIEWER, run=whoami),
        "full": Command(role=Role.TECHNICIAN, run=full),
    }
    path = tmp_path / "node.sock"
    server = ControlServer(path, commands, GROUPS)
    server.start()
    yield path
    server.close()


def test_a_daemon_knows_who_asks_without_being_told(socket_path: Path) -> None:
    answer = call(socket_path, "whoami", colour="pink")
    assert answer["role"] == "administrator"
    assert answer["colour"] == "pink"


def test_a_refusal_comes_with_its_sentence_code_and_next_step(socket_path: Path) -> None:
    with pytest.raises(AnsweredError, match="disk of the appliance") as caught:
        call(socket_path, "full")
    assert caught.value.answered_code == "storage-full"
    assert "space" in caught.value.answered_next_step


def test_an_unknown_action_is_refused_by_name(socket_path: Path) -> None:
    with pytest.raises(AnsweredError, match="no action dance"):
        call(socket_path, "dance")


def test_a_daemon_that_is_not_there_is_a_plain_word(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="The node daemon does not answer"):
        call(tmp_path / "node.sock", "whoami")


def test_garbage_on_the_socket_does_no_harm(socket_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path))
        connection.sendall(b"\x00garbage\n")
        assert b"not understood" in connection.makefile("rb").readline()
    assert call(socket_path, "whoami")


def test_a_user_in_no_group_has_no_role() -> None:
    nobody = operator_of(65534, 65534, GROUPS)
    assert nobody.role is None
    assert operator_of(os.geteuid(), os.getegid(), GROUPS).role is Role.ADMINISTRATOR


def test_a_group_gives_its_role() -> None:
    import grp

    own = grp.getgrgid(65534).gr_name
    technicians = Operators(technician_group=own)
    assert operator_of(65534, 65534, technicians).role is Role.TECHNICIAN


def test_each_role_may_do_what_the_lesser_ones_may() -> None:
    assert Role.ADMINISTRATOR.covers(Role.VIEWER)
    assert Role.TECHNICIAN.covers(Role.TECHNICIAN)
    assert not Role.VIEWER.covers(Role.TECHNICIAN)
