"""DICOM headers of a slide's instances, as full as a scanner writes them (PS3.3 A.32.8)."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from PIL import ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.specimen import add_specimen, code, entity
from appliance.synthetic.uids import seeded_uid

IMPLEMENTATION_CLASS_UID = seeded_uid("coverslip", "synthetic scanner")
PRIVATE_GROUP = 0x0009
PRIVATE_CREATOR = "ACME SCANNER 01"
SLIDE_HEIGHT_MM = 26.0
SLIDE_WIDTH_MM = 76.0
SPECIMEN_MIDDLE_MM = (13.0, 27.0)
"""Where the scanned area's middle lies: (x, y) of the slide coordinate system (PS3.3 C.8.12.2)."""

UNKNOWN_RATIO = "8642.097"
"""Stands in a new header for the compression ratio, which is known only after the last frame."""

EXTENDED_FROM_BYTES = 3_500_000_000
"""Guessed pixel data from which a Basic Offset Table of 32 bits might not reach the last frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """The total pixel matrix of one instance, how it is cut into frames, and what it shows.

    `flavour` is the third value of Image Type; `origin_mm` is the (x, y) of the matrix's corner in
    slide coordinates.
    """

    flavour: str
    derived: bool
    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    um_px: float
    origin_mm: tuple[float, float]
    instance_number: int

    @property
    def image_type(self) -> list[str]:
        """Value of Image Type and of Frame Type."""
        if self.derived:
            return ["DERIVED", "PRIMARY", self.flavour, "RESAMPLED"]
        return ["ORIGINAL", "PRIMARY", self.flavour, "NONE"]

    @property
    def n_frames(self) -> int:
        """Tiles that cover the total pixel matrix."""
        return -(-self.rows // self.tile_rows) * -(-self.columns // self.tile_columns)

    @property
    def needs_extended_offsets(self) -> bool:
        """Say whether a Basic Offset Table's 32 bits might not reach the last frame."""
        return self.rows * self.columns * 0.3 > EXTENDED_FROM_BYTES


def scanned_origin_mm(plan: SlidePlan) -> tuple[float, float]:
    """Return (x, y) of the corner of the scanned area; rows run along -x, columns along -y."""
    x_mm, y_mm = SPECIMEN_MIDDLE_MM
    return (x_mm + plan.height_mm / 2, y_mm + plan.width_mm / 2)


def file_meta(sop_instance_uid: str) -> FileMetaDataset:
    """Return the File Meta Information of an instance."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "COVERSLIP_SYN_1"
    return meta


def instance_header(shape: ImageShape, plan: SlidePlan, identity: SlideIdentity) -> Dataset:
    """Return the data set of one instance without its pixel data."""
    header = Dataset()
    own = (plan.seed, identity.study_instance_uid)
    uid = seeded_uid("instance", *own, shape.flavour, shape.instance_number)
    header.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    header.SOPInstanceUID = uid
    header.file_meta = file_meta(uid)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SeriesInstanceUID = seeded_uid("series", *own)
    header.FrameOfReferenceUID = seeded_uid("frame of reference", *own)
    header.PositionReferenceIndicator = "SLIDE_CORNER"
    header.AcquisitionUID = seeded_uid("acquisition", *own)
    if shape.flavour in ("VOLUME", "THUMBNAIL"):
        header.PyramidUID = seeded_uid("pyramid", *own)
        header.PyramidLabel = identity.series_description
    _add_patient_and_study(header, identity)
    _add_series_and_device(header, identity)
    _add_image(header, shape, identity)
    _add_geometry(header, shape, own)
    add_specimen(header, identity)
    header.AcquisitionContextSequence = Sequence()
    header.OpticalPathSequence = [_optical_path(plan, identity)]
    header.NumberOfOpticalPaths = 1
    if shape.flavour == "LABEL":
        header.LabelText = identity.label_text
        header.BarcodeValue = identity.barcode_value
    _add_private(header, identity)
    return header


def _stamp(header: Dataset, name: str, when: datetime) -> None:
    setattr(header, f"{name}Date", when.strftime("%Y%m%d"))
    setattr(header, f"{name}Time", when.strftime("%H%M%S"))


def _add_patient_and_study(header: Dataset, identity: SlideIdentity) -> None:
    header.PatientName = identity.patient_name
    header.PatientID = identity.patient_id
    header.IssuerOfPatientID = identity.issuer_of_patient_id
    header.PatientBirthDate = identity.patient_birth_date.strftime("%Y%m%d")
    header.PatientSex = identity.patient_sex
    header.PatientAddress = identity.patient_address
    header.PatientTelephoneNumbers = identity.patient_telephone
    header.PatientComments = identity.patient_comments
    header.EthnicGroup = identity.ethnic_group
    header.Occupation = identity.occupation
    header.AdmissionID = identity.admission_id
    other = Dataset()
    other.PatientID = identity.other_patient_id
    other.TypeOfPatientID = "TEXT"
    header.OtherPatientIDsSequence = [other]
    header.StudyInstanceUID = identity.study_instance_uid
    _stamp(header, "Study", identity.study_at)
    header.StudyID = identity.study_id
    header.StudyDescription = identity.study_description
    header.AccessionNumber = identity.accession_number
    header.IssuerOfAccessionNumberSequence = [entity(identity.issuer_of_accession_number)]
    header.ReferringPhysicianName = identity.referring_physician
    header.PhysiciansOfRecord = identity.physician_of_record
    header.RequestingPhysician = identity.requesting_physician


def _add_series_and_device(header: Dataset, identity: SlideIdentity) -> None:
    header.Modality = "SM"
    header.SeriesNumber = 1
    _stamp(header, "Series", identity.series_at)
    header.SeriesDescription = identity.series_description
    header.ProtocolName = identity.protocol_name
    header.PerformingPhysicianName = identity.performing_physician
    header.OperatorsName = identity.operators_name
    _stamp(header, "PerformedProcedureStepStart", identity.series_at)
    header.PerformedProcedureStepID = identity.procedure_step_id
    header.PerformedProcedureStepDescription = identity.procedure_step_description
    header.Manufacturer = "Coverslip"
    header.ManufacturerModelName = "Synthetic Scanner"
    header.DeviceSerialNumber = identity.device_serial_number
    header.DeviceUID = identity.device_uid
    header.SoftwareVersions = "1.0"
    header.StationName = identity.station_name
    header.InstitutionName = identity.institution_name
    header.InstitutionAddress = identity.institution_address
    header.InstitutionalDepartmentName = identity.institutional_department
    other = Dataset()
    other.Manufacturer = "Coverslip"
    other.InstitutionName = identity.contributing_institution
    other.OperatorsName = identity.contributing_operator
    other.PurposeOfReferenceCodeSequence = [code("109101", "DCM", "Acquisition Equipment")]
    header.ContributingEquipmentSequence = [other]


def _add_image(header: Dataset, shape: ImageShape, identity: SlideIdentity) -> None:
    label_seen = shape.flavour in ("LABEL", "OVERVIEW")
    header.ImageType = shape.image_type
    header.InstanceNumber = shape.instance_number
    _stamp(header, "Content", identity.scanned_at)
    header.AcquisitionDateTime = identity.scanned_at.strftime("%Y%m%d%H%M%S")
    header.ImageComments = identity.image_comments
    header.BurnedInAnnotation = "YES" if label_seen else "NO"
    header.SpecimenLabelInImage = "YES" if label_seen else "NO"
    header.LossyImageCompression = "01"
    header.LossyImageCompressionRatio = UNKNOWN_RATIO
    header.LossyImageCompressionMethod = "ISO_10918_1"
    header.SamplesPerPixel = 3
    header.PhotometricInterpretation = "YBR_FULL_422"
    header.PlanarConfiguration = 0
    header.BitsAllocated = 8
    header.BitsStored = 8
    header.HighBit = 7
    header.PixelRepresentation = 0
    header.VolumetricProperties = "VOLUME"
    header.FocusMethod = "AUTO"
    header.ExtendedDepthOfField = "NO"


def _add_geometry(header: Dataset, shape: ImageShape, own: tuple[int, str]) -> None:
    header.Rows = shape.tile_rows
    header.Columns = shape.tile_columns
    header.NumberOfFrames = shape.n_frames
    header.TotalPixelMatrixRows = shape.rows
    header.TotalPixelMatrixColumns = shape.columns
    header.TotalPixelMatrixFocalPlanes = 1
    header.ImagedVolumeHeight = shape.rows * shape.um_px / 1000
    header.ImagedVolumeWidth = shape.columns * shape.um_px / 1000
    header.ImagedVolumeDepth = 4.0
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = round(shape.origin_mm[0], 6)
    origin.YOffsetInSlideCoordinateSystem = round(shape.origin_mm[1], 6)
    origin.ZOffsetInSlideCoordinateSystem = 0.0
    header.TotalPixelMatrixOriginSequence = [origin]
    header.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    organization = Dataset()
    organization.DimensionOrganizationUID = seeded_uid("dimension", *own)
    header.DimensionOrganizationSequence = [organization]
    header.DimensionOrganizationType = "TILED_FULL"
    header.DimensionIndexSequence = [
        _index(organization.DimensionOrganizationUID, keyword)
        for keyword in (
            "RowPositionInTotalImagePixelMatrix",
            "ColumnPositionInTotalImagePixelMatrix",
        )
    ]
    header.SharedFunctionalGroupsSequence = [_shared_groups(shape)]


def _shared_groups(shape: ImageShape) -> Dataset:
    measures = Dataset()
    measures.PixelSpacing = [round(shape.um_px / 1000, 9)] * 2
    measures.SliceThickness = 0.004
    frame = Dataset()
    frame.FrameType = shape.image_type
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [frame]
    shared.OpticalPathIdentificationSequence = [path]
    return shared


def _index(organization_uid: str, keyword: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = organization_uid
    item.DimensionIndexPointer = Tag(keyword)
    item.FunctionalGroupPointer = Tag("PlanePositionSlideSequence")
    item.DimensionDescriptionLabel = keyword
    return item


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile without its date and identifier, so that it never changes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)
    profile[84:100] = bytes(16)
    return bytes(profile) + b"\x00" * (len(profile) % 2)


def _optical_path(plan: SlidePlan, identity: SlideIdentity) -> Dataset:
    item = Dataset()
    item.OpticalPathIdentifier = "1"
    item.OpticalPathDescription = identity.optical_path_description
    item.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    item.IlluminationColorCodeSequence = [code("414298005", "SCT", "Full Spectrum")]
    item.ObjectiveLensPower = "40" if plan.um_px <= _FORTY_TIMES_UM_PX else "20"
    item.ObjectiveLensNumericalAperture = "0.75"
    item.ICCProfile = srgb_profile()
    item.ColorSpace = "SRGB"
    return item


_FORTY_TIMES_UM_PX = 0.3


def _add_private(header: Dataset, identity: SlideIdentity) -> None:
    """Write private elements at the top, in a private sequence and in the specimen's item."""
    if not identity.private_text:
        return
    block = header.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", identity.private_text)
    inside = Dataset()
    nested = inside.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    nested.add_new(0x03, "LT", identity.private_text)
    block.add_new(0x02, "SQ", [inside])
    block.add_new(0x04, "OB", _even(identity.private_text.encode()))
    specimen = header.SpecimenDescriptionSequence[0]
    own = specimen.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    own.add_new(0x05, "UT", identity.private_text)


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)
