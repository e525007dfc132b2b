"""What every error code means, in words for a technician: one table, complete by test.

The sentence of an error says what happened here and now; this table says what kind of trouble it
is, where it comes from and what to do. The errors, the screen, the notices and `docs/messages.md`
take it from here.
"""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.messages import aside, asked, later
from appliance.messages.aside import SET_ASIDE_BY_OPERATOR
from appliance.messages.asked import PROTOCOL
from appliance.messages.kinds import FATES, Fate, Message

__all__ = ["FATES", "MESSAGES", "PROTOCOL", "SET_ASIDE_BY_OPERATOR", "Fate", "Message", "message"]

_WRONG = Message(
    title="Something on this machine is set up wrongly",
    cause="The settings, the keys or the models cannot be used as they are.",
    next_step="Correct the file that is named, then run coverslip check-config.",
    fate=Fate.STOP,
)

MESSAGES: Mapping[str, Message] = MappingProxyType(
    {"config": _WRONG, **later.MESSAGES, **aside.MESSAGES, **asked.MESSAGES}
)
"""Message by code."""


def message(code: str | None) -> Message:
    """Give what a code means; one that a newer daemon wrote reads as any error does."""
    return MESSAGES.get(code or "error", MESSAGES["error"])
