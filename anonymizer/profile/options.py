"""The options of PS3.15 E.3: their names, their codes, and which of them go together.

The names are those of the columns of Table E.1-1. Cleaning options add effort, retaining ones
keep more; each is written to the object with its code of CID 7050.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from appliance.errors import ConfigError

BASIC_PROFILE: Final = "113100"

MODIFIED_DATES: Final = "retain_longitudinal_modified_dates"
FULL_DATES: Final = "retain_longitudinal_full_dates"
NO_DATES: Final = "remove_dates"
"""None of the temporal options: dates go. It is no option of PS3.15 and so has no code."""

RETAIN_UIDS: Final = "retain_uids"
RETAIN_SAFE_PRIVATE: Final = "retain_safe_private"
CLEAN_PIXEL_DATA: Final = "clean_pixel_data"
CLEAN_GRAPHICS: Final = "clean_graphics"

_FACES: Final = "clean_recognizable_visual_features"

OPTIONS: Final[Mapping[str, str | None]] = {
    "clean_descriptors": "113105",
    "clean_structured_content": "113104",
    MODIFIED_DATES: "113107",
    FULL_DATES: "113106",
    NO_DATES: None,
    CLEAN_PIXEL_DATA: "113101",
    CLEAN_GRAPHICS: "113103",
    "retain_patient_characteristics": "113108",
    "retain_device_identity": "113109",
    RETAIN_UIDS: "113110",
    RETAIN_SAFE_PRIVATE: "113111",
    "retain_institution_identity": "113112",
}
"""Options that can be had, in the order in which an object names them, and their codes."""

TEMPORAL: Final[Mapping[str, str]] = {
    MODIFIED_DATES: "MODIFIED",
    FULL_DATES: "UNMODIFIED",
    NO_DATES: "REMOVED",
}
"""What Longitudinal Temporal Information Modified says of each (PS3.15 E.2, E.3.6)."""

DEFAULT_OPTIONS: Final = ("clean_descriptors", "clean_structured_content", MODIFIED_DATES)
"""Options that apply when none is named. Descriptors are cleaned by leaving them out."""


def check_options(named: Iterable[str]) -> tuple[str, ...]:
    """Join the options that are named with the default ones, in the order of `OPTIONS`.

    Raises
    ------
    ConfigError
        One is unknown or makes no sense here, or two contradict each other.
    """
    asked = frozenset(named)
    for option in sorted(asked - OPTIONS.keys()):
        raise ConfigError(_refusal(option))
    temporal = sorted(asked & TEMPORAL.keys())
    if len(temporal) > 1:
        raise ConfigError(
            f"deidentify.options: {' and '.join(temporal)} exclude each other; name one."
        )
    chosen = asked | {option for option in DEFAULT_OPTIONS if option not in TEMPORAL}
    if not temporal:
        chosen |= {MODIFIED_DATES}
    return tuple(option for option in OPTIONS if option in chosen)


def temporal_of(options: Iterable[str]) -> str:
    """Give the value of Longitudinal Temporal Information Modified."""
    return next((TEMPORAL[one] for one in options if one in TEMPORAL), TEMPORAL[MODIFIED_DATES])


def check_text_is_sought(options: Iterable[str], text_in_pixels: str) -> None:
    """See that nothing claims clean pixels without having looked at them (PS3.15 E.3.1).

    Raises
    ------
    ConfigError
        `clean_pixel_data` is named, and text in the pixels is not looked for.
    """
    if CLEAN_PIXEL_DATA in options and text_in_pixels == "off":
        raise ConfigError(
            f"deidentify.options: {CLEAN_PIXEL_DATA} needs deidentify.text_in_pixels to be"
            ' "set_aside" or "remove"; with "off" nobody looks at the pixels.'
        )


def _refusal(option: str) -> str:
    if option == _FACES:
        return (
            f"deidentify.options: {option} is not available: slides show tissue, and nobody's"
            " face is on them."
        )
    near = get_close_matches(option, OPTIONS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(OPTIONS)}."
    return f"deidentify.options: {option} is not available; {hint}"
