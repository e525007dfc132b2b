"""What every table of the settings file is made of."""

import ipaddress
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e ]+$")]
Name = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Section(BaseModel):
    """A table of the file: frozen, and strict about what it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MisplacedValue(ValueError):
    """A value that does not fit another one, and the place, from the checked table on, to change.

    Parameters
    ----------
    sentence
        What does not fit.
    at
        Keys from the table that is checked down to the value.
    """

    def __init__(self, sentence: str, *at: str | int) -> None:
        super().__init__(sentence)
        self.at = at


def second(values: Sequence[object]) -> int | None:
    """Position of the first value that was there before; None stands for no value."""
    seen: set[object] = set()
    for number, value in enumerate(values):
        if value is not None and value in seen:
            return number
        seen.add(value)
    return None
