"""Every mistake in the settings file: one sentence, the key, and the line that it stands in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from appliance.plain_text import plain
from appliance.settings.places import Place, line_of, lines_of
from appliance.settings.sections import MisplacedValue
from appliance.settings.sentences import EMPTY_LIST, did_you_mean, expectation

_AT_LINE: Final = re.compile(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$")
_NEEDS_NO_WORD: Final = "default_factory_not_called"
"""A value that was only not computed, since another one is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something in the file that cannot be used."""

    sentence: str
    place: Place = ()
    """Keys as the file has them."""
    line: int | None = None
    """None when it is about something that is missing from the whole file."""

    def told(self, file: str) -> str:
        """Say it with the name of the file."""
        line = f" line {self.line}" if self.line is not None else ""
        end = "" if self.sentence.endswith("?") else "."
        return f"{file}{line}: {self.sentence}{end}"


def mistake_of_syntax(message: str, text: str) -> Mistake:
    """Say what is no TOML, from the message of `tomllib`, and where."""
    found = _AT_LINE.match(message)
    what, line = (found[1], found[2]) if found else (message, None)
    last = len(text.rstrip().splitlines())
    where = int(line) if line else last if found else None
    return Mistake(sentence=f"this is not valid TOML: {what}", line=where)


def mistakes_in(error: ValidationError, root: type[BaseModel], text: str) -> tuple[Mistake, ...]:
    """Name every mistake, in the order of their lines; a mistyped key before what it leaves out.

    Parameters
    ----------
    error
        Of validating the file.
    root
        What the file holds.
    text
        The file.
    """
    lines = lines_of(text)
    raw = [found for found in error.errors(include_url=False) if found["type"] != _NEEDS_NO_WORD]
    found = dict.fromkeys(_mistake(one, root, lines) for one in raw)
    kept = [one for one in found if not _follows_from_another(one, list(found))]
    return tuple(sorted(kept, key=lambda one: one.line or 0))


def _mistake(raw: Any, root: type[BaseModel], lines: Mapping[Place, int]) -> Mistake:
    location = raw["loc"]
    if raw["type"] in ("ip_v4_network", "ip_v6_network"):
        location = location[:-1]  # the last part names the variant that was tried
    place = tuple(_keys(location, root))
    cause = raw.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedValue):
        place = (*place, *cause.at)
    sentence = plain(_sentence(raw, location, place, root))  # a key in quotes may be anything
    return Mistake(sentence=sentence, place=place, line=line_of(place, lines))


def _sentence(raw: Any, location: Place, place: Place, root: type[BaseModel]) -> str:
    key = ".".join(map(str, place)) or "settings"
    match raw["type"]:
        case "extra_forbidden":
            known = list(_table(location[:-1], root).model_fields)
            return f"unknown key {key}{did_you_mean(str(location[-1]), known)}"
        case "missing":
            return f"the key {key} is missing"
        case "union_tag_not_found":
            return f"the key {key}.mechanism is missing"
        case "union_tag_invalid":
            known = [tag.strip().strip("'") for tag in raw["ctx"]["expected_tags"].split(",")]
            said = raw["ctx"]["tag"]
            return f"{key}.mechanism: there is no {said}{did_you_mean(said, known)}"
        case _:
            return f"{key}: {expectation(raw)}"


def _follows_from_another(mistake: Mistake, found: list[Mistake]) -> bool:
    """Whether a mistake is gone by itself when another one is put right.

    A key is missing because it is mistyped, and a list is too short because what is in it is wrong.
    """
    table = mistake.place[:-1]
    return any(
        (
            other.sentence.endswith(f"did you mean {mistake.place[-1]}?")
            and "is missing" in mistake.sentence
            and other.place[:-1] == table
        )
        or (
            mistake.sentence.endswith(EMPTY_LIST)
            and len(other.place) > len(mistake.place)
            and other.place[: len(mistake.place)] == mistake.place
        )
        for other in found
        if mistake.place
    )


def _keys(location: Place, root: type[BaseModel]) -> list[str | int]:
    """Give the keys of a place as the file has them, without the tag of a variant."""
    return [part for part, _ in _walk(location, root)]


def _table(location: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel]:
    """Find the table at a place."""
    found = root
    for _, table in _walk(location, root):
        found = table
    # The last part may be the tag of a variant, which the walk swallows.
    return _variant(location[-1], found) if location else found


def _walk(
    location: tuple[int | str, ...], root: type[BaseModel]
) -> Iterator[tuple[int | str, type[BaseModel]]]:
    """Go down a place: each key, and the table it leads to (the present one for a plain value)."""
    here = root
    variants: list[type[BaseModel]] = []
    for part in location:
        tagged = [table for table in variants if _tag(table) == part]
        if tagged:
            here, variants = tagged[0], []
            continue
        if isinstance(part, str) and part in here.model_fields:
            variants = _tables_in(here.model_fields[part].annotation)
            here = variants[0] if len(variants) == 1 else here
        yield part, here


def _variant(part: int | str, table: type[BaseModel]) -> type[BaseModel]:
    for name in table.model_fields:
        for variant in _tables_in(table.model_fields[name].annotation):
            if _tag(variant) == part:
                return variant
    return table


def _tag(table: type[BaseModel]) -> object:
    field = table.model_fields.get("mechanism")
    return get_args(field.annotation)[0] if field is not None else None


def _tables_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [table for argument in get_args(annotation) for table in _tables_in(argument)]
