"""The class map as a DICOM Segmentation: BINARY, or LABELMAP by setting (PS3.3 A.51).

Written at the resolution of the class map and kept below 400 frames, which viewers still show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import Findings
from inference.reports import codes
from inference.reports.equipment import MAKER, SEG_SERIES
from inference.reports.geometry import Grid, level_seen
from inference.reports.models_used import artifact_model, identification, model_of
from inference.reports.naming import Naming
from inference.reports.normalised import normalised

TILE_PX = 512
MAXIMUM_FRAMES = 400

Encoding = Literal["binary", "labelmap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """The SEG file, and what a report needs to refer to it."""

    content: bytes
    dataset: Dataset
    classes: tuple[SlideClass, ...]
    """Class of segment 1, 2, ..."""


def segmentation(
    class_map: ClassMap,
    findings: Findings,
    headers: Sequence[FileDataset],
    naming: Naming,
    *,
    encoding: Encoding = "binary",
) -> Segmented | None:
    """Build the SEG; None when the class map holds background alone.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8 of `SlideClass`.
    findings
        Its spacing and the models behind it.
    headers
        Completed headers of the de-identified VOLUME instances, finest first.
    naming
        For the UIDs.
    encoding
        labelmap: Label Map Segmentation Storage, RLE, one set of frames for all classes.
    """
    present = tuple(kind for kind in SlideClass if kind and np.any(class_map == kind))
    if not present:
        return None
    mask, um_px = _bounded(class_map, findings.class_map_um_px)
    pixels, kind, syntax = _encoded(mask, present, encoding)
    grid = Grid.over(headers[0], findings, um_px=um_px, tile_px=TILE_PX)
    made = hd.seg.Segmentation(
        source_images=[level_seen(headers, findings, artifact_model(findings).um_px)],
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[
            _description(number, kind, findings, naming)
            for number, kind in enumerate(present, start=1)
        ],
        series_instance_uid=naming.uid("seg/series"),
        series_number=SEG_SERIES,
        sop_instance_uid=naming.uid("seg"),
        instance_number=1,
        content_label="SLIDE_QUALITY",
        content_description="Tissue and artifacts of one slide",
        transfer_syntax_uid=syntax,
        omit_empty_frames=True,
        series_description="Slide quality: segmentation",
        **MAKER,
        **grid.placed(),
    )
    content = normalised(made, header=headers[0], dimension_uid=naming.uid("seg/dimensions"))
    return Segmented(content=content, dataset=made, classes=present)


def _encoded(
    mask: ClassMap, present: Sequence[SlideClass], encoding: Encoding
) -> tuple[npt.NDArray[np.uint8], hd.seg.SegmentationTypeValues, UID]:
    """Give pixels `(1, rows, columns[, segments])`, their type and their transfer syntax."""
    if encoding == "binary":
        planes = np.stack([mask == kind for kind in present], axis=-1)
        binary = hd.seg.SegmentationTypeValues.BINARY
        return planes[np.newaxis].astype(np.uint8), binary, ExplicitVRLittleEndian
    numbers = np.zeros(max(SlideClass) + 1, np.uint8)
    numbers[list(present)] = np.arange(1, len(present) + 1)
    return numbers[mask][np.newaxis], hd.seg.SegmentationTypeValues.LABELMAP, RLELossless


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
    number: int, kind: SlideClass, findings: Findings, naming: Naming
) -> hd.seg.SegmentDescription:
    category, standard = codes.category_and_type(kind)
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=kind.look.words.capitalize(),
        segmented_property_category=category,
        segmented_property_type=standard,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identification(model_of(kind, findings)),
        tracking_uid=naming.uid(f"tracking/{kind.look.words}"),
        tracking_id=kind.look.words,
        display_color=hd.color.CIELabColor.from_rgb(*kind.look.rgb),
    )
    if standard == codes.ARTIFACT:
        # Which kind, beside the standard type that every reader knows.
        property_type = description.SegmentedPropertyTypeCodeSequence[0]
        property_type.SegmentedPropertyTypeModifierCodeSequence = [
            codes.code_item(codes.KINDS[kind])
        ]
    return description
