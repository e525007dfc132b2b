"""The de-identified headers as our objects build on them: what a PACS needs is always there."""

from collections.abc import Sequence
from copy import deepcopy

from pydicom.dataset import Dataset, FileDataset

from appliance.errors import UnsuitableSlide

CONSTANT_DATE = "19000101"
CONSTANT_TIME = "000000"
_EMPTY_ALLOWED = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Type 2 attributes of the patient and study modules."""
_UPRIGHT = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]
"""Image Orientation (Slide) when the scanner wrote none: rows run to the label's left."""


def completed(headers: Sequence[FileDataset]) -> list[FileDataset]:
    """Copy headers and add what may be empty or follows from nothing else.

    Raises
    ------
    UnsuitableSlide
        A UID that ties our objects to the slide is missing.
    """
    return [_completed(header) for header in headers]


def written_at(header: Dataset) -> tuple[str, str]:
    """Give the date and time that our objects carry: those of the scan, never the wall clock.

    The wall clock would give away by how much de-identification moved the dates.
    """
    date, time = header.get("ContentDate"), header.get("ContentTime")
    if date and time:
        return str(date), str(time)
    acquired = str(header.get("AcquisitionDateTime") or "")
    if len(acquired) >= len("YYYYMMDDHHMMSS"):
        return acquired[:8], acquired[8:14]
    return str(header.get("StudyDate") or CONSTANT_DATE), str(
        header.get("StudyTime") or CONSTANT_TIME
    )


def _completed(header: FileDataset) -> FileDataset:
    whole = deepcopy(header)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not whole.get(keyword):
            raise UnsuitableSlide("The slide lacks a UID that its report has to refer to.")
    for keyword in _EMPTY_ALLOWED:
        if keyword not in whole:
            setattr(whole, keyword, "")
    if not whole.get("FrameOfReferenceUID"):
        raise UnsuitableSlide("The slide has no frame of reference that a segmentation needs.")
    if not whole.get("ImageOrientationSlide"):
        whole.ImageOrientationSlide = _UPRIGHT
    if not whole.get("TotalPixelMatrixOriginSequence"):
        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem = 0
        origin.YOffsetInSlideCoordinateSystem = 0
        whole.TotalPixelMatrixOriginSequence = [origin]
    return whole
