"""What is wrong with one slide, in full: what happened, what kind of trouble it is, what to do."""

from textual.content import Content

from appliance.line import SlideStatus, State
from tui import words
from tui.messages import Explanation, explained
from tui.panels import summary as panels
from tui.panels.summary import hanging, labelled, lines
from tui.rows import toned
from tui.words import Tone


def trouble(slide: SlideStatus, width: int) -> Content | None:
    """Explain the trouble of a slide; None when there is none."""
    why = explained(slide)
    if why is None:
        return panels.trouble(slide)
    tone: Tone = "bad" if slide.state is State.ASIDE else "warn"
    return lines(
        [
            hanging(
                toned(f"{words.STATES[slide.state].glyph} ", tone, bold=True),
                why.sentence or why.title,
                width,
                tone,
            ),
            *_explained(why, width),
        ]
    )


def _explained(why: Explanation, width: int) -> list[Content]:
    return [
        labelled("→ next step", why.next_step, width),
        labelled("  kind", f"{why.title} ({why.code})", width),
        labelled("  cause", why.cause, width),
        labelled("  by itself", why.fate, width),
    ]
