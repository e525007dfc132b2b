"""Faults that are planted in a clean object, one by one: the gate sees each, and says no value."""

import base64
import gzip
import struct
import uuid

import pydicom
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import UID

from anonymizer.gate.gate import check
from anonymizer.profile.decide import Profile
from appliance.errors import IdentityDoubt
from appliance.synthetic.identity import SlideIdentity
from tests.anonymizer.gate_slides import adding, changed, clean_slide, inside, setting, without

# Of the invented patient: Kowalska^Leila, 1972-03-10, MRN0375665, S26-93951.
IDENTITY = SlideIdentity.invented(1)
UID_OF_ANOTHER_MAKER = "1.3.6.1.4.1.5962.1.1"
RANDOM_UUID = f"2.25.{uuid.UUID('c0ffee00-1234-4abc-8def-0123456789ab').int}"
TOLD = ("kowalska", "leila", "1972", "0375665", "93951", "northmere", "222452", "159416568", "jane")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return clean_slide(tmp_path_factory.mktemp("faults"), IDENTITY)


def code(value, scheme, meaning):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def issuer():
    item = pydicom.Dataset()
    item.LocalNamespaceEntityID = "GENERAL-LIS"
    return item


def repeated(data_set):
    """A second item of the marks, which says that an option applied."""
    codes = data_set.DeidentificationMethodCodeSequence
    codes.append(code("113109", "DCM", "Retain Device Identity Option"))


def swapped(data_set):
    codes = data_set.DeidentificationMethodCodeSequence
    codes[0], codes[1] = codes[1], codes[0]


def private(data_set):
    block = data_set.private_block(0x0011, "ANYONE", create=True)
    block.add_new(1, "LO", "anything")


def own_mark_missing(data_set):
    data_set.ContributingEquipmentSequence = data_set.ContributingEquipmentSequence[:1]


def another_instance(data_set):
    data_set.file_meta.MediaStorageSOPInstanceUID = UID(IDENTITY.study_instance_uid)


def sender(data_set):
    data_set.file_meta.SourceApplicationEntityTitle = "SCANNER1"


def writer(data_set):
    data_set.file_meta.ImplementationVersionName = "SCANNER_7"


def stained_by(data_set):
    step = data_set.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[3]
    step.SpecimenPreparationStepContentItemSequence[0].TextValue = "Leila Kowalska"


def noted_in_a_step(data_set):
    step = data_set.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[3]
    step.SpecimenPreparationStepContentItemSequence[0].TextValue = "two fragments"


def named_by_a_code_alone(data_set):
    item = pydicom.Dataset()
    item.CodeValue = "Jane"
    data_set.ContainerTypeCodeSequence = [item]


def a_day_later(data_set):
    day = data_set.ContentDate
    data_set.ContentDate = day[:7] + ("1" if day[7] != "1" else "2")


NAME = "Kowalska^Leila"
OPTICAL, SPECIMEN = "OpticalPathSequence", "SpecimenDescriptionSequence"
FAULTS = {
    "a preamble": (None, "preamble", "preamble"),
    "an AE title in the file meta": (sender, "file meta", "file meta"),
    "another implementation": (writer, "file meta", "file meta"),
    "an original UID in the file meta": (another_instance, "file meta", "file meta"),
    "no mark": (without("PatientIdentityRemoved"), "marks", "marks"),
    "a mark that says no": (setting(PatientIdentityRemoved="NO"), "marks", "marks"),
    "no method": (without("DeidentificationMethod"), "marks", "marks"),
    "another method": (setting(DeidentificationMethod="by Jane"), "marks", "marks"),
    "no method codes": (without("DeidentificationMethodCodeSequence"), "marks", "marks"),
    "a code too many": (repeated, "marks", "marks"),
    "codes in another order": (swapped, "marks", "marks"),
    "dates that claim to be as they were": (
        setting(LongitudinalTemporalInformationModified="UNMODIFIED"),
        "marks",
        "marks",
    ),
    "nobody who says to have done it": (own_mark_missing, "marks", "marks"),
    "burned-in annotation": (setting(BurnedInAnnotation="YES"), "marks", "BurnedInAnnotation"),
    "the name": (setting(PatientName=NAME), "rule", "PatientName"),
    "the name, reversed": (setting(PatientName="Leila^Kowalska"), "rule", "PatientName"),
    "the name in capitals": (setting(PatientName="KOWALSKA LEILA"), "rule", "PatientName"),
    "a name of nobody in the input": (setting(PatientName="Jane"), "rule", "PatientName"),
    "an attribute that goes": (setting(StationName="anything"), "rule", "StationName"),
    "a sequence that goes": (
        setting(OtherPatientIDsSequence=[pydicom.Dataset()]),
        "rule",
        "OtherPatientIDsSequence",
    ),
    "a sequence that must be empty": (
        setting(IssuerOfTheContainerIdentifierSequence=[issuer()]),
        "rule",
        "IssuerOfTheContainerIdentifierSequence",
    ),
    "an unknown attribute": (adding(0x00230010, "LO", "x"), "private", "0023,0010"),
    "an attribute of no dictionary": (adding(0x00080FFE, "LO", "x"), "rule", "0008,0FFE"),
    "a private attribute": (private, "private", "0011,0010"),
    "an overlay": (adding(0x60003000, "OW", b"\1\0"), "rule", "6000,3000"),
    "a curve": (adding(0x50003000, "OW", b"\1\0"), "rule", "5000,3000"),
    "an entry of a DICOMDIR": (adding(0x00041500, "CS", "A"), "rule", "ReferencedFileID"),
    "a character set": (setting(SpecificCharacterSet="ISO_IR 100"), "rule", "SpecificCharacterSet"),
    "another VR": (adding(0x00200013, "LO", "1"), "value representation", "InstanceNumber"),
    "a term that is none": (
        setting(FocusMethod="by hand"),
        "value representation",
        "FocusMethod",
    ),
    "a term in place of a number": (
        inside(OPTICAL, adding(0x00480112, "CS", "A")),
        "value representation",
        f"{OPTICAL}/ObjectiveLensPower",
    ),
    "bytes in place of a number": (
        adding(0x00480006, "OB", b"\1\0"),
        "value representation",
        "TotalPixelMatrixColumns",
    ),
    "a name among the terms": (setting(FocusMethod="KOWALSKA"), "defined term", "FocusMethod"),
    "a number among the terms": (setting(VolumetricProperties="S26 93951"), "defined term", "Vol"),
    "an original UID": (
        setting(SeriesInstanceUID=IDENTITY.study_instance_uid),
        "uid",
        "SeriesInstanceUID",
    ),
    "a foreign UID": (setting(SeriesInstanceUID=UID_OF_ANOTHER_MAKER), "uid", "SeriesInstanceUID"),
    "a UID that is random, not keyed": (
        setting(FrameOfReferenceUID=RANDOM_UUID),
        "uid",
        "FrameOfReferenceUID",
    ),
    "a UID of 2.25 that is no UUID": (setting(FrameOfReferenceUID="2.25.77"), "uid", "Frame"),
    "a registered UID for a study": (
        setting(StudyInstanceUID="1.2.840.10008.1.1"),
        "uid",
        "StudyInstanceUID",
    ),
    "an original UID of a specimen": (
        inside(SPECIMEN, setting(SpecimenUID=IDENTITY.specimen_uid)),
        "uid",
        f"{SPECIMEN}/SpecimenUID",
    ),
    "an original date": (
        setting(ContentDate=f"{IDENTITY.scanned_at:%Y%m%d}"),
        "date",
        "ContentDate",
    ),
    "the birth date as another date": (setting(StudyDate="19720310"), "date", "StudyDate"),
    "a date that moved by another number of days": (a_day_later, "date", "ContentDate"),
    "an original date with a time": (
        setting(AcquisitionDateTime=f"{IDENTITY.scanned_at:%Y%m%d%H%M%S}"),
        "date",
        "AcquisitionDateTime",
    ),
    "the patient's number": (setting(PatientID=IDENTITY.patient_id), "rule", "PatientID"),
    "another pseudonym's form": (setting(PatientID="PATIENT-17"), "rule", "PatientID"),
    "the accession number": (
        setting(AccessionNumber=IDENTITY.accession_number),
        "rule",
        "AccessionNumber",
    ),
    "the container without separators": (
        setting(ContainerIdentifier="S2693951A11"),
        "rule",
        "ContainerIdentifier",
    ),
    "the specimen": (
        inside(SPECIMEN, setting(SpecimenIdentifier=IDENTITY.specimen_identifier)),
        "rule",
        f"{SPECIMEN}/SpecimenIdentifier",
    ),
    "the name of the patient in a preparation step": (stained_by, "text", "TextValue"),
    "a text of nobody in a preparation step": (noted_in_a_step, "text", "TextValue"),
    "a code without a meaning": (named_by_a_code_alone, "text", "ContainerTypeCodeSequence"),
    "a maker that no vocabulary knows": (setting(Manufacturer="Northmere"), "rule", "Manufacturer"),
    "a model with a serial number": (
        setting(ManufacturerModelName="Scanner SN-222452"),
        "rule",
        "ManufacturerModelName",
    ),
    "a version with a name": (setting(SoftwareVersions="1.0 Leila"), "rule", "SoftwareVersions"),
    "an optical path that somebody named": (
        inside(OPTICAL, setting(OpticalPathIdentifier="Jane")),
        "rule",
        f"{OPTICAL}/OpticalPathIdentifier",
    ),
    "a free text": (
        inside(OPTICAL, setting(OpticalPathDescription="Lamp of scanner 210")),
        "rule",
        f"{OPTICAL}/OpticalPathDescription",
    ),
    "another colour space": (
        inside(OPTICAL, setting(ColorSpace="ADOBERGB")),
        "rule",
        f"{OPTICAL}/ColorSpace",
    ),
    "another ICC profile": (
        inside(OPTICAL, setting(ICCProfile=bytes(range(1, 17)))),
        "binary",
        f"{OPTICAL}/ICCProfile",
    ),
    "a local code": (
        setting(ContainerTypeCodeSequence=[code("S1", "99LAB", "Slide of Jane")]),
        "code",
        "ContainerTypeCodeSequence",
    ),
    "a code whose meaning somebody typed": (
        setting(ContainerTypeCodeSequence=[code("433466003", "SCT", "Jane's slide")]),
        "code",
        "ContainerTypeCodeSequence",
    ),
    "a code with more than a code": (
        inside("ContainerTypeCodeSequence", setting(CodingSchemeVersion="x")),
        "code",
        "ContainerTypeCodeSequence",
    ),
    "letters of no character set": (
        adding(0x00400512, "LO", "Würzburg".encode("latin-1")),
        "text",
        "ContainerIdentifier",
    ),
    "the patient's number as a number": (setting(SeriesNumber="375665"), "number", "SeriesNumber"),
    "no value of Type 1": (setting(ContainerIdentifier=""), "type", "ContainerIdentifier"),
    "an attribute of Type 1 missing": (without("ImageType"), "type", "ImageType"),
    "an attribute of Type 2 missing": (without("StudyID"), "type", "StudyID"),
    "a sequence of Type 1 without items": (
        setting(SpecimenDescriptionSequence=Sequence()),
        "type",
        SPECIMEN,
    ),
    "an attribute of Type 1 missing in an item": (
        inside(SPECIMEN, without("SpecimenUID")),
        "type",
        f"{SPECIMEN}/SpecimenUID",
    ),
    "an attribute of Type 1C missing": (without("LossyImageCompressionRatio"), "type", "Ratio"),
}


@pytest.mark.parametrize(("change", "kind", "place"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_seen_and_no_value_told(slide, tmp_path, change, kind, place):
    target = tmp_path / "volume-00.dcm"
    if change is None:
        target.write_bytes(b"II*\0" + slide.output.read_bytes()[4:])
    else:
        changed(slide.output, target, change)
    with pytest.raises(IdentityDoubt) as refused:
        check(target, slide.needles, Profile())
    sentence = str(refused.value)
    assert f"check {kind}," in sentence
    assert "rule " in sentence
    assert place in sentence
    assert not [word for word in TOLD if word in sentence.lower()]


@pytest.mark.parametrize(
    ("fault", "origin"),
    [
        (setting(PatientName=NAME), "PatientName"),
        (setting(AccessionNumber=IDENTITY.accession_number), "AccessionNumber"),
        (setting(StationName=IDENTITY.device_serial_number), "DeviceSerialNumber"),
        (setting(SeriesInstanceUID=IDENTITY.study_instance_uid), "StudyInstanceUID"),
        (setting(StudyDate="19720310"), "PatientBirthDate"),
    ],
)
def test_what_is_found_is_traced_to_where_it_stood(slide, tmp_path, fault, origin):
    target = changed(slide.output, tmp_path / "volume-00.dcm", fault)
    with pytest.raises(IdentityDoubt, match=f"Something of {origin} in the original"):
        check(target, slide.needles, Profile())


def test_there_are_enough_faults():
    assert len(FAULTS) >= 60
    assert len({kind for _, kind, _ in FAULTS.values()}) >= 14


WORDS = {
    "as it was": NAME.encode(),
    "reversed": b"LEILA KOWALSKA",
    "without separators": b"leilakowalska",
    "initial and family name": b"L. Kowalska",
    "in UTF-16": NAME.encode("utf-16-le"),
    "in the other UTF-16": "Leila Kowalska".encode("utf-16-be"),
    "in base64": base64.b64encode(b"xy " + NAME.encode() + b" z"),
    "in hexadecimal digits": NAME.encode().hex().encode(),
    "percent-encoded": b"Kowalska%5ELeila",
    "a number": b"MRN0375665",
    "a date as in Germany": b"10.03.1972",
    "a date as in the United States": b"March 10, 1972",
    "a date with a short year": b"10.03.72",
    "a UID": IDENTITY.study_instance_uid.encode(),
}


@pytest.mark.parametrize("hidden", WORDS.values(), ids=WORDS.keys())
def test_a_value_among_binary_bytes_is_found(slide, tmp_path, hidden):
    raw = slide.output.read_bytes()
    place = raw.index(b"acsp") + 16
    target = tmp_path / "volume-00.dcm"
    target.write_bytes(raw[:place] + hidden + raw[place + len(hidden) :])
    with pytest.raises(IdentityDoubt) as refused:
        check(target, slide.needles, Profile())
    assert "check binary" in str(refused.value) or "the header" in str(refused.value)
    assert not [word for word in TOLD if word in str(refused.value).lower()]


def test_a_file_name_of_the_patient_is_found(slide, tmp_path):
    target = tmp_path / "Kowalska Leila.dcm"
    target.write_bytes(slide.output.read_bytes())
    with pytest.raises(IdentityDoubt, match="file name"):
        check(target, slide.needles, Profile())


def test_an_object_that_cannot_be_read_or_has_another_form_is_refused(slide, tmp_path):
    raw = slide.output.read_bytes()
    target = tmp_path / "volume-00.dcm"
    for content in (raw[:400], b"\0" * 200, gzip.compress(raw)):
        target.write_bytes(content)
        with pytest.raises(IdentityDoubt):
            check(target, slide.needles, Profile())


def test_a_sequence_of_another_form_is_refused(slide, tmp_path):
    def undefined(data_set):
        data_set["OpticalPathSequence"].is_undefined_length = True

    target = changed(slide.output, tmp_path / "volume-00.dcm", undefined)
    with pytest.raises(IdentityDoubt, match="cannot be read back"):
        check(target, slide.needles, Profile())


def test_a_length_that_lies_is_refused(slide, tmp_path):
    raw = slide.output.read_bytes()
    start = raw.index(b"\x40\x00\x60\x05SQ\0\0") + 8  # Specimen Description Sequence
    length = struct.unpack_from("<I", raw, start)[0]
    target = tmp_path / "volume-00.dcm"
    target.write_bytes(raw[:start] + struct.pack("<I", length - 2) + raw[start + 4 :])
    with pytest.raises(IdentityDoubt):
        check(target, slide.needles, Profile())
