"""The settings file as the screen shows it: checked, without secrets, against what daemons run by.

Secrets do not belong into the file; whoever wrote one into it nevertheless does not find it on the
screen.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance import control, settings
from appliance.errors import ApplianceError
from appliance.plain_text import all_plain, plain
from appliance.settings.mistakes import Mistake
from appliance.storage import Root

HIDDEN = "•••"
ANSWER_LIMIT_S = 1.0
_IN_URL = re.compile(r"(?<=://)([^\s:/@\"']*):[^\s@\"']+@")
_IN_QUERY = re.compile(
    r"([?&](?:\w*password|\w*secret|\w*token|\w*key|sig|signature|auth)=)[^&\s\"']+",
    re.IGNORECASE,
)
_TELLING = r"passw|passphrase|secret|token|access[-_]?key|api[-_]?key|bearer|auth"
_VALUE = (
    r"\"{3}.*?(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)|\[.*?(?:\]|\Z)"
    r"|\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,}\]#]+"
)
_UNDER_KEY = re.compile(
    rf"(\b[\w-]*(?:{_TELLING})[\w-]*[\"']?\s*=\s*)({_VALUE})", re.IGNORECASE | re.DOTALL
)
_NAMES_A_FILE = re.compile(r"_(?:file|folder|path)[\"']?\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The file as it is now."""

    text: str = ""
    """Without secrets."""
    mistakes: tuple[Mistake, ...] = ()
    unread: str | None = None
    """Why it cannot be read, when it cannot."""
    differing: Mapping[str, tuple[str, ...]] | None = None
    """Tables of the file that differ from what runs, by daemon; None while that is not known."""
    silent: tuple[str, ...] = ()
    """Daemons that do not say what they run by."""


def masked(text: str) -> str:
    """Hide what looks like a secret, and what a terminal would obey."""
    text = "\n".join(plain(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n"))
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    return _UNDER_KEY.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    if _NAMES_A_FILE.search(found[1]):
        return found[0]
    # Lines below keep their numbers.
    return f'{found[1]}"{HIDDEN}"' + "\n" * found[2].count("\n")


def look(path: Path, daemons: Iterable[str], root: Root, ours: Mapping[str, str]) -> Shown:
    """Read and check the file, and ask every daemon what it runs by; it takes a while.

    Parameters
    ----------
    path
        The settings file.
    daemons
        Those that should run.
    root
        Where their control sockets are.
    ours
        Digest of each table that this screen was started with.
    """
    try:
        checked = settings.check(settings.read(path))
    except ApplianceError as error:
        return Shown(unread=plain(str(error)))
    text = masked(checked.text)
    if checked.settings is None:
        return Shown(text=text, mistakes=all_plain(checked.mistakes))
    wanted = checked.settings.digests
    running = {"this screen": dict(ours)} | {name: _running(root, name) for name in daemons}
    return Shown(
        text=text,
        differing={
            name: different
            for name, tables in running.items()
            if tables and (different := _differing(wanted, tables))
        },
        silent=tuple(name for name, tables in running.items() if not tables),
    )


def _differing(wanted: Mapping[str, str], tables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, digest in wanted.items() if tables.get(name) != digest)


def _running(root: Root, daemon: str) -> dict[str, str]:
    """Ask a daemon for the digests of its settings; nothing when it does not say."""
    try:
        answer = control.ask(root.socket(daemon), "status", {}, limit_s=ANSWER_LIMIT_S)
    except ApplianceError:
        return {}
    tables = answer.get("settings")
    return (
        {str(name): str(digest) for name, digest in tables.items()}
        if isinstance(tables, dict)
        else {}
    )
