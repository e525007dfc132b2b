"""The keys of the application, made from the tables of actions and moves."""

from textual.binding import Binding, BindingType

from tui.actions import ACTIONS, MOVES, SHOWN_KEYS

NOT_IN_FOOTER = frozenset(
    {"label", "picture", "overlay", "audit", "settings", "copy", "copy_error", "theme", "quit"}
)
"""Moves that a narrow footer has no room for; help and palette name them."""
AT_ONCE = frozenset({"find"})
"""Moves after which letters are typed, over a slow line in one go: what they open has to have the
focus before the next key is looked at, or a letter of a name would hold a slide."""


def bindings() -> list[BindingType]:
    """Make the keys from the tables."""
    of_actions = [
        Binding(
            action.key,
            f"act('{action.name}')",
            action.label,
            tooltip=action.sentence,
            id=action.name,
        )
        for action in ACTIONS
    ]
    of_moves = [
        Binding(
            move.key,
            move.name,
            move.label,
            tooltip=move.sentence,
            id=move.name,
            key_display=SHOWN_KEYS.get(move.key),
            show=move.name not in NOT_IN_FOOTER,
            priority=move.name in AT_ONCE,
        )
        for move in MOVES
    ]
    return [*of_actions, *of_moves]


def default_keys() -> dict[str, str]:
    """Give the key of every action and move by its name, as the table has it."""
    return {one.name: one.key for one in ACTIONS} | {one.name: one.key for one in MOVES}


def shown_key(key: str) -> str:
    """Write a key as people do; several are parted by a comma."""
    return " ".join(SHOWN_KEYS.get(one, one) for one in key.split(","))
