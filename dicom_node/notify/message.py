"""One message to a receiver: some notices, as text for people and as JSON for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dicom_node.notify.notice import Notice, headline

MOST_TOLD: Final = 40
"""Notices that a message spells out; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Notices that go to a receiver together."""

    message_id: str
    """By chance, and the same each time that the message is tried: a receiver can tell a copy."""
    at: float
    notices: tuple[Notice, ...]
    settled: int = 0
    """How many more came, and were settled before they were told."""
    after_quiet: bool = False
    """Whether it tells what came in the quiet hours."""

    @property
    def subject(self) -> str:
        """One line, without what changes from copy to copy."""
        return f"Coverslip: {headline(self.notices) or 'a test of the notices'}"

    def text(self, sender: str) -> str:
        """Write it for people; `sender` is the AE title of the node."""
        return "\n".join(self._lines(sender)) + "\n"

    def _lines(self, sender: str) -> Iterator[str]:
        if not self.notices:
            yield f"This is a test of {sender}: its notices arrive here. Nothing is to be done."
            return
        yield f"{sender}, {_local(self.at):%Y-%m-%d %H:%M}: {headline(self.notices)}."
        if self.after_quiet:
            yield "This came in the quiet hours and is still so."
        for notice in self.notices[:MOST_TOLD]:
            yield ""
            yield from _told(notice)
        more = len(self.notices) - MOST_TOLD
        if more > 0:
            yield ""
            yield f"And {more} more: the screen shows them all."
        if self.settled:
            yield ""
            yield f"{self.settled} more came and {'was' if self.settled == 1 else 'were'} settled."

    def table(self, sender: str) -> dict[str, Any]:
        """Give it as values for a program."""
        return {
            "id": self.message_id,
            "at": _local(self.at).isoformat(timespec="seconds"),
            "from": sender,
            "text": self.text(sender),
            "test": not self.notices,
            "after_quiet_hours": self.after_quiet,
            "settled_meanwhile": self.settled,
            "notices": [_values(notice) for notice in self.notices],
        }


def _told(notice: Notice) -> Iterator[str]:
    yield f"- {notice.sentence}"
    if notice.slide_id:
        scanner = f", from {notice.scanner}" if notice.scanner else ""
        yield f"  Slide {notice.slide_id}{scanner}."
    yield f"  {notice.next_step}"


def _values(notice: Notice) -> Mapping[str, str]:
    values = {
        "subject": notice.subject,
        "code": notice.code,
        "sentence": notice.sentence,
        "next_step": notice.next_step,
        "slide": notice.slide_id,
        "scanner": notice.scanner,
        "name": notice.name,
    }
    return {key: value for key, value in values.items() if value}


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC).astimezone()
