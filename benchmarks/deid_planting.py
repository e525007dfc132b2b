"""Real headers with an invented identity planted into every kind of place that can hold one.

A slide that a scanner wrote is taken as it is; identifying attributes get values to look for
("canaries"), private and unknown attributes, overlays, file meta, preamble, ICC profile, frames and
trailing bytes get theirs. What research needs is not touched. The same seed plants the same values.
"""

import random
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import Tag

UID_ROOT = "1.2.826.0.1.3680043.10.99998."
Path_ = tuple[str, ...]
"""Keywords from the top; of a sequence the first item, which is made when there is none."""

TOP_TEXTS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientComments",
    "PatientMotherBirthName",
    "OtherPatientNames",
    "MilitaryRank",
    "EthnicGroup",
    "Occupation",
    "AdditionalPatientHistory",
    "MedicalRecordLocator",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ReferringPhysicianName",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "OperatorsName",
    "RequestingPhysician",
    "NameOfPhysiciansReadingStudy",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "ContainerIdentifier",
    "ContainerDescription",
    "BarcodeValue",
    "LabelText",
    "ImageComments",
    "PerformedProcedureStepDescription",
    "PerformedProcedureStepID",
    "AdmissionID",
    "PyramidLabel",
    "PyramidDescription",
    "PatientBirthDateInAlternativeCalendar",
)
NESTED_TEXTS: tuple[Path_, ...] = (
    ("SpecimenDescriptionSequence", "SpecimenIdentifier"),
    ("SpecimenDescriptionSequence", "SpecimenShortDescription"),
    ("SpecimenDescriptionSequence", "SpecimenDetailedDescription"),
    (
        "SpecimenDescriptionSequence",
        "IssuerOfTheSpecimenIdentifierSequence",
        "LocalNamespaceEntityID",
    ),
    ("IssuerOfTheContainerIdentifierSequence", "LocalNamespaceEntityID"),
    ("IssuerOfTheContainerIdentifierSequence", "UniversalEntityID"),
    ("IssuerOfAccessionNumberSequence", "LocalNamespaceEntityID"),
    ("IssuerOfPatientIDQualifiersSequence", "UniversalEntityID"),
    ("OpticalPathSequence", "OpticalPathDescription"),
    ("ContainerComponentSequence", "ContainerComponentID"),
    ("ContainerComponentSequence", "ContainerComponentDescription"),
    ("RequestAttributesSequence", "RequestedProcedureID"),
    ("RequestAttributesSequence", "ScheduledProcedureStepDescription"),
    ("RequestAttributesSequence", "AccessionNumber"),
    ("ContributingEquipmentSequence", "OperatorsName"),
    ("ContributingEquipmentSequence", "InstitutionName"),
    ("ContributingEquipmentSequence", "StationName"),
    ("ContributingEquipmentSequence", "ContributionDescription"),
    ("OtherPatientIDsSequence", "PatientID"),
    ("OriginalAttributesSequence", "SourceOfPreviousValues"),
    ("OriginalAttributesSequence", "ModifiedAttributesSequence", "PatientName"),
    ("ReferencedStudySequence", "RetrieveURL"),
)
TOP_DATES = (
    "PatientBirthDate",
    "StudyDate",
    "SeriesDate",
    "ContentDate",
    "AcquisitionDateTime",
    "InstanceCreationDate",
    "PerformedProcedureStepStartDate",
    "DateOfLastCalibration",
)
NESTED_DATES: tuple[Path_, ...] = (
    ("OriginalAttributesSequence", "AttributeModificationDateTime"),
    ("ContributingEquipmentSequence", "ContributionDateTime"),
    ("OriginalAttributesSequence", "ModifiedAttributesSequence", "StudyDate"),
)
TOP_UIDS = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "AcquisitionUID",
    "PyramidUID",
    "SynchronizationFrameOfReferenceUID",
    "DeviceUID",
    "InstanceCreatorUID",
    "SOPInstanceUIDOfConcatenationSource",
)
NESTED_UIDS: tuple[Path_, ...] = (
    ("SpecimenDescriptionSequence", "SpecimenUID"),
    ("ReferencedStudySequence", "ReferencedSOPInstanceUID"),
    ("DimensionOrganizationSequence", "DimensionOrganizationUID"),
)
_OF_PATIENT = frozenset(
    ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientMotherBirthName")
)
_FIRST_DAY_OF = 2025  # moved dates lie at least 52 weeks before it and never meet a planted one


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted value."""

    place: str
    """Class of place, such as "nested text"."""
    path: Path_
    """Empty when it stands in no attribute of the data set."""
    value: str


@dataclass(slots=True)
class Planting:
    """The values of one slide.

    Attributes
    ----------
    seed
        Of the slide: the same seed gives the same values.
    patient
        Seed of the patient, whom several slides may share.
    """

    seed: int
    patient: int
    canaries: list[Canary] = field(default_factory=list)
    _made: dict[str, str] = field(default_factory=dict)

    def counts(self) -> Mapping[str, int]:
        """How many values there are, by class of place."""
        return Counter(canary.place for canary in self.canaries)

    def value(self, place: str, path: Path_, kind: str, name: str = "") -> str:
        """Give the value of a place, made when it is first asked for."""
        whole = name or "/".join(path)
        if whole not in self._made:
            of = self.patient if path and path[0] in _OF_PATIENT and len(path) == 1 else self.seed
            self._made[whole] = _invented(kind, random.Random(f"{of} {whole}"))  # noqa: S311
            self.canaries.append(Canary(place, path, self._made[whole]))
        return self._made[whole]


def plant(files: Sequence[Path], folder: Path, planting: Planting) -> list[Path]:
    """Plant an identity into the instances of a slide, and write them to a folder.

    Returns
    -------
    list of Path
        The written files, in the order of `files`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, file in enumerate(files):
        data_set = pydicom.dcmread(file)
        trailing = _plant(data_set, planting, number)
        target = folder / f"image-{number}.dcm"
        data_set.save_as(target, enforce_file_format=False)
        with target.open("ab") as end:
            end.write(trailing)
        written.append(target)
    return written


def _plant(data_set: pydicom.FileDataset, planting: Planting, number: int) -> bytes:
    for names, place, kind in (
        ([(name,) for name in TOP_TEXTS], "top-level text", "word"),
        (NESTED_TEXTS, "nested text", "word"),
        ([(name,) for name in TOP_DATES], "top-level date", "date"),
        (NESTED_DATES, "nested date", "date"),
        ([(name,) for name in TOP_UIDS], "top-level UID", "uid"),
        (NESTED_UIDS, "nested UID", "uid"),
    ):
        for path in names:
            _put(data_set, path, planting.value(place, path, kind))
    _plant_dimension(data_set)
    uid = planting.value("top-level UID", ("SOPInstanceUID",), "uid", f"instance {number}")
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = uid
    _plant_strangers(data_set, planting)
    _plant_file(data_set, planting)
    _plant_pixels(data_set, planting)
    return planting.value("trailing", (), "short", "after the data set").encode()


def _put(data_set: Dataset, path: Path_, value: str) -> None:
    for name in path[:-1]:
        if not data_set.get(name):
            setattr(data_set, name, [Dataset()])
        data_set = getattr(data_set, name)[0]
    vr = pydicom.datadict.dictionary_VR(path[-1])
    whole = {"DT": f"{value}101500", "PN": f"{value}^Q", "UR": f"https://{value}.example/1"}
    setattr(data_set, path[-1], whole.get(vr, value))


def _plant_dimension(data_set: Dataset) -> None:
    """Name the new dimension organization wherever the old one was named."""
    uid = data_set.DimensionOrganizationSequence[0].DimensionOrganizationUID
    for item in data_set.get("DimensionIndexSequence") or ():
        item.DimensionOrganizationUID = uid


def _plant_strangers(data_set: Dataset, planting: Planting) -> None:
    def word(place: str, name: str) -> str:
        return planting.value(place, (), "word", name)

    creator = word("private top", "private creator")
    block = data_set.private_block(0x0019, creator, create=True)
    block.add_new(1, "LO", word("private top", "private text"))
    block.add_new(2, "OB", _even(word("private top", "private bytes")))
    inner = Dataset()
    nested = inner.private_block(0x0019, word("private nested", "nested creator"), create=True)
    nested.add_new(3, "LT", word("private nested", "nested private"))
    block.add_new(4, "SQ", [inner])
    data_set.add_new(0x60004000, "LT", word("overlay", "overlay comments"))
    data_set.add_new(0x60003000, "OW", _even(word("overlay", "overlay data")))
    data_set.add_new(0x50003000, "OW", _even(word("curve", "curve data")))
    data_set.add_new(0x00289F9E, "LO", word("unknown tag", "unknown"))
    data_set.add_new(0xFFFCFFFC, "OB", _even(word("trailing", "padding")))
    optical = data_set.OpticalPathSequence[0]
    optical.IlluminationTypeCodeSequence[0].CodeMeaning = word("code meaning", "meaning")
    profile = bytes(optical.get("ICCProfile") or b"\0" * 128)
    optical.ICCProfile = profile + _even(word("ICC", "profile"))


def _plant_file(data_set: pydicom.FileDataset, planting: Planting) -> None:
    meta = data_set.file_meta
    for name in (
        "ImplementationVersionName",
        "SourceApplicationEntityTitle",
        "SendingApplicationEntityTitle",
        "ReceivingApplicationEntityTitle",
    ):
        setattr(meta, name, planting.value("file meta", (), "word", name))
    meta.PrivateInformationCreatorUID = planting.value("file meta", (), "uid", "creator")
    meta.PrivateInformation = _even(planting.value("file meta", (), "word", "information"))
    preamble = planting.value("preamble", (), "word", "preamble").encode()
    data_set.preamble = preamble.ljust(128, b"\0")


def _plant_pixels(data_set: pydicom.FileDataset, planting: Planting) -> None:
    if not data_set.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frames = generate_frames(data_set.PixelData, number_of_frames=int(data_set.NumberOfFrames))
    noted = [_noted(frame, planting) for frame in frames]
    data_set.PixelData = encapsulate(noted)
    data_set["PixelData"].is_undefined_length = True
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in data_set:
            del data_set[name]


def _noted(frame: bytes, planting: Planting) -> bytes:
    def word(name: str) -> bytes:
        return planting.value("codestream", (), "word", name).encode()

    if frame[:3] == b"\xff\xd8\xff" and frame[3] != 0xF7:  # noqa: PLR2004  JPEG, not JPEG-LS
        notes = _segment(0xE1, b"Exif\0\0" + word("APP1")) + _segment(0xFE, word("COM"))
        end = frame.rfind(b"\xff\xd9") + 2
        return frame[:2] + notes + frame[2:end] + word("after EOI")
    if frame[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: a comment behind SIZ
        end = 4 + int(struct.unpack_from(">H", frame, 4)[0])
        return frame[:end] + _segment(0x64, b"\0\1" + word("COM")) + frame[end:]
    return frame


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _even(word: str) -> bytes:
    return word.encode() + b"\0" * (len(word) % 2)


def _invented(kind: str, source: random.Random) -> str:
    if kind == "uid":
        return UID_ROOT + str(source.randrange(10**12, 10**13))
    if kind == "date":
        return f"{_FIRST_DAY_OF}{source.randrange(1, 11):02d}{source.randrange(1, 29):02d}"
    letters = [source.choice("BDFGKLMNPRSTVZ") + source.choice("AEIOU") for _ in range(5)]
    word = "".join(letters) + source.choice("0123456789")
    return word[-7:] if kind == "short" else word  # a reader takes 8 bytes for an element


def at(data_set: Dataset, path: Path_) -> Any:
    """Value at a path, of a sequence the first item; None when something on the way is missing."""
    for name in path[:-1]:
        inside = data_set.get(name)
        if not inside:
            return None
        data_set = inside[0]
    return data_set.get(path[-1]) if Tag(path[-1]) in data_set else None
