"""The outlines of artifacts as Microscopy Bulk Simple Annotations (PS3.3 A.87), by setting."""

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileDataset

from appliance.slides.classes import ARTIFACTS, SlideClass
from appliance.slides.findings import Findings
from inference.reports import codes
from inference.reports.equipment import ANN_SERIES, MAKER
from inference.reports.geometry import SlideFrame, slide_frame
from inference.reports.models_used import identification, model_of
from inference.reports.naming import Naming
from inference.reports.normalised import normalised

_SPECIMEN = (
    "ContainerIdentifier",
    "IssuerOfTheContainerIdentifierSequence",
    "AlternateContainerIdentifierSequence",
    "ContainerTypeCodeSequence",
    "ContainerDescription",
    "ContainerComponentSequence",
    "SpecimenDescriptionSequence",
)
"""The library copies the Specimen module, which is none of this IOD's (PS3.3 A.87.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """The ANN file, and what a report needs to refer to it."""

    content: bytes
    dataset: Dataset


def annotations(
    findings: Findings, headers: Sequence[FileDataset], naming: Naming
) -> Annotated | None:
    """Build the ANN: one group a kind of artifact; None when there is no outline.

    Coordinates are millimetres on the slide, as those of the SR (PS3.3 C.37.1.1), in single
    precision: to some nanometres.
    """
    kinds = [kind for kind in ARTIFACTS if any(r.name == kind.key for r in findings.regions)]
    if not kinds:
        return None
    frame = slide_frame(headers[0], um_px=findings.base_um_px)
    made = hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[headers[0]],
        annotation_coordinate_type=hd.ann.AnnotationCoordinateTypeValues.SCOORD3D,
        annotation_groups=[
            _group(number, kind, findings, frame, naming)
            for number, kind in enumerate(kinds, start=1)
        ],
        series_instance_uid=naming.uid("ann/series"),
        series_number=ANN_SERIES,
        sop_instance_uid=naming.uid("ann"),
        instance_number=1,
        content_label="SLIDE_QUALITY",
        content_description="Outlines of artifacts of one slide",
        series_description="Slide quality: outlines",
        **MAKER,
    )
    for keyword in _SPECIMEN:
        made.pop(keyword, None)
    made.Laterality = ""  # older validators demand it of any series without a specimen
    content = normalised(made, header=headers[0], dimension_uid=naming.uid("ann/dimensions"))
    return Annotated(content=content, dataset=made)


def _group(
    number: int, kind: SlideClass, findings: Findings, frame: SlideFrame, naming: Naming
) -> hd.ann.AnnotationGroup:
    regions = [region for region in findings.regions if region.name == kind.key]
    category, standard = codes.category_and_type(kind)
    group = hd.ann.AnnotationGroup(
        number=number,
        uid=naming.uid(f"ann/{kind.key}"),
        label=kind.look.words.capitalize(),
        annotated_property_category=category,
        annotated_property_type=standard,
        graphic_type=hd.ann.GraphicTypeValues.POLYGON,
        graphic_data=[frame.place(region.polygon_um).astype(np.float32) for region in regions],
        algorithm_type=hd.ann.AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=identification(model_of(kind, findings)),
        measurements=[
            hd.ann.Measurements(
                name=codes.AREA,
                values=np.array([region.area_mm2 for region in regions], np.float32),
                unit=codes.SQUARE_MILLIMETRE,
            )
        ],
        display_color=hd.color.CIELabColor.from_rgb(*kind.look.rgb),
    )
    if standard == codes.ARTIFACT:
        property_type = group.AnnotationPropertyTypeCodeSequence[0]
        property_type.AnnotationPropertyTypeModifierCodeSequence = [
            codes.code_item(codes.KINDS[kind])
        ]
    return group
