"""The command palette: everything that can be done, by name, and why something cannot. Pure."""

from collections.abc import Iterator, Mapping

from appliance.line import SlideStatus
from tui import words
from tui.action import Subject
from tui.actions import ACTIONS, MOVES
from tui.keys import default_keys, shown_key
from tui.offers import lacks_right, targets
from tui.view import View


def entries(
    view: View, slide: SlideStatus | None, own: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Give title, sentence with its key, and the application's action.

    An action without the right is there and says so; one that makes no sense is left out.

    Parameters
    ----------
    view, slide
        What is known, and the slide at the cursor.
    own
        Keys of the technician's own file, by action or move.
    """
    keys = default_keys() | dict(own)
    for action in ACTIONS:
        if not targets(action, view, slide):
            continue
        title = action.label
        if action.subject is Subject.SLIDE and slide is not None:
            title = f"{title}: {view.names.of(slide.slide_id)}"
        sentence = f"{action.sentence} Key {shown_key(keys[action.name])}."
        yield title, lacks_right(action, view.role) or sentence, f"act('{action.name}')"
    for move in MOVES:
        yield move.label, f"{move.sentence} Key {shown_key(keys[move.name])}.", move.name


def told(slide: SlideStatus) -> str:
    """Say in one line what somebody else needs to know of a slide; there is no identity in it."""
    code = f" [{slide.error_code}]" if slide.error_code else ""
    why = words.reason(slide) or words.STATES[slide.state].text
    return f"Slide {slide.slide_id} at {words.STAGES[slide.stage]}: {why}{code}"
