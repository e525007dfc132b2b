"""What a daemon tells of itself when it is asked for its status: numbers and names, no identity.

Whoever shows them may be of another version than who gives them, so that the reader leaves out
what does not fit instead of failing.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Final, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

_STATM: Final = Path("/proc/self/statm")
Moment = Annotated[float, Field(ge=0.0, lt=1e11)]
"""Seconds since the epoch, as far as calendars go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that judges slides."""

    name: str
    version: str
    task: str
    digest: str
    device: str
    """`cpu` or `gpu`, as its session says; `remote` where a route's servers run it."""
    recipient: str = ""
    """Who runs it, when it is remote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A graphics processor, as its driver sees it."""

    name: str
    busy_share: float
    """Of the last moments, 0 to 1."""
    memory_used_bytes: int
    memory_total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """What models run on."""

    device: str
    """`cpu` or `gpu`."""
    runtime: str
    workers: int
    gpus: tuple[Gpu, ...] = ()
    """Those that the driver tells of; none does not mean that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerContact:
    """What came from a scanner, by its name in the settings."""

    scanner: str
    last_at: Moment | None
    """When its last object was whole; None when none ever came."""
    n_objects: int
    """In the last day."""
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAssociation:
    """A transfer that is going on."""

    name: str
    """Opaque."""
    scanner: str
    since: Moment
    n_bytes: int
    """Received so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCommitments:
    """Requests for storage commitment that no scanner has its answer to."""

    undecided: int
    unanswered: int
    oldest_at: Moment | None
    next_try_at: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveQueue:
    """Originals on their way to an archive."""

    waiting: int
    waiting_bytes: int
    unconfirmed: int
    """Sent, and the archive has not committed to them."""
    refused: int
    next_try_at: Moment | None
    error: str | None
    """What is wrong with the newest that waits, when something is."""
    refusal: str | None = None
    """Why the newest was refused that lies here for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of asking a route's peer whether it is there."""

    at: Moment
    well: bool
    words: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteQueue:
    """Parcels of a route."""

    waiting: int
    refused: int
    next_try_at: Moment | None
    """When the next of those that were put back is tried again."""
    error: str | None
    """What is wrong with the newest that waits, when something is."""
    refusal: str | None = None
    """Why the newest was refused that lies here for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAge:
    """A key by its public name; never the key."""

    name: str
    key_id: str
    since: Moment | None
    """When its file was written; None when that cannot be told."""
    n_earlier: int = 0
    """Earlier keys that still open or check something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVersion:
    """A database and the revision of its schema."""

    store: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What only this daemon knows; what it does not know stays empty."""

    models: tuple[LoadedModel, ...] = ()
    computing: Computing | None = None
    scanners: tuple[ScannerContact, ...] = ()
    associations: tuple[OpenAssociation, ...] = ()
    commitments: OpenCommitments | None = None
    archive: ArchiveQueue | None = None
    route: RouteQueue | None = None
    probe: Probe | None = None
    keys: tuple[KeyAge, ...] = ()
    stores: tuple[StoreVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A daemon's whole answer."""

    daemon: str
    version: str = ""
    pid: int = 0
    started_at: Moment | None = None
    memory_bytes: int = 0
    lacks: str = ""
    """Why the daemon could not give its facts now."""
    facts: Facts = field(default_factory=Facts)


def written(facts: Facts) -> dict[str, Any]:
    """Give facts as they stand in an answer."""
    return asdict(facts)


def read(answer: Mapping[str, Any]) -> Told:
    """Read a daemon's answer; what is missing or does not fit is left out."""
    found = answer.get("facts")
    read_ones = {
        name: _validated(adapter, answer.get(name), strict=True)
        for name, adapter in _answer_readers().items()
    }
    values = {name: value for name, value in read_ones.items() if value is not None}
    facts = _read_facts(found) if isinstance(found, Mapping) else Facts()
    return Told(**({"daemon": ""} | values), facts=facts)


def memory_bytes() -> int:
    """Measure how much memory this process holds; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _read_facts(found: Mapping[str, Any]) -> Facts:
    values: dict[str, Any] = {}
    for name, adapter in _readers().items():
        part = found.get(name)
        if name not in _LISTS:
            if (value := _validated(adapter, part)) is not None:
                values[name] = value
        elif isinstance(part, list):
            read_ones = [_validated(adapter, one) for one in part]
            values[name] = tuple(one for one in read_ones if one is not None)
    return Facts(**values)


def _validated(adapter: TypeAdapter[Any], value: object, *, strict: bool = False) -> Any:
    try:
        return adapter.validate_python(value, strict=strict)
    except ValidationError:
        return None


@cache
def _answer_readers() -> Mapping[str, TypeAdapter[Any]]:
    """How each part of an answer is read, but for the facts; made when it is first needed."""
    hints = get_type_hints(Told, include_extras=True)
    return {name: TypeAdapter(hint) for name, hint in hints.items() if name != "facts"}


@cache
def _readers() -> Mapping[str, TypeAdapter[Any]]:
    """How each part of the facts is read: an item of a list, or the one value that may miss."""
    return {name: TypeAdapter(get_args(hint)[0]) for name, hint in get_type_hints(Facts).items()}


_LISTS: Final = frozenset(
    name for name, hint in get_type_hints(Facts).items() if isinstance(hint, GenericAlias)
)
