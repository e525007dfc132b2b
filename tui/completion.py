"""Completion of commands and options in bash, zsh and fish, made from the parser itself."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Make the script of a shell."""
    import shtab

    for action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Give every argument of a parser and of the commands below it."""
    for action in parser._actions:  # noqa: SLF001  argparse has no other way to list them
        yield action
        choices: Any = action.choices
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in choices.values():
                yield from _actions(below)
