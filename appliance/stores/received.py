"""What the receipts store says of received objects and of the slides they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One object that was received whole and made durable."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    facts: str
    """JSON of what grouping and completeness read of its header."""
    sha256: str
    """Of the encoded data set, without file meta information; also names the file."""
    size_bytes: int
    calling_ae_title: str
    association: str
    """Opaque name of the association it came over."""
    received_at: float
    """When its last byte came; seconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """A receipt as it stands in the store."""

    number: int
    receipt: Receipt
    slide_id: str | None
    """None until the assembler has found its slide."""
    revision: int | None
    """Revision of the slide it first was part of; None until that was assembled."""
    dismissed: bool
    """An operator decided against this one of two objects under one UID."""
    promised_at: float | None = None
    """When we told a scanner by storage commitment that it may delete its own."""
    purged_at: float | None = None
    """When its content was removed; None while we hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSlide:
    """A slide as the node knows it. `slide_id` is the only word of it that others see."""

    slide_id: str
    scanner: str
    container_identifier: str | None
    container_issuer: str | None
    study_instance_uid: str
    created_at: float
    sealed_revision: int
    """Newest revision that assemble has taken; 0 when none was."""
    open_revision: int
    """Revision that is being received."""
    forced: bool
    """An operator declared it complete."""
    supersedes: str | None


def stored_instance(row: Mapping[Any, Any]) -> StoredInstance:
    """Give the value of a row of the instance table."""
    return StoredInstance(
        number=row["number"],
        receipt=Receipt(**{name: row[name] for name in Receipt.__slots__}),
        slide_id=row["slide_id"],
        revision=row["revision"],
        dismissed=row["dismissed"],
        promised_at=row["promised_at"],
        purged_at=row["purged_at"],
    )
