"""Single values as the gate judges them: what a whole object cannot easily show."""

import struct

import pytest

from anonymizer.gate.findings import Check, Judged
from anonymizer.gate.sought import Needles, Origin
from anonymizer.gate.value_judge import ValueJudge, is_ours
from anonymizer.profile.decide import Action, Decision
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import IdentityDoubt

ORIGIN = Origin("PatientID", "E.1-1 Z/D")
KEEP = Decision(action=Action.KEEP, rule="not in E.1-1", reason="holds no free text")
REMOVE = Decision(action=Action.REMOVE, rule="E.1-1 X", reason="goes")
PSEUDONYM = Decision(action=Action.PSEUDONYM, rule="slide rule", reason="replaced")
NUMBER = 4711471147


@pytest.fixture
def judge():
    needles = Needles(pseudonyms=frozenset(("STUDY-17", "MRN-99")))
    needles.add_text(str(NUMBER), ORIGIN)
    needles.add_text("MRN-99", ORIGIN)
    needles.add_text("LINDQVIST", ORIGIN)
    needles.add_date(("1951", "04", "17"), ORIGIN)
    return ValueJudge(needles, Judged())


@pytest.mark.parametrize(
    ("vr", "value"),
    [("US", b"\1"), ("UL", b"\1\0"), ("FD", bytes(12)), ("OF", bytes(6)), ("AT", bytes(6))],
)
def test_a_binary_value_of_another_length_is_refused(judge, vr, value):
    with pytest.raises(IdentityDoubt, match="check value representation"):
        judge.binary("Rows", vr, value, KEEP)


@pytest.mark.parametrize(("vr", "form"), [("UV", "<Q"), ("SV", "<q"), ("FD", "<d")])
def test_a_long_number_of_the_input_is_found_in_binary(judge, vr, form):
    with pytest.raises(IdentityDoubt, match="check number"):
        judge.binary("SimpleFrameList", vr, struct.pack(form, NUMBER), KEEP)
    judge.binary("SimpleFrameList", vr, struct.pack(form, NUMBER + 2), KEEP)


@pytest.mark.parametrize("value", [str(NUMBER), f"+{NUMBER}", f"{NUMBER}.0"])
def test_a_long_number_of_the_input_is_found_in_digits(judge, value):
    with pytest.raises(IdentityDoubt, match="check number"):
        judge.text("InstanceNumber", 0x00200013, "DS", value, KEEP)


def test_a_binary_value_that_stays_must_hold_no_text_of_the_input(judge):
    judge.binary("PointCoordinatesData", "OF", struct.pack("<4f", 1, 2, 3, 4), KEEP)
    hidden = struct.pack("<2f", 1, 2) + b"patient MRN-99 here\0"
    with pytest.raises(IdentityDoubt, match="check binary"):
        judge.binary("PointCoordinatesData", "OF", hidden, KEEP)


def test_a_binary_value_of_another_rule_must_be_ours(judge):
    with pytest.raises(IdentityDoubt, match="not a binary value of ours"):
        judge.binary("ICCProfile", "OB", bytes(range(1, 9)), REMOVE)


def test_a_defined_term_is_one_of_the_standard(judge):
    judge.text("FocusMethod", 0x00480011, "CS", "MANUAL", KEEP)
    with pytest.raises(IdentityDoubt, match="no term of the standard"):
        judge.text("FocusMethod", 0x00480011, "CS", "JANE", KEEP)
    with pytest.raises(IdentityDoubt, match="Something of PatientID"):
        judge.text("FocusMethod", 0x00480011, "CS", "LINDQVIST", KEEP)


def test_a_term_of_a_safe_private_attribute_must_be_none_of_the_input(judge):
    judge.text("(2001,1004)", 0x20011004, "CS", "WHATEVER", KEEP)
    with pytest.raises(IdentityDoubt, match="check defined term"):
        judge.text("(2001,1004)", 0x20011004, "CS", "LINDQVIST", KEEP)


def test_a_date_of_the_input_is_found_when_its_shift_is_not_known(judge):
    with pytest.raises(IdentityDoubt, match="Something of PatientID"):
        judge.text("ContentDate", 0x00080023, "DA", "19510417", KEEP)
    judge.text("ContentDate", 0x00080023, "DA", "19510418", KEEP)


def test_a_pseudonym_that_is_a_value_of_the_input_is_refused(judge):
    judge.text("PatientID", 0x00100020, "LO", "STUDY-17", PSEUDONYM)
    with pytest.raises(IdentityDoubt, match="check text"):
        judge.text("PatientID", 0x00100020, "LO", "MRN-99", PSEUDONYM)


@pytest.mark.parametrize("uid", ["2.25.0", "2.25.", "2.25.1.2", "2.25.012", f"2.25.{1 << 128}"])
def test_what_only_starts_as_our_uids_do_is_not_ours(uid):
    assert not is_ours(uid)


def test_our_uids_are_ours():
    pseudonyms = Pseudonyms(bytes(range(32)))
    assert all(is_ours(pseudonyms.uid(f"1.2.3.{number}")) for number in range(200))


def test_every_check_has_a_meaning_and_no_two_the_same_name():
    assert len({str(one) for one in Check}) == len(Check)
