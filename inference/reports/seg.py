"""The class map as a DICOM Segmentation: BINARY, one segment a class that is present.

Written at the resolution of the class map and kept below 400 frames, which viewers still show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import Findings, ModelUse
from inference import CODE_VERSION
from inference.reports import codes
from inference.reports.geometry import slide_frame
from inference.reports.naming import Naming
from inference.reports.normalised import normalised

TILE_PX = 512
MAXIMUM_FRAMES = 400
MANUFACTURER = "Coverslip"
MODEL_NAME = "Coverslip slide quality control"
SERIAL_NUMBER = "COVERSLIP"
SERIES_NUMBER = 9002
_UM_PER_MM = 1000.0
_SLICE_MM = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """The SEG file, and what a report needs to refer to it."""

    content: bytes
    dataset: Dataset
    classes: tuple[SlideClass, ...]
    """Class of segment 1, 2, ..."""


def segmentation(
    class_map: ClassMap, findings: Findings, headers: Sequence[FileDataset], naming: Naming
) -> Segmented | None:
    """Build the SEG; None when the slide holds neither tissue nor an artifact.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8 of `SlideClass`.
    findings
        Of the same slide.
    headers
        Completed headers of the de-identified VOLUME instances, finest first.
    naming
        For the UIDs.
    """
    present = tuple(kind for kind in SlideClass if kind and np.any(class_map == kind))
    if not present:
        return None
    mask, um_px = _bounded(class_map, findings.class_map_um_px)
    base = headers[0]
    corner = slide_frame(base, um_px=findings.base_um_px).place([(um_px / 2, um_px / 2)])[0]
    planes = np.stack([mask == kind for kind in present], axis=-1)[np.newaxis].astype(np.uint8)
    made = hd.seg.Segmentation(
        source_images=[base],
        pixel_array=planes,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(
                number, kind, findings.models[-1 if kind != SlideClass.TISSUE else 0], naming
            )
            for number, kind in enumerate(present, start=1)
        ],
        series_instance_uid=naming.uid("seg/series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=naming.uid("seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=CODE_VERSION,
        device_serial_number=SERIAL_NUMBER,
        content_label="SLIDE_QUALITY",
        content_description="Tissue and artifacts of one slide",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=(um_px / _UM_PER_MM, um_px / _UM_PER_MM), slice_thickness=_SLICE_MM
        ),
        plane_positions=[
            hd.PlanePositionSequence(
                hd.CoordinateSystemNames.SLIDE,
                image_position=tuple(round(float(value), 6) for value in corner),
                pixel_matrix_position=(1, 1),
            )
        ],
        tile_pixel_array=True,
        tile_size=(TILE_PX, TILE_PX),
        omit_empty_frames=True,
        series_description="Slide quality: segmentation",
    )
    content = normalised(made, header=base, dimension_uid=naming.uid("seg/dimensions"))
    return Segmented(content=content, dataset=made, classes=present)


def _bounded(class_map: ClassMap, um_px: float) -> tuple[ClassMap, float]:
    """Thin the map out by twos until its tiles are few enough."""
    while _frames(class_map) > MAXIMUM_FRAMES:
        class_map, um_px = class_map[::2, ::2], um_px * 2
    return class_map, um_px


def _frames(class_map: ClassMap) -> int:
    """Count the tiles that hold something, over all classes."""
    frames = 0
    for row in range(0, class_map.shape[0], TILE_PX):
        for column in range(0, class_map.shape[1], TILE_PX):
            tile = class_map[row : row + TILE_PX, column : column + TILE_PX]
            frames += int(np.count_nonzero(np.unique(tile)))
    return frames


def _description(
    number: int, kind: SlideClass, model: ModelUse, naming: Naming
) -> hd.seg.SegmentDescription:
    is_tissue = kind == SlideClass.TISSUE
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=kind.look.words.capitalize(),
        segmented_property_category=codes.TISSUE if is_tissue else codes.PHYSICAL_OBJECT,
        segmented_property_type=codes.TISSUE if is_tissue else codes.ARTIFACT,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=model.name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version,
            source=MANUFACTURER,
            parameters={"digest": model.digest},
        ),
        tracking_uid=naming.uid(f"seg/tracking/{kind.key}"),
        tracking_id=kind.key,
        display_color=hd.color.CIELabColor.from_rgb(*kind.look.rgb),
    )
    if not is_tissue:
        _add_modifier(description, codes.KINDS[kind])
    return description


def _add_modifier(description: Dataset, kind: Code) -> None:
    """Say which kind of artifact, beside the standard type that every reader knows."""
    property_type = description.SegmentedPropertyTypeCodeSequence[0]
    property_type.SegmentedPropertyTypeModifierCodeSequence = [codes.code_item(kind)]
