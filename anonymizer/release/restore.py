"""Put the true patient, study and specimen back on every report, for routes inside only.

The PACS can file a report only under the patient and study it knows. The report was written on
the de-identified header by a stage that never saw a name; here, and only here, both come together.
"""

import copy
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from anonymizer.pseudonyms import text_of
from anonymizer.release.belonging import (
    Inverse,
    check_belongs,
    check_restored,
    values_of,
    walk,
)
from anonymizer.release.predecessors import restore_predecessors
from anonymizer.rewrite.values import shifted
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PATIENT_GROUP: Final = 0x0010

_STUDY: Final = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferencedStudySequence",
    "ProcedureCodeSequence",
    "ReasonForPerformedProcedureCodeSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "IssuerOfServiceEpisodeIDSequence",
    "ServiceEpisodeDescription",
    "ReasonForVisit",
    "ReasonForVisitCodeSequence",
)
"""General Study and Patient Study modules (PS3.3 C.7.2.1, C.7.2.2)."""

_SPECIMEN: Final = (
    "ContainerIdentifier",
    "IssuerOfTheContainerIdentifierSequence",
    "AlternateContainerIdentifierSequence",
    "ContainerTypeCodeSequence",
    "ContainerDescription",
    "ContainerComponentSequence",
    "SpecimenDescriptionSequence",
)
"""Specimen module (PS3.3 C.7.6.22)."""

_FRAME_OF_REFERENCE: Final = ("FrameOfReferenceUID", "PositionReferenceIndicator")

_TYPE_2: Final = frozenset(
    {
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "PositionReferenceIndicator",
        "IssuerOfTheContainerIdentifierSequence",
        "ContainerTypeCodeSequence",
    }
)
"""Present but empty where the original has none (PS3.5 7.4.3)."""

_DEIDENTIFICATION: Final = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)


_TEMPORAL: Final = {"DA": "%Y%m%d", "TM": "%H%M%S", "DT": "%Y%m%d%H%M%S"}


def restore(
    product: Dataset,
    inverse: Inverse,
    *,
    reported_at: datetime,
    own: frozenset[str],
    earlier: Inverse | None = None,
) -> Dataset:
    """Restore the identity of one SR, SEG, ANN, heat map or one-pager.

    Parameters
    ----------
    product
        Made on the de-identified header, or de-identified beside its slide; not changed.
    inverse
        From the sealed identity of the slide (`belonging.inverse_of`).
    reported_at
        When the report was made (time zone aware): its content date. An argument, so that a
        retry gives the same bytes. What was de-identified itself gets its own dates back.
    own
        SOP Instance UIDs of all products of this slide, which keep theirs.
    earlier
        Of the earlier scan of the same container, whose report this one may supersede.

    Returns
    -------
    Dataset
        With the true identity at every depth, and its own SOP Instance UID.

    Raises
    ------
    IdentityDoubt
        The product is another slide's, or a pseudonym would be left on it.
    """
    check_belongs(product, inverse, own=own)
    restored = copy.deepcopy(product)
    header = inverse.header
    restore_predecessors(restored, inverse, earlier)
    _map_back(restored, inverse)
    if product.get("DeidentificationMethodCodeSequence"):
        _move_back(restored, inverse.subject.shift_weeks)
    else:
        _date(restored, _local(reported_at, header))
    _copy_patient(restored, header)
    _copy(restored, header, _STUDY)
    if "ContainerIdentifier" in restored:
        _copy(restored, header, _SPECIMEN)
    if "FrameOfReferenceUID" in restored:
        _copy(restored, header, _FRAME_OF_REFERENCE)
    _copy(restored, header, ("TimezoneOffsetFromUTC",))
    for keyword in _DEIDENTIFICATION:
        restored.pop(keyword, None)
    _write_in_unicode(restored)
    check_restored(restored, inverse)
    return restored


def to_file(dataset: Dataset) -> bytes:
    """Encode as a DICOM file; equal data sets give equal bytes.

    Explicit little endian, but compressed pixels stay as they are.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = _syntax_of(dataset)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    # A plain copy: what the data set was read from (its encoding, its preamble) has no say.
    plain = Dataset({element.tag: element for element in dataset})
    file = FileDataset(buffer, plain, file_meta=meta, preamble=b"\0" * 128)
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _syntax_of(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    if syntax is not None and UID(syntax).is_compressed and "PixelData" in dataset:
        return UID(syntax)
    return ExplicitVRLittleEndian


def _map_back(dataset: Dataset, inverse: Inverse) -> None:
    for element in walk(dataset):
        table = inverse.uids if element.VR == "UI" else inverse.texts
        found = values_of(element)
        if any(value in table for value in found):
            new = [table.get(value, value) for value in found]
            element.value = new if len(new) > 1 else new[0]


def _date(dataset: Dataset, moment: datetime) -> None:
    """Date what the appliance made; what it copied from the slide is copied anew afterwards."""
    for element in walk(dataset):
        form = _TEMPORAL.get(element.VR)
        if form is not None and element.value:
            element.value = moment.strftime(form)


def _move_back(dataset: Dataset, weeks: int) -> None:
    """Undo the shift of dates, where there was one (PS3.15 E.3.6)."""
    if text_of(dataset, "LongitudinalTemporalInformationModified") != "MODIFIED":
        return
    for element in walk(dataset):
        if element.VR in {"DA", "DT"} and element.value:
            moved = [
                shifted(str(value).encode("ascii", "replace"), element.VR, -weeks)
                for value in (element.value if element.VM > 1 else [element.value])
            ]
            element.value = "\\".join((one or b"").decode("ascii") for one in moved)


def _local(moment: datetime, header: Dataset) -> datetime:
    """Express a moment in the time zone of the slide, else in that of this machine."""
    offset = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    try:
        sign = -1 if offset.startswith("-") else 1
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    except ValueError:
        return moment.astimezone()
    return moment.astimezone(timezone(sign * timedelta(minutes=minutes)))


def _copy_patient(restored: Dataset, header: Dataset) -> None:
    """Replace the Patient module and patient characteristics as a whole (group 0010)."""
    for source in (restored, header):
        keywords = [e.keyword for e in source if e.tag.group == _PATIENT_GROUP and e.keyword]
        _copy(restored, header, tuple(keywords))


def _copy(restored: Dataset, header: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        had = keyword in restored
        restored.pop(keyword, None)
        if keyword in header:
            restored.add(copy.deepcopy(header[keyword]))
        elif had and keyword in _TYPE_2:
            setattr(restored, keyword, None)


def _write_in_unicode(dataset: Dataset) -> None:
    """One character set for all: the original's texts and ours may have had two."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _forget_character_set(item)


def _forget_character_set(item: Dataset) -> None:
    item.pop("SpecificCharacterSet", None)
    for element in item:
        if element.VR == "SQ":
            for nested in element.value:
                _forget_character_set(nested)
