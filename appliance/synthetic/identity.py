"""Whose slide it pretends to be: every identifying value that a scanner and its LIS write."""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Self

import numpy as np

from appliance.synthetic.uids import seeded_uid

_FAMILIES = ("Lindqvist", "Okafor", "Moreau", "Tanaka", "Haddad", "Kowalska", "Brandt", "Silva")
_GIVEN = ("Astrid", "Chidi", "Camille", "Haruto", "Leila", "Zofia", "Jonas", "Beatriz")
_STREETS = ("Elm Street", "Harbour Road", "Mill Lane", "Station Square")
_HOSPITALS = ("St. Eluned Hospital", "Northmere General", "Clinique du Val Rond")
_CANARY_LENGTH = 10
_UID_FIELDS = ("study_instance_uid", "specimen_uid", "device_uid")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideIdentity:
    """Identifying values, named by the DICOM keyword that carries them.

    Those of VR SH hold at most 16 characters. `scanned_at` gives content and acquisition times,
    `study_at` and `series_at` theirs. `private_text` goes into private tags and `jpeg_comment` into
    a COM segment of every frame; neither is written when empty.
    """

    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    other_patient_id: str
    patient_birth_date: date
    patient_sex: str
    patient_address: str
    patient_telephone: str
    patient_comments: str
    ethnic_group: str
    occupation: str
    admission_id: str
    accession_number: str
    issuer_of_accession_number: str
    study_id: str
    study_description: str
    series_description: str
    protocol_name: str
    referring_physician: str
    physician_of_record: str
    performing_physician: str
    operators_name: str
    requesting_physician: str
    institution_name: str
    institution_address: str
    institutional_department: str
    station_name: str
    device_serial_number: str
    container_identifier: str
    issuer_of_container_identifier: str
    container_description: str
    container_component_id: str
    specimen_identifier: str
    specimen_short_description: str
    specimen_detailed_description: str
    parent_specimen_identifier: str
    preparation_comment: str
    barcode_value: str
    label_text: str
    image_comments: str
    optical_path_description: str
    procedure_step_id: str
    procedure_step_description: str
    contributing_operator: str
    contributing_institution: str
    private_text: str
    jpeg_comment: str
    study_instance_uid: str
    specimen_uid: str
    device_uid: str
    study_at: datetime
    series_at: datetime
    scanned_at: datetime

    @property
    def needles(self) -> tuple[str, ...]:
        """Every value that must be found nowhere after de-identification, as DICOM writes it.

        Dates are given as YYYYMMDD. Values too short or too common to search for (the sex, empty
        ones) are left out; person names are given whole and by their parts.
        """
        found: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, date):
                found.append(value.strftime("%Y%m%d"))
            else:
                found += [value, *value.split("^")]
        return tuple(dict.fromkeys(each for each in found if len(each) > _SHORT))

    @classmethod
    def canary(cls, text: str = "CANARY7Q") -> Self:
        """Put `text` (up to 10 capitals and digits) into every value, each made unique by a number.

        Dates and UIDs follow from `text`: dates of their own year, UIDs as `seeded_uid`.
        """
        if not (text.isalnum() and text.isupper() and len(text) <= _CANARY_LENGTH):
            raise ValueError("a canary is up to 10 capital letters and digits")
        values: dict[str, object] = {}
        for number, field in enumerate(fields(cls)):
            if field.name in _UID_FIELDS:
                values[field.name] = seeded_uid("canary", text, field.name)
            elif field.type is str:
                values[field.name] = f"{text}X{number:02d}"
            else:
                values[field.name] = _canary_time(text, number)
        values["patient_sex"] = "O"
        values["patient_name"] = f"{text}FAM^{text}GIV"
        values["patient_birth_date"] = date(1931, 1, 2) + timedelta(days=_spread(text, 0))
        values["barcode_value"] = values["container_identifier"]
        return cls(**values)  # type: ignore[arg-type]

    @classmethod
    def invented(cls, seed: int = 1) -> Self:
        """Invent a patient, a hospital and a specimen that nobody has."""
        draw = np.random.default_rng([seed, 31])

        def one(words: tuple[str, ...]) -> str:
            return words[int(draw.integers(len(words)))]

        def digits(count: int) -> str:
            return "".join(str(digit) for digit in draw.integers(0, 10, count))

        family, hospital, case = one(_FAMILIES), one(_HOSPITALS), f"S26-{digits(5)}"
        scanned = datetime(2026, 1, 5, 8, 12, 30, tzinfo=UTC) + timedelta(
            minutes=int(draw.integers(60 * 24 * 200))
        )
        return cls(
            patient_name=f"{family}^{one(_GIVEN)}",
            patient_id=f"MRN{digits(7)}",
            issuer_of_patient_id=f"{hospital.split()[-1].upper()}-ADT",
            other_patient_id=f"NHS{digits(9)}",
            patient_birth_date=date(1934, 3, 1) + timedelta(days=int(draw.integers(23000))),
            patient_sex=one(("F", "M")),
            patient_address=f"{digits(2)} {one(_STREETS)}",
            patient_telephone=f"+44 20 7946 {digits(4)}",
            patient_comments=f"Daughter of {family}, prefers mornings",
            ethnic_group="Not asked",
            occupation="Lamp keeper",
            admission_id=f"ADM{digits(8)}",
            accession_number=case,
            issuer_of_accession_number=f"urn:lis:{hospital.split()[-1].lower()}",
            study_id=f"ST{digits(6)}",
            study_description=f"Colon biopsy {case}",
            series_description=f"H&E of block A1, {case}",
            protocol_name="HE routine 20x",
            referring_physician=f"{one(_FAMILIES)}^{one(_GIVEN)}^^Dr",
            physician_of_record=f"{one(_FAMILIES)}^Rufina^^Dr",
            performing_physician=f"{one(_FAMILIES)}^Ansel^^Dr",
            operators_name=f"{one(_FAMILIES)}^Petra",
            requesting_physician=f"{one(_FAMILIES)}^Odile^^Dr",
            institution_name=hospital,
            institution_address=f"{digits(3)} {one(_STREETS)}, Northmere",
            institutional_department="Cellular Pathology",
            station_name=f"SCAN{digits(3)}",
            device_serial_number=f"SN-{digits(6)}",
            container_identifier=f"{case}-A-1-1",
            issuer_of_container_identifier=f"{hospital.split()[-1].upper()}-LIS",
            container_description=f"Slide 1 of block A1, {case}",
            container_component_id=f"CC{digits(8)}",
            specimen_identifier=f"{case}-A-1",
            specimen_short_description=f"{case} part A, colon",
            specimen_detailed_description=f"Sigmoid colon biopsy of {family}, three fragments",
            parent_specimen_identifier=f"{case}-A",
            preparation_comment=f"Processed overnight for {family}",
            barcode_value=f"{case}-A-1-1",
            label_text=f"{case} A1 HE {family.upper()}",
            image_comments=f"Rescan asked for by Dr {one(_FAMILIES)}",
            optical_path_description=f"Lamp of scanner {digits(3)}",
            procedure_step_id=f"PPS{digits(6)}",
            procedure_step_description=f"Scan of {case}",
            contributing_operator=f"{one(_FAMILIES)}^Ivo",
            contributing_institution=f"{hospital} courier",
            private_text=f"scanned for {family} by rack {digits(2)}",
            jpeg_comment="",
            study_instance_uid=seeded_uid("study", seed),
            specimen_uid=seeded_uid("specimen", seed),
            device_uid=seeded_uid("device", seed),
            study_at=scanned - timedelta(hours=7, minutes=11),
            series_at=scanned - timedelta(minutes=3),
            scanned_at=scanned,
        )


_SHORT = 3


def _spread(text: str, number: int) -> int:
    """Return a day of the year that follows from the canary and the number of its field."""
    return (sum(ord(letter) * (place + 7) for place, letter in enumerate(text)) + 37 * number) % 360


def _canary_time(text: str, number: int) -> datetime:
    """Return a time in a year of its own, between 1961 and 1999."""
    start = datetime(1961 + number % 39, 1, 2, 3, 47, 19, tzinfo=UTC)
    return start + timedelta(days=_spread(text, number), minutes=number)
