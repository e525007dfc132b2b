"""A small slide that walked as far as release: original, de-identified, judged and reported."""

from functools import cache
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import sr
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from anonymizer.pseudonyms import Pseudonyms, subject_of
from appliance.line import Verdict
from appliance.slides.findings import ArtifactArea, Findings, ModelUse
from appliance.slides.identity import SealedIdentity, identity_of

CANARY = "ZEBRAFINCH"
KEY = bytes(range(32))
TILE_PX = 256
UM_PX = 0.5


def original_slide(number: int = 1, *, patient: int = 1, tiles_across: int = 8) -> FileDataset:
    """A VOLUME instance as a scanner writes it, with an identity that is easy to search for."""
    dataset = _described(number, patient)
    side = TILE_PX * tiles_across
    frames = [_jpeg(seed) for seed in range(tiles_across**2)]
    dataset.Rows = dataset.Columns = TILE_PX
    dataset.TotalPixelMatrixRows = dataset.TotalPixelMatrixColumns = side
    dataset.NumberOfFrames = len(frames)
    dataset.ImagedVolumeWidth = dataset.ImagedVolumeHeight = side * UM_PX / 1000
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@cache
def _jpeg(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    colours = rng.integers(120, 220, size=(16, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _described(number: int, patient: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.{number}.4"
    dataset = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyDate": "20240506",
        "StudyTime": "070809",
        "ContentDate": "20240506",
        "ContentTime": "071000",
        "AcquisitionDateTime": "20240506070900",
        "AccessionNumber": f"{CANARY}-A{number}",
        "Modality": "SM",
        "Manufacturer": "Scanner Works",
        "ReferringPhysicianName": f"{CANARY}^Refer",
        "PatientName": f"{CANARY}^Jörg^{patient}",
        "PatientID": f"{CANARY}-P{patient}",
        "IssuerOfPatientID": "HOSPITAL",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "StudyInstanceUID": f"1.2.826.0.1.{number}.1",
        "SeriesInstanceUID": f"1.2.826.0.1.{number}.2",
        "FrameOfReferenceUID": f"1.2.826.0.1.{number}.3",
        "PositionReferenceIndicator": "SLIDE_CORNER",
        "StudyID": f"S{number}",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "StudyDescription": f"{CANARY} biopsy",
        "ContainerIdentifier": f"{CANARY}-C{number}",
        "IssuerOfTheContainerIdentifierSequence": [],
        "ContainerTypeCodeSequence": [],
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.SpecimenDescriptionSequence = [_specimen(number)]
    _add_image(dataset)
    return dataset


def _specimen(number: int) -> Dataset:
    specimen = Dataset()
    specimen.SpecimenIdentifier = f"{CANARY}-S{number}"
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenUID = f"1.2.826.0.1.{number}.5"
    specimen.SpecimenPreparationSequence = [
        _stained("12710003", "hematoxylin stain"),
        _stained("36879007", "eosin stain"),
    ]
    return specimen


def _stained(value: str, meaning: str) -> Dataset:
    step, item = Dataset(), Dataset()
    item.ValueType = "CODE"
    item.ConceptNameCodeSequence = [_code("424361007", "SCT", "Using substance")]
    item.ConceptCodeSequence = [_code(value, "SCT", meaning)]
    step.SpecimenPreparationStepContentItemSequence = [item]
    return step


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _add_image(dataset: Dataset) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "YBR_FULL_422"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "01"
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.TotalPixelMatrixFocalPlanes = 1
    dataset.NumberOfOpticalPaths = 1
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 1
    dataset.TotalPixelMatrixOriginSequence = [origin]
    measures, groups = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [UM_PX / 1000, UM_PX / 1000], 0.001
    groups.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [groups]
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    dataset.OpticalPathSequence = [path]


def sealed_identity(original: Dataset) -> SealedIdentity:
    return identity_of(original, [original])


def pseudonymous(original: FileDataset, pseudonyms: Pseudonyms) -> FileDataset:
    """What de-identification makes of the attributes that reports copy."""
    buffer = BytesIO()
    original.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    made = dcmread(buffer)
    subject = subject_of(original, pseudonyms)
    _map_uids(made, pseudonyms)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.PatientName, made.PatientID = "", subject.patient_id
    made.PatientBirthDate, made.PatientSex, made.ReferringPhysicianName = "", "", ""
    made.SpecificCharacterSet = "ISO_IR 192"
    made.pop("IssuerOfPatientID", None)
    made.AccessionNumber = subject.accession_number
    made.ContainerIdentifier = subject.container_identifier
    made.SpecimenDescriptionSequence[0].SpecimenIdentifier = subject.specimen_identifiers[0]
    made.StudyDate = made.ContentDate = "20220101"
    made.AcquisitionDateTime = "20220101070900"
    made.StudyTime = "070809"
    made.pop("StudyDescription", None)
    made.StudyID = ""
    return made


def _map_uids(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _map_uids(item, pseudonyms)
        elif element.VR == "UI":
            element.value = pseudonyms.uid(str(element.value))


def report_of(deid: FileDataset) -> tuple[Dataset, Dataset]:
    """An SR (TID 1500) and a SEG, built by highdicom on the de-identified header."""
    segmentation = _segmentation(deid)
    return _structured_report(deid, segmentation), segmentation


def _segmentation(deid: FileDataset) -> Dataset:
    mask = np.zeros((1, 64, 64, 1), dtype=np.uint8)
    mask[0, 10:40, 10:40] = 1
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Tissue",
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(),
    )
    made = hd.seg.Segmentation(
        source_images=[deid],
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid="2.25.111",
        series_number=2,
        sop_instance_uid="2.25.112",
        instance_number=1,
        manufacturer="Coverslip",
        manufacturer_model_name="Coverslip",
        software_versions="0",
        device_serial_number="0",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=(0.016, 0.016), slice_thickness=0.001
        ),
        plane_positions=[
            hd.PlanePositionSequence(
                hd.CoordinateSystemNames.SLIDE,
                image_position=(1.0, 1.0, 0.0),
                pixel_matrix_position=(1, 1),
            )
        ],
        tile_pixel_array=True,
        tile_size=(64, 64),
    )
    made.ContentDate, made.ContentTime = deid.ContentDate, deid.ContentTime
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "made from de-identified images"
    return made


def _algorithm() -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name="tissue", family=codes.cid7162.ArtificialIntelligence, version="1.0"
    )


def _structured_report(deid: FileDataset, segmentation: Dataset) -> Dataset:
    device = sr.DeviceObserverIdentifyingAttributes(uid="2.25.113", name="Coverslip")
    specimen = sr.SubjectContextSpecimen(
        uid=deid.SpecimenDescriptionSequence[0].SpecimenUID,
        identifier=deid.SpecimenDescriptionSequence[0].SpecimenIdentifier,
        container_identifier=deid.ContainerIdentifier,
    )
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        ),
        subject_context=sr.SubjectContext(
            subject_class=codes.DCM.Specimen, subject_class_specific_context=specimen
        ),
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid="2.25.114", identifier="tissue"),
        finding_type=codes.SCT.Tissue,
        source_images=[sr.SourceImageForMeasurementGroup(deid.SOPClassUID, deid.SOPInstanceUID)],
        measurements=[sr.Measurement(codes.SCT.Area, 1.5, codes.UCUM.SquareMillimeter)],
    )
    made = sr.Comprehensive3DSR(
        evidence=[deid, segmentation],
        content=sr.MeasurementReport(
            observation_context=context,
            procedure_reported=codes.SCT.HistopathologyTest
            if hasattr(codes.SCT, "HistopathologyTest")
            else hd.sr.CodedConcept("252416005", "SCT", "Histopathology test"),
            imaging_measurements=[group],
            referenced_images=[deid],
        ),
        series_instance_uid="2.25.115",
        series_number=3,
        sop_instance_uid="2.25.116",
        instance_number=1,
        manufacturer="Coverslip",
        is_complete=True,
        is_final=True,
    )
    made.ContentDate, made.ContentTime = deid.ContentDate, deid.ContentTime
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in made:
            del made[keyword]
    return made


def findings_of(verdict: Verdict = Verdict.ACCEPT, *, side: int = 128) -> Findings:
    return Findings(
        slide_id="a" * 26,
        revision=1,
        verdict=verdict,
        reason="The slide is sharp.",
        class_map_um_px=8.0,
        rows=side,
        columns=side,
        base_um_px=UM_PX,
        base_rows=2048,
        base_columns=2048,
        tissue_area_mm2=1.25,
        artifacts=(ArtifactArea(name="fold", area_mm2=0.5, share_of_tissue=0.4),),
        regions=(),
        models=(ModelUse(name="tissue", version="1.0", digest="0" * 64, device="cpu", um_px=8.0),),
    )


def encoded(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save(dataset: Dataset, path: Path) -> None:
    path.write_bytes(encoded(dataset))
