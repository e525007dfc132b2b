"""A PDF as a DICOM object (Encapsulated PDF, PS3.3 A.45.1)."""

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from inference.reports import codes
from inference.reports.equipment import MAKER, ONE_PAGER_SERIES
from inference.reports.naming import Naming
from inference.reports.normalised import normalised
from inference.reports.source_header import written_at

_PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


def encapsulated(
    pdf: bytes, headers: Sequence[FileDataset], naming: Naming, *, title: str
) -> bytes:
    """Wrap a PDF for the study of a slide.

    Parameters
    ----------
    pdf
        The document; no patient is on it.
    headers
        Completed headers of the VOLUME instances, named as the source.
    naming
        For the UIDs.
    title
        Of the document.
    """
    base = headers[0]
    made = hd.base.SOPClass(
        study_instance_uid=base.StudyInstanceUID,
        series_instance_uid=naming.uid("page/series"),
        series_number=ONE_PAGER_SERIES,
        sop_instance_uid=naming.uid("page"),
        sop_class_uid=EncapsulatedPDFStorage,
        instance_number=1,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="Slide quality: one page",
        **MAKER,
    )
    for keyword in _PATIENT_AND_STUDY:
        made[keyword] = base[keyword]
    date, time = written_at(base)
    made.SpecificCharacterSet = base.get("SpecificCharacterSet") or "ISO_IR 192"
    made.ConversionType = "WSD"
    made.AcquisitionDateTime = f"{date}{time}"
    made.BurnedInAnnotation = "NO"
    made.SourceInstanceSequence = [_reference(header) for header in headers]
    made.DocumentTitle = title
    made.ConceptNameCodeSequence = [codes.code_item(codes.SLIDE_QUALITY_PAGE)]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return normalised(made, header=base, dimension_uid=naming.uid("page/dimensions"))


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item
