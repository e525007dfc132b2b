"""Keyed pseudonyms: the same original gives the same replacement, and only the key tells how.

HMAC-SHA-256 under keys derived by HKDF, one a purpose (PS3.15 E.1.1 advises against unkeyed
hashes, which a dictionary of patient numbers undoes). Nothing here is random: a slide that is
de-identified again, or on another day, gets the same identifiers.
"""

import base64
import hmac
import uuid
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID

from anonymizer.quiet import quiet_pydicom
from appliance.errors import ConfigError, IdentityDoubt

Domain = Literal[
    "patient_id", "container_identifier", "specimen_identifier", "accession_number", "other"
]
"""What kind of thing an identifier names; equal values of two domains get unequal pseudonyms."""

KEY_BYTES = 32
SHORTEST_SHIFT_WEEKS = 52
LONGEST_SHIFT_WEEKS = 520
_IDENTIFIER_BYTES = 10  # 16 base32 characters: the longest that fits VR SH (PS3.5 6.2)
_PADDING = " \0"


class Pseudonyms:
    """Replacements of one recipient: UIDs, identifiers and the shift of dates.

    Parameters
    ----------
    key
        `pseudonym.key`, 32 secret bytes. It belongs to one recipient (the appliance itself, or
        one outside) and is never changed: another key makes another patient of everyone.

    Raises
    ------
    ConfigError
        The key is not 32 bytes long.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"A pseudonym key has {KEY_BYTES} bytes; this one has {len(key)}.")
        self._key = key
        self._uid_key = self._derived("uid")
        self._identifier_key = self._derived("identifier")
        self._shift_key = self._derived("date shift")

    @property
    def key_id(self) -> str:
        """Public name of the key (16 hexadecimal digits); tells nothing about the key."""
        return self._derived("key id")[:8].hex()

    def for_recipient(self, name: str) -> "Pseudonyms":
        """Pseudonyms of one recipient, which no other recipient's can be joined with."""
        return Pseudonyms(self._derived(f"recipient {name}"))

    def uid(self, original: str) -> str:
        """Replace a UID by `2.25.` and 128 keyed bits in the form of an RFC 9562 UUID (PS3.5 B.2).

        A UID that the standard itself registers (SOP classes, transfer syntaxes, well-known frames
        of reference, coding schemes) names no one and stays.
        """
        value = original.strip(_PADDING)
        if is_registered(value):
            return value
        digest = bytearray(_mac(self._uid_key, value)[:16])
        digest[6] = (digest[6] & 0x0F) | 0x80  # version 8: the rest is ours to define
        digest[8] = (digest[8] & 0x3F) | 0x80  # variant of RFC 9562
        return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"

    def identifier(self, domain: Domain, issuer: str, value: str) -> str:
        """Replace an identifier by 16 characters A-Z and 2-7 (80 keyed bits).

        `issuer` is who gave it out ("" when unknown): the same number of two hospitals is two
        people. Blanks around either do not count.
        """
        mac = _mac(self._identifier_key, domain, issuer.strip(_PADDING), value.strip(_PADDING))
        return base64.b32encode(mac[:_IDENTIFIER_BYTES]).decode("ascii")

    def shift_weeks(self, issuer: str, patient_id: str) -> int:
        """How many whole weeks the dates of this patient move into the past: 52 to 520.

        Whole weeks keep the day of the week; one shift a patient keeps the intervals
        (PS3.15 E.3.6).
        """
        mac = _mac(self._shift_key, issuer.strip(_PADDING), patient_id.strip(_PADDING))
        span = LONGEST_SHIFT_WEEKS - SHORTEST_SHIFT_WEEKS + 1
        return SHORTEST_SHIFT_WEEKS + int.from_bytes(mac[:16], "big") % span

    def _derived(self, purpose: str) -> bytes:
        info = f"coverslip pseudonyms v1: {purpose}".encode()
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(self._key)


def is_registered(uid: str) -> bool:
    """Whether the standard itself registers a UID (PS3.6 A), so that it names no one."""
    return bool(UID(uid, IGNORE).type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who a slide belongs to, and the pseudonyms that stand for it.

    Made from an original header; de-identification writes these values, and release makes them
    again from the sealed header to see that it restores the right patient.
    """

    patient_id: str
    accession_number: str
    """"" when the original has none."""
    container_identifier: str
    """"" when the original has none."""
    specimen_identifiers: tuple[str, ...]
    """In the order of Specimen Description Sequence."""
    shift_weeks: int
    study_instance_uid: str


def subject_of(header: Dataset, pseudonyms: Pseudonyms) -> Subject:
    """Make the pseudonyms that an original header must be replaced with.

    A patient without Patient ID is told apart by name and birth date, and one without these by
    the study, so that two unknown patients never become one.

    Raises
    ------
    IdentityDoubt
        The header names neither a patient nor a study.
    """
    with quiet_pydicom():
        return _subject(header, pseudonyms)


def _subject(header: Dataset, pseudonyms: Pseudonyms) -> Subject:
    issuer, number = _patient(header)
    accession = text_of(header, "AccessionNumber")
    container = text_of(header, "ContainerIdentifier")
    return Subject(
        patient_id=pseudonyms.identifier("patient_id", issuer, number),
        accession_number=pseudonyms.identifier(
            "accession_number", issuer_in(header, "IssuerOfAccessionNumberSequence"), accession
        )
        if accession
        else "",
        container_identifier=pseudonyms.identifier(
            "container_identifier",
            issuer_in(header, "IssuerOfTheContainerIdentifierSequence"),
            container,
        )
        if container
        else "",
        specimen_identifiers=tuple(
            pseudonyms.identifier(
                "specimen_identifier",
                issuer_in(specimen, "IssuerOfTheSpecimenIdentifierSequence"),
                text_of(specimen, "SpecimenIdentifier"),
            )
            for specimen in header.get("SpecimenDescriptionSequence") or ()
            if "SpecimenIdentifier" in specimen
        ),
        shift_weeks=pseudonyms.shift_weeks(issuer, number),
        study_instance_uid=pseudonyms.uid(text_of(header, "StudyInstanceUID")),
    )


def text_of(dataset: Dataset, keyword: str) -> str:
    """Give the value of a text attribute without padding; "" when absent or empty."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(_PADDING)


def issuer_in(dataset: Dataset, keyword: str) -> str:
    """Give the issuer named by the first item of an HL7v2 hierarchic designator (PS3.3 10.14)."""
    items = dataset.get(keyword)
    if not items:
        return ""
    parts = ("LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType")
    return "^".join(text_of(items[0], part) for part in parts)


def _patient(header: Dataset) -> tuple[str, str]:
    number = text_of(header, "PatientID")
    if number:
        return text_of(header, "IssuerOfPatientID"), number
    name, birth = text_of(header, "PatientName"), text_of(header, "PatientBirthDate")
    if name:
        return "name and birth date", f"{name}|{birth}"
    study = text_of(header, "StudyInstanceUID")
    if not study:
        raise IdentityDoubt("The slide names neither a patient nor a study.")
    return "study", study


def _mac(key: bytes, *parts: str) -> bytes:
    message = b"".join(len(data).to_bytes(4, "big") + data for data in _encoded(parts))
    return hmac.digest(key, message, "sha256")


def _encoded(parts: tuple[str, ...]) -> list[bytes]:
    return [part.encode("utf-8", "surrogatepass") for part in parts]
