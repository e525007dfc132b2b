"""Check a tile's DICOM file before it is signed: every attribute has the one value it may have.

The bytes that are about to leave are read anew. An attribute too many, another value or a byte
that belongs to nothing, and the parcel is not made.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import JPEGBaseline8Bit, VLMicroscopicImageStorage

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.tiles.check import refused
from anonymizer.tiles.dicom import spacing_mm, stain_items, tile_uids
from anonymizer.tiles.shards import Tile
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.slides.jpeg import jpeg_facts

_PREAMBLE: Final = bytes(128)

_META: Final[Mapping[str, str]] = {
    "FileMetaInformationVersion": str(b"\0\1"),
    "MediaStorageSOPClassUID": VLMicroscopicImageStorage,
    "TransferSyntaxUID": JPEGBaseline8Bit,
    "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
    "ImplementationVersionName": IMPLEMENTATION_VERSION_NAME,
}
_CONSTANTS: Final[Mapping[str, str]] = {
    "ImageType": "DERIVED\\PRIMARY",
    "SOPClassUID": VLMicroscopicImageStorage,
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "AccessionNumber": "",
    "Modality": "GM",
    "Manufacturer": "",
    "ReferringPhysicianName": "",
    "PatientBirthDate": "",
    "PatientSex": "",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "Coverslip tile: allow-list of attributes",
    "StudyID": "1",
    "SeriesNumber": "1",
    "InstanceNumber": "1",
    "PatientOrientation": "",
    "Laterality": "",
    "SamplesPerPixel": "3",
    "PhotometricInterpretation": "YBR_FULL_422",
    "PlanarConfiguration": "0",
    "BitsAllocated": "8",
    "BitsStored": "8",
    "HighBit": "7",
    "PixelRepresentation": "0",
    "BurnedInAnnotation": "NO",
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "10",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
"""Equal in every tile of everyone; what is not here and not of the tile itself may not leave."""


def check_tile_file(content: bytes, *, tile_id: str, tile: Tile, recipient: Pseudonyms) -> None:
    """Check the file of one tile.

    Parameters
    ----------
    content
        The DICOM file as it is about to be signed.
    tile_id, tile, recipient
        What it was made of.

    Raises
    ------
    DeliveryRefused
        It holds anything else than it may.
    """
    try:
        with quiet_pydicom():
            image = dcmread(BytesIO(content))
            again = BytesIO()
            image.save_as(again, enforce_file_format=True)
    except (InvalidDicomError, EOFError, ValueError, AttributeError, TypeError) as error:
        raise refused("what cannot be read back") from error
    if image.preamble != _PREAMBLE or again.getvalue() != content:
        raise refused("bytes outside its data set")
    uids = tile_uids(tile_id, recipient)
    _check_values(
        _values(image.file_meta),
        {**_META, "MediaStorageSOPInstanceUID": uids["SOPInstanceUID"]},
    )
    _check_values(_values(image), {**_CONSTANTS, **uids, **_of_the_tile(tile_id, tile)})
    if image.AcquisitionContextSequence != stain_items(tile.stain):
        raise refused("attribute AcquisitionContextSequence")
    _check_frame(image, tile)


def _of_the_tile(tile_id: str, tile: Tile) -> dict[str, str]:
    """Give what differs between tiles, beside their UIDs."""
    facts = jpeg_facts(tile.jpeg)
    if facts is None:
        raise refused("something else than a JPEG file")
    spacing = spacing_mm(tile.um_px)
    return {
        "PatientName": f"Tile^{tile_id}",
        "PatientID": tile_id,
        "Rows": str(facts.rows),
        "Columns": str(facts.columns),
        "PixelSpacing": f"{spacing}\\{spacing}",
    }


def _check_frame(image: Dataset, tile: Tile) -> None:
    """Check that the pixels are the one JPEG file that was cut."""
    frames = list(generate_frames(image.PixelData, number_of_frames=1))
    if frames not in ([tile.jpeg], [tile.jpeg + b"\0"]):  # an item has an even length
        raise refused("other pixels than the tile")


def _values(dataset: Dataset) -> dict[str, str]:
    """Give plain values by keyword; group length says nothing, sequence and pixels come later."""
    apart = {"FileMetaInformationGroupLength", "AcquisitionContextSequence", "PixelData"}
    return {one.keyword: _text(one) for one in dataset if one.keyword not in apart}


def _text(element: DataElement) -> str:
    value = element.value
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def _check_values(said: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for keyword in sorted(said.keys() | expected.keys()):
        if said.get(keyword) != expected.get(keyword):
            raise refused(f"attribute {keyword or 'without a name'}")
