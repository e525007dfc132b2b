"""Writes `messages.md`: every error code, what it means, what to do, and every sentence it says.

Run it after a change of an error or of its sentence, from the repository's root:
.venv/bin/python -m docs.messages_doc
"""

from collections.abc import Iterator
from pathlib import Path

from appliance.errors import EXIT_CONFIG
from appliance.messages import FATES, MESSAGES, PROTOCOL, SET_ASIDE_BY_OPERATOR, Fate
from docs.sentences import UNKNOWN, Source, code_of

FILE = Path(__file__).with_name("messages.md")
EXIT_REFUSED = 2
HEAD = """# Messages

Every error that Coverslip can raise, by its code. Search this page for words of the sentence that
the screen, a command or the log said; `…` stands for a name or a number that is another each time.
`python -m docs.messages_doc` makes this page out of the source, and a test compares them.

No message holds a name, a number or a date of a patient.

## What happens next by itself

| kind | what happens | exit code of a command |
|---|---|---|
"""
KINDS = {
    Fate.STOP: "Set up wrongly",
    Fate.AGAIN: "Tried again",
    Fate.ASIDE: "Set aside",
    Fate.NOTHING: "Refused",
}
MORE = {
    SET_ASIDE_BY_OPERATOR: ["The reason that the operator gave."],
    PROTOCOL: ["The request is not understood."],
}
"""What is said under codes that no class of errors carries."""
ALARMS = """
## What the screen says of the machine

These stand above the slides, on the screen and in `coverslip status`, for as long as they hold.

| it says | what to do |
|---|---|
"""


def page(source: Source) -> str:
    """Make the whole file."""
    sentences = sentences_by_code(source)
    parts = [HEAD, *(_kind_row(fate) for fate in Fate)]
    for fate in Fate:
        parts.append(f"\n## {KINDS[fate]}\n")
        parts.extend(
            _code(code, sentences.get(code, []))
            for code, message in MESSAGES.items()
            if message.fate is fate
        )
    parts.extend((ALARMS, *sorted(_alarms(source))))
    return "".join(parts)


def sentences_by_code(source: Source) -> dict[str, list[str]]:
    """Give every sentence that the source says, by its code."""
    classes = source.error_classes()
    found: dict[str, set[str]] = {code: set(said) for code, said in MORE.items()}
    for name in classes:
        found.setdefault(code_of(name, classes), set()).update(source.said(name))
    found["no-journal"].update(source.said("JournalLost"))
    return {code: sorted(said) for code, said in found.items()}


def _kind_row(fate: Fate) -> str:
    code = EXIT_CONFIG if fate is Fate.STOP else EXIT_REFUSED
    return f"| {KINDS[fate]} | {FATES[fate]} | {code} |\n"


def _code(code: str, sentences: list[str]) -> str:
    message = MESSAGES[code]
    said = "".join(f"- {_plain(sentence)}\n" for sentence in sentences)
    return (
        f"\n### {message.title} (`{code}`)\n\n"
        f"{_plain(message.cause)} **What to do:** {_plain(message.next_step)}\n"
        + (f"\n{said}" if said else "")
    )


def _alarms(source: Source) -> Iterator[str]:
    """Give a row for each place in the source that makes an alarm."""
    for sentences, steps in source.said_together("Alarm", "sentence", "next_step"):
        known = source.said("JournalLost") if sentences == [UNKNOWN] else sentences
        yield f"| {'<br>'.join(map(_plain, known))} | {'<br>'.join(map(_plain, steps))} |\n"


def _plain(text: str) -> str:
    """Keep Markdown from reading marks in a sentence as its own."""
    for mark in "`*<>|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(page(Source()), encoding="utf-8")
