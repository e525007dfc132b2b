"""Each option of PS3.15: what it keeps, what still goes, and what the object says of it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from anonymizer.deidentify.method import Method
from anonymizer.part10.elements import Element, find, items
from anonymizer.profile.decide import STAYS, Action, Profile, keyword, profile_in, profile_of
from anonymizer.profile.iod import iod_of, sop_classes, whole_slide_image
from anonymizer.profile.options import DEFAULT_OPTIONS, OPTIONS, TEMPORAL, check_options
from anonymizer.profile.table import row_of
from anonymizer.pseudonyms import Pseudonyms, Subject
from anonymizer.rewrite.apply import Replacements, apply, specimens_of
from anonymizer.rewrite.codes import known_meaning
from anonymizer.rewrite.marks import marked
from anonymizer.rewrite.plan import plan, walk
from anonymizer.rewrite.texts import TEXT_VRS, encodings_of, kept_text
from appliance.errors import ConfigError
from appliance.settings import Deidentify
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries
from tests.anonymizer.test_profile import table

PSEUDONYMS = Pseudonyms(bytes(range(32)))
KEPT = {Action.KEEP, Action.RECURSE, Action.AGE}
CLEANED = {
    Action.REMOVE,
    Action.EMPTY,
    Action.DUMMY,
    Action.CODES,
    Action.CONTENT,
    Action.PREPARATION,
    Action.TREE,
    Action.VOCABULARY,
    Action.VERSION,
    Action.LABEL,
}
NEWER = {  # VRs of attributes that the dictionary does not know yet
    0x00100042: "UT",
    0x00100043: "SQ",
    0x00100046: "SQ",
    0x00100047: "UR",
    0x00102162: "UC",
    **dict.fromkeys((0x0040A034, 0x0040A035, 0x0040B034, 0x0040B036), "DT"),
}
TIMES = ("DA", "DT", "TM")
FURTHER = sorted(OPTIONS.keys() - DEFAULT_OPTIONS)
IODS = {
    name: uid
    for uid, name in sop_classes().items()
    if uid
    in (
        "1.2.840.10008.5.1.4.1.1.77.1.6",  # VL Whole Slide Microscopy Image
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.91.1",  # Microscopy Bulk Simple Annotations
        "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    )
}


def places(shape, profile, seen=None):
    """Every attribute that a plan reaches, each shape once."""
    seen = set() if seen is None else seen
    for tag, attribute in shape.attributes.items():
        yield tag, attribute
        inside = attribute.items
        recurses = profile.decide(tag, attribute).action in (Action.RECURSE, Action.TREE)
        if inside and recurses and id(inside) not in seen:
            seen.add(id(inside))
            yield from places(inside, profile, seen)


def columns():
    """Every mark of every column, by option, tag and mark."""
    for row in table()["rows"]:
        if "x" in row["tag"] or "gggg" in row["tag"]:
            continue
        tag = int(row["tag"][1:5] + row["tag"][6:10], 16)
        for option, mark in row["options"].items():
            yield option, tag, mark


def rewritten(elements, profile):
    """Carry a profile out on the elements of a slide."""
    planned = plan(elements, whole_slide_image(), profile)
    names = [one for one in walk(planned) if one.path.endswith("ence/SpecimenIdentifier")]
    subject = Subject(
        patient_id="PATIENT",
        accession_number="ACCESSION",
        container_identifier="CONTAINER",
        specimen_identifiers=tuple(f"SPECIMEN{n}" for n, _ in enumerate(names)),
        shift_weeks=100,
        study_instance_uid="2.25.1",
    )
    pseudonyms = Method(profile=profile, pseudonyms=PSEUDONYMS).pseudonyms
    replacements = Replacements(
        pseudonyms=pseudonyms, subject=subject, specimens=specimens_of(planned, subject)
    )
    return marked(apply(planned, replacements), profile)


def value(elements, name):
    found = [one.value for one in elements if one.tag == tag_for_keyword(name)]
    return found[0] if found else None


def slide(*more):
    return planted.with_values(planted.volume(Canaries()), *more)


def element(name, written, vr=None):
    tag = tag_for_keyword(name)
    return Element(tag, vr or dictionary_VR(tag), written)


@pytest.mark.parametrize("option", sorted({option for option, _, _ in columns()}))
def test_every_mark_of_a_column_is_what_the_engine_decides_wherever_the_attribute_stands(option):
    profile = profile_of([option])
    marks = {tag: mark for name, tag, mark in columns() if name == option}
    met = set()
    for uid in IODS.values():
        for tag, attribute in places(iod_of(uid), profile):
            if tag not in marks:
                continue
            met.add(tag)
            action = profile.decide(tag, attribute).action
            place = f"{keyword(tag)} {attribute.vr} {attribute.type}: {action}"
            dated = attribute.vr in TIMES or action is Action.TIMEZONE
            if option in TEMPORAL:
                wanted = {"K": STAYS, "C": {Action.SHIFT, Action.TIME, Action.TIMEZONE}}
                assert not dated or action in wanted[marks[tag]], place
            elif dated:
                assert action in {Action.SHIFT, Action.TIME}, place
            elif marks[tag] == "K":
                assert action in KEPT, place
            else:
                assert action in CLEANED | {Action.RECURSE}, place
    assert met


@pytest.mark.parametrize("option", [name for name in FURTHER if name.startswith("retain_")])
def test_what_a_column_keeps_is_kept_too_where_the_iod_does_not_have_it(option):
    profile = profile_of([option])
    for name, tag, mark in columns():
        if name != option or mark != "K" or tag >> 16 in (0x0000, 0x0002, 0x0004):
            continue
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else NEWER[tag]
        attribute = profile.outside(tag, vr)
        assert attribute is not None, keyword(tag)
        action = profile.decide(tag, attribute).action
        if vr == "OB":  # a signed time stamp: bytes that nobody can look into
            assert action in {Action.REMOVE, Action.DUMMY}, keyword(tag)
        elif vr not in TIMES or option in TEMPORAL:
            assert action in KEPT | {Action.TIMEZONE, Action.SHIFT, Action.TIME}, keyword(tag)
        assert option in DEFAULT_OPTIONS or Profile().outside(tag, vr) is None
        assert Profile().decide(tag, None).action is Action.REMOVE


@pytest.mark.parametrize("option", FURTHER)
def test_an_option_changes_nothing_outside_its_column(option):
    profile, plain = profile_of([option]), Profile()
    changed = set()
    for uid in IODS.values():
        for tag, attribute in places(iod_of(uid), plain):
            row = row_of(tag)
            ours, theirs = profile.decide(tag, attribute), plain.decide(tag, attribute)
            if ours.action is theirs.action:
                continue
            changed.add(tag)
            in_column = row is not None and option in row.options
            by_role = {
                "retain_uids": attribute.vr == "UI",
                "retain_longitudinal_full_dates": attribute.vr in TIMES,
                "remove_dates": attribute.vr in TIMES or keyword(tag) == "TimezoneOffsetFromUTC",
            }
            assert in_column or by_role.get(option), keyword(tag)
    assert changed or option in ("clean_pixel_data", "retain_safe_private")


def test_a_birth_date_is_never_kept():
    for option in FURTHER:
        profile = profile_of([option])
        for name in (
            "PatientBirthDate",
            "PatientBirthTime",
            "PatientBirthDateInAlternativeCalendar",
        ):
            tag = tag_for_keyword(name)
            attribute = whole_slide_image().attributes[tag]
            assert profile.decide(tag, attribute).action in (Action.REMOVE, Action.EMPTY)


def test_device_identity_keeps_what_names_the_device_and_moves_its_dates():
    elements = slide(
        element("DeviceSerialNumber", b"SN 4711-0815"),
        element("StationName", b"SCAN ROOM 2"),
        element("DeviceUID", b"1.2.3.4711"),
        element("DateOfLastCalibration", b"20250310"),
        element("CassetteID", b"RACK 7"),
        element("StationAETitle", b"SCANNER2"),
        element("InstitutionName", b"St Elsewhere"),
    )
    made = rewritten(elements, profile_of(["retain_device_identity"]))
    assert value(made, "DeviceSerialNumber") == b"SN 4711-0815"
    assert value(made, "StationName") == b"SCAN ROOM 2"
    assert value(made, "DeviceUID") == b"1.2.3.4711"
    assert value(made, "CassetteID") == b"RACK 7"
    assert value(made, "DateOfLastCalibration") == b"20230410"
    assert value(made, "StationAETitle") is None
    assert value(made, "InstitutionName") is None
    plain = rewritten(elements, Profile())
    assert value(plain, "DeviceSerialNumber") == b"Removed"
    assert value(plain, "StationName") is value(plain, "CassetteID") is None


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        (b"047Y", b"047Y"),
        (b"089Y", b"089Y"),
        (b"090Y", b"090Y"),
        (b"093Y", b"090Y"),
        (b"103Y", b"090Y"),
        (b"011M", b"011M"),
        (b"47", None),
        (b"DOE^", None),
    ],
)
def test_patient_characteristics_keep_ages_up_to_89(age, kept):
    profile = profile_of(["retain_patient_characteristics"])
    assert value(rewritten(slide(element("PatientAge", age)), profile), "PatientAge") == kept
    assert value(rewritten(slide(element("PatientAge", age)), Profile()), "PatientAge") is None


def test_patient_characteristics_keep_what_the_column_keeps_and_no_remark():
    group = (
        Element(0x00080100, "SH", b"42"),
        Element(0x00080102, "SH", b"99LOCAL"),
        Element(0x00080104, "LO", b"Of the valley"),
    )
    elements = slide(
        element("PatientSex", b"F"),
        element("PatientSize", b"1.71"),
        element("PatientWeight", b"64"),
        element("SmokingStatus", b"NO"),
        element("EthnicGroup", b"A group"),
        Element(0x00102161, "SQ", items=(group,)),
        Element(0x00102162, "UC", b"Another group"),
        element("Allergies", b"Cats of Mrs. Doe"),
        element("PatientState", b"Wheelchair"),
        element("SpecialNeeds", b"Interpreter"),
        element("PatientName", b"Doe^Jane"),
        element("PatientBirthDate", b"19300101"),
    )
    made = rewritten(elements, profile_of(["retain_patient_characteristics"]))
    assert value(made, "PatientSex") == b"F"
    assert (value(made, "PatientSize"), value(made, "PatientWeight")) == (b"1.71", b"64")
    assert value(made, "SmokingStatus") == b"NO"
    assert value(made, "EthnicGroup") == b"A group"
    assert find(made, 0x00102162) == b"Another group"
    assert find(items(made, 0x00102161)[0], 0x00080104) == b"Of the valley"
    for name in ("Allergies", "PatientState", "SpecialNeeds"):
        assert value(made, name) is None
    assert value(made, "PatientName") == value(made, "PatientBirthDate") == b""
    assert not items(rewritten(elements, Profile()), 0x00102161)


def test_institution_identity_keeps_the_institution_and_the_site_of_a_trial_only():
    elements = slide(
        element("InstitutionName", b"St Elsewhere"),
        element("InstitutionAddress", b"1 Main Street\r\nBoston"),
        element("InstitutionalDepartmentName", b"Pathology"),
        element("ClinicalTrialSiteName", b"Site of Boston"),
        element("ClinicalTrialSubjectID", b"S-0007"),
        element("ClinicalTrialSponsorName", b"A sponsor"),
        element("StationName", b"SCAN ROOM 2"),
    )
    made = rewritten(elements, profile_of(["retain_institution_identity"]))
    assert value(made, "InstitutionName") == b"St Elsewhere"
    assert value(made, "InstitutionAddress") == b"1 Main Street\r\nBoston"
    assert value(made, "InstitutionalDepartmentName") == b"Pathology"
    assert value(made, "ClinicalTrialSiteName") == b"Site of Boston"
    assert value(made, "ClinicalTrialSubjectID") == b"Removed"
    assert value(made, "ClinicalTrialSponsorName") == b"Removed"
    assert value(made, "StationName") is None


def test_retained_uids_are_those_of_the_input_everywhere():
    profile = profile_of(["retain_uids"])
    elements = slide()
    made = rewritten(elements, profile)
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert (
            value(made, name)
            == value(elements, name)
            != value(rewritten(elements, Profile()), name)
        )
    specimens = [
        items(one, tag_for_keyword("SpecimenDescriptionSequence")) for one in (elements, made)
    ]
    tag = tag_for_keyword("SpecimenUID")
    assert find(specimens[0][0], tag) == find(specimens[1][0], tag)
    assert items(made, tag_for_keyword("ReferencedImageSequence"))
    assert value(made, "PatientID") == b"PATIENT"


def test_pseudonyms_that_keep_uids_still_map_them_for_a_recipient():
    keeping = Method(profile=profile_of(["retain_uids"]), pseudonyms=PSEUDONYMS).pseudonyms
    assert keeping.uid("1.2.3") == keeping.entity_uid("1.2.3") == "1.2.3"
    assert keeping.key_id == PSEUDONYMS.key_id
    outside = keeping.for_recipient("study")
    assert outside.uid("1.2.3") == PSEUDONYMS.for_recipient("study").uid("1.2.3") != "1.2.3"


@pytest.mark.parametrize(
    ("option", "date", "time", "mark"),
    [
        ("retain_longitudinal_full_dates", b"20250310", b"101500", b"UNMODIFIED"),
        ("retain_longitudinal_modified_dates", b"20230410", b"101500", b"MODIFIED"),
        ("remove_dates", b"", b"", b"REMOVED"),
    ],
)
def test_dates_stay_move_or_go_and_the_object_says_which(option, date, time, mark):
    elements = slide(
        element("StudyDate", b"20250310"),
        element("StudyTime", b"101500"),
        element("ContentDate", b"20250310"),
        element("AcquisitionDateTime", b"20250310101500"),
        element("TimezoneOffsetFromUTC", b"+0100"),
    )
    made = rewritten(elements, profile_of([option]))
    assert (value(made, "StudyDate"), value(made, "StudyTime")) == (date, time)
    dummy = b"19000101"
    assert value(made, "ContentDate") == (date or dummy)
    assert value(made, "AcquisitionDateTime") == (date or dummy) + (time or b"000000")
    assert value(made, "TimezoneOffsetFromUTC") == (b"+0100" if date else None)
    assert value(made, "LongitudinalTemporalInformationModified") == mark


def test_a_full_date_that_is_no_date_goes():
    profile = profile_of(["retain_longitudinal_full_dates"])
    made = rewritten(slide(element("StudyDate", b"DOE^JANE")), profile)
    assert value(made, "StudyDate") == b""


def private(*more):
    return (
        Element(0x00190010, "LO", b"GEMS_ACQU_01"),
        Element(0x00190011, "LO", b"SOMEBODY ELSE"),
        Element(0x00191023, "DS", b"1.5"),
        Element(0x00191024, "UN", b"2.5 "),
        Element(0x00191025, "LO", b"Jane Doe"),
        Element(0x00191123, "DS", b"3.5"),
        *more,
    )


def test_safe_private_elements_stay_with_their_creators_and_no_others():
    made = rewritten(slide(*private()), profile_of(["retain_safe_private"]))
    kept = {one.tag: (one.vr, one.value) for one in made if (one.tag >> 16) & 1}
    assert kept == {
        0x00190010: ("LO", b"GEMS_ACQU_01"),
        0x00191023: ("DS", b"1.5"),
        0x00191024: ("DS", b"2.5 ".strip()),
    }
    plain = rewritten(slide(*private()), Profile())
    assert not [one for one in plain if (one.tag >> 16) & 1]


def test_a_safe_private_sequence_is_parsed_item_by_item():
    inside = (
        Element(0x00100010, "PN", b"Doe^Jane"),
        Element(0x01190010, "LO", b"SIEMENS Ultrasound SC2000"),
        Element(0x01191012, "LO", b"not listed with a VR"),
        Element(0x01191030, "LO", b"unknown"),
        Element(0x01290010, "LO", b"SIEMENS Ultrasound SC2000"),
        Element(0x01291002, "UI", b"1.2.3.99"),
    )
    sequence = (
        Element(0x01190010, "LO", b"SIEMENS Ultrasound SC2000"),
        Element(0x01191002, "SQ", items=(inside,)),
    )
    made = rewritten(slide(*sequence), profile_of(["retain_safe_private"]))
    (item,) = items(made, 0x01191002)
    assert [one.tag for one in item] == [0x01290010, 0x01291002]
    assert item[1].value.decode() == PSEUDONYMS.uid("1.2.3.99")


def test_clean_graphics_keeps_shapes_and_no_text():
    state = iod_of("1.2.840.10008.5.1.4.1.1.11.1")
    tag = tag_for_keyword("GraphicAnnotationSequence")
    texts = state.attributes[tag].items.attributes[tag_for_keyword("TextObjectSequence")]
    words = texts.items.attributes[tag_for_keyword("UnformattedTextValue")]
    profile = profile_of(["clean_graphics"])
    assert profile.decide(tag, state.attributes[tag]).action is Action.RECURSE
    assert profile.decide(tag_for_keyword("UnformattedTextValue"), words).action is Action.DUMMY
    assert Profile().decide(tag, state.attributes[tag]).action is not Action.RECURSE
    for overlay in (0x60003000, 0x60004000, 0x50003000):
        assert profile.decide(overlay, None).action is Action.REMOVE


def test_clean_pixels_are_claimed_only_where_somebody_looked():
    made = rewritten(slide(), profile_of(["clean_pixel_data"]))
    assert value(made, "BurnedInAnnotation") == b"NO"
    looked = Deidentify(options=("clean_pixel_data",), text_in_pixels="remove")
    assert "113101" in profile_in(looked).method_codes
    blind = Deidentify(options=("clean_pixel_data",), text_in_pixels="off")
    with pytest.raises(ConfigError, match="clean_pixel_data needs"):
        profile_in(blind)


@pytest.mark.parametrize("option", FURTHER)
def test_the_object_names_the_code_of_every_option_in_the_words_of_cid_7050(option, shared_data):
    content = (shared_data / "dicom-standard" / "cid_7050_2026d.json").read_text()
    known = json.loads(content)["rows"]
    profile = profile_of([option])
    made = rewritten(slide(), profile)
    sequence = items(made, tag_for_keyword("DeidentificationMethodCodeSequence"))
    codes = {find(item, 0x00080100).decode(): find(item, 0x00080104).decode() for item in sequence}
    wanted = {OPTIONS[name] for name in profile.options if OPTIONS[name]} | {"113100"}
    assert codes == {code: known[code] for code in wanted}
    assert all(known_meaning("DCM", code) == known[code] for code in known)


def test_options_come_in_one_order_and_the_default_ones_are_always_there():
    assert check_options([]) == DEFAULT_OPTIONS
    named = check_options(["retain_uids", "clean_graphics", "retain_uids"])
    assert named == (*DEFAULT_OPTIONS, "clean_graphics", "retain_uids")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["retain_uid"], "did you mean retain_uids"),
        (["retain_device"], "did you mean retain_device_identity"),
        (["zzzzz"], "the options are clean_descriptors"),
        (["clean_recognizable_visual_features"], "nobody's face"),
        (["remove_dates", "retain_longitudinal_full_dates"], "exclude each other"),
        (list(TEMPORAL), "exclude each other"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(options, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        profile_of(options)
    assert str(caught.value).startswith("deidentify.options: ")


@pytest.mark.parametrize(
    ("written", "vr", "character_set", "kept"),
    [
        ("Zürich".encode("latin-1"), "LO", b"ISO_IR 100", "Zürich".encode()),
        ("東京".encode(), "LO", b"ISO_IR 192", "東京".encode()),
        ("病理".encode("gb18030"), "ST", b"GB18030", "病理".encode()),
        (b"A\\B", "LO", b"", b"A\\B"),
        ("Zürich".encode("latin-1"), "LO", b"", None),
        (b"\xff\xfe", "LO", b"ISO_IR 192", None),
        (b"x" * 65, "LO", b"", None),
        (b"x" * 65, "UT", b"", b"x" * 65),
        (b"two\nlines", "LO", b"", None),
        (b"two\r\nlines", "LT", b"", b"two\r\nlines"),
        ("Zürich".encode("latin-1"), "AE", b"ISO_IR 100", None),
    ],
)
def test_a_kept_text_is_one_that_its_vr_allows_in_unicode(written, vr, character_set, kept):
    assert kept_text(written, vr, encodings_of(character_set)) == kept


@given(
    st.binary(max_size=80),
    st.sampled_from(sorted(TEXT_VRS)),
    st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"GB18030", b"x"]),
)
def test_whatever_stands_in_a_text_what_is_kept_of_it_is_one_text_of_its_vr(value, vr, named):
    kept = kept_text(value, vr, encodings_of(named))
    if kept is not None:
        words = kept.decode("utf-8")
        assert not set(words) & set("\0\x1b\x07\x7f")
        assert kept_text(kept, vr, ("utf-8",)) == kept


def test_a_kept_text_that_is_not_ascii_makes_the_object_a_unicode_one():
    elements = slide(
        Element(0x00080005, "CS", b"ISO_IR 100"),
        element("InstitutionName", "Universitätsspital".encode("latin-1")),
    )
    made = rewritten(elements, profile_of(["retain_institution_identity"]))
    assert value(made, "InstitutionName") == "Universitätsspital".encode()
    assert value(made, "SpecificCharacterSet") == b"ISO_IR 192"
    assert value(rewritten(elements, Profile()), "SpecificCharacterSet") is None


def test_equal_profiles_are_equal_whatever_the_order_of_their_options():
    one, other = (
        profile_of(["retain_uids", "clean_graphics"]),
        profile_of(["clean_graphics", "retain_uids"]),
    )
    assert one == other
    assert replace(one, options=DEFAULT_OPTIONS) == Profile()
