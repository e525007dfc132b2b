"""What `coverslip models import` must know: from its flags, and on a terminal by asking."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from appliance.errors import ConfigError
from inference.importing.wanted import (
    BGR,
    CHANNELS_FIRST,
    CHANNELS_LAST,
    LOGITS,
    ONE_LOGIT,
    PROBABILITIES,
    RGB,
    TASKS,
)

Ask = Callable[[str], str]
"""Shows a question and gives the line that was typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing that must be known."""

    flag: str
    words: str
    choices: tuple[str, ...] = ()
    several: bool = False
    """Given once for each, in order."""


CODED: Final = "SCHEME:VALUE:MEANING"
QUESTIONS: Final = (
    Question(flag="name", words="name of the model (a-z, 0-9 and hyphens)"),
    Question(flag="task", words="what it does", choices=TASKS),
    Question(flag="um_px", words="resolution that it was trained at, in µm/px"),
    Question(
        flag="class",
        words=f"the classes, in the order of its output: NAME={CODED} (the code may be left out "
        "for the classes of the class map)",
        several=True,
    ),
    Question(flag="licence", words="licence of the weights"),
    Question(flag="intended_use", words="what it is for, and what it is not for"),
    Question(flag="trained_on", words="what it was trained on"),
    Question(flag="channels", words="order of the colours that it wants", choices=(RGB, BGR)),
    Question(
        flag="layout",
        words="order of the axes of its input",
        choices=(CHANNELS_FIRST, CHANNELS_LAST),
    ),
    Question(flag="mean", words="mean that is subtracted from pixels of 0 to 1: R,G,B"),
    Question(flag="std", words="standard deviation that divides them (1/255 is allowed): R,G,B"),
    Question(
        flag="gives",
        words="what its output holds (one_logit: a sigmoid for the second of two classes)",
        choices=(LOGITS, PROBABILITIES, ONE_LOGIT),
    ),
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each question, and for what has a default."""
    for question in QUESTIONS:
        flag = "--" + question.flag.replace("_", "-")
        if question.several:
            parser.add_argument(flag, dest=question.flag, action="append", help=question.words)
        else:
            parser.add_argument(
                flag, dest=question.flag, choices=question.choices or None, help=question.words
            )
    parser.add_argument("--version", default="1", help="numbers with dots (default: 1)")
    parser.add_argument("--tile-px", type=int, help="side of a tile, where the file leaves it open")
    parser.add_argument("--output", help="which of several outputs")
    parser.add_argument(
        "--threshold",
        action="append",
        metavar="CLASS=P",
        help="least probability of a class; a tile classifier reports the classes that have one "
        "(default: 0.5 for its last class)",
    )
    for flag, words in (("--stain", "a stain that"), ("--body-site", "a body site that")):
        parser.add_argument(
            flag, action="append", metavar=CODED, help=f"{words} the slide's header must name"
        )
    parser.add_argument(
        "--example",
        nargs=2,
        metavar=("IMAGE", "CLASS"),
        help="a picture of one tile and the class the model must see in it",
    )


def answered(arguments: argparse.Namespace, ask: Ask | None) -> dict[str, Any]:
    """Take the answers from the flags, and ask for those that are left out.

    Raises
    ------
    ConfigError
        Something is left out, and nobody can be asked.
    """
    given = dict(vars(arguments))
    missing = [question for question in QUESTIONS if not given.get(question.flag)]
    if missing and ask is None:
        flags = ", ".join("--" + question.flag.replace("_", "-") for question in missing)
        raise ConfigError(f"models import needs to know more of the model: {flags}.")
    for question in missing:
        if ask is not None:
            given[question.flag] = _asked(question, ask)
    return given


def _asked(question: Question, ask: Ask) -> str | list[str]:
    words = question.words
    if question.choices:
        words += f" ({', '.join(question.choices)})"
    if question.several:
        lines = []
        while line := ask(f"{words}; an empty line ends: ").strip():
            lines.append(line)
        if lines:
            return lines
        return _asked(question, ask)
    answer = ask(f"{words}: ").strip()
    good = answer and (not question.choices or answer in question.choices)
    return answer if good else _asked(question, ask)
