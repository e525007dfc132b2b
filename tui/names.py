"""Container identifiers, asked from the release daemon by right and kept for this session.

The daemon writes one audit event a question, so a question asks for a whole screenful. Without the
daemon, or without the right, slides are shown by their short opaque id.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from appliance import control
from appliance.errors import ApplianceError, PeerUnavailable
from appliance.line import SlideStatus, Stage
from appliance.plain_text import plain
from appliance.storage import Root
from tui.words import short_id

ASK_AGAIN_S = 10.0
"""How long a slide without a name is left alone at first; four times as long after each answer."""
MOST_AT_ONCE = 200
"""The release daemon answers for no more at once."""


class Names:
    """What slides are called on this screen."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._next_at: dict[str, float] = {}
        self._n_asked: dict[str, int] = {}
        self._learned: list[str] = []

    def of(self, slide_id: str) -> str:
        """Give the container identifier, or the short id while it is not known."""
        return self._known.get(slide_id) or short_id(slide_id)

    def is_known(self, slide_id: str) -> bool:
        """Whether the container identifier is known."""
        return slide_id in self._known

    def to_ask(self, slide_ids: Iterable[str], *, now: float) -> tuple[str, ...]:
        """Pick those to ask for now, and remember that they were asked for."""
        wanted = tuple(
            slide_id
            for slide_id in slide_ids
            if slide_id not in self._known and self._next_at.get(slide_id, now) <= now
        )[:MOST_AT_ONCE]
        for slide_id in wanted:
            n_before = self._n_asked.get(slide_id, 0)
            self._n_asked[slide_id] = n_before + 1
            self._next_at[slide_id] = now + ASK_AGAIN_S * 4**n_before
        return wanted

    def not_there(self, slide_ids: Iterable[str]) -> None:
        """Forget how often these were asked for: nobody was there to answer."""
        for slide_id in slide_ids:
            self._n_asked.pop(slide_id, None)

    def learn(self, answers: Mapping[str, str]) -> None:
        """Keep what a daemon answered."""
        self._learned.extend(one for one, name in answers.items() if self._known.get(one) != name)
        self._known.update(answers)

    @property
    def n_learned(self) -> int:
        """How many names were learned so far."""
        return len(self._learned)

    def learned_since(self, number: int) -> list[str]:
        """Give the slides whose names were learned after so many."""
        return self._learned[number:]


def has_identity(slide: SlideStatus | None) -> bool:
    """Whether a name can be asked for: the identity of a slide is sealed when it leaves assemble.

    One that is not known here may be an earlier scan, and is asked for.
    """
    return slide is None or slide.stage is not Stage.ASSEMBLE or slide.revision > 1


def ask(root: Root, slide_ids: tuple[str, ...]) -> dict[str, str] | None:
    """Ask the release daemon for container identifiers, in one call.

    Returns
    -------
    dict
        Container identifier by slide id; empty when the daemon refuses.
    None
        The daemon is not there.
    """
    try:
        answer = control.call(root.socket("release"), "identify", slide_ids=list(slide_ids))
    except PeerUnavailable:
        return None
    except ApplianceError:
        return {}
    return identifiers(answer)


def find(root: Root, name: str) -> dict[str, str] | ApplianceError:
    """Ask the node which slides have exactly this container identifier.

    Asking the release daemon for ten thousand names to search in them would show an operator all of
    them; the node looks one up and answers with opaque ids.

    Returns
    -------
    dict
        The identifier by slide id; empty when no slide has it.
    ApplianceError
        Why it was not looked up.
    """
    try:
        answer = control.call(root.socket("node"), "find", container_identifier=name)
    except ApplianceError as error:
        return error
    found = answer.get("slide_ids")
    return dict.fromkeys(map(str, found), plain(name)) if isinstance(found, list) else {}


def identifiers(answer: Mapping[str, Any]) -> dict[str, str]:
    """Read the release daemon's answer; what does not fit is left out."""
    slides = answer.get("slides")
    if not isinstance(slides, dict):
        return {}
    found = {
        str(slide_id): identity.get("container_identifier")
        for slide_id, identity in slides.items()
        if isinstance(identity, dict)
    }
    return {slide_id: name for slide_id, name in found.items() if isinstance(name, str) and name}
