"""The DICOM files of a verified parcel, as something that can be sent without another copy."""

from pathlib import Path

from appliance.errors import DeliveryRefused, InvalidInstance
from appliance.manifest import VerifiedParcel
from dicom_node.send.sender import Outgoing, outgoing


def outgoing_files(parcel: VerifiedParcel) -> tuple[Outgoing, ...]:
    """Give the files of a parcel for as long as the parcel is open.

    Each path leads through our own descriptor to the private copy whose bytes were verified; that
    copy has no name in any folder, so nobody can put another file in its place.

    Raises
    ------
    DeliveryRefused
        One is not DICOM.
    """
    try:
        return tuple(outgoing(_path(parcel, name)) for name in sorted(parcel.files))
    except InvalidInstance as error:
        raise DeliveryRefused("The parcel holds a file that is not DICOM.") from error


def _path(parcel: VerifiedParcel, name: str) -> Path:
    copy = parcel.files[name]
    copy.flush()
    return Path(f"/proc/self/fd/{copy.fileno()}")
