"""Keyed pseudonyms: the same original gives the same replacement, and only the key tells how.

HMAC-SHA-256 under keys derived by HKDF, one a purpose (PS3.15 E.1.1 advises against unkeyed
hashes, which a dictionary of patient numbers undoes). Nothing here is random: a slide that is
de-identified again, or on another day, gets the same identifiers.
"""

import base64
import hmac
import uuid
from collections.abc import Mapping
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
_NEWER_UIDS = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.9.100.1",  # Waveform Presentation State Storage
        "1.2.840.10008.5.1.4.1.1.9.100.2",  # Waveform Acquisition Presentation State Storage
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation Storage
        "1.2.840.10008.5.1.4.1.1.66.8",  # Height Map Segmentation Storage
    )
)
"""Registered since the dictionary of pydicom was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a study calls one of its patients."""

    pseudonym: str
    shift_weeks: int | None = None
    """How far this patient's dates move into the past; None: keyed as everybody's."""


CodeList = Mapping[tuple[str, str], Code]
"""Issuer ("" when the slides name none) and Patient ID -> what the study calls the patient."""


class Pseudonyms:
    """Replacements of one recipient: UIDs, identifiers and the shift of dates.

    Parameters
    ----------
    key
        `pseudonym.key`, 32 secret bytes. It belongs to one recipient (the appliance itself, or
        one outside) and is never changed: another key makes another patient of everyone.
    codes
        A study's own pseudonyms: they stand in place of the keyed ones for its patients, and
        there is none for anyone else.
    keeps_uids
        Whether UIDs stay as they are (PS3.15 E.3.9).

    Raises
    ------
    ConfigError
        The key is not 32 bytes long.
    """

    def __init__(
        self, key: bytes, codes: CodeList | None = None, *, keeps_uids: bool = False
    ) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"A pseudonym key has {KEY_BYTES} bytes; this one has {len(key)}.")
        self._key = key
        self._codes = codes
        self.keeps_uids = keeps_uids
        self._uid_key = self._derived("uid")
        self._identifier_key = self._derived("identifier")
        self._shift_key = self._derived("date shift")

    @property
    def key_id(self) -> str:
        """Public name of the key (16 hexadecimal digits); tells nothing about the key."""
        return self._derived("key id")[:8].hex()

    def keeping_uids(self) -> "Pseudonyms":
        """Give the same pseudonyms, but UIDs stay; recipients get others all the same."""
        return Pseudonyms(self._key, self._codes, keeps_uids=True)

    def without_codes(self) -> "Pseudonyms":
        """Give the same pseudonyms, but keyed ones for the patients of a study too."""
        return Pseudonyms(self._key, keeps_uids=self.keeps_uids)

    def for_recipient(self, name: str) -> "Pseudonyms":
        """Pseudonyms of one recipient, which no other recipient's can be joined with."""
        return Pseudonyms(self._derived(f"recipient {name}"))

    def uid(self, original: str) -> str:
        """Replace a UID by `2.25.` and 128 keyed bits in the form of an RFC 9562 UUID (PS3.5 B.2).

        A UID that the standard itself registers (SOP classes, transfer syntaxes, well-known frames
        of reference, coding schemes) names no one and stays.
        """
        value = original.strip(_PADDING)
        return value if is_registered(value) else self.entity_uid(value)

    def entity_uid(self, original: str) -> str:
        """Replace the UID of an instance, series, study or other thing of the hospital.

        In this role a UID that the standard registers is somebody's mistake or trick, and is
        replaced like any other.
        """
        value = original.strip(_PADDING)
        if self.keeps_uids:
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

    def patient(self, issuer: str, patient_id: str) -> tuple[str, int]:
        """Give the pseudonym of a patient, and how many weeks their dates move into the past.

        Raises
        ------
        IdentityDoubt
            There is a code list, and the patient is not in it.
        """
        weeks = self.shift_weeks(issuer, patient_id)
        if self._codes is None:
            return self.identifier("patient_id", issuer, patient_id), weeks
        code = self._codes.get((issuer.strip(_PADDING), patient_id.strip(_PADDING)))
        if code is None:
            raise IdentityDoubt("The patient of the slide is not in the code list of the study.")
        return code.pseudonym, code.shift_weeks or weeks

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
    return bool(UID(uid, IGNORE).type) or uid in _NEWER_UIDS


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
    patient_id, shift_weeks = pseudonyms.patient(*_patient(header))
    accession = text_of(header, "AccessionNumber")
    container = text_of(header, "ContainerIdentifier")
    return Subject(
        patient_id=patient_id,
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
        shift_weeks=shift_weeks,
        study_instance_uid=pseudonyms.entity_uid(text_of(header, "StudyInstanceUID")),
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
