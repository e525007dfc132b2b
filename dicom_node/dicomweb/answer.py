"""What a Store request is answered with: HTTP status, and the Store Instances Response Module.

PS3.18 10.5.3 and I.2. Nothing can be retrieved here, so the Retrieve URLs are empty.
"""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import keyword_for_tag

DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"

OK: Final = 200
ACCEPTED: Final = 202
BAD_REQUEST: Final = 400
CONFLICT: Final = 409
TOO_LARGE: Final = 413

_REFERENCED_SOP_CLASS_UID: Final = "00081150"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_RETRIEVE_URL: Final = "00081190"
_FAILURE_REASON: Final = "00081197"
_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"

Items = Mapping[str, Mapping[str, Any]]
"""A data set in the DICOM JSON Model (PS3.18 F)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An instance that is durable and receipted."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An instance that was not kept."""

    reason: int
    """Failure Reason (PS3.18 I.2.2)."""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    """Empty when the part did not even say which instance it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the parts of a request."""

    results: Sequence[Stored | Failed] = ()
    is_malformed: bool = False
    """The body broke off, or was no multipart body from some point on."""
    is_too_large: bool = False
    """It held more instances than a request may."""


def status_of(outcome: Outcome) -> int:
    """Give the HTTP status (PS3.18 table 10.5.3-1)."""
    n_stored = sum(isinstance(one, Stored) for one in outcome.results)
    if outcome.is_too_large:
        return TOO_LARGE
    if not outcome.results or (outcome.is_malformed and not n_stored):
        return BAD_REQUEST
    if n_stored == len(outcome.results) and not outcome.is_malformed:
        return OK
    return ACCEPTED if n_stored else CONFLICT


def response_module(outcome: Outcome) -> Items:
    """Give the Store Instances Response Module (PS3.18 table I.2-1)."""
    url: dict[str, dict[str, Any]] = {_RETRIEVE_URL: {"vr": "UR"}}
    stored = [_reference(one) | url for one in outcome.results if isinstance(one, Stored)]
    failures = [one for one in outcome.results if isinstance(one, Failed)]
    named = [_failure(one) for one in failures if one.sop_instance_uid]
    nameless = [_reason(one) for one in failures if not one.sop_instance_uid]
    return (
        url
        | _sequence(_FAILED_SOP_SEQUENCE, named)
        | _sequence(_REFERENCED_SOP_SEQUENCE, stored)
        | _sequence(_OTHER_FAILURES_SEQUENCE, nameless)
    )


def encoded(module: Items, media_type: str) -> bytes:
    """Encode a data set in the DICOM JSON Model, or in the Native DICOM Model (PS3.19 A.1)."""
    if media_type == DICOM_JSON:
        return json.dumps(module).encode()
    text = '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xml:space="preserve">'
    return f"{text}{''.join(_xml(module))}</NativeDicomModel>".encode()


def _reference(one: Stored | Failed) -> dict[str, dict[str, Any]]:
    return {
        _REFERENCED_SOP_CLASS_UID: {"vr": "UI", "Value": [one.sop_class_uid]},
        _REFERENCED_SOP_INSTANCE_UID: {"vr": "UI", "Value": [one.sop_instance_uid]},
    }


def _reason(one: Failed) -> dict[str, dict[str, Any]]:
    return {_FAILURE_REASON: {"vr": "US", "Value": [one.reason]}}


def _failure(one: Failed) -> dict[str, dict[str, Any]]:
    return _reference(one) | _reason(one)


def _sequence(tag: str, items: Sequence[Items]) -> dict[str, dict[str, Any]]:
    return {tag: {"vr": "SQ", "Value": list(items)}} if items else {}


def _xml(module: Items) -> Iterable[str]:
    for tag, element in sorted(module.items()):
        keyword = keyword_for_tag(int(tag, 16))
        yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}" keyword="{keyword}">'
        for number, value in enumerate(element.get("Value", ()), start=1):
            if isinstance(value, Mapping):
                yield f'<Item number="{number}">{"".join(_xml(value))}</Item>'
            else:
                yield f'<Value number="{number}">{html.escape(str(value))}</Value>'
        yield "</DicomAttribute>"
