"""A tile as a VL Microscopic Image (PS3.3 A.32.2): a patient and a study of its own.

Nothing links two tiles: every UID is keyed by the tile and the recipient, the dates are constant,
and there is no specimen, frame of reference, device or position. What is told beside the pixels is
what a shard tells too: the spacing and the stain. The JPEG is the one that was cut.
"""

from collections.abc import Mapping
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEGBaseline8Bit, VLMicroscopicImageStorage

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.tiles.shards import Tile
from appliance.errors import DeliveryRefused
from appliance.slides.jpeg import jpeg_facts

CONSTANT_DATE: Final = "19000101"
CONSTANT_TIME: Final = "000000"
NOMINAL_RATIO: Final = "10"
"""About what the encoding gives; the ratio of each tile would be told by its slide's look."""
METHOD: Final = "Coverslip tile: allow-list of attributes"

Code = tuple[str, str, str]
"""Code Value, Coding Scheme Designator and Code Meaning."""

_USING_SUBSTANCE: Final[Code] = ("424361007", "SCT", "Using substance")
_STAINS: Final[Mapping[str, tuple[Code, ...]]] = {
    "H&E": (
        ("12710003", "SCT", "hematoxylin stain"),
        ("36879007", "SCT", "water soluble eosin stain"),
    ),
}
"""Staining substances (CID 8112) of the stains that a recipient may be told of."""
_BASELINE: Final = (0xFFC0, 8, 3, False)
"""Start of frame, bits, components, and whether they are RGB (ITU-T T.81 B.2.2)."""
_UM_PER_MM: Final = 1000.0


def tile_image(tile_id: str, tile: Tile, recipient: Pseudonyms) -> Dataset:
    """Make the image of one tile.

    Parameters
    ----------
    tile_id
        128 keyed bits, hexadecimal; Patient ID too, so that a recipient can name a tile to us.
    tile
        Its JPEG file (baseline, 4:2:0), spacing and stain.
    recipient
        Pseudonyms of the recipient (`Pseudonyms.for_recipient`): equal for every try.

    Returns
    -------
    Dataset
        With the transfer syntax JPEG Baseline in its file meta information.

    Raises
    ------
    DeliveryRefused
        The tile is no baseline JPEG file in colour.
    """
    rows, columns = _shape(tile.jpeg)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    _name(image, tile_id, recipient)
    image.AcquisitionContextSequence = stain_items(tile.stain)
    _describe(image, rows, columns)
    image.PixelSpacing = [spacing_mm(tile.um_px)] * 2
    image.PixelData = encapsulate([tile.jpeg])
    return image


def tile_uids(tile_id: str, recipient: Pseudonyms) -> dict[str, UID]:
    """Give the UIDs of a tile for one recipient, by keyword."""
    return {
        f"{level}InstanceUID": UID(recipient.entity_uid(f"tile {tile_id} {level}"))
        for level in ("SOP", "Study", "Series")
    }


def stain_items(stain: str) -> Sequence:
    """Give the items of Acquisition Context that tell a stain; none for what is not known."""
    return Sequence(_substance(code) for code in _STAINS.get(stain, ()))


def spacing_mm(um_px: float) -> str:
    """Write a spacing as Pixel Spacing does (DS, PS3.5 6.2)."""
    return f"{um_px / _UM_PER_MM:.8g}"


def _shape(jpeg: bytes) -> tuple[int, int]:
    """Read rows and columns out of a baseline JPEG file of 8 bit in Y, Cb and Cr."""
    facts = jpeg_facts(jpeg)
    if facts is None or (facts.frame, facts.bits, facts.components, facts.says_rgb) != _BASELINE:
        raise DeliveryRefused("A tile is no baseline JPEG file in colour.")
    return facts.rows, facts.columns


def _name(image: Dataset, tile_id: str, recipient: Pseudonyms) -> None:
    """Patient, General Study, General Series, General Equipment, General Image and SOP Common."""
    image.SOPClassUID = VLMicroscopicImageStorage
    for keyword, uid in tile_uids(tile_id, recipient).items():
        setattr(image, keyword, uid)
    image.PatientName, image.PatientID = f"Tile^{tile_id}", tile_id
    image.PatientIdentityRemoved, image.DeidentificationMethod = "YES", METHOD
    for keyword in (
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "ReferringPhysicianName",
        "Manufacturer",
        "Laterality",
        "PatientOrientation",
    ):
        setattr(image, keyword, "")
    for kind in ("Study", "Content"):
        setattr(image, f"{kind}Date", CONSTANT_DATE)
        setattr(image, f"{kind}Time", CONSTANT_TIME)
    image.Modality = "GM"
    image.StudyID, image.SeriesNumber, image.InstanceNumber = "1", 1, 1


def _describe(image: Dataset, rows: int, columns: int) -> None:
    """Image Pixel and VL Image (PS3.3 C.7.6.3, C.8.12.1)."""
    image.ImageType = ["DERIVED", "PRIMARY"]
    image.SamplesPerPixel, image.PlanarConfiguration = 3, 0
    image.PhotometricInterpretation = "YBR_FULL_422"
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelRepresentation = 0
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "01"
    image.LossyImageCompressionRatio = NOMINAL_RATIO
    image.LossyImageCompressionMethod = "ISO_10918_1"


def _substance(code: Code) -> Dataset:
    item = Dataset()
    item.ValueType = "CODE"
    item.ConceptNameCodeSequence = Sequence([_coded(_USING_SUBSTANCE)])
    item.ConceptCodeSequence = Sequence([_coded(code)])
    return item


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item
