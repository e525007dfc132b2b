"""Content trees of reports: an allow-list of items, in a tree that stays valid."""

import itertools
import struct
from functools import cache
from io import BytesIO

import highdicom as hd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.sr.codedict import codes

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.part10.elements import Element, find, items, text
from anonymizer.profile.decide import Action, Profile
from anonymizer.profile.iod import iod_of
from anonymizer.profile.options import check_options
from anonymizer.pseudonyms import Pseudonyms, Subject
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.apply import Replacements, apply
from anonymizer.rewrite.plan import plan, steps
from tests.anonymizer.release_parts import original_slide, report_of, save

PSEUDONYMS = Pseudonyms(bytes(range(32)))
SUBJECT = Subject(
    patient_id="PATIENT2345ABCDE",
    accession_number="",
    container_identifier="CONTAINER2345ABC",
    specimen_identifiers=(),
    shift_weeks=100,
    study_instance_uid="2.25.1",
)
TREE, TARGET = 0x0040A730, 0x0040DB73
TEXT, PNAME, DATE, TIME, DATETIME, UID = (
    Element(0x0040A160, "UT"),
    Element(0x0040A123, "PN"),
    Element(0x0040A121, "DA"),
    Element(0x0040A122, "TM"),
    Element(0x0040A120, "DT"),
    Element(0x0040A124, "UI"),
)


def code(value, scheme="DCM", meaning="typed by somebody"):
    return (
        Element(0x00080100, "SH", value.encode()),
        Element(0x00080102, "SH", scheme.encode()),
        Element(0x00080104, "LO", meaning.encode()),
    )


def item(kind, name=None, *values, relationship="CONTAINS", children=()):
    """A content item; a value is an element, or the text of the attribute it stands in."""
    elements = [
        Element(0x0040A010, "CS", relationship.encode()),
        Element(0x0040A040, "CS", kind.encode()),
        *values,
    ]
    if name:
        elements.append(Element(0x0040A043, "SQ", items=(code(*name),)))
    if children:
        elements.append(Element(TREE, "SQ", items=tuple(children)))
    return tuple(sorted(elements, key=lambda one: one.tag))


def valued(element, value):
    return Element(element.tag, element.vr, value.encode())


def reference(*place, relationship="INFERRED FROM"):
    return (
        Element(0x0040A010, "CS", relationship.encode()),
        Element(TARGET, "UL", struct.pack(f"<{len(place)}I", *place)),
    )


def cleaned(*tree, options=()):
    """The items that are left of a tree."""
    profile = Profile(options=check_options(options))
    shape = iod_of("1.2.840.10008.5.1.4.1.1.88.34")
    planned = plan((Element(TREE, "SQ", items=tree),), shape, profile)
    replacements = Replacements(
        pseudonyms=PSEUDONYMS,
        subject=SUBJECT,
        specimens={},
        names={("container_identifier", "C-1"): SUBJECT.container_identifier},
    )
    return items(apply(planned, replacements), TREE)


def value_of(made, element):
    return text(find(made, element.tag))


def measured(value, unit, scheme="UCUM"):
    inside = (
        Element(0x004008EA, "SQ", items=(code(unit, scheme),)),
        Element(0x0040A30A, "DS", value.encode()),
    )
    return Element(0x0040A300, "SQ", items=(inside,))


def coded(value, scheme="DCM"):
    return Element(0x0040A168, "SQ", items=(code(value, scheme),))


FINDING = ("121071", "DCM")
COMMENT = ("121106", "DCM")
LOCAL = ("77", "99LAB")
AREA = ("42798000", "SCT")
TRACKING = ("112039", "DCM")


@pytest.mark.parametrize(
    "gone",
    [
        item("TEXT", COMMENT, valued(TEXT, "Mrs. Doe asked")),
        item("TEXT", LOCAL, valued(TEXT, "Mrs. Doe asked")),
        item("TEXT", None, valued(TEXT, "Mrs. Doe asked")),
        item("TEXT", ("121013", "DCM"), valued(TEXT, "scanner of ward 7")),
        item("PNAME", ("121088", "DCM"), valued(PNAME, "Doe^Jane")),
        item("PNAME", LOCAL, valued(PNAME, "Doe^Jane")),
        item("DATE", ("121031", "DCM"), valued(DATE, "19500102")),
        item("DATE", LOCAL, valued(DATE, "19500102")),
        item("CODE", FINDING, coded("X1", "99LAB")),
        item("CODE", LOCAL, coded("85756007", "SCT")),
        item("CODE", ("121032", "DCM"), coded("121102")),
        item("NUM", ("121033", "DCM"), measured("47", "a")),
        item("NUM", AREA, measured("47", "{ask Mrs. Doe}")),
        item("NUM", LOCAL, measured("47", "mm2")),
        item("TABLE", FINDING),
        item("DOE^JANE", FINDING),
        item("CODE", FINDING, coded("85756007", "SCT"), relationship="KNOWS"),
        item("CONTAINER", ("121000", "DCM")),
    ],
)
def test_an_item_that_no_rule_knows_goes_with_what_is_below_it(gone):
    child = item("CODE", FINDING, coded("85756007", "SCT"))
    parent = (*gone, Element(TREE, "SQ", items=(child,)))
    assert cleaned(gone, parent, child) == cleaned(child)
    assert len(cleaned(child)) == 1


def test_codes_and_measurements_stay_in_the_words_of_the_table():
    [finding, area] = cleaned(
        item("CODE", FINDING, coded("85756007", "SCT")),
        item("NUM", AREA, measured("1.5", "mm2")),
    )
    [name] = items(finding, 0x0040A043)
    assert text(find(name, 0x00080104)) == "Finding"
    [number] = items(area, 0x0040A300)
    assert find(number, 0x0040A30A) == b"1.5"
    [unit] = items(number, 0x004008EA)
    assert text(find(unit, 0x00080104)) == "square millimeter"


def test_what_the_table_replaces_stays_as_a_dummy():
    made = cleaned(
        item("PNAME", ("121008", "DCM"), valued(PNAME, "Doe^Jane")),
        item("TEXT", FINDING, valued(TEXT, "a mass")),
        item("TEXT", ("111001", "DCM"), valued(TEXT, "net of Dr. Doe")),
        item("TEXT", ("111003", "DCM"), valued(TEXT, "as of Monday")),
    )
    assert value_of(made[0], PNAME) == "REMOVED"
    assert [value_of(one, TEXT) for one in made[1:]] == ["Removed"] * 3


def test_makers_and_versions_that_are_no_names_stay():
    made = cleaned(
        item("TEXT", ("121014", "DCM"), valued(TEXT, "Leica Biosystems")),
        item("TEXT", ("111003", "DCM"), valued(TEXT, "1.2.3")),
    )
    assert [value_of(one, TEXT) for one in made] == ["Leica Biosystems", "1.2.3"]


def test_identifiers_get_the_pseudonyms_of_the_slide():
    container, other, tracking = cleaned(
        item("TEXT", ("111700", "DCM"), valued(TEXT, "C-1")),
        item("TEXT", ("121041", "DCM"), valued(TEXT, "S-1")),
        item("TEXT", TRACKING, valued(TEXT, "lesion of Mrs. Doe")),
    )
    assert value_of(container, TEXT) == SUBJECT.container_identifier
    assert value_of(other, TEXT) == PSEUDONYMS.identifier("specimen_identifier", "", "S-1")
    assert value_of(tracking, TEXT) == PSEUDONYMS.identifier(
        "other", "TrackingIdentifier", "lesion of Mrs. Doe"
    )


def test_dates_move_and_uids_are_replaced():
    date, moment, time, uid = cleaned(
        item("DATE", ("111060", "DCM"), valued(DATE, "20250310")),
        item("DATETIME", ("111536", "DCM"), valued(DATETIME, "20250310101112")),
        item("TIME", ("111061", "DCM"), valued(TIME, "101112")),
        item("UIDREF", ("112040", "DCM"), valued(UID, "1.2.3.4.5")),
    )
    assert value_of(date, DATE) == "20230410"
    assert value_of(moment, DATETIME) == "20230410101112"
    assert value_of(time, TIME) == "101112"
    assert value_of(uid, UID) == PSEUDONYMS.uid("1.2.3.4.5")


def test_references_to_images_are_replaced_and_regions_stay():
    instance = (
        Element(0x00081150, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
        Element(0x00081155, "UI", b"1.2.3.4.5"),
        Element(0x00081160, "IS", b"7"),
    )
    image = item("IMAGE", LOCAL, Element(0x00081199, "SQ", items=(instance,)))
    points = struct.pack("<4f", 1, 2, 3, 4)
    region = item(
        "SCOORD",
        ("111030", "DCM"),
        Element(0x00700022, "FL", points),
        Element(0x00700023, "CS", b"POLYLINE"),
        children=(image,),
    )
    [made] = cleaned(region)
    assert find(made, 0x00700022) == points
    assert text(find(made, 0x00700023)) == "POLYLINE"
    [inner] = items(made, TREE)
    [named] = items(inner, 0x00081199)
    assert text(find(named, 0x00081155)) == PSEUDONYMS.uid("1.2.3.4.5")
    assert text(find(named, 0x00081160)) == "7"
    [name] = items(inner, 0x0040A043)
    assert b"somebody" not in find(name, 0x00080104)


def test_references_between_items_follow_the_items_and_go_with_them():
    finding = item("CODE", FINDING, coded("85756007", "SCT"))
    comment = item("TEXT", COMMENT, valued(TEXT, "Mrs. Doe"))
    group = item(
        "CONTAINER",
        None,
        children=(comment, finding, reference(1, 2), reference(1, 1), reference(1, 3, 2)),
    )
    [first, second] = cleaned(comment, finding, group)
    kept = items(second, TREE)
    assert first == cleaned(finding)[0]
    assert [struct.unpack(f"<{len(p) // 4}I", p) for p in (find(one, TARGET) for one in kept)] == [
        (),
        (1, 1),
        (1, 2, 1),
    ]


def places(tree, before=(1,)):
    """Every item of a tree by its place."""
    for number, one in enumerate(tree, start=1):
        yield (*before, number), one
        yield from places(items(one, TREE), (*before, number))


def target(one):
    value = find(one, TARGET)
    return struct.unpack(f"<{len(value) // 4}I", value)


trees = st.recursive(
    st.tuples(st.booleans(), st.just(())),
    lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=4)),
    max_leaves=12,
)


def grown(tree, numbers):
    """An item with a number of its own that stays, or goes; and what is below it."""
    stays, children = tree
    name = TRACKING if stays else COMMENT
    made = item("TEXT", name, valued(TEXT, str(next(numbers))))
    below = [grown(child, numbers) for child in children]
    return (*made, Element(TREE, "SQ", items=tuple(below))) if below else made


@given(st.lists(trees, min_size=1, max_size=4), st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_reference_that_is_left_names_the_item_that_it_named_before(shapes, data):
    numbers = itertools.count(1)
    tree = [grown(shape, numbers) for shape in shapes]
    before = dict(places(tree))
    named = data.draw(st.lists(st.sampled_from(sorted(before)), max_size=5))
    position = data.draw(st.integers(0, len(tree)))
    moved = {
        place: (1, place[1] + (len(named) if place[1] > position else 0), *place[2:])
        for place in before
    }
    pointing = [reference(*moved[place]) for place in named]
    after = dict(places(cleaned(*tree[:position], *pointing, *tree[position:])))
    alive = {value_of(one, TEXT) for one in after.values() if not target(one)}
    expected = [value_of(before[place], TEXT) for place in named]
    found = [value_of(after[target(one)], TEXT) for one in after.values() if target(one)]
    assert found == [number for number in expected if number in alive]


def test_references_to_references_go_whatever_their_number():
    finding = item("CODE", FINDING, coded("85756007", "SCT"))
    chain = [reference(1, number) for number in range(3, 5003)]
    assert cleaned(finding, *chain) == cleaned(finding)


def test_a_container_that_is_left_without_items_has_no_sequence():
    comment = item("TEXT", COMMENT, valued(TEXT, "Mrs. Doe"))
    [made] = cleaned(item("CONTAINER", ("126010", "DCM"), children=(comment,)))
    assert TREE not in {one.tag for one in made}


@pytest.mark.parametrize(
    ("option", "kept"),
    [
        ("retain_device_identity", item("TEXT", ("121013", "DCM"), valued(TEXT, "Scanner 7"))),
        ("retain_patient_characteristics", item("CODE", ("121032", "DCM"), coded("121102"))),
        ("retain_uids", item("UIDREF", ("112040", "DCM"), valued(UID, "1.2.3.4"))),
        (
            "retain_longitudinal_full_dates",
            item("DATE", ("111060", "DCM"), valued(DATE, "20250310")),
        ),
    ],
)
def test_an_option_keeps_what_its_column_says(option, kept):
    made = cleaned(kept, options=[option])
    held = {one.tag: one.value for one in kept if one.items is None}
    assert [{one.tag: one.value for one in single if one.items is None} for single in made] == [
        held
    ]
    assert cleaned(kept) != made


def test_without_a_temporal_option_dates_go():
    assert cleaned(item("DATE", ("111060", "DCM"), valued(DATE, "20250310"))) != ()
    gone = cleaned(
        item("DATE", ("111060", "DCM"), valued(DATE, "20250310")), options=["remove_dates"]
    )
    assert gone == ()


def test_the_report_says_by_which_rule_an_item_went():
    shape = iod_of("1.2.840.10008.5.1.4.1.1.88.34")
    tree = (item("TEXT", COMMENT, valued(TEXT, "Mrs. Doe")),)
    lines = steps(plan((Element(TREE, "SQ", items=tree),), shape, Profile()))
    assert {"E.3.4-1 X"} == {one.rule for one in lines if one.path.endswith("TextValue")}


@cache
def full_report():
    """A report of TID 1500 by a person and a device, about a specimen, with an algorithm."""
    with quiet_pydicom():
        slide = original_slide(tiles_across=1)
        report, _ = report_of(slide)
        person = hd.sr.PersonObserverIdentifyingAttributes(
            name="Wombat^Will", organization_name="Wombat Hospital"
        )
        context = hd.sr.ObserverContext(
            observer_type=codes.DCM.Person, observer_identifying_attributes=person
        )
        report.ContentSequence = [*context, *report.ContentSequence]
        return report


def test_a_report_of_tid_1500_keeps_what_the_template_requires(tmp_path):
    save(full_report(), tmp_path / "in.dcm")
    (tmp_path / "out").mkdir()
    deidentify_slide([tmp_path / "in.dcm"], tmp_path / "out", Method(pseudonyms=PSEUDONYMS))
    content = (tmp_path / "out" / "sr-00.dcm").read_bytes()
    assert b"Wombat" not in content
    made = hd.sr.srread(BytesIO(content))
    names = [one.ConceptNameCodeSequence[0].CodeValue for one in made.ContentSequence]
    required = ("121049", "121005", "121008", "121012", "121058", "126010")
    assert [one for one in required if one not in names] == []
    [group] = made.content.get_planar_roi_measurement_groups() or (
        made.content.get_image_measurement_groups()
    )
    assert group.tracking_uid
    assert group.get_measurements()[0].value == 1.5
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert dcmread(BytesIO(content)).ContentSequence[0].RelationshipType


def test_the_gate_looks_for_everything_in_a_part_of_the_tree_that_goes():
    """A date below an item that goes is not known as one that moved, but sought as a stranger."""
    child = item("DATE", ("111060", "DCM"), valued(DATE, "20250310"))
    gone = item("TEXT", COMMENT, valued(TEXT, "Mrs. Doe"), children=(child,))
    shape = iod_of("1.2.840.10008.5.1.4.1.1.88.34")
    planned = plan((Element(TREE, "SQ", items=(gone,)),), shape, Profile())
    [[*elements]] = planned[0].items
    assert {one.decision.action for one in elements} == {Action.REMOVE}
    assert [one.items for one in elements if one.element.tag == TREE] == [()]


def test_what_an_option_keeps_of_the_content_passes_the_gate(tmp_path):
    options = check_options(["retain_device_identity", "retain_institution_identity"])
    method = Method(pseudonyms=PSEUDONYMS, profile=Profile(options=options))
    save(full_report(), tmp_path / "in.dcm")
    (tmp_path / "out").mkdir()
    deidentify_slide([tmp_path / "in.dcm"], tmp_path / "out", method)
    content = (tmp_path / "out" / "sr-00.dcm").read_bytes()
    assert b"Wombat Hospital" in content
    assert b"Wombat^Will" not in content
