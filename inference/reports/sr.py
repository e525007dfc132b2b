"""The structured report: Comprehensive 3D SR, TID 1500 (PS3.16), for the hospital's PACS.

Slide level (TID 1501): the verdict with its sentence, the area of tissue, and each artifact's area
and share. Regions (TID 1410): the largest outlines in millimetres on the slide.
"""

from collections.abc import Sequence

from highdicom import sr
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.codedict import codes as dicom_codes

from appliance.slides.classes import SlideClass, by_key
from appliance.slides.findings import ArtifactArea, Findings, ModelUse, Region
from inference import CODE_VERSION
from inference.reports import codes
from inference.reports.geometry import SlideFrame, slide_frame
from inference.reports.naming import Naming
from inference.reports.normalised import normalised
from inference.reports.seg import MANUFACTURER, MODEL_NAME, SERIAL_NUMBER

SERIES_NUMBER = 9001
MAXIMUM_REGIONS = 20
"""How many outlines go into the SR; the segmentation has them all."""


def report(
    findings: Findings,
    headers: Sequence[FileDataset],
    naming: Naming,
    *,
    segmentation: Dataset | None,
) -> bytes:
    """Build the SR as a DICOM file.

    Parameters
    ----------
    findings
        What to report.
    headers
        Completed headers of the de-identified VOLUME instances, finest first.
    naming
        For the UIDs.
    segmentation
        The SEG of the same findings, named as evidence.
    """
    base = headers[0]
    frame = slide_frame(base, um_px=findings.base_um_px)
    regions = [
        _region(number, region, findings=findings, frame=frame, base=base, naming=naming)
        for number, region in enumerate(findings.regions[:MAXIMUM_REGIONS], start=1)
    ]
    content = sr.MeasurementReport(
        observation_context=_context(base, findings, naming),
        procedure_reported=codes.HISTOPATHOLOGY,
        imaging_measurements=[
            _verdict(findings, base, naming),
            _tissue(findings, base, naming),
            *(_artifact(area, findings, base, naming) for area in findings.artifacts),
            *regions,
        ],
        title=codes.REPORT_TITLE,
        referenced_images=list(headers),
    )
    made = sr.Comprehensive3DSR(
        evidence=[*headers, *([segmentation] if segmentation is not None else [])],
        content=content,
        series_instance_uid=naming.uid("sr/series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=naming.uid("sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=True,
        is_verified=False,
        manufacturer_model_name=MODEL_NAME,
        software_versions=CODE_VERSION,
        device_serial_number=SERIAL_NUMBER,
        series_description="Slide quality: report",
    )
    return normalised(made, header=base, dimension_uid=naming.uid("sr/dimensions"))


def _context(base: Dataset, findings: Findings, naming: Naming) -> sr.ObservationContext:
    """Say which device observed which specimen (TID 1002, TID 1004, TID 1009)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=naming.uid("device"),
        name="Coverslip",
        manufacturer_name=MANUFACTURER,
        model_name=f"{MODEL_NAME} on {' and '.join(sorted({m.device for m in findings.models}))}",
        serial_number=SERIAL_NUMBER,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=dicom_codes.DCM.Device, observer_identifying_attributes=device
        ),
        subject_context=_subject(base),
    )


def _subject(base: Dataset) -> sr.SubjectContext | None:
    specimens = base.get("SpecimenDescriptionSequence") or []
    if not specimens or not specimens[0].get("SpecimenUID"):
        return None
    return sr.SubjectContext(
        subject_class=dicom_codes.DCM.Specimen,
        subject_class_specific_context=sr.SubjectContextSpecimen(
            uid=specimens[0].SpecimenUID,
            identifier=specimens[0].get("SpecimenIdentifier") or None,
            container_identifier=base.get("ContainerIdentifier") or None,
        ),
    )


def _verdict(
    findings: Findings, base: Dataset, naming: Naming
) -> sr.MeasurementsAndQualitativeEvaluations:
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("slide quality", naming),
        finding_type=codes.QUALITY,
        algorithm_id=_algorithm(findings.models[-1]),
        source_images=[_source(base)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=codes.QUALITY, value=codes.VERDICTS[findings.verdict])
        ],
    )
    sentences = [f"{findings.verdict.value.capitalize()}: {findings.reason}", *findings.warnings]
    for sentence in sentences:
        group[0].ContentSequence.append(
            sr.TextContentItem(codes.COMMENT, _ascii(sentence), sr.RelationshipTypeValues.CONTAINS)
        )
    return group


def _tissue(
    findings: Findings, base: Dataset, naming: Naming
) -> sr.MeasurementsAndQualitativeEvaluations:
    algorithm = _algorithm(findings.models[0])
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("tissue", naming),
        finding_type=codes.TISSUE,
        algorithm_id=algorithm,
        source_images=[_source(base)],
        measurements=[
            sr.Measurement(codes.AREA, findings.tissue_area_mm2, codes.SQUARE_MILLIMETRE)
        ],
    )


def _artifact(
    area: ArtifactArea, findings: Findings, base: Dataset, naming: Naming
) -> sr.MeasurementsAndQualitativeEvaluations:
    share_percent = round(100 * area.share_of_tissue, 4)
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(by_key(area.name).look.words, naming),
        finding_category=codes.PHYSICAL_OBJECT,
        finding_type=codes.ARTIFACT,
        algorithm_id=_algorithm(findings.models[-1]),
        source_images=[_source(base)],
        measurements=[
            sr.Measurement(codes.AREA, area.area_mm2, codes.SQUARE_MILLIMETRE),
            sr.Measurement(codes.SHARE_OF_TISSUE, share_percent, codes.PERCENT),
        ],
        qualitative_evaluations=[_kind(by_key(area.name))],
    )


def _region(
    number: int,
    region: Region,
    *,
    findings: Findings,
    frame: SlideFrame,
    base: Dataset,
    naming: Naming,
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    kind = by_key(region.name)
    points = frame.place([*region.polygon_um, region.polygon_um[0]])
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(f"{kind.look.words} {number}", naming),
        referenced_region=sr.ImageRegion3D(
            graphic_type=sr.GraphicTypeValues3D.POLYGON,
            graphic_data=points,
            frame_of_reference_uid=base.FrameOfReferenceUID,
        ),
        finding_category=codes.PHYSICAL_OBJECT,
        finding_type=codes.ARTIFACT,
        algorithm_id=_algorithm(findings.models[-1]),
        measurements=[sr.Measurement(codes.AREA, region.area_mm2, codes.SQUARE_MILLIMETRE)],
        qualitative_evaluations=[_kind(kind)],
    )


def _kind(kind: SlideClass) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name=codes.KIND_OF_ARTIFACT, value=codes.KINDS[kind])


def _tracking(words: str, naming: Naming) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=naming.uid(f"sr/tracking/{words}"), identifier=words)


def _algorithm(model: ModelUse) -> sr.AlgorithmIdentification:
    """TID 4019, with the digest that pins the model."""
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"digest=sha256:{model.digest}", f"um_px={model.um_px:g}"],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _source(base: Dataset) -> sr.SourceImageForMeasurementGroup:
    return sr.SourceImageForMeasurementGroup(base.SOPClassUID, base.SOPInstanceUID)


def _ascii(sentence: str) -> str:
    """Spell a sentence so that it can be read under any character set a header may name."""
    return sentence.replace("µ", "u").replace("²", "2").encode("ascii", "replace").decode()
