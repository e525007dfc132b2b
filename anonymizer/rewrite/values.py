"""Replacement of single values: dates, times, versions, words of a vocabulary, dummies.

Every function takes and gives raw bytes, one value or several with backslashes between, and gives
None when the value has not the form that its VR asks for (PS3.5 6.2).
"""

import datetime as dt
import re
from collections.abc import Callable
from functools import cache

from anonymizer.profile.table import vocabulary

_DATE = re.compile(rb"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_DATE_TIME = re.compile(
    rb"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?"
)
_TIME = re.compile(rb"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?")
_TIMEZONE = re.compile(rb"[+-](0\d|1[0-4])(00|15|30|45)")
_VERSION = re.compile(rb"[vV]?\d{1,4}(\.\d{1,4}){0,5}|[Uu]nknown")
_AGE = re.compile(rb"\d{3}[DWMY]")
_OLDEST = b"090Y"
_SHORT_NUMBER = re.compile(rb"\d{1,4}")
_FORMS = {
    "DS": re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *|"),
    "IS": re.compile(rb" *[+-]?\d{1,12} *|"),
    "UI": re.compile(rb"[0-9.]{0,64}"),
}
_SIZES = {"AT": 4, "FL": 4, "FD": 8, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_ARRAYS = {"OD": 8, "OF": 4, "OL": 4, "OV": 8}
_SIZES |= _ARRAYS
_READS_AS_TEXT = re.compile(rb"\A[\x20-\x7e]{11,}\0*\Z|[\x20-\x7e]{32}")
"""Letters alone (1 in 10^5 by chance), or more of them in a row than numbers have (1 in 10^14)."""
_DUMMIES = {
    "AE": b"REMOVED",
    "AS": b"000Y",
    "CS": b"REMOVED",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "PN": b"REMOVED",
    "TM": b"000000",
    "UR": b"urn:removed",
}
_PADDING = b" \0"


def shifted(value: bytes, vr: str, weeks: int) -> bytes | None:
    """Move a DA or DT value into the past by whole weeks; the time of day stays."""
    shift = _shift_date if vr == "DA" else _shift_date_time
    return _each(value, lambda one: shift(one, weeks))


def kept(value: bytes, vr: str) -> bytes | None:
    """Give a value back that is no text, when it has the form of the VR."""
    if vr in ("DA", "DT"):
        return shifted(value, vr, 0)
    if vr == "TM":
        return clean_time(value)
    if vr == "CS":
        return _terms(value)
    if vr in _FORMS:
        return _each(value, lambda one: one if _FORMS[vr].fullmatch(one) else None)
    size = _SIZES.get(vr)
    if size is not None and len(value) % size:
        return None
    return None if vr in _ARRAYS and _READS_AS_TEXT.search(value) else value


def capped_age(value: bytes) -> bytes | None:
    """Give an age back; so few people are older than 89 that all of them are 90."""
    return _each(value, _capped)


def is_term(value: bytes) -> bool:
    """Whether a code string is a term that the standard defines, or a short number."""
    word = value.strip(_PADDING)
    return not word or bool(_SHORT_NUMBER.fullmatch(word)) or _lower(word) in _code_strings()


def clean_time(value: bytes) -> bytes | None:
    """Give a TM value back."""
    return _each(value, lambda one: one if _TIME.fullmatch(one) else None)


def clean_timezone(value: bytes) -> bytes | None:
    """Give an offset from UTC back."""
    return _each(value, lambda one: one if _TIMEZONE.fullmatch(one) else None)


def clean_version(value: bytes) -> bytes | None:
    """Give back version numbers such as 1.2.3."""
    return _each(value, lambda one: one if _VERSION.fullmatch(one) else None)


def clean_words(value: bytes, name: str) -> bytes | None:
    """Give a text back when the named vocabulary knows all its words.

    Numbers of up to four digits count as known.
    """
    words = vocabulary(name)
    found = re.findall(rb"[^\s,.()/&-]+", value.strip(_PADDING))
    known = all(_SHORT_NUMBER.fullmatch(word) or _lower(word) in words for word in found)
    return value.strip(_PADDING) if known else None


def is_plain_label(value: bytes) -> bool:
    """Whether a label is a mere number of up to four digits."""
    return _SHORT_NUMBER.fullmatch(value.strip(_PADDING)) is not None


def dummy(vr: str) -> bytes:
    """Give a value that stands for nothing, for an attribute that must have one."""
    if vr in _SIZES:
        return bytes(_SIZES[vr])
    return _DUMMIES.get(vr, b"\0\0" if vr[0] == "O" or vr == "UN" else b"Removed")


def _terms(value: bytes) -> bytes | None:
    """Give code strings back; a name fits into them, so that what is no term is removed."""
    found = [one.strip(_PADDING) for one in value.split(b"\\")]
    known = [one if is_term(one) else _DUMMIES["CS"] for one in found]
    return b"\\".join(known) if any(map(is_term, found)) else None


@cache
def _code_strings() -> frozenset[str]:
    return vocabulary("code_strings")


def _each(value: bytes, change: Callable[[bytes], bytes | None]) -> bytes | None:
    changed = [change(one.strip(_PADDING)) for one in value.split(b"\\")]
    known = [one for one in changed if one is not None]
    return b"\\".join(known) if len(known) == len(changed) else None


def _lower(word: bytes) -> str:
    return word.decode("ascii", "replace").lower()


def _capped(age: bytes) -> bytes | None:
    if not _AGE.fullmatch(age):
        return b"" if not age else None
    return min(age, _OLDEST) if age.endswith(b"Y") else age


def _shift_date(value: bytes, weeks: int) -> bytes | None:
    match = _DATE.fullmatch(value)
    if match is None:
        return b"" if not value else None
    return _moved(match.groups(), weeks)


def _shift_date_time(value: bytes, weeks: int) -> bytes | None:
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return b"" if not value else None
    year, month, day, time, zone = match.groups(default=b"")
    moved = _moved((year, month or b"01", day or b"01"), weeks)
    if moved is None:
        return None
    precision = len(year) + len(month) + len(day)
    return moved[:precision] + time + zone


def _moved(parts: tuple[bytes, ...], weeks: int) -> bytes | None:
    try:
        date = dt.date(*(int(part) for part in parts)) - dt.timedelta(weeks=weeks)
    except (ValueError, OverflowError):
        return None
    return f"{date:%Y%m%d}".rjust(8, "0").encode("ascii")
