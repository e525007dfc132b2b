"""What a scanner is answered about each object: a pure function of what we hold and what we mean.

Failure reasons are those of PS3.3 C.14 (Failure Reason, 0008,1197).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from appliance.stores.commitments import COMMITTED, NO_SUCH_OBJECT, Reference
from dicom_node.contexts import PATHOLOGY_SOP_CLASSES
from dicom_node.slides.content import Content

PROCESSING_FAILURE: Final = 0x0110
CLASS_CONFLICT: Final = 0x0119
CLASS_NOT_SUPPORTED: Final = 0x0122
RESOURCE_LIMITATION: Final = 0x0213

Means = Literal["own", "after_archive"]

_REASONS: Final = {
    Content.SOUND: COMMITTED,
    Content.MISSING: PROCESSING_FAILURE,
    Content.DAMAGED: PROCESSING_FAILURE,
    Content.UNREADABLE: RESOURCE_LIMITATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object that came under a UID, as far as a promise goes."""

    sop_class_uid: str
    content: Content
    """What lies in our spool; without meaning once it was purged."""
    purged: bool
    archived: bool
    """An archive has confirmed it to us."""


def decide(
    held: Mapping[Reference, Sequence[Held]], means: Means, *, given_up: bool
) -> dict[Reference, int] | None:
    """Decide about a request: a reason for each object, or None while an archive is waited for.

    Parameters
    ----------
    held
        By requested object, everything that came under its UID.
    means
        own: what we hold soundly is committed to. after_archive: what an archive has confirmed.
    given_up
        The time to wait for an archive is over.
    """
    reasons = {one: reason(one, some, means) for one, some in held.items()}
    if not given_up and None in reasons.values():
        return None
    return {one: PROCESSING_FAILURE if found is None else found for one, found in reasons.items()}


def reason(reference: Reference, held: Sequence[Held], means: Means) -> int | None:
    """Give COMMITTED or why not; None while an archive may still confirm it.

    Of several objects under one UID nobody knows which one the scanner has, so all must be good.
    """
    if not held:
        known = reference.sop_class_uid in PATHOLOGY_SOP_CLASSES
        return NO_SUCH_OBJECT if known else CLASS_NOT_SUPPORTED
    if any(one.sop_class_uid != reference.sop_class_uid for one in held):
        return CLASS_CONFLICT
    reasons = [_reason(one, means) for one in held]
    failures = [one for one in reasons if one not in (COMMITTED, None)]
    if failures:
        return min(failures, key=_FIRST.index)
    return None if None in reasons else COMMITTED


def _reason(one: Held, means: Means) -> int | None:
    if one.purged:
        return COMMITTED if one.archived else NO_SUCH_OBJECT
    if _REASONS[one.content] != COMMITTED:
        return _REASONS[one.content]
    return None if means == "after_archive" and not one.archived else COMMITTED


_FIRST: Final = [PROCESSING_FAILURE, NO_SUCH_OBJECT, RESOURCE_LIMITATION]
"""Of several failures the one that is told."""
