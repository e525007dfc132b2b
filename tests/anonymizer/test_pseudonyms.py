import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID, VLWholeSlideMicroscopyImageStorage

from anonymizer.pseudonyms import Pseudonyms, subject_of
from appliance.errors import ConfigError, IdentityDoubt

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))


@given(st.text(alphabet="0123456789.", min_size=1, max_size=64))
def test_a_uid_becomes_a_valid_uuid_uid_of_version_8(original):
    replaced = Pseudonyms(KEY).uid(original)
    number = uuid.UUID(int=int(replaced.removeprefix("2.25.")))
    assert UID(replaced).is_valid
    assert number.version == 8
    assert number.variant == uuid.RFC_4122


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=50, unique=True))
def test_different_uids_stay_different(numbers):
    pseudonyms = Pseudonyms(KEY)
    assert len({pseudonyms.uid(f"1.2.3.{number}") for number in numbers}) == len(numbers)


def test_uids_that_the_standard_registers_stay():
    well_known_frame = "1.2.840.10008.1.4.1.1"
    for uid in (VLWholeSlideMicroscopyImageStorage, well_known_frame):
        assert Pseudonyms(KEY).uid(uid) == uid


def test_a_private_uid_below_the_root_of_dicom_does_not_pass_as_registered():
    assert Pseudonyms(KEY).uid("1.2.840.10008.5.1.4.1.1.2.4711").startswith("2.25.")


def test_padding_does_not_make_another_uid_or_identifier():
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.uid("1.2.3\0") == pseudonyms.uid("1.2.3")
    assert pseudonyms.identifier("patient_id", "", "17 ") == pseudonyms.identifier(
        "patient_id", "", "17"
    )


def test_another_key_gives_other_pseudonyms():
    one, other = Pseudonyms(KEY), Pseudonyms(OTHER_KEY)
    assert one.uid("1.2.3") != other.uid("1.2.3")
    assert one.identifier("patient_id", "", "17") != other.identifier("patient_id", "", "17")
    assert one.key_id != other.key_id


def test_two_recipients_cannot_join_what_they_get():
    one, other = (Pseudonyms(KEY).for_recipient(name) for name in ("university", "company"))
    assert one.identifier("patient_id", "", "17") != other.identifier("patient_id", "", "17")
    assert one.uid("1.2.3") == Pseudonyms(KEY).for_recipient("university").uid("1.2.3")


def test_issuer_and_domain_tell_equal_numbers_apart():
    identifier = Pseudonyms(KEY).identifier
    made = {
        identifier("patient_id", "north", "17"),
        identifier("patient_id", "south", "17"),
        identifier("accession_number", "north", "17"),
        identifier("patient_id", "north1", "7"),
    }
    assert len(made) == 4


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_identifier_fits_every_value_representation(issuer, value):
    made = Pseudonyms(KEY).identifier("patient_id", issuer, value)
    assert len(made) == 16
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


@given(st.text(max_size=30))
def test_dates_move_by_one_to_ten_years(patient):
    assert 52 <= Pseudonyms(KEY).shift_weeks("", patient) <= 520


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ConfigError, match="32 bytes"):
        Pseudonyms(b"short")


def _header(**values):
    header = Dataset()
    header.StudyInstanceUID = "1.2.3"
    for name, value in values.items():
        setattr(header, name, value)
    return header


def test_patients_without_a_number_are_told_apart_by_name_and_birth_date():
    def made(**values):
        return subject_of(_header(**values), Pseudonyms(KEY)).patient_id

    one = made(PatientName="DOE^JANE", PatientBirthDate="19510417")
    assert one == made(PatientName="DOE^JANE", PatientBirthDate="19510417", PatientID="")
    assert one != made(PatientName="DOE^JANE", PatientBirthDate="19510418")
    assert made() != made(StudyInstanceUID="1.2.4")


def test_a_header_without_patient_and_study_is_refused():
    with pytest.raises(IdentityDoubt):
        subject_of(_header(StudyInstanceUID=""), Pseudonyms(KEY))


def test_what_is_missing_gets_no_pseudonym():
    subject = subject_of(_header(PatientID="17"), Pseudonyms(KEY))
    assert (subject.accession_number, subject.container_identifier) == ("", "")
    assert subject.specimen_identifiers == ()
