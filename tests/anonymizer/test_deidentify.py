import json
import re
import subprocess

import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import REPORT_NAME, write_report
from anonymizer.part10.elements import Element, find, items
from anonymizer.part10.reading import read_header
from anonymizer.pixels.frames import fragments_of
from anonymizer.pixels.icc import srgb_profile
from anonymizer.pseudonyms import Pseudonyms, subject_of
from appliance.errors import IdentityDoubt, IncompleteSlide, InvalidInstance
from tests.anonymizer import planted
from tests.anonymizer.planted import UID_ROOT, WORD, Canaries

PSEUDONYMS = Pseudonyms(bytes(range(32)))
METHOD = Method(pseudonyms=PSEUDONYMS)


@pytest.fixture(scope="module")
def canaries():
    return Canaries()


@pytest.fixture(scope="module")
def slide(tmp_path_factory, canaries):
    """A slide with canaries everywhere, and what came out of it."""
    folder = tmp_path_factory.mktemp("planted")
    files = planted.planted_slide(folder / "in", canaries)
    output = folder / "out"
    output.mkdir()
    report = deidentify_slide(files, output, METHOD)
    write_report(output / REPORT_NAME, [report])
    return files, output, report


def run(folder, elements, frames=None, **options):
    """De-identify one planted image and read the result."""
    canaries = Canaries()
    source = planted.write(
        folder / "in.dcm", elements, frames or [planted.jpeg(n) for n in range(4)], canaries
    )
    output = folder / "out"
    output.mkdir()
    deidentify_slide([source], output, Method(pseudonyms=options.get("pseudonyms", PSEUDONYMS)))
    return pydicom.dcmread(output / "volume-00.dcm")


def test_none_of_thousands_of_planted_values_is_in_any_byte_that_was_written(slide, canaries):
    files, output, _ = slide
    assert canaries.words > 3000
    assert canaries.uids > 700
    assert {path.name for path in output.iterdir()} == {
        "volume-00.dcm",
        "volume-01.dcm",
        REPORT_NAME,
    }
    for path in output.iterdir():
        content = path.read_bytes()
        upper = content.upper()
        for encoding in ("ascii", "utf-16-le", "utf-16-be"):
            assert WORD.encode(encoding) not in upper, path.name
        assert UID_ROOT.encode() not in content
        assert not [day for day in canaries.days if day.encode() in content]
    assert WORD.encode() in files[0].read_bytes()


def test_the_report_tells_what_was_done_and_no_value(slide):
    _, output, report = slide
    content = json.loads((output / REPORT_NAME).read_text())
    steps = {step["path"]: step for step in content["images"][0]["steps"]}
    assert steps["PatientName"]["action"] == "empty"
    assert steps["PatientName"]["rule"] == "E.1-1 Z"
    assert steps["(0009,1001)"]["reason"] == "private"
    assert steps["OpticalPathSequence/ICCProfile"]["action"] == "srgb"
    assert content["dropped"] == [["LABEL", "its image type is not VOLUME"]]
    assert sum(content["looked_for"].values()) > 3000
    assert report.sentence.startswith("2 images kept, 1 left out;")


def test_frames_come_out_without_notes_and_with_the_same_pixels(slide):
    files, output, _ = slide
    source, made = read_header(files[0]), read_header(output / "volume-00.dcm")
    with files[0].open("rb") as before, (output / "volume-00.dcm").open("rb") as after:
        _, old = fragments_of(before.fileno(), source.pixels.offset)
        table, new = fragments_of(after.fileno(), made.pixels.offset)
    old_bytes, new_bytes = files[0].read_bytes(), (output / "volume-00.dcm").read_bytes()
    assert len(old) == len(new) == 4
    for one, other in zip(old, new, strict=True):
        frame = new_bytes[other.offset : other.offset + other.length]
        assert frame.rstrip(b"\0") in planted.jpeg(old.index(one))
        assert len(frame) < len(old_bytes[one.offset : one.offset + one.length])
    offsets = [int.from_bytes(table[n : n + 4], "little") for n in range(0, len(table), 4)]
    assert offsets == [one.offset - new[0].offset for one in new]


def test_preamble_and_file_meta_are_our_own(slide):
    _, output, _ = slide
    content = (output / "volume-00.dcm").read_bytes()
    meta = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True).file_meta
    assert content[:128] == bytes(128)
    assert meta.ImplementationVersionName.startswith("COVERSLIP")
    assert {element.tag.element for element in meta} == {0, 1, 2, 3, 0x10, 0x12, 0x13}


def test_the_marks_say_how_it_was_de_identified(slide):
    _, output, _ = slide
    made = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    assert made.PatientIdentityRemoved == "YES"
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113104", "113107"]
    equipment = made.ContributingEquipmentSequence[-1]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


def test_pseudonyms_are_those_that_release_will_compute_from_the_original(slide):
    files, output, _ = slide
    original = pydicom.dcmread(files[0], stop_before_pixels=True)
    made = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    subject = subject_of(original, PSEUDONYMS)
    assert made.PatientID == subject.patient_id
    assert made.AccessionNumber == subject.accession_number
    assert made.ContainerIdentifier == subject.container_identifier
    assert made.StudyInstanceUID == subject.study_instance_uid
    assert [item.SpecimenIdentifier for item in made.SpecimenDescriptionSequence] == list(
        subject.specimen_identifiers
    )


def test_the_same_key_gives_the_same_bytes_and_another_key_other_ones(slide, tmp_path):
    files, output, _ = slide
    for name, key in (("again", bytes(range(32))), ("other", bytes(range(9, 41)))):
        (tmp_path / name).mkdir()
        deidentify_slide(list(reversed(files)), tmp_path / name, Method(pseudonyms=Pseudonyms(key)))
    first = (output / "volume-00.dcm").read_bytes()
    assert (tmp_path / "again" / "volume-00.dcm").read_bytes() == first
    other = pydicom.dcmread(tmp_path / "other" / "volume-00.dcm", stop_before_pixels=True)
    made = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    for name in ("SOPInstanceUID", "PatientID", "ContainerIdentifier", "StudyDate"):
        assert other[name].value != made[name].value


def test_every_attribute_of_type_1_is_still_there_with_a_value(slide):
    _files, output, _ = slide
    made = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    for name in (
        "Manufacturer",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
        "AcquisitionDateTime",
        "ContentDate",
        "ContentTime",
        "ContainerIdentifier",
        "FrameOfReferenceUID",
        "OpticalPathSequence",
    ):
        assert made[name].value, name


def coded(value, scheme, meaning):
    return (
        Element(0x00080100, "SH", value),
        Element(0x00080102, "SH", scheme),
        Element(0x00080104, "LO", meaning),
    )


def content_item(name, value):
    return (
        Element(0x0040A040, "CS", b"CODE"),
        Element(0x0040A043, "SQ", items=(name,)),
        Element(0x0040A168, "SQ", items=(value,)),
    )


def preparation(*content):
    step = (Element(0x00400612, "SQ", items=content),)
    specimen = (
        Element(0x00400551, "LO", b"S25-1 A1"),
        Element(0x00400554, "UI", b"1.2.3.4"),
        Element(0x00400610, "SQ", items=(step,)),
    )
    return Element(0x00400560, "SQ", items=(specimen,))


SUBSTANCE = coded(b"424361007", b"SCT", b"Using substance")


def test_what_research_needs_is_kept(tmp_path):
    stain = content_item(SUBSTANCE, coded(b"12710003", b"SCT", b"H stain, asked by Dr. Who"))
    local = content_item(SUBSTANCE, coded(b"HE-7", b"99LAB", b"Stain of Mrs. Doe"))
    path = (
        Element(0x00220016, "SQ", items=(coded(b"111744", b"DCM", b"Brightfield"),)),
        Element(0x00282000, "OB", b"profile of device 4711\0\0"),
        Element(0x00480106, "SH", b"1"),
        Element(0x00480112, "DS", b"40"),
    )
    elements = planted.with_values(
        planted.volume(Canaries()),
        preparation(stain, local),
        Element(0x00480105, "SQ", items=(path,)),
        Element(0x00080070, "LO", b"Leica Biosystems"),
        Element(0x00081090, "LO", b"Aperio GT 450 DX"),
        Element(0x00181020, "LO", b"1.2.3\\2024.1"),
    )
    made = run(tmp_path, elements)
    groups = made.SharedFunctionalGroupsSequence[0]
    steps = made.SpecimenDescriptionSequence[0].SpecimenPreparationSequence
    content = steps[0].SpecimenPreparationStepContentItemSequence
    optical = made.OpticalPathSequence[0]
    assert groups.PixelMeasuresSequence[0].PixelSpacing == [0.0005, 0.0005]
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in content] == ["hematoxylin stain"]
    assert optical.IlluminationTypeCodeSequence[0].CodeValue == "111744"
    assert optical.ICCProfile == srgb_profile()
    assert (optical.OpticalPathIdentifier, optical.ObjectiveLensPower) == ("1", 40)
    assert made.Manufacturer == "Leica Biosystems"
    assert made.ManufacturerModelName == "Aperio GT 450 DX"
    assert list(made.SoftwareVersions) == ["1.2.3", "2024.1"]
    assert made.SpecimenDescriptionSequence[0].SpecimenIdentifier != "S25-1 A1"


def test_dates_and_times_keep_their_intervals_and_the_day_of_the_week(tmp_path):
    elements = planted.with_values(
        planted.volume(Canaries()),
        Element(0x00080020, "DA", b"20250310"),
        Element(0x00080023, "DA", b"20250312"),
        Element(0x0008002A, "DT", b"20250312235959.5+0100"),
        Element(0x00080030, "TM", b"101500"),
    )
    made = run(tmp_path, elements)
    study, content = (pydicom.valuerep.DA(value) for value in (made.StudyDate, made.ContentDate))
    assert (content - study).days == 2
    assert study.weekday() == 0
    assert made.AcquisitionDateTime == made.ContentDate + "235959.5+0100"
    assert made.StudyTime == "101500"
    assert made.StudyDate < "20240312"


def test_a_device_time_that_is_no_time_becomes_a_dummy(tmp_path):
    elements = planted.with_values(
        planted.volume(Canaries()), Element(0x00080033, "TM", b"DOE^JANE")
    )
    made = run(tmp_path, elements)
    assert made.ContentTime == "000000"


def test_a_text_in_the_place_of_a_number_goes(tmp_path):
    elements = planted.with_values(
        planted.volume(Canaries()),
        Element(0x00480002, "LO", b"DOE^JANE"),
        Element(0x00200013, "IS", b"DOE^JANE"),
    )
    made = run(tmp_path, elements)
    assert "ImagedVolumeHeight" not in made or not isinstance(made.ImagedVolumeHeight, str)
    assert made.InstanceNumber == 0


def test_images_of_two_patients_are_not_one_slide(tmp_path):
    base = planted.volume(Canaries())
    other = planted.with_values(base, Element(0x00100020, "LO", b"SOMEONE ELSE"))
    files = [
        planted.write(tmp_path / name, elements, [planted.jpeg(n) for n in range(4)])
        for name, elements in (("a.dcm", base), ("b.dcm", other))
    ]
    (tmp_path / "out").mkdir()
    with pytest.raises(IdentityDoubt, match="more than one patient"):
        deidentify_slide(files, tmp_path / "out", METHOD)


def test_missing_frames_are_refused(tmp_path):
    with pytest.raises(InvalidInstance, match="frames"):
        run(tmp_path, planted.volume(Canaries()), [planted.jpeg(1)] * 3)


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path):
    whole = planted.write(
        tmp_path / "whole.dcm", planted.volume(Canaries()), [planted.jpeg(n) for n in range(4)]
    ).read_bytes()
    (tmp_path / "out").mkdir()
    for length in (0, 100, 132, 140, 3000, 60_000, len(whole) - 20, len(whole) - 4000):
        source = tmp_path / "cut.dcm"
        source.write_bytes(whole[:length])
        with pytest.raises(InvalidInstance):
            deidentify_slide([source], tmp_path / "out", METHOD)
        for path in (tmp_path / "out").iterdir():
            path.unlink()


def test_a_bomb_of_nested_sequences_is_refused(tmp_path):
    nested = Element(0x00400560, "SQ", items=((),))
    for _ in range(60):
        nested = Element(0x00400560, "SQ", items=((nested,),))
    with pytest.raises(InvalidInstance, match="deeper"):
        run(tmp_path, planted.with_values(planted.volume(Canaries()), nested))


def test_an_object_without_a_tissue_image_is_refused(tmp_path):
    with pytest.raises(IncompleteSlide):
        run(tmp_path, planted.volume(Canaries(), flavor="OVERVIEW"))


def test_dciodvfy_misses_nothing_of_type_1_that_the_input_had(tmp_path, require_tool):
    dciodvfy = require_tool("dciodvfy")
    source = planted.write(
        tmp_path / "in.dcm", planted.volume(Canaries()), [planted.jpeg(n) for n in range(4)]
    )
    (tmp_path / "out").mkdir()
    deidentify_slide([source], tmp_path / "out", METHOD)

    def errors(path):
        result = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
        return set(re.findall(r"Error - Missing attribute Type 1C? .*", result.stderr))

    assert errors(tmp_path / "out" / "volume-00.dcm") <= errors(source)


def test_our_reader_gives_what_pydicom_gives(slide):
    _, output, _ = slide
    ours = read_header(output / "volume-00.dcm")
    theirs = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    assert [element.tag for element in ours.elements] == [int(one.tag) for one in theirs]
    specimen = items(ours.elements, 0x00400560)[0]
    assert find(specimen, 0x00400551).decode() == (
        theirs.SpecimenDescriptionSequence[0].SpecimenIdentifier
    )
