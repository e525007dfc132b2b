"""The keys of the application, made from the tables of actions and moves."""

from textual.binding import Binding, BindingType

from tui.actions import ACTIONS, MOVES, SHOWN_KEYS

NOT_IN_FOOTER = ("label", "copy", "theme", "quit")
"""Moves that a narrow footer has no room for; help and palette name them."""


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
        )
        for move in MOVES
    ]
    return [*of_actions, *of_moves]
