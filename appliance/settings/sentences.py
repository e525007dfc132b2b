"""What pydantic says about a value, in the words of this file: what is expected, never what is."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

TOO_SHORT_LIST: Final = "too_short"
EMPTY_LIST: Final = "the list may not be empty"
_PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bool_parsing": "true or false is expected",
        "bool_type": "true or false is expected",
        "dict_type": "a table is expected, {{ key = value }}",
        "finite_number": "a number is expected",
        "float_parsing": "a number is expected",
        "float_type": "a number is expected",
        "greater_than": "it has to be more than {gt:g}",
        "greater_than_equal": "it has to be at least {ge:g}",
        "int_from_float": "a whole number is expected",
        "int_parsing": "a whole number is expected",
        "int_type": "a whole number is expected",
        "ip_v4_network": "an address or a range is expected, such as 10.0.5.20 or 10.0.5.0/24",
        "ip_v6_network": "an address or a range is expected, such as 10.0.5.20 or 10.0.5.0/24",
        "less_than": "it has to be less than {lt:g}",
        "less_than_equal": "it may be at most {le:g}",
        "model_attributes_type": "a table is expected, {{ key = value }}",
        "model_type": "a table is expected, {{ key = value }}",
        "path_type": "a path in quotation marks is expected",
        "string_too_long": "it may have at most {max_length} characters",
        "string_too_short": "it needs at least {min_length} characters",
        "string_type": "words in quotation marks are expected",
        TOO_SHORT_LIST: "the list needs at least {min_length}",
        "tuple_type": "a list in [ ] is expected",
        "url_parsing": "a whole URL is expected, such as https://host.example/path",
        "url_scheme": "the URL has to begin with {expected_schemes}",
    }
)
_PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and dashes are expected, such as scanner-1",
        r"^[\x21-\x5b\x5d-\x7e ]+$": "an AE title has plain letters and digits, no backslash",
        r"^sha256:[0-9a-f]{64}$": "sha256: and 64 hexadecimal digits are expected",
        r"^(s3|gs|az|file)://[^\s?#@]+$": "s3://bucket/prefix, gs://, az:// or file:///folder is "
        "expected",
    }
)


def did_you_mean(word: str, known: list[str]) -> str:
    """Name the nearest known word; empty when none is near."""
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def expectation(mistake: Mapping[str, Any]) -> str:
    """Say what is expected of a value; the value itself is not repeated, it may be a secret.

    Parameters
    ----------
    mistake
        One of `ValidationError.errors()`.
    """
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "literal_error":
        return _one_of(context["expected"], mistake["input"])
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if context.get("min_length") == 1:
        return EMPTY_LIST if kind == TOO_SHORT_LIST else "it may not be empty"
    if kind in _PLAIN:
        return _PLAIN[kind].format_map(context)
    return str(mistake["msg"].removeprefix("Value error, "))


def _one_of(expected: str, given: object) -> str:
    known = expected.replace(" or ", ", ").replace("'", "").split(", ")
    hint = did_you_mean(str(given), known)
    return f"{expected.replace(chr(39), '')} is expected{hint}"
