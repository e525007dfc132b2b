"""Control sockets: how an operator acts on a daemon.

One line of JSON in, one out, over a Unix socket. The kernel of the machine says who asks
(SO_PEERCRED), system groups say what they may do, and the daemon that acts writes the audit event.
"""

import grp
import json
import logging
import os
import pwd
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, ConfigError, ForbiddenAction, PeerUnavailable
from appliance.line import Role
from appliance.messages import PROTOCOL, message
from appliance.plain_text import all_plain
from appliance.settings import Operators

log = logging.getLogger(__name__)

MAXIMUM_LINE_BYTES = 1 << 20
MAXIMUM_PATH_BYTES = 107
ANSWER_TIMEOUT_S = 20.0
_CREDENTIALS = struct.Struct("3i")
_MOST_DIGITS = 20
_END_OF_NUMBERS = 1e18
"""Bytes of an exabyte; sums and products of such numbers are still numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who asks: a system user and the role that groups give."""

    name: str
    role: Role | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something a daemon does for an operator with at least this role."""

    role: Role
    run: Callable[[Operator, Mapping[str, Any]], dict[str, Any]]
    refused: Callable[[Operator], None] | None = None
    """Told who asked without having the role, for actions whose every attempt is audited."""


def operator_of(uid: int, gid: int, groups: Operators) -> Operator:
    """Find name and role of a system user.

    Root and the user that the daemon itself runs as are administrators: they could replace the
    daemon anyway.
    """
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Operator(name=f"uid {uid}", role=None)
    if uid in (0, os.geteuid()):
        return Operator(name=name, role=Role.ADMINISTRATOR)
    member_of = {_group_name(number) for number in os.getgrouplist(name, gid)}
    by_role = (
        (Role.ADMINISTRATOR, groups.administrator_group),
        (Role.TECHNICIAN, groups.technician_group),
        (Role.VIEWER, groups.viewer_group),
    )
    role = next((role for role, group in by_role if group in member_of), None)
    return Operator(name=name, role=role)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def check_length(path: Path) -> None:
    """Check that a socket can have this path.

    Raises
    ------
    ConfigError
        It is longer than the system's sockets may be called (unix(7)).
    """
    too_many = len(os.fsencode(path)) - MAXIMUM_PATH_BYTES
    if too_many > 0:
        raise ConfigError(
            f"storage.root or the name of a route is too long for the control socket {path.stem}: "
            f"make it shorter by {too_many} bytes."
        )


class ControlServer:
    """Answers one daemon's control socket in threads of its own.

    Parameters
    ----------
    path
        Socket to listen on; a stale one is replaced.
    commands
        What the daemon can do, by name.
    groups
        System groups of the roles.
    """

    def __init__(self, path: Path, commands: Mapping[str, Command], groups: Operators) -> None:
        check_length(path)
        self._path = path
        path.unlink(missing_ok=True)

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                credentials = self.request.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
                )
                _, uid, gid = _CREDENTIALS.unpack(credentials)
                line = self.rfile.readline(MAXIMUM_LINE_BYTES)
                answer = _answer(line, operator_of(uid, gid, groups), commands)
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 32

            def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
                log.warning("a conversation on the control socket broke off")

        self._server = Server(str(path), Conversation)
        path.chmod(0o660)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="control", daemon=True
        )

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _answer(line: bytes, operator: Operator, commands: Mapping[str, Command]) -> dict[str, Any]:
    try:
        request = json.loads(line)
        name, arguments = request["command"], request.get("arguments", {})
    except (ValueError, KeyError, TypeError):
        next_step = message(PROTOCOL).next_step
        return {"error": "The request is not understood.", "code": PROTOCOL, "next_step": next_step}
    try:
        return {"result": _run(name, arguments, operator, commands)}
    except ApplianceError as error:
        return {"error": str(error), "code": error.code, "next_step": error.next_step}


def _run(
    name: str, arguments: Mapping[str, Any], operator: Operator, commands: Mapping[str, Command]
) -> dict[str, Any]:
    command = commands.get(name)
    if command is None:
        raise ForbiddenAction(f"This daemon has no action {name}.")
    if operator.role is None or not operator.role.covers(command.role):
        if command.refused is not None:
            command.refused(operator)
        raise ForbiddenAction(f"The action {name} needs the role {command.role}.")
    return command.run(operator, arguments)


class AnsweredError(ApplianceError):
    """The sentence with which a daemon refused, carried over its socket."""

    def __init__(self, sentence: str, code: str, next_step: str) -> None:
        super().__init__(sentence)
        self.answered_code = code
        self.answered_next_step = next_step

    def told(self) -> dict[str, str]:
        """Give what the daemon said, as values for a script."""
        return {
            "code": self.answered_code,
            "sentence": str(self),
            "next_step": self.answered_next_step,
        }


def call(path: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """Ask a daemon to do something; raises as `ask` does."""
    return ask(path, command, arguments)


def ask(
    path: Path,
    command: str,
    arguments: Mapping[str, Any],
    *,
    limit_s: float = ANSWER_TIMEOUT_S,
) -> dict[str, Any]:
    """Ask a daemon to do something, and wait no longer than that for its answer.

    Raises
    ------
    PeerUnavailable
        No daemon answers at the socket.
    AnsweredError
        The daemon refused; the sentence is its own.
    """
    request = json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(limit_s)
            connection.connect(str(path))
            connection.sendall(request)
            answer = _read(connection.makefile("rb").readline(MAXIMUM_LINE_BYTES))
        if "error" in answer:
            raise AnsweredError(*(str(answer[name]) for name in ("error", "code", "next_step")))
        return dict(answer["result"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise PeerUnavailable(f"The {path.stem} daemon does not answer.") from error


def _read(line: bytes) -> Any:
    """Read an answer for people: plain texts, and no number beyond what is counted anywhere."""
    return all_plain(
        json.loads(
            line,
            parse_float=lambda text: _within(float(text)),
            parse_int=lambda text: _within(int(text)) if len(text) < _MOST_DIGITS else None,
            parse_constant=lambda _: None,
        )
    )


def _within(number: float) -> float | None:
    return number if abs(number) < _END_OF_NUMBERS else None
