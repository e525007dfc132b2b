"""The structured report: Comprehensive 3D SR, TID 1500 (PS3.16), for the hospital's PACS.

Slide level (TID 1501): the verdict with its sentence and limits, sharpness, the area of tissue,
each artifact's area and share, what tile classifiers saw. Regions (TID 1410): the largest outlines
in millimetres on the slide. Image library (TID 1600): every VOLUME instance.
"""

from collections.abc import Sequence

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes

from appliance.slides.findings import Findings
from inference.reports import codes
from inference.reports.equipment import MAKER, MANUFACTURER, MODEL_NAME, SERIAL_NUMBER, SR_SERIES
from inference.reports.naming import Naming
from inference.reports.normalised import normalised
from inference.reports.sr_groups import Groups

MAXIMUM_REGIONS = 20
"""How many outlines go into the SR; the segmentation has them all."""


def report(
    groups: Groups, *, evidence: Sequence[Dataset], predecessors: Sequence[Dataset] = ()
) -> bytes:
    """Build the SR as a DICOM file.

    Parameters
    ----------
    groups
        What to report, on which images.
    evidence
        The other objects of the same findings, such as the SEG.
    predecessors
        Headers of the reports that this one supersedes (PS3.3 C.17.2.3).
    """
    findings, headers, naming = groups.findings, groups.headers, groups.naming
    regions = findings.regions[:MAXIMUM_REGIONS]
    content = sr.MeasurementReport(
        observation_context=_context(headers[0], findings, naming),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=[
            groups.verdict(),
            groups.tissue(),
            *(groups.artifact(area) for area in findings.artifacts),
            *(groups.tiles(result) for result in findings.tile_results),
            *(groups.outline(number, region) for number, region in enumerate(regions, start=1)),
        ],
        title=codes.REPORT_TITLE,
        referenced_images=list(headers),
    )
    made = sr.Comprehensive3DSR(
        evidence=[*headers, *evidence],
        content=content,
        series_instance_uid=naming.uid("sr/series"),
        series_number=SR_SERIES,
        sop_instance_uid=naming.uid("sr"),
        instance_number=1,
        is_complete=True,
        is_final=True,
        is_verified=False,
        series_description="Slide quality: report",
        previous_versions=list(predecessors) or None,
        **MAKER,
    )
    return normalised(made, header=headers[0], dimension_uid=naming.uid("sr/dimensions"))


def _context(base: Dataset, findings: Findings, naming: Naming) -> sr.ObservationContext:
    """Say which device observed which specimen (TID 1002, TID 1004, TID 1009)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=naming.uid("device"),
        name="Coverslip",
        manufacturer_name=MANUFACTURER,
        model_name=f"{MODEL_NAME} on {_devices(findings)}",
        serial_number=SERIAL_NUMBER,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=dicom_codes.DCM.Device, observer_identifying_attributes=device
        ),
        subject_context=_subject(base),
    )


def _devices(findings: Findings) -> str:
    """Name the devices of this appliance that models ran on."""
    return " and ".join(sorted({model.device for model in findings.models if not model.route}))


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
