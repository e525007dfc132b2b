"""Tiny DICOM objects: valid enough for a node, small enough for a property test."""

from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY

TILE_PX = 8
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a test says of an object; the rest is made up."""

    uid: str = field(default_factory=generate_uid)
    sop_class: str = VL_WHOLE_SLIDE_MICROSCOPY
    study: str = field(default_factory=generate_uid)
    series: str = field(default_factory=generate_uid)
    frame_of_reference: str | None = field(default_factory=generate_uid)
    container: str | None = "S26-1-A1"
    issuer: str | None = None
    flavour: str = "VOLUME"
    rows: int = 32
    columns: int = 48
    n_frames: int | None = None
    concatenation: str | None = None
    part: int | None = None
    parts: int | None = None
    native: bool = False
    patient: str = "Canary^Patient"
    marker: int = 0
    frame_bytes: int = 100
    acquired: str = "20260101120000"


def dataset_of(image: Image) -> Dataset:
    """Make the data set."""
    one = Dataset()
    one.SOPClassUID = image.sop_class
    one.SOPInstanceUID = image.uid
    one.StudyInstanceUID = image.study
    one.SeriesInstanceUID = image.series
    one.PatientName = image.patient
    one.PatientID = "CANARY-ID"
    one.AcquisitionDateTime = image.acquired
    one.ImageType = ["ORIGINAL", "PRIMARY", image.flavour, "NONE"]
    if image.frame_of_reference:
        one.FrameOfReferenceUID = image.frame_of_reference
    if image.container is not None:
        one.ContainerIdentifier = image.container
    if image.issuer is not None:
        issuer = Dataset()
        issuer.LocalNamespaceEntityID = image.issuer
        one.IssuerOfTheContainerIdentifierSequence = [issuer]
    _add_matrix(one, image)
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID = UID(image.sop_class)
    one.file_meta.MediaStorageSOPInstanceUID = UID(image.uid)
    _add_pixels(one, image)
    return one


def _add_matrix(one: Dataset, image: Image) -> None:
    one.TotalPixelMatrixRows, one.TotalPixelMatrixColumns = image.rows, image.columns
    one.Rows, one.Columns = TILE_PX, TILE_PX
    one.BitsAllocated, one.SamplesPerPixel = 8, 3
    one.DimensionOrganizationType = "TILED_FULL"
    tiles = -(-image.rows // TILE_PX) * -(-image.columns // TILE_PX)
    one.NumberOfFrames = tiles if image.n_frames is None else image.n_frames
    if image.concatenation is not None:
        one.ConcatenationUID = image.concatenation
        one.InConcatenationNumber = image.part
        if image.parts is not None:
            one.InConcatenationTotalNumber = image.parts


def _add_pixels(one: Dataset, image: Image) -> None:
    n_frames = int(one.NumberOfFrames)
    if image.native:
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.PixelData = bytes([image.marker]) * (TILE_PX * TILE_PX * 3 * n_frames)
        one["PixelData"].VR = "OB"
        return
    one.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    frame = b"\xff\xd8" + bytes([image.marker]) * image.frame_bytes + b"\xff\xd9"
    one.PixelData = encapsulate([frame] * n_frames, has_bot=True)
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True


def write(image: Image, folder: Path) -> Path:
    """Write an object to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.uid}-{image.marker}.dcm"
    dataset_of(image).save_as(path, enforce_file_format=True)
    return path


def data_set_offset(path: Path) -> int:
    """Where the data set begins, after preamble and file meta information (PS3.10 7.1)."""
    with path.open("rb") as file:
        start = file.read(144)
    return 144 + int.from_bytes(start[140:144], "little")
