"""One sentence about a mistake in the settings file: the key, and the nearest one that is known."""

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, root: type[BaseModel]) -> str:
    """Name the first mistake: a mistyped key says more than the key it leaves missing.

    Parameters
    ----------
    error
        Of validating the file.
    root
        What the file holds.
    """
    mistakes = error.errors(include_url=False)
    unknown = [mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"]
    first = (unknown or mistakes)[0]
    place = ".".join(_keys(first["loc"], root)) or "settings"
    if first["type"] == "extra_forbidden":
        known = list(_table(first["loc"][:-1], root).model_fields)
        return f"unknown key {place}{did_you_mean(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the key {place} is missing"
    if first["type"] == "union_tag_not_found":
        return f"the key {place}.mechanism is missing"
    if first["type"] == "union_tag_invalid":
        known = [tag.strip().strip("'") for tag in first["ctx"]["expected_tags"].split(",")]
        said = first["ctx"]["tag"]
        return f"{place}.mechanism: there is no {said}{did_you_mean(said, known)}"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def did_you_mean(word: str, known: list[str]) -> str:
    """Name the nearest known word; empty when none is near."""
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _keys(location: tuple[int | str, ...], root: type[BaseModel]) -> list[str]:
    """Give the keys of a place as the file has them, without the tag of a variant."""
    return [str(part) for part, _ in _walk(location, root)]


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
