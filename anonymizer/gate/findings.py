"""What the gate says: which checks there are, how often each was made, and what one of them found.

A finding names the place in the output, the check and the rule; never a value, a patient or a UID.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anonymizer.gate.sought import Origin
from appliance.errors import IdentityDoubt


class Check(StrEnum):
    """A kind of judgement; its name stands in findings and in the report."""

    PREAMBLE = "preamble"
    FILE_META = "file meta"
    MARKS = "marks"
    RULE = "rule"
    PRIVATE = "private"
    VR = "value representation"
    UID = "uid"
    DATE = "date"
    AGE = "age"
    CODE = "code"
    TEXT = "text"
    TERM = "defined term"
    NUMBER = "number"
    BINARY = "binary"
    TYPE = "type"
    BYTES = "bytes"


MEANINGS: Mapping[Check, str] = {
    Check.PREAMBLE: "the preamble is empty (PS3.15 E.1.1, PS3.10 7.1)",
    Check.FILE_META: "the file meta information is ours (PS3.15 E.1.1)",
    Check.MARKS: "the marks of de-identification are there and right (PS3.15 E.1.1, E.2, CID 7050)",
    Check.RULE: "nothing is there that its rule removes, and what is there has the rule's form",
    Check.PRIVATE: "private attributes are known to be safe (PS3.15 E.3.10)",
    Check.VR: "attributes have the value representation of the IOD (PS3.5 6.2)",
    Check.UID: "UIDs are registered or ours, and none is of the input (PS3.15 E.1.1)",
    Check.DATE: "dates are those of the input moved by the patient's weeks (PS3.15 E.3.6)",
    Check.AGE: "no age is above 90 years",
    Check.CODE: "codes and their meanings are those of the table (PS3.15 E.3.4)",
    Check.TEXT: "texts hold no value, word or date of the input",
    Check.TERM: "defined terms hold no name or number of the input",
    Check.NUMBER: "numbers are no long number of the input",
    Check.BINARY: "binary values are ours, or hold no text of the input",
    Check.TYPE: "attributes of Types 1 and 2 are there as in the input (PS3.5 7.4)",
    Check.BYTES: "the bytes of the file hold no value of the input in any encoding",
}


_INDISTINCT = "words that tables of the standard bring in as well: cannot be told apart"


@dataclass(slots=True)
class Judged:
    """What was judged in one file, and found good."""

    counts: Counter[Check] = field(default_factory=Counter)
    """How many judgements of each kind were made."""
    harmless: set[str] = field(default_factory=set)
    """Words that tables, marks and options bring in; these tell nothing about the input."""
    indistinct: set[str] = field(default_factory=set)
    """Values of the input that a table brings in as well; never written anywhere."""

    def saw(self, check: Check, words: Iterable[str] = ()) -> None:
        """Count a judgement, and note the words that a table brought in with it."""
        self.counts[check] += 1
        self.harmless.update(words)

    def add(self, other: "Judged") -> None:
        """Add what was judged in another file of the slide."""
        self.counts += other.counts
        self.harmless |= other.harmless
        self.indistinct |= other.indistinct

    def not_told_apart(self) -> dict[str, int]:
        """Count the words of the input that tables bring in as well, for the report."""
        return {_INDISTINCT: len(self.indistinct)} if self.indistinct else {}


def fault(check: Check, place: str, what: str, rule: str) -> IdentityDoubt:
    """Say that something is there, or is so, that must not be.

    Parameters
    ----------
    check
        Which check found it.
    place
        Path of the attribute, or a part of the file.
    what
        What is wrong, to follow the place.
    rule
        Rule that it breaks.
    """
    return IdentityDoubt(
        f"{place} of the de-identified object {what} (check {check}, rule {rule}). Nothing of the"
        " slide leaves; it is set aside."
    )


def leftover(check: Check, place: str, origin: Origin) -> IdentityDoubt:
    """Say that something of the input is still there."""
    return IdentityDoubt(
        f"Something of {origin.path} in the original is still in {place} of the de-identified"
        f" object (check {check}, rule {origin.rule})."
    )
