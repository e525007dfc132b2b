"""The gate as a whole: clean objects pass, and ordinary words of an input stop none of them."""

from dataclasses import replace

import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.gate.findings import MEANINGS, Check
from anonymizer.gate.gate import check
from anonymizer.gate.needles import needles_of
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from anonymizer.profile.decide import Profile, profile_of
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.errors import IdentityDoubt
from appliance.synthetic.identity import SlideIdentity
from tests.anonymizer import planted
from tests.anonymizer.gate_slides import (
    PSEUDONYMS,
    changed,
    clean_slide,
    needles_for,
    setting,
)
from tests.anonymizer.planted import Canaries

METHOD = Method(pseudonyms=PSEUDONYMS)
COMMON_NAMES = (
    "Green^Scarlett",
    "Slide^Glass",
    "Tissue^Stain",
    "Philip^Roman",
    "Roche^Volume",
    "Coverslip^Removed",
    "Brown^Eosin",
    "Label^Frame",
    "Basic^Profile",
)
"""Patients whose names are words, or parts of words, of the standard's own tables."""


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return clean_slide(tmp_path_factory.mktemp("gate"), SlideIdentity.invented(2), 2)


def test_a_clean_object_passes_and_says_what_was_judged(slide):
    judged = check(slide.output, slide.needles, Profile())
    for kind in (Check.MARKS, Check.UID, Check.DATE, Check.CODE, Check.TYPE, Check.BYTES):
        assert judged.counts[kind] > 0
    assert set(judged.counts) <= set(MEANINGS) == set(Check)


def test_needles_are_counted_by_kind(slide):
    counts = slide.needles.counts()
    assert min(counts["uids"], counts["dates"], counts["values"], counts["byte patterns"]) > 0
    assert slide.needles.too_short == counts["short values"]


@pytest.mark.parametrize("name", COMMON_NAMES)
def test_a_patient_whose_name_is_a_word_of_the_tables_keeps_their_slide(tmp_path, slide, name):
    given = name.partition("^")[2]
    sources = [
        changed(
            source,
            tmp_path / source.name,
            setting(PatientName=name, ImageComments=f"seen by {given}", StudyID="1"),
        )
        for source in slide.sources[-1:]
    ]
    (tmp_path / "out").mkdir()
    report = deidentify_slide(sources, tmp_path / "out", METHOD)
    assert len(report.images) == len(sources)


@pytest.mark.parametrize("number", ["1", "17", "256", "1234", "2000", "0026.920", "20"])
def test_a_number_that_pixels_have_too_stops_no_slide(tmp_path, slide, number):
    sources = [
        changed(
            source,
            tmp_path / source.name,
            setting(ContainerIdentifier=number, AccessionNumber=number, PatientID=number),
        )
        for source in slide.sources[-1:]
    ]
    (tmp_path / "out").mkdir()
    assert deidentify_slide(sources, tmp_path / "out", METHOD).images


def test_what_a_table_brings_in_too_is_counted_as_such(tmp_path, slide):
    source = changed(slide.sources[-1], tmp_path / "in.dcm", setting(PatientName="Volume^Jane"))
    (tmp_path / "out").mkdir()
    deidentify_slide([source], tmp_path / "out", METHOD)
    output = tmp_path / "out" / "volume-00.dcm"
    assert "volume" in check(output, needles_for([source]), Profile()).indistinct


def test_common_words_of_the_standard_do_not_stop_a_slide(tmp_path):
    component = (Element(0x00400520, "SQ", items=((Element(0x0050001A, "CS", b"GLASS"),),)),)
    elements = planted.with_values(
        planted.volume(Canaries()),
        *component,
        Element(0x0040051A, "LO", b"Glass slide, right corner chipped"),
        Element(0x0008103E, "LO", b"ORIGINAL PRIMARY VOLUME"),
    )
    source = planted.write(tmp_path / "in.dcm", elements, [planted.jpeg(n) for n in range(4)])
    (tmp_path / "out").mkdir()
    deidentify_slide([source], tmp_path / "out", METHOD)
    made = pydicom.dcmread(tmp_path / "out" / "volume-00.dcm")
    assert made.ContainerComponentSequence[0].ContainerComponentMaterial == "GLASS"


def test_a_file_that_our_receiver_wrote_names_us_and_passes(slide, tmp_path):
    def receive(data_set):
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.9"
        data_set.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        data_set.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        data_set.file_meta.SourceApplicationEntityTitle = "SCANNER7"

    received = changed(slide.sources[-1], tmp_path / "received.dcm", receive)
    needles = needles_of([(read_header(received), ())])
    assert "scanner7" in needles.words
    check(slide.output, replace(slide.needles, words=needles.words), Profile())


def test_an_original_that_is_called_as_an_output_is_passes(slide, tmp_path):
    source = changed(slide.sources[-1], tmp_path / "volume-00.dcm", setting(StudyID="1"))
    (tmp_path / "out").mkdir()
    assert deidentify_slide([source], tmp_path / "out", METHOD).images


def test_options_must_be_those_that_the_object_names(slide):
    with pytest.raises(IdentityDoubt, match="check marks"):
        check(slide.output, slide.needles, profile_of(["retain_device_identity"]))


def test_what_an_option_keeps_is_not_sought_and_passes(slide, tmp_path):
    profile = profile_of(["retain_device_identity", "retain_longitudinal_full_dates"])
    deidentify_slide(slide.sources, tmp_path, Method(profile=profile, pseudonyms=PSEUDONYMS))
    output = tmp_path / "volume-00.dcm"
    serial = pydicom.dcmread(output, stop_before_pixels=True).DeviceSerialNumber
    assert serial == slide.identity.device_serial_number
    check(output, needles_for(slide.sources, profile), profile)
    other = changed(output, tmp_path / "other.dcm", setting(DeviceSerialNumber="SN-17"))
    with pytest.raises(IdentityDoubt, match="no option keeps"):
        check(other, needles_for(slide.sources, profile), profile)


def test_what_one_option_keeps_is_still_a_fault_elsewhere(slide, tmp_path):
    profile = profile_of(["retain_device_identity"])
    deidentify_slide(slide.sources, tmp_path, Method(profile=profile, pseudonyms=PSEUDONYMS))
    leak = setting(DeviceSerialNumber=slide.identity.patient_id)
    other = changed(tmp_path / "volume-00.dcm", tmp_path / "other.dcm", leak)
    with pytest.raises(IdentityDoubt, match="PatientID in the original"):
        check(other, needles_for(slide.sources, profile), profile)


def test_an_input_that_lacks_an_attribute_of_type_1_is_not_made_our_fault(slide, tmp_path):
    def incomplete(data_set):
        del data_set.SpecimenDescriptionSequence[0].SpecimenUID
        del data_set.LossyImageCompressionRatio

    source = changed(slide.sources[-1], tmp_path / "in.dcm", incomplete)
    (tmp_path / "out").mkdir()
    assert deidentify_slide([source], tmp_path / "out", METHOD).images


def test_bytes_behind_the_pixels_are_found(slide, tmp_path):
    longer = tmp_path / "volume-00.dcm"
    longer.write_bytes(slide.output.read_bytes() + b"\0\0")
    with pytest.raises(IdentityDoubt):
        check(longer, slide.needles, Profile())


def test_a_comment_in_a_frame_is_found(slide, tmp_path):
    raw = slide.output.read_bytes()
    noted = tmp_path / "volume-00.dcm"
    noted.write_bytes(raw.replace(b"\xff\xe0\x00\x10JFIF\0", b"\xff\xfe\x00\x10JANE\0", 1))
    with pytest.raises(IdentityDoubt):
        check(noted, slide.needles, Profile())


def test_a_value_in_the_entropy_coded_part_of_a_frame_is_found(slide, tmp_path):
    raw = slide.output.read_bytes()
    hidden = slide.identity.patient_id.encode()
    place = raw.rindex(b"\xff\xd9") - 40
    target = tmp_path / "volume-00.dcm"
    target.write_bytes(raw[:place] + hidden + raw[place + len(hidden) :])
    with pytest.raises(IdentityDoubt) as refused:
        check(target, slide.needles, Profile())
    assert slide.identity.patient_id not in str(refused.value)
