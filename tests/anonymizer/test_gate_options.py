"""The gate under options: what they keep passes, and nothing else because of them."""

import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.gate.gate import check
from anonymizer.profile.decide import profile_of
from appliance.errors import IdentityDoubt
from appliance.synthetic.identity import SlideIdentity
from tests.anonymizer.gate_slides import (
    PSEUDONYMS,
    adding,
    changed,
    clean_slide,
    needles_for,
    setting,
)

IDENTITY = SlideIdentity.invented(3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An original that has an age, and a private element of the standard's safe ones."""

    def richer(data_set):
        data_set.PatientAge = "047Y"
        block = data_set.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x03, "FL", 1.5)

    slide = clean_slide(tmp_path_factory.mktemp("options"), IDENTITY, 3)
    return changed(slide.sources[-1], slide.sources[-1].with_name("richer.dcm"), richer)


def output_of(source, folder, *options):
    """De-identify with options; give the output, its needles and the profile."""
    profile = profile_of(options)
    deidentify_slide([source], folder, Method(profile=profile, pseudonyms=PSEUDONYMS))
    return folder / "volume-00.dcm", needles_for([source], profile), profile


def refusal(output, needles, profile, change):
    with pytest.raises(IdentityDoubt) as refused:
        check(changed(output, output.with_name("changed.dcm"), change), needles, profile)
    return str(refused.value)


def test_an_age_may_stay_but_none_above_ninety(source, tmp_path):
    kept = output_of(source, tmp_path, "retain_patient_characteristics")
    assert pydicom.dcmread(kept[0]).PatientAge == "047Y"
    assert "check age" in refusal(*kept, setting(PatientAge="095Y"))


def test_retained_uids_pass_and_no_others(source, tmp_path):
    kept = output_of(source, tmp_path, "retain_uids")
    header = pydicom.dcmread(kept[0])
    assert header.StudyInstanceUID == IDENTITY.study_instance_uid
    assert "check uid" in refusal(*kept, setting(FrameOfReferenceUID="1.2.826.0.1.77"))


def test_dates_that_go_leave_nothing_but_dummies(source, tmp_path):
    gone = output_of(source, tmp_path, "remove_dates")
    original = f"{IDENTITY.scanned_at:%Y%m%d}"
    assert "ContentDate" in refusal(*gone, setting(ContentDate=original))


def test_full_dates_pass_and_the_birth_date_does_not(source, tmp_path):
    kept = output_of(source, tmp_path, "retain_longitudinal_full_dates")
    assert pydicom.dcmread(kept[0]).ContentDate == f"{IDENTITY.scanned_at:%Y%m%d}"
    birth = f"{IDENTITY.patient_birth_date:%Y%m%d}"
    assert "PatientBirthDate" in refusal(*kept, setting(PatientBirthDate=birth))
    assert "check date" in refusal(*kept, setting(StudyDate=birth))


def test_safe_private_elements_pass_and_others_do_not(source, tmp_path):
    kept = output_of(source, tmp_path, "retain_safe_private")
    assert (0x2001, 0x1003) in pydicom.dcmread(kept[0])
    assert "check private" in refusal(*kept, adding(0x20011001, "LO", "anything"))
    assert "check private" in refusal(*kept, adding(0x00110010, "LO", "Philips Imaging DD 001"))


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        ("{family} Memorial Hospital", True),
        ("Practice of {given} {family}", False),
        ("Ward of {family}, {given}", False),
        ("Care for {number}", False),
    ],
)
def test_a_text_that_an_option_keeps_must_not_name_the_patient(source, tmp_path, words, stays):
    family, given = IDENTITY.patient_name.split("^")
    name = words.format(family=family, given=given, number=IDENTITY.patient_id)
    named = changed(source, tmp_path / "in.dcm", setting(InstitutionName=name))
    (tmp_path / "out").mkdir()
    if stays:
        output, _, _ = output_of(named, tmp_path / "out", "retain_institution_identity")
        assert pydicom.dcmread(output).InstitutionName == name
    else:
        with pytest.raises(IdentityDoubt, match="InstitutionName") as refused:
            output_of(named, tmp_path / "out", "retain_institution_identity")
        assert family not in str(refused.value)


def test_bytes_behind_an_object_without_pixels_are_refused(source, tmp_path):
    output, needles, profile = output_of(source, tmp_path)

    def without_pixels(data_set):
        del data_set.PixelData

    bare = changed(output, tmp_path / "bare.dcm", without_pixels)
    check(bare, needles, profile)
    for rest in (b"\0\0", b"\0" * 8, b"Jane Roe"):
        longer = tmp_path / "longer.dcm"
        longer.write_bytes(bare.read_bytes() + rest)
        with pytest.raises(IdentityDoubt):
            check(longer, needles, profile)
