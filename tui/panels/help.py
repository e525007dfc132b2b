"""What the help says: keys as they are bound, and what signs and words mean. Pure."""

from collections.abc import Iterable, Mapping

from textual.content import Content

from tui import words
from tui.action import Action
from tui.actions import MOVES, SLIDE_ACTIONS
from tui.keys import default_keys, shown_key
from tui.machine_actions import MACHINE_ACTIONS
from tui.offers import lacks_right
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View
from tui.words import Word

KEY_WIDTH = 10
LABEL_WIDTH = 18
LIST_KEYS = (
    ("↑ ↓", "Move", "To the next or the previous slide; home and end go to the edges."),
    ("enter", "Open", "Show all there is about the slide."),
    ("[ ]", "Other scans", "On a slide: to the earlier or the later scan of its container."),
    ("end", "Go on", "In log and audit: to the newest line, and follow; up stops at a line."),
    ("v", "Level", "In the log: all levels, warnings and errors, errors only."),
    ("o", "Operators", "In the audit trail: only what people did, and everything again."),
    ("n", "Next mistake", "In the settings: to the next line that has a mistake."),
    ("escape", "Back", "To the screen before; clears a filter."),
    ("ctrl+p", "Commands", "Everything on this page, by name."),
)
ON_SLIDES = (
    "On the slide at the cursor (its daemon decides by your role, and writes down who asked)"
)
ON_THE_MACHINE = "On routes, daemons and the node; where there are several you are asked which"
YOUR_FILE = "Keys, theme and bell are yours to set: {place}"


def keys(view: View, own: Mapping[str, str], place: str, *, width: int) -> Content:
    """List the keys.

    Parameters
    ----------
    view
        With the operator's role.
    own
        Keys of the technician's own file, by action or move.
    place
        Where that file is; empty when there is none.
    width
        Cells there are.
    """
    bound = default_keys() | dict(own)
    parts = [_key(*row, width) for row in LIST_KEYS]
    parts.append(toned(f"\n{ON_SLIDES}", "quiet"))
    parts.extend(_actions(SLIDE_ACTIONS, view, bound, width))
    parts.append(toned(f"\n{ON_THE_MACHINE}", "quiet"))
    parts.extend(_actions(MACHINE_ACTIONS, view, bound, width))
    parts.append(toned("\nAnywhere", "quiet"))
    parts.extend(_key(bound[move.name], move.label, move.sentence, width) for move in MOVES)
    if place:
        parts.append(toned(f"\n{YOUR_FILE.format(place=place)}", "quiet"))
    return lines(parts)


def _actions(
    actions: Iterable[Action], view: View, bound: Mapping[str, str], width: int
) -> Iterable[Content]:
    for action in actions:
        lacks = bool(lacks_right(action, view.role))
        right = f"needs {words.ROLES[action.role]}" if lacks else words.ROLES[action.role]
        drawn = _key(bound[action.name], action.label, f"{action.sentence} ({right})", width)
        yield drawn.stylize(words.TONES["quiet"]) if lacks else drawn


def _key(key: str, label: str, sentence: str, width: int) -> Content:
    head = Content.assemble(
        (fitted(Content(shown_key(key)), KEY_WIDTH).plain, "bold $primary"),
        (fitted(Content(label), LABEL_WIDTH).plain, "bold"),
    )
    return hanging(head, sentence, width)


def legend(width: int) -> Content:
    """Say what the signs mean."""
    parts = [toned("The line: a slide walks six stages, left to right", "quiet")]
    parts.extend(
        hanging(
            Content.assemble("  ", fitted(Content.styled(text, "bold"), LABEL_WIDTH)),
            words.STAGE_SENTENCES[stage],
            width,
        )
        for stage, text in words.STAGES.items()
    )
    parts.append(toned("\nWhere it is", "quiet"))
    parts.extend(
        _sign(word, words.NEXT_STEPS[state], width) for state, word in words.STATES.items()
    )
    parts.append(_sign(words.TO_COME, "The slide has not been there yet.", width))
    parts.append(toned("\nVerdict", "quiet"))
    parts.extend(
        _sign(word, words.VERDICT_SENTENCES[verdict], width)
        for verdict, word in words.VERDICTS.items()
    )
    parts.extend(
        _sign(word, words.MARK_SENTENCES[mark], width) for mark, word in words.MARKS.items()
    )
    parts.append(_sign(words.SUPERSEDED, "This verdict asks for nothing any more.", width))
    return lines(parts)


def _sign(word: Word, sentence: str, width: int) -> Content:
    head = Content.assemble(
        toned(f"{word.glyph} ", word.tone, bold=True),
        fitted(toned(word.text, word.tone), LABEL_WIDTH),
    )
    return hanging(head, sentence, width)
