"""Make a highdicom object depend on its input alone, so that a re-run gives the same bytes."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from inference.reports import codes
from inference.reports.source_header import written_at


def normalised(dataset: Dataset, *, header: Dataset, dimension_uid: str) -> bytes:
    """Replace what the library took from the clock or from chance, and write the file.

    Parameters
    ----------
    dataset
        Object made by highdicom; changed in place.
    header
        De-identified header of the slide: source of the date and time.
    dimension_uid
        Dimension Organization UID to use.
    """
    date, time = written_at(header)
    dataset.ContentDate, dataset.ContentTime = date, time
    for keyword in (
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContributingEquipmentSequence",
    ):
        if keyword in dataset:
            del dataset[keyword]
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword) or []:
            item.DimensionOrganizationUID = dimension_uid
    if "PixelData" in dataset:
        dataset.PatientOrientation = ""  # PS3.3 C.7.6.1: allowed, and older validators demand it
    dataset.CodingSchemeIdentificationSequence = [codes.scheme_identification()]
    for keyword in ("PatientIdentityRemoved", "DeidentificationMethod"):
        if header.get(keyword):
            setattr(dataset, keyword, header[keyword].value)
    meta = dataset.file_meta
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
