"""A study's own pseudonyms: a CSV file of Patient ID, issuer and what the study calls the patient.

```
patient_id,issuer,pseudonym,shift_weeks
4711,HOSPITAL,ONCO-0001,104
4712,HOSPITAL,ONCO-0002,
```

Issuer is what the slides carry as Issuer of Patient ID, empty when they carry none. The last column
may be left out: dates then move by a keyed number of weeks. The file tells who is who, so only its
owner and group may read it; sentences name its lines, never what stands there.
"""

import csv
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from anonymizer.pseudonyms import (
    LONGEST_SHIFT_WEEKS,
    SHORTEST_SHIFT_WEEKS,
    Code,
    CodeList,
)
from appliance.errors import ConfigError
from appliance.settings import credential

HEADER: Final = ("patient_id", "issuer", "pseudonym")
WEEKS: Final = "shift_weeks"

_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}[A-Za-z0-9]")
_WORD = re.compile(r"[^\W_]+")
_SHORTEST_TELLING = 3
"""A shorter part of a Patient ID is in some pseudonym by chance."""


def read_code_list(path: Path) -> CodeList:
    """Read and check a code list.

    Raises
    ------
    ConfigError
        It is missing, open to others, of another form, or not one to one; or a pseudonym tells
        of a Patient ID.
    """
    path = credential(path)
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The code list {path} cannot be read as UTF-8 text.") from error
    if mode & _TOO_OPEN:
        raise ConfigError(f"{path} is open to others; close it with: chmod 640 {path}")
    return _checked(path, list(_rows(path, text.splitlines())))


def code_list_of(path: Path | None) -> CodeList | None:
    """Read the code list that settings or a command name; None when they name none."""
    return None if path is None else read_code_list(path)


def _rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = tuple(cell.strip() for cell in next(reader, []))
        if header not in (HEADER, (*HEADER, WEEKS)):
            raise ConfigError(f"{path}: the first line must be {','.join((*HEADER, WEEKS))}.")
        for row in reader:
            if not any(row):
                continue
            if len(row) != len(header):
                raise _refusal(path, reader.line_num, f"has not {len(header)} values")
            yield reader.line_num, [cell.strip() for cell in row] + [""] * (4 - len(row))
    except csv.Error as error:
        raise _refusal(path, reader.line_num, "is no CSV") from error


def _checked(path: Path, rows: list[tuple[int, list[str]]]) -> CodeList:
    codes: dict[tuple[str, str], Code] = {}
    taken: set[str] = set()
    numbers = {_plain(row[0]) for _, row in rows}
    for line, (patient_id, issuer, pseudonym, weeks) in rows:
        if not patient_id:
            raise _refusal(path, line, "names no patient")
        if not _PSEUDONYM.fullmatch(pseudonym):
            raise _refusal(
                path, line, "needs a pseudonym of 4 to 64 letters, digits and . _ - inside"
            )
        if _tells(pseudonym, patient_id) or _plain(pseudonym) in numbers:
            raise _refusal(path, line, "has a pseudonym that tells of a Patient ID")
        if (issuer, patient_id) in codes:
            raise _refusal(path, line, "names a patient for the second time")
        if pseudonym.casefold() in taken:
            raise _refusal(path, line, "gives a pseudonym for the second time")
        taken.add(pseudonym.casefold())
        codes[issuer, patient_id] = Code(pseudonym=pseudonym, shift_weeks=_weeks(path, line, weeks))
    if not codes:
        raise ConfigError(f"The code list {path} names no patient.")
    return codes


def _weeks(path: Path, line: int, text: str) -> int | None:
    if not text:
        return None
    weeks = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not SHORTEST_SHIFT_WEEKS <= weeks <= LONGEST_SHIFT_WEEKS:
        raise _refusal(
            path, line, f"needs {SHORTEST_SHIFT_WEEKS} to {LONGEST_SHIFT_WEEKS} whole weeks"
        )
    return weeks


def _tells(pseudonym: str, patient_id: str) -> bool:
    """Whether a pseudonym holds a Patient ID or a part of it, leading zeros and signs aside."""
    words = [word.lstrip("0") for word in _WORD.findall(patient_id.casefold())]
    whole = _plain(patient_id).lstrip("0")
    inside = _plain(pseudonym)
    apart = {word.lstrip("0") for word in _WORD.findall(pseudonym.casefold())}
    return any(
        word in inside if len(word) >= _SHORTEST_TELLING else word in apart
        for word in (*words, whole)
        if word
    )


def _plain(text: str) -> str:
    return "".join(_WORD.findall(text.casefold()))


def _refusal(path: Path, line: int, what: str) -> ConfigError:
    return ConfigError(f"{path}: line {line} {what}.")
