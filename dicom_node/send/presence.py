"""Whether a peer holds an instance already: a C-FIND at the image level (PS3.4 C.4.1)."""

import struct
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom.presentation import build_context

from appliance.errors import DeliveryRefused, InvalidInstance, PeerUnavailable
from dicom_node.headers import pydicom_door
from dicom_node.send.association import Endpoint, associated

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_HIERARCHY: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def keys_of(path: Path) -> dict[str, str]:
    """Read the UIDs under which a file is found: study, series, instance and SOP class.

    Raises
    ------
    InvalidInstance
        The file names no study, series or instance.
    """
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(_HIERARCHY))
        return {keyword: str(header[keyword].value) for keyword in _HIERARCHY}
    except (InvalidDicomError, KeyError, EOFError, ValueError, OSError, struct.error) as error:
        raise InvalidInstance("A file to be sent names no study or series.") from error


def holds(endpoint: Endpoint, path: Path) -> bool:
    """Ask a peer whether it holds the instance of a file, in the same study and series.

    A peer that does not answer such questions holds nothing that we could count on.

    Raises
    ------
    PeerUnavailable
        It cannot be asked now.
    """
    keys = keys_of(path)
    question = Dataset()
    question.QueryRetrieveLevel = "IMAGE"
    for keyword, value in keys.items():
        setattr(question, keyword, value)
    try:
        with associated(endpoint, [build_context(STUDY_ROOT_FIND)]) as association, pydicom_door():
            return any(
                status.get("Status") in _PENDING and found is not None and _is(found, keys)
                for status, found in list(association.send_c_find(question, STUDY_ROOT_FIND))
            )
    except RuntimeError as error:
        raise PeerUnavailable("The peer ended the association.") from error
    except (DeliveryRefused, InvalidInstance):
        return False


def _is(found: Dataset, keys: dict[str, str]) -> bool:
    """Whether an answer is about the instance; a peer may leave the SOP class out."""
    sop_class_uid = found.get("SOPClassUID") or keys["SOPClassUID"]
    return (str(found.get("SOPInstanceUID")), str(sop_class_uid)) == (
        keys["SOPInstanceUID"],
        keys["SOPClassUID"],
    )
