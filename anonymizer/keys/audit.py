"""What an administrator does to keys and vault by hand is an audit event, written beforehand."""

import os
import pwd

from appliance.daemon import open_journal
from appliance.settings import Settings


def note(settings: Settings, kind: str, text: str) -> None:
    """Write an event; raises TransientError, and then the deed is not done either."""
    open_journal(settings).note(_who(), kind, text)


def _who() -> str:
    """Name the user, behind sudo the one who called it."""
    behind = os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
    if behind:
        return behind
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
