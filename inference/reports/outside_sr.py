"""The bare SR for recipients outside: a verdict, areas, shares, model names, and nothing else.

It is built from the findings alone by this closed list; release checks it item by item against a
list of its own, and gives it new UIDs for the recipient. The content tree:

    CONTAINER (126000, DCM, "Imaging Measurement Report")
      CODE      (111050, DCM, "Quality Assessment") = one of CID 6044
      NUM       (42798000, SCT, "Area") in mm2                   area of tissue
      CONTAINER (47973001, SCT, "Artifact")                      one a kind of artifact, six
        CODE    (kind-of-artifact, 99COVERSLIP) = fold, dark-spot, pen, bubble, out-of-focus
                or (87612001, SCT, "Blood")
        NUM     (42798000, SCT, "Area") in mm2
        NUM     (share-of-tissue, 99COVERSLIP) in %
      CONTAINER (111001, DCM, "Algorithm Name")                  one a model behind the verdict
        TEXT    (111001, DCM, "Algorithm Name")
        TEXT    (111003, DCM, "Algorithm Version")
"""

from io import BytesIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sr.coding import Code
from pydicom.uid import UID, EnhancedSRStorage, ExplicitVRLittleEndian

from appliance.slides.classes import SlideClass
from appliance.slides.findings import ArtifactArea, Findings, ModelUse
from inference.reports import codes
from inference.reports.models_used import segmenting
from inference.reports.naming import Naming

CONSTANT_DATE = "19000101"
CONSTANT_TIME = "000000"
_SIGNIFICANT = 6


def outside_sr(findings: Findings, naming: Naming) -> bytes:
    """Build the DICOM file (Enhanced SR, explicit VR little endian).

    Parameters
    ----------
    findings
        Of one slide. Neither its id nor its coordinates nor its sentences go in, and no tile
        classifier, whose name would tell the organ.
    naming
        For the three UIDs, which release replaces.
    """
    dataset = _header(naming)
    items = [
        _code(codes.QUALITY, codes.VERDICTS[findings.verdict]),
        _number(codes.AREA, findings.tissue_area_mm2, codes.SQUARE_MILLIMETRE),
        *(_artifact(area) for area in findings.artifacts),
        *(_model(model) for model in segmenting(findings)),
    ]
    root = _container(codes.REPORT_TITLE, items)
    for element in root:
        dataset.add(element)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _header(naming: Naming) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedSRStorage
    meta.MediaStorageSOPInstanceUID = UID(naming.uid("outside/sr"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = naming.uid("outside/study")
    dataset.SeriesInstanceUID = naming.uid("outside/series")
    dataset.StudyDate = dataset.ContentDate = CONSTANT_DATE
    dataset.StudyTime = dataset.ContentTime = CONSTANT_TIME
    for keyword in (
        "AccessionNumber",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
        "PatientSex",
        "ReferringPhysicianName",
        "StudyID",
    ):
        setattr(dataset, keyword, "")
    dataset.Modality = "SR"
    dataset.Manufacturer = "Coverslip"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Coverslip outside report: allow-list of concepts"
    dataset.CodingSchemeIdentificationSequence = [codes.scheme_identification()]
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    return dataset


def _artifact(area: ArtifactArea) -> Dataset:
    return _container(
        codes.ARTIFACT,
        [
            _code(codes.KIND_OF_ARTIFACT, codes.KINDS[SlideClass[area.name.upper()]]),
            _number(codes.AREA, area.area_mm2, codes.SQUARE_MILLIMETRE),
            _number(codes.SHARE_OF_TISSUE, 100 * area.share_of_tissue, codes.PERCENT),
        ],
    )


def _model(model: ModelUse) -> Dataset:
    return _container(
        codes.ALGORITHM_NAME,
        [
            _text(codes.ALGORITHM_NAME, model.name),
            _text(codes.ALGORITHM_VERSION, model.version),
        ],
    )


def _item(value_type: str, name: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [codes.code_item(name)]
    return item


def _container(name: Code, items: list[Dataset]) -> Dataset:
    container = _item("CONTAINER", name)
    if name == codes.REPORT_TITLE:
        del container.RelationshipType
    container.ContinuityOfContent = "SEPARATE"
    container.ContentSequence = items
    return container


def _code(name: Code, value: Code) -> Dataset:
    item = _item("CODE", name)
    item.ConceptCodeSequence = [codes.code_item(value)]
    return item


def _number(name: Code, value: float, unit: Code) -> Dataset:
    item = _item("NUM", name)
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = [codes.code_item(unit)]
    measured.NumericValue = f"{value:.{_SIGNIFICANT}g}"
    item.MeasuredValueSequence = [measured]
    return item


def _text(name: Code, value: str) -> Dataset:
    item = _item("TEXT", name)
    item.TextValue = value
    return item
