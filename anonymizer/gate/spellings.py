"""How one value can be spelled: other orders, separators, cases, scripts and encodings.

Pure: texts in, texts or bytes out, and no order of the results matters.
"""

import base64
import re
import string
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+")
_SEPARATOR = re.compile(r"[\W_]+")
_DATE = re.compile(
    r"(?<!\d)(?:(?P<y>1[89]\d\d|20\d\d)(?P<s>[-./ ]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>[0-3]\d)"
    r"|(?P<d2>[0-3]?\d)[./](?P<m2>[01]?\d)[./](?P<y2>1[89]\d\d|20\d\d))"
    r"(?=(?:\d\d){0,3}(?!\d))"  # a time of day may follow, as in DT
)
_MONTHS = (
    ("january", "januar"),
    ("february", "februar"),
    ("march", "märz"),
    ("april", "april"),
    ("may", "mai"),
    ("june", "juni"),
    ("july", "juli"),
    ("august", "august"),
    ("september", "september"),
    ("october", "oktober"),
    ("november", "november"),
    ("december", "dezember"),
)
_DATE_FORMS = (
    *("{y}{m}{d}", "{d}{m}{y}", "{m}{d}{y}", "{y}-{m}-{d}", "{y}/{m}/{d}", "{y}.{m}.{d}"),
    *("{d}.{m}.{y}", "{d}/{m}/{y}", "{m}/{d}/{y}", "{d}-{m}-{y}", "{m}-{d}-{y}"),
    *("{d1}.{m1}.{y}", "{m1}/{d1}/{y}", "{d1}/{m1}/{y}", "{y}-{m1}-{d1}"),
    *("{d}.{m}.{s}", "{d}/{m}/{s}", "{m}/{d}/{s}", "{s}-{m}-{d}", "{d1}.{m1}.{s}"),
    *("{m1}/{d1}/{s}", "{d1}/{m1}/{s}"),
)
_NAMED_FORMS = (
    *("{d1} {n} {y}", "{d1}. {n} {y}", "{n} {d1}, {y}", "{n} {d1} {y}", "{d}-{n}-{y}"),
    *("{d}{n}{y}", "{d} {n} {y}"),
)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_DIGITS_AND_DOTS = frozenset(b"0123456789.")
_SHORTEST_NUMBER = 4
_MOST_COMPONENTS = 5


def words_of(text: str) -> list[str]:
    """Words of a text in the form in which they are compared."""
    return _WORD.findall(compared(text))


def compared(text: str) -> str:
    """Give a text without differences of case, width, composition and accents."""
    if text.isascii():
        return text.lower()
    return folded(unicodedata.normalize("NFKC", text)).casefold()


def squashed(text: str) -> str:
    """Give nothing but the letters and digits of a text, as they are compared."""
    return _SEPARATOR.sub("", compared(text))


def folded(text: str) -> str:
    """Write letters with accents without them."""
    parts = unicodedata.normalize("NFD", text.translate(_LETTERS))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def orders(name: str) -> frozenset[str]:
    """Spell a person name (PS3.5 6.2.1.2) in every order and with initials.

    Each of its groups (alphabetic, ideographic, phonetic) is spelled by itself.
    """
    found = {name}
    for group in name.split("="):
        parts = [part.strip() for part in group.split("^")[:_MOST_COMPONENTS]]
        family, given = (*parts, "", "")[:2]
        found.add(group)
        found.update(part for part in parts[:3] if part)
        if family and given:
            found.update(_two_parts(family, given))
        if len(parts) > 2 and parts[2]:  # noqa: PLR2004 - the middle name
            found.add(f"{given} {parts[2]} {family}")
    return frozenset(found)


def usual_orders(name: str) -> frozenset[str]:
    """Give a person name as it is, its components, and the names in both orders."""
    parts = [part.strip() for part in name.split("=", maxsplit=1)[0].split("^")]
    family, given = (*parts, "", "")[:2]
    groups = name.split("=")
    return frozenset((name, *groups, family, given, f"{given} {family}", f"{family} {given}"))


def _two_parts(family: str, given: str) -> Iterator[str]:
    for first, second in ((family, given), (given, family)):
        yield from (f"{first}{glue}{second}" for glue in ("", " ", "^", ", ", "_", ".", "-"))
    letter = given[0]
    yield from (f"{letter}. {family}", f"{letter} {family}", f"{letter}.{family}")
    yield from (f"{family} {letter}", f"{family}, {letter}", f"{family}^{letter}")
    yield from (f"{letter}{family}", f"{family}{letter}")


def dates_in(text: str) -> frozenset[tuple[str, str, str]]:
    """Find the dates of a text, as year, month and day in digits."""
    found = set()
    for match in _DATE.finditer(text):
        year = match["y"] or match["y2"]
        month = (match["m"] or match["m2"]).zfill(2)
        day = (match["d"] or match["d2"]).zfill(2)
        if "01" <= month <= "12" and "01" <= day <= "31":
            found.add((year, month, day))
    return frozenset(found)


def date_spellings(year: str, month: str, day: str) -> frozenset[str]:
    """Spell a date in the ways in which people do, in lower case."""
    plain = {"y": year, "s": year[2:], "m": month, "d": day}
    plain |= {"m1": month.lstrip("0"), "d1": day.lstrip("0")}
    names = {name[:length] for name in _MONTHS[int(month) - 1] for length in (3, len(name))}
    return frozenset(form.format(**plain) for form in _DATE_FORMS) | frozenset(
        form.format(n=name, **plain) for form in _NAMED_FORMS for name in names
    )


def spelled(text: str) -> frozenset[str]:
    """Spell a text in other letters and compositions, and without what separates it."""
    forms = {text, text.replace("^", " ").strip()}
    forms.add(_SEPARATOR.sub("", text))
    if text.isdigit() and len(text.lstrip("0")) >= _SHORTEST_NUMBER:
        forms.add(text.lstrip("0"))
    if not text.isascii():
        forms |= {folded(text), folded(text.translate(_GERMAN))}
        forms |= {unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC")}
    return frozenset(forms)


def encoded(text: str) -> Iterator[bytes]:
    """Encode a text as files and codestreams may hold it."""
    yield from (text.encode(name, "surrogatepass") for name in ("utf-8", "utf-16-le", "utf-16-be"))
    if any(letter not in _UNRESERVED for letter in text):
        yield percent_encoded(text).encode("ascii")
    if not text.isascii() and all(ord(letter) <= 0xFF for letter in text):  # noqa: PLR2004
        yield text.encode("latin-1")


def wrapped(data: bytes) -> Iterator[bytes]:
    """Wrap bytes as base64, at each of its three alignments, and as hexadecimal digits."""
    for before in range(3):
        kept = (len(data) + before) // 3 * 3 - before  # whole groups of three bytes
        skipped = (0, 2, 3)[before]  # letters that depend on what stands before
        yield base64.b64encode(bytes(before) + data[:kept])[skipped:]
    yield data.hex().encode("ascii")


def percent_encoded(text: str) -> str:
    """Write a text as in a URL (RFC 3986 2.1)."""
    return "".join(
        chr(one) if chr(one) in _UNRESERVED else f"%{one:02X}"
        for one in text.encode("utf-8", "surrogatepass")
    )


def stands_alone(before: bytes, found: bytes, after: bytes) -> bool:
    """Whether a number or UID that was found is not just the middle of a longer one.

    Parameters
    ----------
    before, after
        The bytes around, at least one if there are any.
    found
        What was found; anything but digits and dots always counts.
    """
    if not _DIGITS_AND_DOTS.issuperset(found):
        return True
    return not (before[-1:] and before[-1] in _DIGITS_AND_DOTS) and not (
        after[:1] and after[0] in _DIGITS_AND_DOTS
    )
