"""What the wizard does besides asking: writes the file, makes keys, sends a C-ECHO.

Keys and echo belong to other packages, and packages never import each other: their own commands
run as processes.
"""

import errno
import grp
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.command import EXIT_REFUSED
from appliance.errors import EXIT_CONFIG, ApplianceError, ConfigError
from appliance.plain_text import all_plain, plain
from appliance.storage import write_durably
from tui.wizard.document import PinnedModel

COMMAND_LIMIT_S = 60.0
LOOK_AT = "Look at host, port and both AE titles; does the PACS know ours?"
HIGHEST_PORT = 65535
TOO_LONG = "It took longer than a minute."
SETTINGS_MODE = 0o644
"""Every daemon reads it, and it holds no secret."""
FOLDER_MODE = 0o755
ONE_KEY = "pseudonym.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one thing that was done."""

    title: str
    sentence: str
    worked: bool


def models() -> tuple[PinnedModel, ...]:
    """Give the models that come with the appliance; raises ConfigError when they cannot be."""
    done = _run(["models", "list", "--json"])
    if done.returncode:
        raise ConfigError(f"The models that come with the appliance: {_last(done)}")
    return tuple(
        PinnedModel(
            name=one["name"],
            version=one["version"],
            folder=one["folder"],
            digest=one["digest"],
            task=one["task"],
            intended_use=one["intended_use"],
        )
        for one in all_plain(json.loads(done.stdout))
    )


def echo(host: str, port: str, *, called: str, calling: str, ca: str) -> Result:
    """Send a C-ECHO to a peer, and say in words what came of it."""
    where = f"[{host}]" if ":" in host else host
    words = ["echo", "--to", f"{where}:{port}", "--called", called, "--calling", calling]
    done = _run(words + (["--tls-ca", ca] if ca else []))
    sentence = _last(done) if not done.returncode else f"{_last(done)} {LOOK_AT}"
    return Result(title=f"C-ECHO to {called}", sentence=sentence, worked=not done.returncode)


def write_settings(path: Path, text: str, *, now: float) -> Result:
    """Write the file; one that is there already is kept beside it under another name.

    The new one takes its place at once: where that fails, nothing has changed.
    """
    title = "The settings"
    kept = kept_name(path, now=now) if path.exists() else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        if kept is not None:
            shutil.copy2(path, kept)
        write_durably(path, text.encode(), mode=SETTINGS_MODE)
    except (OSError, ApplianceError):
        if kept is not None:
            kept.unlink(missing_ok=True)
        unchanged = "; the file that is there is as it was" if kept is not None else ""
        said = f"{path} cannot be written{unchanged}."
        return Result(title=title, sentence=said, worked=False)
    before = f" The one before is {kept.name}." if kept is not None else ""
    return Result(title=title, sentence=f"{path} is written.{before}", worked=True)


def make_folder(path: Path) -> Result:
    """Make the folder of the zones where it is missing."""
    title = "The storage"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    except OSError:
        return Result(title=title, sentence=f"{path} cannot be made.", worked=False)
    return Result(title=title, sentence=f"{path} is there.", worked=True)


def make_keys(folder: Path) -> Result:
    """Make the keys; those that are there stay as they are."""
    title = "The keys"
    if (folder / ONE_KEY).exists():
        said = f"Keys are in {folder} already; they stay as they are."
        return Result(title=title, sentence=said, worked=True)
    done = _run(["keys", "init", "--folder", str(folder)])
    if done.returncode:
        return Result(title=title, sentence=_last(done), worked=False)
    said = f"Made in {folder}. Back them up, away from this machine."
    return Result(title=title, sentence=said, worked=True)


def kept_name(path: Path, *, now: float) -> Path:
    """Give the name under which a file is kept when another one takes its place."""
    return path.with_name(f"{path.name}.until-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}")


def is_writable(path: Path) -> bool:
    """Whether this user may make a file or a folder there."""
    for folder in (path.parent, *path.parent.parents):
        if folder.exists():
            return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return False


def is_free(host: str, port: str) -> bool:
    """Whether nothing listens there yet; what is no address of this machine is not judged here."""
    if not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, int(port)))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        except (TypeError, ValueError):  # a host that cannot even be looked up
            return True
    return True


def missing_groups(names: Sequence[str]) -> tuple[str, ...]:
    """Give those groups that this machine does not have."""
    known = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in names if name not in known)


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "appliance", *words]
    try:
        return subprocess.run(  # noqa: S603  our own command
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, EXIT_REFUSED, "", TOO_LONG)


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    """Give the sentence with which a command ended; nothing of a bug, which is no sentence."""
    if done.returncode not in (0, EXIT_REFUSED, EXIT_CONFIG):
        return "The command broke off. Tell the administrator."
    said = (done.stdout if not done.returncode else done.stderr).strip()
    # The line after an error is for whoever typed the command.
    return plain((said.splitlines() or [""])[0].removeprefix("coverslip: "))
