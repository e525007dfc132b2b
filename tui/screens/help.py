"""Help, made from the same tables that make the keys and the rows."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from tui import words
from tui.actions import ACTIONS, MOVES, SHOWN_KEYS
from tui.panels import hanging, lines
from tui.rows import fitted, toned
from tui.screens.base import LineScreen
from tui.widgets.card import Card
from tui.words import Word

KEY_WIDTH = 10
LABEL_WIDTH = 14
LIST_KEYS = (
    ("↑ ↓", "Move", "To the next or the previous slide; home and end go to the edges."),
    ("enter", "Open", "Show all there is about the slide."),
    ("escape", "Back", "To the screen before; clears a filter."),
    ("ctrl+p", "Commands", "Everything on this page, by name."),
)


class HelpScreen(LineScreen):
    """Keys, glyphs and words."""

    HEADING = "help"

    def body(self) -> ComposeResult:
        """Put the keys first, then what the signs mean."""
        with VerticalScroll(id="help"):
            yield Card("Keys", id="keys")
            yield Card("Signs", id="legend")

    def on_mount(self) -> None:
        """Let the keys scroll."""
        super().on_mount()
        self.query_one("#keys", Card).show(_keys)
        self.query_one("#legend", Card).show(_legend)
        self.query_one("#help").focus()


def _keys(width: int) -> Content:
    parts = [_key(*row, width) for row in LIST_KEYS]
    parts.append(toned("\nOn the slide at the cursor (asked of its daemon, by your role)", "quiet"))
    parts.extend(
        _key(action.key, action.label, f"{action.sentence} ({words.ROLES[action.role]})", width)
        for action in ACTIONS
    )
    parts.append(toned("\nAnywhere", "quiet"))
    parts.extend(
        _key(SHOWN_KEYS.get(move.key, move.key), move.label, move.sentence, width) for move in MOVES
    )
    return lines(parts)


def _key(key: str, label: str, sentence: str, width: int) -> Content:
    head = Content.assemble(
        (fitted(Content(key), KEY_WIDTH).plain, "bold $primary"),
        (fitted(Content(label), LABEL_WIDTH).plain, "bold"),
    )
    return hanging(head, sentence, width)


def _legend(width: int) -> Content:
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
    return lines(parts)


def _sign(word: Word, sentence: str, width: int) -> Content:
    head = Content.assemble(
        toned(f"{word.glyph} ", word.tone, bold=True),
        fitted(toned(word.text, word.tone), LABEL_WIDTH),
    )
    return hanging(head, sentence, width)
