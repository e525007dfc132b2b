"""Judging single values by their VR: UIDs, dates, ages, texts, terms, numbers and binary values."""

import re
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping

from anonymizer.gate.findings import Check, Judged, fault, leftover
from anonymizer.gate.forms import (
    BROUGHT_BY_TABLES,
    SIZES,
    is_canonical,
    is_dummy,
    is_kept,
    is_plain,
    is_pseudonym,
)
from anonymizer.gate.looking import find_in, find_patient_in, find_whole
from anonymizer.gate.readable import texts_in
from anonymizer.gate.sought import Needles, Origin
from anonymizer.gate.spellings import words_of
from anonymizer.pixels.icc import is_reviewed
from anonymizer.profile.decide import STAYS, Action, Decision
from anonymizer.pseudonyms import is_registered
from anonymizer.rewrite.content_rules import TEXT_VALUE, is_known_text
from anonymizer.rewrite.values import is_term

_UUID_ROOT = "2.25."
_UUID_VERSION, _UUID_VARIANT = 8, 0b10
_OLDEST_YEARS = 90
_LONG_NUMBER = 10**8
_INTEGERS = {"SL": "<i", "UL": "<I", "SV": "<q", "UV": "<Q", "FL": "<f", "FD": "<d"}
_PADDING = b" \0"
_DATE = re.compile(r"\d{4}(\d\d)?(\d\d)?")
_OWN_UIDS = frozenset((0x00080018, 0x0020000D, 0x0020000E, 0x00081155, 0x00400554))
"""They name things of the hospital, never something that the standard registers."""


class ValueJudge:
    """Judges values of one output.

    Parameters
    ----------
    needles
        What must not be found.
    judged
        Counts what was judged.
    """

    def __init__(self, needles: Needles, judged: Judged) -> None:
        self._needles = needles
        self._judged = judged
        self._packed = dict(_packed(needles))
        self._by_vr: Mapping[str, Callable[[str, int, str, Decision], None]] = {
            "UI": self._uid,
            "DA": self._date,
            "DT": self._date,
            "AS": self._age,
            "CS": self._term,
            "DS": self._digits,
            "IS": self._digits,
            "TM": self._nothing,
        }

    def binary(self, place: str, vr: str, value: bytes, decision: Decision) -> None:
        """Judge a value that is no text."""
        size = SIZES.get(vr, 1)
        if len(value) % size:
            raise fault(Check.VR, place, "has not the length of its VR", "PS3.5 6.2")
        if vr in _INTEGERS or vr in ("US", "SS", "AT"):
            self._judged.counts[Check.NUMBER] += 1
            self._search(Check.NUMBER, place, self._packed.get(value))
            return
        self._judged.saw(Check.BINARY)
        if is_canonical(value) or is_reviewed(value, decision.detail):
            return
        if decision.action not in STAYS:
            raise fault(Check.BINARY, place, "is not a binary value of ours", decision.rule)
        for found in texts_in(value):
            self._search(Check.BINARY, place, find_in(found, self._needles))

    def text(self, place: str, tag: int, vr: str, value: str, decision: Decision) -> None:
        """Judge one value that is written in characters."""
        if not is_plain(value, vr):
            raise fault(Check.VR, place, "has not the form of its VR", "PS3.5 6.2")
        if is_dummy(value, vr):
            self._judged.saw(Check.RULE, words_of(value))
            return
        judge = self._by_vr.get(vr, self._words)
        judge(place, tag, value, decision)

    def _nothing(self, _place: str, _tag: int, _value: str, _decision: Decision) -> None:
        self._judged.saw(Check.RULE)

    def _uid(self, place: str, tag: int, value: str, _decision: Decision) -> None:
        self._judged.saw(Check.UID)
        if value in self._needles.kept.uids:
            return
        self._search(Check.UID, place, self._needles.uids.get(value))
        if is_registered(value) and tag not in _OWN_UIDS:
            return
        if not is_ours(value):
            raise fault(Check.UID, place, "is a UID that is neither registered nor ours", "E.1-1 U")

    def _date(self, place: str, _tag: int, value: str, _decision: Decision) -> None:
        self._judged.saw(Check.DATE)
        match = _DATE.match(value)
        day = match.group() if match else ""
        needles = self._needles
        if any("".join(date).startswith(day) for date in needles.kept.dates):
            return
        for date, origin in needles.dates.items():
            if "".join(date).startswith(day):
                raise leftover(Check.DATE, place, origin)
        if needles.shift_weeks is not None:
            what = "is no date of the input, moved by the weeks of the patient"
            raise fault(Check.DATE, place, what, "E.3.6")

    def _age(self, place: str, _tag: int, value: str, _decision: Decision) -> None:
        self._judged.saw(Check.AGE)
        if value.endswith("Y") and int(value[:-1]) > _OLDEST_YEARS:
            raise fault(Check.AGE, place, f"is an age above {_OLDEST_YEARS}", "E.3.7")

    def _term(self, place: str, tag: int, value: str, decision: Decision) -> None:
        is_public = not (tag >> 16) & 1
        if value != "REMOVED" and not (is_public and is_term(value.encode("ascii"))):
            self._search(Check.TERM, place, find_in(value, self._needles))
            if is_public:
                raise fault(Check.TERM, place, "is no term of the standard", decision.rule)
        self._judged.saw(Check.TERM, words_of(value))
        self._note_indistinct(words_of(value))

    def _digits(self, place: str, _tag: int, value: str, _decision: Decision) -> None:
        self._judged.saw(Check.NUMBER)
        whole = value.lstrip("+-").split(".")[0]
        if whole.isdecimal():
            self._search(Check.NUMBER, place, self._needles.numbers.get(int(whole)))

    def _words(self, place: str, tag: int, value: str, decision: Decision) -> None:
        needles = self._needles
        if decision.action in BROUGHT_BY_TABLES or (
            tag == TEXT_VALUE and is_known_text(value.encode("utf-8"))
        ):
            self._judged.saw(Check.TEXT, words_of(value))
            self._note_indistinct(words_of(value))
        elif decision.action is Action.PSEUDONYM or is_pseudonym(value, needles):
            self._judged.saw(Check.TEXT)
            self._search(Check.TEXT, place, find_whole(value, needles))
        elif is_kept(value, needles):
            self._search(Check.TEXT, place, find_patient_in(value, needles))
            self._judged.saw(Check.TEXT, words_of(value))
            self._note_indistinct(words_of(value))
        else:
            self._search(Check.TEXT, place, find_in(value, needles))
            what = "is a text that no option keeps and no table brings in"
            raise fault(Check.TEXT, place, what, decision.rule)

    def _note_indistinct(self, words: list[str]) -> None:
        known = self._needles.words
        self._judged.indistinct.update(word for word in words if word in known)

    def _search(self, check: Check, place: str, origin: Origin | None) -> None:
        if origin is not None:
            raise leftover(check, place, origin)


def is_ours(uid: str) -> bool:
    """Whether a UID is a UUID in the form that we give it (PS3.5 B.2, RFC 9562 5.8)."""
    digits = uid.removeprefix(_UUID_ROOT)
    if digits == uid or not digits.isdecimal() or digits[0] == "0" or int(digits) >> 128:
        return False
    made = uuid.UUID(int=int(digits))
    return made.bytes[6] >> 4 == _UUID_VERSION and made.bytes[8] >> 6 == _UUID_VARIANT


def _packed(needles: Needles) -> Iterator[tuple[bytes, Origin]]:
    """Long numbers of the input as binary values; shorter ones are measures by chance too often."""
    for number, origin in needles.numbers.items():
        if number >= _LONG_NUMBER:
            for form in _INTEGERS.values():
                try:
                    data = struct.pack(form, number)
                    if struct.unpack(form, data)[0] == number:
                        yield data, origin
                except (struct.error, OverflowError):
                    continue
