"""Restoring: the true patient comes back, on the right report only."""

import copy
from datetime import UTC, datetime
from io import BytesIO

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.release.belonging import inverse_of, walk
from anonymizer.release.restore import restore, to_file
from appliance.errors import IdentityDoubt
from appliance.slides.identity import SealedIdentity
from tests.anonymizer.release_parts import (
    KEY,
    original_slide,
    pseudonymous,
    report_of,
    sealed_identity,
)

REPORTED_AT = datetime(2024, 5, 6, 10, 11, 12, tzinfo=UTC)
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@pytest.fixture(scope="module")
def pseudonyms():
    return Pseudonyms(KEY)


@pytest.fixture(scope="module")
def original():
    return original_slide()


@pytest.fixture(scope="module")
def products(original, pseudonyms):
    return report_of(pseudonymous(original, pseudonyms))


@pytest.fixture(scope="module")
def own(products):
    return frozenset(str(product.SOPInstanceUID) for product in products)


@pytest.fixture
def inverse(original, pseudonyms):
    return inverse_of(sealed_identity(original), pseudonyms)


@pytest.fixture
def restored(products, inverse, own):
    return tuple(restore(made, inverse, reported_at=REPORTED_AT, own=own) for made in products)


def everything(dataset: Dataset) -> bytes:
    return b"\n".join(str(element.value).encode() for element in walk(dataset))


def test_restore_undoes_deidentification_on_every_identifying_attribute(original, restored):
    for made in restored:
        for keyword in IDENTIFYING:
            assert made[keyword].value == original[keyword].value, keyword


def test_the_references_name_the_original_instances_at_every_depth(original, restored, own):
    for made in restored:
        named = {
            str(element.value)
            for element in walk(made)
            if element.keyword == "ReferencedSOPInstanceUID"
        }
        assert original.SOPInstanceUID in named
        assert named <= {original.SOPInstanceUID, *own}


def test_the_specimen_comes_back_on_the_segmentation_and_in_the_content_of_the_report(
    original, restored
):
    report, segmentation = restored
    specimen = original.SpecimenDescriptionSequence[0]
    assert segmentation.ContainerIdentifier == original.ContainerIdentifier
    assert segmentation.SpecimenDescriptionSequence[0] == specimen
    assert segmentation.FrameOfReferenceUID == original.FrameOfReferenceUID
    content = everything(report)
    assert original.ContainerIdentifier.encode() in content
    assert specimen.SpecimenIdentifier.encode() in content
    assert specimen.SpecimenUID.encode() in content


def test_a_restored_product_keeps_its_own_uid_and_says_no_longer_that_identity_was_removed(
    products, restored
):
    for before, after in zip(products, restored, strict=True):
        assert after.SOPInstanceUID == before.SOPInstanceUID
        assert after.SeriesInstanceUID == before.SeriesInstanceUID
        assert "PatientIdentityRemoved" not in after
        assert "DeidentificationMethod" not in after


def test_the_content_is_dated_when_the_report_was_made(restored):
    expected = REPORTED_AT.astimezone()
    for made in restored:
        assert made.ContentDate == expected.strftime("%Y%m%d")
        assert made.ContentTime == expected.strftime("%H%M%S")


def test_no_shifted_date_is_left(restored):
    for made in restored:
        assert b"2022" not in everything(made)


def test_the_same_report_is_restored_to_the_same_bytes(products, inverse, own, restored):
    again = (restore(made, inverse, reported_at=REPORTED_AT, own=own) for made in products)
    assert [to_file(made) for made in again] == [to_file(made) for made in restored]


def test_highdicom_reads_what_was_restored(restored):
    report, segmentation = (BytesIO(to_file(made)) for made in restored)
    assert hd.sr.srread(report).PatientID.endswith("P1")
    assert hd.seg.segread(segmentation).number_of_segments == 1


def test_the_pixels_of_the_segmentation_do_not_change(products, restored):
    assert restored[1].PixelData == products[1].PixelData


def test_a_report_of_another_patient_is_refused(products, own, pseudonyms):
    other = inverse_of(sealed_identity(original_slide(2, patient=2)), pseudonyms)
    for made in products:
        with pytest.raises(IdentityDoubt, match="does not belong"):
            restore(made, other, reported_at=REPORTED_AT, own=own)


def test_a_report_of_another_slide_of_the_same_patient_is_refused(products, own, pseudonyms):
    other = inverse_of(sealed_identity(original_slide(2, patient=1)), pseudonyms)
    for made in products:
        with pytest.raises(IdentityDoubt, match="does not belong"):
            restore(made, other, reported_at=REPORTED_AT, own=own)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "AAAAAAAAAAAAAAAA"),
        ("StudyInstanceUID", "2.25.99"),
        ("AccessionNumber", "AAAAAAAAAAAAAAAA"),
    ],
)
def test_a_report_with_one_foreign_attribute_is_refused(products, inverse, own, keyword, value):
    for made in products:
        forged = copy.deepcopy(made)
        setattr(forged, keyword, value)
        with pytest.raises(IdentityDoubt):
            restore(forged, inverse, reported_at=REPORTED_AT, own=own)


def test_a_report_that_names_the_image_of_another_slide_is_refused(products, inverse, own):
    for made in products:
        forged = copy.deepcopy(made)
        element = next(e for e in walk(forged) if e.keyword == "ReferencedSOPInstanceUID")
        element.value = "2.25.98"
        with pytest.raises(IdentityDoubt, match="images differ"):
            restore(forged, inverse, reported_at=REPORTED_AT, own=own)


def test_a_report_that_names_another_container_in_its_content_is_refused(products, inverse, own):
    forged = copy.deepcopy(products[0])
    pseudonym = inverse.subject.container_identifier
    element = next(e for e in walk(forged) if e.VR == "UT" and e.value == pseudonym)
    element.value = "BBBBBBBBBBBBBBBB"
    with pytest.raises(IdentityDoubt, match="container"):
        restore(forged, inverse, reported_at=REPORTED_AT, own=own)


def test_the_words_of_a_refusal_hold_no_identity(products, own, pseudonyms):
    other = inverse_of(sealed_identity(original_slide(2, patient=2)), pseudonyms)
    with pytest.raises(IdentityDoubt) as refusal:
        restore(products[0], other, reported_at=REPORTED_AT, own=own)
    assert "ZEBRAFINCH" not in str(refusal.value)


def test_a_restored_report_satisfies_the_validator(restored, require_tool, tmp_path):
    import subprocess

    for number, made in enumerate(restored):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(to_file(made))
        assert dcmread(path).PatientID
        done = subprocess.run(
            [require_tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        errors = [line for line in lines if line.startswith("Error")]
        # dicom3tools of 2022 asks for Patient Orientation, which slides do not have.
        assert [line for line in errors if "PatientOrientation" not in line] == []


def odd(original, change):
    with quiet_pydicom():
        slide = copy.deepcopy(original)
        change(slide)
        return slide


def no_patient_id(slide):
    slide.PatientID = ""
    del slide.IssuerOfPatientID


def too_long(slide):
    slide.PatientID = "ZEBRAFINCH" * 9
    slide.AccessionNumber = "A" * 40


def dotted_date(slide):
    slide.StudyDate = "2024.05.06"


def no_study_attributes(slide):
    for keyword in ("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName"):
        del slide[keyword]


def japanese(slide):
    slide.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    slide.PatientName = "Yamada^Tarou=山田^太郎"


def time_zone(slide):
    slide.TimezoneOffsetFromUTC = "+0530"


@pytest.mark.parametrize(
    "change",
    [no_patient_id, too_long, dotted_date, no_study_attributes, japanese, time_zone],
)
def test_odd_identities_come_back_as_they_were(original, pseudonyms, change):
    slide = odd(original, change)
    with quiet_pydicom():
        made = report_of(pseudonymous(slide, pseudonyms))
        sealed = SealedIdentity.from_bytes(sealed_identity(slide).to_bytes())
        inverse = inverse_of(sealed, pseudonyms)
        own = frozenset(str(one.SOPInstanceUID) for one in made)
        files = [to_file(restore(one, inverse, reported_at=REPORTED_AT, own=own)) for one in made]
        for file in files:
            again = dcmread(BytesIO(file))
            for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber"):
                expected = slide.get(keyword) or ""
                assert str(again.get(keyword) or "") == str(expected), keyword
    if change is time_zone:
        assert made[0].ContentDate != dcmread(BytesIO(files[0])).ContentDate
        assert dcmread(BytesIO(files[0])).ContentTime == "154112"
