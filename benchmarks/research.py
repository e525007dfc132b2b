"""What research needs of a slide: geometry, pyramid, optics, stain, anatomy, device."""

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

Path_ = tuple[str, ...]

_STEP = (
    "SpecimenDescriptionSequence",
    "SpecimenPreparationSequence",
    "SpecimenPreparationStepContentItemSequence",
    "ConceptCodeSequence",
)
_SHARED = "SharedFunctionalGroupsSequence"
_OPTICS = "OpticalPathSequence"
_ORIGIN = "TotalPixelMatrixOriginSequence"

GROUPS: dict[str, tuple[Path_, ...]] = {
    "pixel spacing": (
        (_SHARED, "PixelMeasuresSequence", "PixelSpacing"),
        (_SHARED, "PixelMeasuresSequence", "SliceThickness"),
        ("ImagedVolumeWidth",),
        ("ImagedVolumeHeight",),
        ("ImagedVolumeDepth",),
    ),
    "pyramid": (
        ("ImageType",),
        ("TotalPixelMatrixColumns",),
        ("TotalPixelMatrixRows",),
        ("Rows",),
        ("Columns",),
        ("NumberOfFrames",),
        ("InstanceNumber",),
        ("VolumetricProperties",),
        ("DimensionOrganizationType",),
        ("InConcatenationNumber",),
        ("InConcatenationTotalNumber",),
        ("ConcatenationFrameOffsetNumber",),
    ),
    "geometry": (
        ("ImageOrientationSlide",),
        (_ORIGIN, "XOffsetInSlideCoordinateSystem"),
        (_ORIGIN, "YOffsetInSlideCoordinateSystem"),
        ("PositionReferenceIndicator",),
        ("TotalPixelMatrixFocalPlanes",),
        ("ExtendedDepthOfField",),
        ("FocusMethod",),
        (
            "PerFrameFunctionalGroupsSequence",
            "PlanePositionSlideSequence",
            "RowPositionInTotalImagePixelMatrix",
        ),
        (
            "PerFrameFunctionalGroupsSequence",
            "PlanePositionSlideSequence",
            "ColumnPositionInTotalImagePixelMatrix",
        ),
    ),
    "optical path": (
        ("NumberOfOpticalPaths",),
        (_OPTICS, "OpticalPathIdentifier"),
        (_OPTICS, "IlluminationTypeCodeSequence", "CodeValue"),
        (_OPTICS, "IlluminationColorCodeSequence", "CodeValue"),
        (_OPTICS, "IlluminationWaveLength"),
        (_OPTICS, "ObjectiveLensPower"),
        (_OPTICS, "ObjectiveLensNumericalAperture"),
    ),
    "pixels": (
        ("PhotometricInterpretation",),
        ("SamplesPerPixel",),
        ("BitsAllocated",),
        ("BitsStored",),
        ("HighBit",),
        ("PixelRepresentation",),
        ("PlanarConfiguration",),
        ("LossyImageCompression",),
        ("LossyImageCompressionRatio",),
        ("LossyImageCompressionMethod",),
    ),
    "stain and anatomy": (
        (*_STEP, "CodeValue"),
        ("SpecimenDescriptionSequence", "PrimaryAnatomicStructureSequence", "CodeValue"),
        ("SpecimenDescriptionSequence", "SpecimenTypeCodeSequence", "CodeValue"),
        ("ContainerTypeCodeSequence", "CodeValue"),
        ("ContainerComponentSequence", "ContainerComponentTypeCodeSequence", "CodeValue"),
        ("ContainerComponentSequence", "ContainerComponentMaterial"),
    ),
    "device": (
        ("Modality",),
        ("Manufacturer",),
        ("ManufacturerModelName",),
        ("SoftwareVersions",),
    ),
}
"""Paths by what they tell; of a sequence all items count."""

RESEARCH = tuple(path for paths in GROUPS.values() for path in paths)
REQUIRED: tuple[Path_, ...] = (
    ("SOPClassUID",),
    ("SOPInstanceUID",),
    ("StudyInstanceUID",),
    ("SeriesInstanceUID",),
    ("FrameOfReferenceUID",),
    ("Manufacturer",),
    ("ManufacturerModelName",),
    ("DeviceSerialNumber",),
    ("SoftwareVersions",),
    ("ContentDate",),
    ("ContentTime",),
    ("AcquisitionDateTime",),
    ("ContainerIdentifier",),
    ("SpecimenDescriptionSequence", "SpecimenIdentifier"),
    ("SpecimenDescriptionSequence", "SpecimenUID"),
    (_OPTICS, "OpticalPathIdentifier"),
    ("DimensionOrganizationSequence", "DimensionOrganizationUID"),
)
"""Attributes of Type 1 that must not come out empty."""


def values_at(data_set: Dataset, path: Path_) -> list[Any]:
    """Values at a path that are not empty, of all items of the sequences on the way."""
    found: Sequence[Dataset] = [data_set]
    for name in path[:-1]:
        found = [item for one in found for item in one.get(name) or ()]
    values = [one[Tag(path[-1])].value for one in found if Tag(path[-1]) in one]
    return [value for value in values if value not in (None, "", b"")]
