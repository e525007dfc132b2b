"""Restoring undoes de-identification, for objects that others made from the slide too."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom import Dataset, dcmread

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.release.belonging import inverse_of, walk
from anonymizer.release.restore import restore, to_file
from appliance.errors import IdentityDoubt, PolicyRefused
from appliance.settings import Settings
from appliance.slides.identity import SealedIdentity, identity_of
from tests.anonymizer.derived import objects_of, save_all
from tests.anonymizer.release_line import INSIDE, Line
from tests.anonymizer.release_parts import KEY, original_slide, sealed_identity

METHOD = Method(pseudonyms=Pseudonyms(KEY))
REPORTED_AT = datetime(2024, 5, 6, 10, 11, 12, tzinfo=UTC)
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "ContentDate",
    "ContentTime",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "ContainerIdentifier",
    "IssuerOfTheContainerIdentifierSequence",
    "SpecimenDescriptionSequence",
)
NAMED = ("ReferencedSOPInstanceUID", "ReferencedSOPClassUID")

identifiers = st.from_regex(r"[A-Z]{2,4}[-/_. ]?[0-9]{4,8}", fullmatch=True)
"""Numbers as hospitals give them; one that is a word of DICOM, such as CODE, the gate refuses."""

issuers = st.one_of(st.none(), identifiers)
letters = {
    "ISO_IR 100": "aáßéöñXYZ'",
    "ISO_IR 101": "łőžčABC",
    "ISO_IR 144": "ДжнЯша",
    "ISO_IR 126": "αβγΩπ",
    "ISO_IR 192": "aöЯ山田π한",
}


@st.composite
def people(draw):
    """A patient and a glass slide, in one of several character sets."""
    charset = draw(st.sampled_from(sorted(letters)))
    word = st.text(letters[charset], min_size=4, max_size=8)
    return {
        "SpecificCharacterSet": charset,
        "PatientName": "^".join(draw(st.lists(word, min_size=1, max_size=3))),
        "PatientID": draw(identifiers),
        "IssuerOfPatientID": draw(issuers),
        "PatientBirthDate": draw(st.sampled_from(["", "19500102", "19991231"])),
        "AccessionNumber": draw(identifiers),
        "IssuerOfAccessionNumberSequence": draw(issuers),
        "ContainerIdentifier": draw(identifiers),
        "IssuerOfTheContainerIdentifierSequence": draw(issuers),
        "specimen": draw(identifiers),
        "specimen_issuer": draw(issuers),
        "StudyDescription": draw(word),
    }


def slide_of(person):
    """A slide whose header is this person's."""
    slide = clear_slide()
    for keyword, value in person.items():
        if keyword.endswith("Sequence"):
            setattr(slide, keyword, issuer(value))
        elif value is None:
            slide.pop(keyword, None)
        elif not keyword.startswith("specimen"):
            setattr(slide, keyword, value)
    specimen = slide.SpecimenDescriptionSequence[0]
    specimen.SpecimenIdentifier = person["specimen"]
    specimen.IssuerOfTheSpecimenIdentifierSequence = issuer(person["specimen_issuer"])
    return slide


def clear_slide(number=1, patient=1):
    """A slide that says of itself that no label is on it."""
    slide = original_slide(number, patient=patient, tiles_across=1)
    slide.SpecimenLabelInImage = slide.BurnedInAnnotation = "NO"
    return slide


def issuer(name):
    if name is None:
        return []
    item = Dataset()
    item.LocalNamespaceEntityID = name
    return [item]


def round_trip(slide, folder, *, alone=False):
    """De-identify a slide with what was made from it, or one by one, and restore the latter."""
    objects = objects_of(slide)
    output = folder / "out"
    output.mkdir()
    files = save_all(slide, objects, folder)
    for some in [[file] for file in files] if alone else [files]:
        deidentify_slide(some, output, METHOD)
    made = {name: dcmread(output / f"{name}-00.dcm") for name in objects}
    own = frozenset(str(one.SOPInstanceUID) for one in made.values())
    sealed = SealedIdentity.from_bytes(sealed_identity(slide).to_bytes())
    inverse = inverse_of(sealed, METHOD.pseudonyms)
    restored = {
        name: dcmread(BytesIO(to_file(restore(one, inverse, reported_at=REPORTED_AT, own=own))))
        for name, one in made.items()
    }
    return objects, made, restored


def same(one: Dataset, other: Dataset, keyword: str) -> bool:
    """Whether an attribute is equal in both; highdicom gives dates as objects."""
    first, second = one.get(keyword), other.get(keyword)
    return first == second or str(first) == str(second)


def texts_of(dataset: Dataset) -> set[str]:
    """Identifiers of specimen and container in the content of a report."""
    return {str(one.value) for one in walk(dataset) if one.keyword == "TextValue"}


def references_of(dataset: Dataset) -> list[str]:
    """UIDs of the slide's image that an object names."""
    return [str(one.value) for one in walk(dataset) if one.keyword in NAMED]


@given(person=people())
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_what_deidentification_took_comes_back_on_report_segmentation_and_annotations(person):
    with quiet_pydicom(), TemporaryDirectory() as folder:
        slide = slide_of(person)
        objects, made, restored = round_trip(slide, Path(folder))
        for name, original in objects.items():
            again = restored[name]
            for keyword in IDENTIFYING:
                if keyword in original:
                    assert same(again, original, keyword), (name, keyword)
            assert str(made[name].PatientName) != str(slide.PatientName)
            assert slide.SOPInstanceUID in references_of(again)
        assert {person["specimen"], person["ContainerIdentifier"]} <= texts_of(restored["sr"])


def test_objects_that_were_de_identified_without_their_slide_are_restored_with_its_identity(
    tmp_path,
):
    with quiet_pydicom():
        slide = clear_slide()
        slide.IssuerOfTheContainerIdentifierSequence = issuer("PATHOLOGY")
        specimen = slide.SpecimenDescriptionSequence[0]
        specimen.IssuerOfTheSpecimenIdentifierSequence = issuer("PATHOLOGY")
        objects, made, restored = round_trip(slide, tmp_path, alone=True)
    for name, original in objects.items():
        for keyword in IDENTIFYING:
            if keyword in original:
                assert same(restored[name], original, keyword), (name, keyword)
    found = texts_of(restored["sr"])
    assert {specimen.SpecimenIdentifier, slide.ContainerIdentifier} <= found
    assert len(texts_of(made["sr"]) - found) == 2


def test_a_patient_is_put_back_for_a_route_inside_only(tmp_path):
    line = Line(tmp_path, [INSIDE])
    try:
        [route] = line.settings.routes
        outside = route.model_copy(update={"place": "outside"})
        with pytest.raises(PolicyRefused, match="inside"):
            line.release()._report(None, outside)
    finally:
        line.close()
    settings_of_a_careless_hand = {"routes": [INSIDE | {"place": "outside"}]}
    with pytest.raises(ValidationError, match="outside route"):
        Settings.model_validate(settings_of_a_careless_hand)


@pytest.fixture(scope="module")
def trip(tmp_path_factory):
    with quiet_pydicom():
        slide = clear_slide()
        return slide, *round_trip(slide, tmp_path_factory.mktemp("trip"))


def test_de_identified_objects_name_the_de_identified_slide_with_its_pseudonyms(trip):
    slide, _, made, _ = trip
    uid = METHOD.pseudonyms.entity_uid(str(slide.SOPInstanceUID))
    for one in made.values():
        assert uid in references_of(one)
        assert slide.SOPInstanceUID not in references_of(one)
    assert made["seg"].ContainerIdentifier in texts_of(made["sr"])
    assert len({one.PatientID for one in made.values()}) == 1


def test_highdicom_reads_objects_that_were_de_identified_and_restored(trip):
    _, objects, made, restored = trip
    for some in (made, restored):
        report, segmentation, annotations = (
            BytesIO(to_file(some[name])) for name in ("sr", "seg", "ann")
        )
        assert hd.sr.srread(report).content is not None
        assert hd.seg.segread(segmentation).number_of_segments == 1
        groups = hd.ann.annread(annotations).get_annotation_groups()
        assert [group.number_of_annotations for group in groups] == [2, 2]
    before = objects["ann"].get_annotation_groups()[0].get_graphic_data("2D")
    after = groups[0].get_graphic_data("2D")
    assert [one.tolist() for one in before] == [one.tolist() for one in after]


@pytest.mark.parametrize("folder", ["deid/highdicom", "dicom/highdicom_sm"])
def test_real_segmentations_and_annotations_get_their_patient_back(shared_data, tmp_path, folder):
    files = sorted((shared_data / folder).glob("s*_*.dcm"))
    headers = {file: dcmread(file) for file in files}
    study = headers[shared_data / folder / "sm_image.dcm"].StudyInstanceUID
    headers = {file: one for file, one in headers.items() if one.StudyInstanceUID == study}
    slides = [one for one in headers.values() if one.Modality == "SM"]
    products = {str(one.SOPInstanceUID): one for one in headers.values() if one not in slides}
    with quiet_pydicom():
        deidentify_slide(list(headers), tmp_path, METHOD)
        sealed = SealedIdentity.from_bytes(identity_of(slides[0], slides).to_bytes())
        inverse = inverse_of(sealed, METHOD.pseudonyms)
        made = [dcmread(path) for path in tmp_path.iterdir() if "volume" not in path.name]
        own = frozenset(str(one.SOPInstanceUID) for one in made)
        restored = [restore(one, inverse, reported_at=REPORTED_AT, own=own) for one in made]
    by_pseudonym = {METHOD.pseudonyms.entity_uid(uid): one for uid, one in products.items()}
    assert len(restored) == len(products) > 3
    for again in restored:
        original = by_pseudonym[again.SOPInstanceUID]
        for keyword in IDENTIFYING:
            if keyword in original:
                assert same(again, original, keyword), keyword
        assert set(references_of(again)) == set(references_of(original))


def test_annotations_of_another_slide_are_not_given_this_patient(trip):
    _, _, made, _ = trip
    other = clear_slide(2, patient=2)
    inverse = inverse_of(sealed_identity(other), METHOD.pseudonyms)
    own = frozenset(str(one.SOPInstanceUID) for one in made.values())
    for one in made.values():
        with pytest.raises(IdentityDoubt):
            restore(one, inverse, reported_at=REPORTED_AT, own=own)
