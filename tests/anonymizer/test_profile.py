import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from anonymizer.pixels.icc import srgb_profile
from anonymizer.profile.decide import (
    DEFAULT_OPTIONS,
    Action,
    Profile,
    keyword,
)
from anonymizer.profile.iod import Attribute, whole_slide_image
from anonymizer.profile.options import OPTIONS
from anonymizer.profile.table import safe_private_vr
from anonymizer.rewrite import values
from anonymizer.rewrite.plan import Planned, plan, steps, walk
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

PACKAGE = "anonymizer.profile"
FREE_TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
HARMLESS = {Action.VOCABULARY, Action.VERSION, Action.TIMEZONE, Action.PSEUDONYM, Action.LABEL}
GONE = {Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.CONSTANT}


def table():
    return json.loads(files(PACKAGE).joinpath("profile_2026d.json").read_text("utf-8"))


def everywhere(shape, path=()):
    """Every attribute of the IOD that a plan reaches, with its path."""
    for tag, attribute in shape.attributes.items():
        here = (*path, keyword(tag))
        yield tag, attribute, here
        if attribute.items and Profile().decide(tag, attribute).action is Action.RECURSE:
            yield from everywhere(attribute.items, here)


def test_the_table_is_the_whole_one_of_2026d_and_names_its_owner():
    content = table()
    assert len(content["rows"]) == 657
    assert content["acknowledgement"] == "DICOM PS3.15 2026d, (c) NEMA"
    options = {name for row in content["rows"] for name in row["options"]}
    assert set(DEFAULT_OPTIONS) < options
    assert len(options) == 10
    assert options < OPTIONS.keys()


def test_the_table_of_safe_private_elements_holds_nothing_that_nobody_can_look_into():
    content = json.loads(files(PACKAGE).joinpath("safe_private.json").read_text("utf-8"))
    assert content["acknowledgement"] == "DICOM PS3.15 2020b, (c) NEMA"
    vrs = [vr for elements in content["creators"].values() for vr in elements.values()]
    assert len(vrs) == 110
    assert not set(vrs) & {"OB", "OW", "UN", "LT", "UT", "PN"}
    assert safe_private_vr("GEMS_PARM_01", 0x00431027) == "SH"
    assert safe_private_vr("GEMS_PARM_01", 0x00451027) is None


def test_the_uid_of_an_annotation_group_is_replaced_so_that_references_find_it():
    tag = tag_for_keyword("AnnotationGroupUID")
    assert Profile().decide(tag, Attribute(vr="UI", type="1")).action is Action.UID


def test_no_attribute_that_can_hold_free_text_is_kept_as_it_is():
    for tag, attribute, path in everywhere(whole_slide_image()):
        if attribute.vr in FREE_TEXT or attribute.vr[0] == "O" or attribute.vr == "UN":
            action = Profile().decide(tag, attribute).action
            assert action in HARMLESS | GONE | {Action.SRGB}, path


def test_every_uid_is_remapped_or_gone_and_every_date_moves_or_goes():
    for tag, attribute, path in everywhere(whole_slide_image()):
        action = Profile().decide(tag, attribute).action
        if attribute.vr == "UI":
            assert action in GONE | {Action.UID}, path
        if attribute.vr in ("DA", "DT"):
            assert action in GONE | {Action.SHIFT}, path


def test_what_must_be_there_is_never_removed():
    for tag, attribute in whole_slide_image().attributes.items():
        if attribute.type == "1":
            assert Profile().decide(tag, attribute).action is not Action.REMOVE, keyword(tag)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("PatientName", Action.EMPTY),
        ("PatientID", Action.PSEUDONYM),
        ("PatientAge", Action.REMOVE),
        ("DeviceSerialNumber", Action.DUMMY),
        ("InstitutionName", Action.REMOVE),
        ("StudyDate", Action.SHIFT),
        ("StudyTime", Action.TIME),
        ("SOPInstanceUID", Action.UID),
        ("SpecimenDescriptionSequence", Action.RECURSE),
        ("AcquisitionContextSequence", Action.CONTENT),
        ("ReferencedImageSequence", Action.REMOVE),
        ("IssuerOfAccessionNumberSequence", Action.REMOVE),
        ("SOPInstanceUIDOfConcatenationSource", Action.UID),
        ("ImageType", Action.KEEP),
    ],
)
def test_compound_codes_resolve_by_type_and_slide_rules_win(name, action):
    tag = tag_for_keyword(name)
    assert Profile().decide(tag, whole_slide_image().attributes[tag]).action is action


def test_what_the_table_removes_is_empty_or_a_dummy_where_the_iod_would_miss_it():
    tag = tag_for_keyword("RequestedProcedureID")
    kinds = {"1": Action.DUMMY, "2": Action.EMPTY, "1C": Action.REMOVE, "3": Action.REMOVE}
    for kind, action in kinds.items():
        assert Profile().decide(tag, Attribute(vr="SH", type=kind)).action is action


@pytest.mark.parametrize("tag", [0x00091001, 0x60003000, 0x50001001, 0x00041130, 0xFFFCFFFC])
def test_private_foreign_and_padding_attributes_go(tag):
    assert Profile().decide(tag, None).action is Action.REMOVE
    assert Profile().decide(tag, Attribute(vr="LO", type="1")).action in GONE


def test_an_unknown_attribute_goes():
    decision = Profile().decide(0x00509998, None)
    assert (decision.action, decision.rule) == (Action.REMOVE, "unknown")


def test_the_method_codes_are_those_of_the_options():
    assert Profile().method_codes == ("113100", "113105", "113104", "113107")


def test_a_plan_reaches_into_items_and_sums_up_by_path():
    planned = plan(planted.volume(Canaries()), whole_slide_image(), Profile())
    assert all(isinstance(one, Planned) for one in walk(planned))
    summed = {step.path: step for step in steps(planned)}
    assert summed["SpecimenDescriptionSequence/SpecimenUID"].action is Action.UID
    assert summed["OpticalPathSequence/(0009,1001)"].rule == "E.1-1 X"


@given(st.dates(), st.integers(52, 520), st.sampled_from(["", "10", "101500", "101500.25"]))
def test_dates_move_whole_weeks_and_times_not_at_all(date, weeks, time):
    written = f"{date.year:04d}{date:%m%d}".encode()
    moved = values.shifted(written, "DA", weeks)
    if date.toordinal() <= 7 * weeks:
        assert moved is None
        return
    assert moved is not None
    back = values.shifted(written + time.encode() + b"+0100", "DT", weeks)
    assert back == moved + time.encode() + b"+0100"
    ordinal = type(date)(int(moved[:4]), int(moved[4:6]), int(moved[6:])).toordinal()
    assert date.toordinal() - ordinal == 7 * weeks


@given(st.binary(max_size=30), st.sampled_from(["DA", "DT"]))
def test_what_is_no_date_is_never_given_back(value, vr):
    moved = values.shifted(value, vr, 52)
    assert moved is None or moved == b"" or moved != value.strip(b" \0") or not moved.strip(b"\\")


def test_dates_of_less_precision_keep_it():
    assert values.shifted(b"2025", "DT", 60) == b"2023"
    assert values.shifted(b"202506", "DT", 52) == b"202406"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"Leica Biosystems", True),
        (b"3DHISTECH", True),
        (b"Hamamatsu Photonics K.K.", False),
        (b"Leica of Dr. Doe", False),
        (b"DOE^JANE", False),
    ],
)
def test_a_maker_is_kept_only_when_every_word_is_known(value, kept):
    assert (values.clean_words(value, "manufacturers") == value) is kept


@pytest.mark.parametrize("value", [b"1.2.3", b"v2024.1\\3", b"Unknown", b""])
def test_version_numbers_stay(value):
    assert (values.clean_version(value) == value) is bool(value)


@pytest.mark.parametrize("value", [b"1234567", b"1.2 Jane", b"20250417", b"S25-417"])
def test_other_texts_are_no_version(value):
    assert values.clean_version(value) is None


def test_the_profile_that_leaves_is_a_small_constant():
    profile = srgb_profile()
    assert len(profile) == int.from_bytes(profile[:4], "big") < 1000
    assert profile[36:40] == b"acsp"
