"""Rules of the hospital: they take more away, or keep more only under a signed option."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from anonymizer.part10.elements import Element, find, items
from anonymizer.profile.decide import STAYS, Action, Profile, profile_in, profile_of
from anonymizer.profile.iod import whole_slide_image
from anonymizer.profile.options import DEFAULT_OPTIONS, OPTIONS
from anonymizer.profile.site_rules import SiteRule, SiteRules, read_site_rules
from anonymizer.rewrite.plan import plan, steps
from appliance.errors import ConfigError
from appliance.settings import Deidentify
from tests.anonymizer.test_options import element, places, private, rewritten, slide, value

STRONGER = """
# What this hospital does not give away.
[[rule]]
attribute = "Manufacturer"
action = "remove"
why = "one scanner of its kind in the country"

[[rule]]
attribute = "(0008,1090)"
action = "pseudonym"
why = "the same"

[[rule]]
attribute = "00081111"
action = "empty"
why = "no procedure steps"
"""

WEAKER = """
[[rule]]
attribute = "StationName"
action = "keep"
why = "the study compares scanners"
option = "compare_rooms"
signed_by = "Data protection officer, 2026-05-04"

[[rule]]
attribute = "StudyID"
action = "pseudonym"
why = "studies are counted"
option = "compare_rooms"
signed_by = "Data protection officer, 2026-05-04"
"""

SAFE = """
[[safe_private]]
creator = "SOMEBODY ELSE"
element = "0019xx23"
vr = "DS"
why = "a magnification; maker's conformance statement 4.2"
signed_by = "Data protection officer, 2026-05-04"
"""


@pytest.fixture
def rules_of(tmp_path):
    def write(text):
        path = tmp_path / "site-rules.toml"
        path.write_text(text)
        return read_site_rules(path)

    return write


def test_a_rule_takes_more_away_as_far_as_the_type_lets_it(rules_of):
    elements = slide(
        element("Manufacturer", b"Leica Biosystems"),
        element("ManufacturerModelName", b"Aperio GT 450 DX"),
    )
    made = rewritten(elements, profile_of([], rules_of(STRONGER)))
    assert value(made, "Manufacturer") == b"Removed"
    assert len(value(made, "ManufacturerModelName")) == 16
    assert value(made, "ManufacturerModelName") != b"Aperio GT 450 DX"
    assert not items(made, tag_for_keyword("ReferencedPerformedProcedureStepSequence"))
    assert value(rewritten(elements, Profile()), "Manufacturer") == b"Leica Biosystems"


def test_a_signed_option_keeps_more_and_is_written_to_object_and_report(rules_of):
    elements = slide(element("StationName", b"SCAN ROOM 2"), element("StudyID", b"S25-417"))
    rules = rules_of(WEAKER)
    profile = profile_of([], rules)
    made = rewritten(elements, profile)
    assert value(made, "StationName") == b"SCAN ROOM 2"
    assert len(value(made, "StudyID")) == 16
    method = value(made, "DeidentificationMethod").split(b"\\")
    assert b"Site option compare_rooms" in method
    assert f"Site rules {rules.digest[:12]}".encode() in method
    codes = items(made, tag_for_keyword("DeidentificationMethodCodeSequence"))
    assert find(codes[-1], 0x00080100) == b"compare_rooms"
    assert find(codes[-1], 0x00080102) == b"99COVERSLIP"
    (step,) = [
        one
        for one in steps(plan(elements, whole_slide_image(), profile))
        if one.path == "StationName"
    ]
    assert (step.action, step.rule) == (Action.KEEP, "site rule, option compare_rooms")
    assert step.reason == "the study compares scanners"


def test_only_the_private_element_that_is_listed_stays_and_only_with_the_option(rules_of):
    rules = rules_of(SAFE)
    made = rewritten(slide(*private()), profile_of(["retain_safe_private"], rules))
    assert [one.tag for one in made if (one.tag >> 16) & 1] == [
        0x00190010,
        0x00190011,
        0x00191023,
        0x00191024,
        0x00191123,
    ]
    assert not [
        one for one in rewritten(slide(*private()), profile_of([], rules)) if (one.tag >> 16) & 1
    ]


def test_an_object_without_site_rules_says_nothing_of_them():
    assert profile_of([]).method_text == ("Coverslip", "DICOM PS3.15 2026d", "Basic Profile")


def test_the_rules_of_the_settings_apply(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(STRONGER)
    profile = profile_in(Deidentify(site_rules=path))
    assert profile.options == DEFAULT_OPTIONS
    assert [keyword_for_tag(rule.tag) for rule in profile.site_rules.rules] == [
        "Manufacturer",
        "ManufacturerModelName",
        "ReferencedPerformedProcedureStepSequence",
    ]
    with pytest.raises(ConfigError, match="cannot be read"):
        profile_in(Deidentify(site_rules=tmp_path / "missing.toml"))


def rule(attribute="StationName", action="remove", **more):
    fields = {"attribute": attribute, "action": action, "why": "because it is so", **more}
    return "[[rule]]\n" + "\n".join(f'{name} = "{text}"' for name, text in fields.items())


SIGNED = {"option": "our_option", "signed_by": "somebody"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[rule", "is not valid TOML"),
        ("[[rules]]", "rules: unknown key rules"),
        (rule(reason="x y z"), "rule 1: unknown key reason"),
        (
            '[[rule]]\nattribute = "StationName"\naction = "remove"',
            "rule 1: the key why is missing",
        ),
        (rule(action="delete"), "rule 1: action"),
        (rule("StationNam"), "did you mean StationName"),
        (rule("(0008,10)"), "no attribute has this keyword"),
        (rule("00091001"), r"see \[\[safe_private\]\]"),
        (rule("SOPInstanceUID"), "cannot be read without it"),
        (rule("BitsStored"), "cannot be read without it"),
        (rule("PatientID"), "cannot be read without it"),
        (rule(action="keep"), "needs an option and signed_by"),
        (rule(action="keep", option="our_option"), "go together"),
        (rule(action="keep", signed_by="somebody"), "go together"),
        (rule(action="keep", option="retain_uids", signed_by="somebody"), "is an option of PS3.15"),
        (rule(action="keep", option="A sentence", signed_by="somebody"), "rule 1: option"),
        (rule("PatientName", "keep", **SIGNED), "no option keeps it"),
        (rule("AccessionNumber", "keep", **SIGNED), "no option keeps it"),
        (rule("OperatorsName", "keep", **SIGNED), "no option keeps it"),
        (rule("ICCProfile", "keep", **SIGNED), "cannot be read without it"),
        (rule("StudyDate", "keep", **SIGNED), "dates are kept or moved together"),
        (rule("PatientBirthDate", "keep", **SIGNED), "dates are kept or moved together"),
        (rule("00109999", "keep", **SIGNED), "no option keeps it"),
        (rule("PatientSize", "pseudonym"), "only a text can have a pseudonym"),
        (rule() + "\n" + rule("00081010"), "two rules for StationName"),
        (SAFE.replace('"DS"', '"OB"'), "safe_private 1: nobody can look into a value of VR OB"),
        (SAFE.replace("0019xx23", "0018xx23"), "safe_private 1: element"),
        (SAFE.replace("signed_by", "sign"), "safe_private 1: "),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_file_and_number(rules_of, text, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        rules_of(text)
    assert str(caught.value).startswith("site-rules.toml")


@pytest.mark.parametrize("attribute", ["StudyID", "PatientComments", "DeviceSerialNumber"])
def test_a_pseudonym_for_what_the_profile_removes_needs_a_signature(rules_of, attribute):
    with pytest.raises(ConfigError, match=f"the rule for {attribute} keeps more") as caught:
        profile_of([], rules_of(rule(attribute, "pseudonym")))
    assert str(caught.value).startswith("site-rules.toml: ")
    profile_of([], rules_of(rule(attribute, "pseudonym", **SIGNED)))


def test_the_example_in_the_documentation_can_be_read():
    rules = read_site_rules(Path(__file__).parents[2] / "docs" / "site-rules.toml")
    assert profile_of(["retain_safe_private"], rules).site_rules.options == ("compare_rooms",)
    assert rules.safe_vr("A MAKER OF SCANNERS 1.0", 0x00191023) == "DS"


def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path):
    path = tmp_path / "rules.toml"
    for content in (b"\xff\xfe\x00", b"#" * (2 << 20)):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"rules\.toml"):
            read_site_rules(path)


_TAGS = sorted({tag for tag, _ in places(whole_slide_image(), Profile())})
_RULES = st.lists(
    st.builds(
        SiteRule,
        tag=st.sampled_from(_TAGS),
        action=st.sampled_from(["remove", "empty", "pseudonym", "keep"]),
        why=st.just("because"),
    ),
    max_size=20,
    unique_by=lambda one: one.tag,
)
_ORDER = [Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.PSEUDONYM]


@given(_RULES, st.sets(st.sampled_from(sorted(OPTIONS.keys() - {"remove_dates"})), max_size=3))
def test_without_an_option_a_rule_never_keeps_more_than_the_profile(rules, options):
    options -= {"retain_longitudinal_modified_dates"}
    plain = profile_of(options)
    site = SiteRules(digest=str(hash(tuple(rules))), rules=tuple(rules))
    ruled = replace(plain, site_rules=site)
    for tag, attribute in places(whole_slide_image(), plain):
        before, after = plain.decide(tag, attribute).action, ruled.decide(tag, attribute).action
        if before is after:
            continue
        assert after in _ORDER, attribute
        assert before in STAYS or before not in _ORDER or _ORDER.index(after) < _ORDER.index(before)
    assert not ruled.site_rules.options


def test_a_private_creator_alone_is_not_enough():
    made = rewritten(
        slide(Element(0x00190010, "LO", b"GEMS_ACQU_01"), Element(0x00191123, "DS", b"3.5")),
        profile_of(["retain_safe_private"]),
    )
    assert not [one for one in made if (one.tag >> 16) & 1]
