import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import UID, VLWholeSlideMicroscopyImageStorage

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms, subject_of
from appliance.errors import ConfigError, IdentityDoubt
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))

FIRST_UID = "2.25.241256246833177859566595158275328590201"
FIRST_PATIENT = "F4XBTIIVT6ZICZDI"
FIRST_SHIFT_WEEKS = 189
FIRST_UID_OF_RECIPIENT = "2.25.259257381188414565947422043239785653512"


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


@given(st.text(max_size=80))
def test_whatever_stood_there_the_new_uid_fits_its_place(original):
    replaced = Pseudonyms(KEY).entity_uid(original)
    assert len(replaced) <= 64
    assert replaced.isascii()
    assert UID(replaced).is_valid


@given(st.binary(min_size=32, max_size=32), st.text(max_size=64))
def test_the_version_bits_are_right_with_every_key(key, original):
    bits = int(Pseudonyms(key).entity_uid(original).removeprefix("2.25."))
    assert bits >> 76 & 0xF == 8  # RFC 9562, 4.2
    assert bits >> 62 & 0b11 == 0b10  # 4.1
    assert bits < 1 << 128


def test_in_the_place_of_an_instance_no_uid_passes_as_registered():
    for uid in (VLWholeSlideMicroscopyImageStorage, "1.2.840.10008.1.4.1.1"):
        replaced = Pseudonyms(KEY).entity_uid(uid)
        assert replaced.startswith("2.25.")
        assert subject_of(_header(StudyInstanceUID=uid), Pseudonyms(KEY)).study_instance_uid == (
            replaced
        )


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_a_registered_uid_that_names_a_thing_of_the_hospital_does_not_stay(tmp_path, keyword):
    write_slide(tmp_path / "scan", SlidePlan.tiny(), SlideIdentity.canary())
    [file] = [path for path in (tmp_path / "scan").glob("*.dcm") if _is_finest(path)]
    original = dcmread(file)
    original[keyword].value = well_known = "1.2.840.10008.1.4.1.1"
    original.FrameOfReferenceUID = well_known
    original.save_as(tmp_path / "odd.dcm")
    (tmp_path / "out").mkdir()
    deidentify_slide([tmp_path / "odd.dcm"], tmp_path / "out", Method(pseudonyms=Pseudonyms(KEY)))
    made = dcmread(tmp_path / "out" / "volume-00.dcm")
    assert made[keyword].value == Pseudonyms(KEY).entity_uid(well_known)
    assert made.FrameOfReferenceUID == well_known
    assert made.SOPClassUID == VLWholeSlideMicroscopyImageStorage
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID


def _is_finest(path):
    header = dcmread(path, stop_before_pixels=True)
    return header.ImageType[2] == "VOLUME" and header.InstanceNumber == 1


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


WORDS = st.lists(
    st.text(max_size=20), min_size=1, max_size=20, unique_by=lambda one: one.strip(" \0")
)


@given(WORDS, st.sampled_from(["patient_id", "accession_number", "container_identifier"]))
def test_no_pseudonym_of_one_recipient_is_one_of_another(values, domain):
    master = Pseudonyms(KEY)
    all_of = [
        {
            *(to.identifier(domain, "HOSPITAL", value) for value in values),
            *(to.entity_uid(value) for value in values),
            to.key_id,
        }
        for to in (master, master.for_recipient("university"), master.for_recipient("company"))
    ]
    assert not all_of[0] & all_of[1]
    assert not all_of[0] & all_of[2]
    assert not all_of[1] & all_of[2]


@given(WORDS)
def test_different_patients_stay_different(values):
    pseudonyms = Pseudonyms(KEY)
    assert len({pseudonyms.patient("HOSPITAL", value)[0] for value in values}) == len(values)


def test_recipients_get_shifts_that_do_not_tell_of_each_other():
    """Two recipients who compare dates find every difference there can be, and none more often."""
    one, other = (Pseudonyms(KEY).for_recipient(name) for name in ("university", "company"))
    patients = [str(number) for number in range(500)]
    same = sum(one.shift_weeks("", n) == other.shift_weeks("", n) for n in patients)
    assert same < 10  # about one by chance


def test_shifts_are_spread_over_all_weeks_and_none_is_nothing():
    shifts = [Pseudonyms(KEY).shift_weeks("", str(number)) for number in range(5000)]
    assert set(shifts) <= set(range(52, 521))
    assert len(set(shifts)) > 460


def test_another_process_on_another_day_makes_the_same_pseudonyms():
    script = (
        "from anonymizer.pseudonyms import Pseudonyms\n"
        "made = Pseudonyms(bytes(range(32))).for_recipient('university')\n"
        "print(made.uid('1.2.3'), made.identifier('patient_id', 'N', '17'), made.key_id,"
        " made.shift_weeks('N', '17'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    made = Pseudonyms(KEY).for_recipient("university")
    here = (made.uid("1.2.3"), made.identifier("patient_id", "N", "17"), made.key_id)
    assert done.stdout.split() == [*here, str(made.shift_weeks("N", "17"))]


def test_pseudonyms_are_what_they_were_in_the_first_release():
    """Never change these: every slide that left would become another patient's."""
    made = Pseudonyms(KEY)
    assert made.uid("1.2.3") == FIRST_UID
    assert made.identifier("patient_id", "HOSPITAL", "4711") == FIRST_PATIENT
    assert made.shift_weeks("HOSPITAL", "4711") == FIRST_SHIFT_WEEKS
    assert made.for_recipient("university").uid("1.2.3") == FIRST_UID_OF_RECIPIENT


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


@given(st.binary(min_size=32, max_size=32), st.text(max_size=30), st.text(max_size=30))
def test_dates_move_by_one_to_ten_years_the_same_for_all_of_a_patient(key, issuer, patient):
    shift = Pseudonyms(key).shift_weeks(issuer, patient)
    assert 52 <= shift <= 520
    assert Pseudonyms(key).shift_weeks(f" {issuer} ", f"{patient}\0") == shift


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


def test_a_patient_is_one_over_all_slides_and_studies():
    def made(study, container):
        header = _header(StudyInstanceUID=study, PatientID="17", ContainerIdentifier=container)
        return subject_of(header, Pseudonyms(KEY))

    one, other = made("1.2.3", "S1"), made("1.2.4", "S2")
    assert (one.patient_id, one.shift_weeks) == (other.patient_id, other.shift_weeks)
    assert one.study_instance_uid != other.study_instance_uid
    assert one.container_identifier != other.container_identifier


def test_the_three_ways_to_name_a_patient_never_meet():
    """A number that reads like another patient's name and birth date is not that patient."""
    by_name = subject_of(_header(PatientName="A", PatientBirthDate="19500101"), Pseudonyms(KEY))
    by_number = subject_of(_header(PatientID="A|19500101"), Pseudonyms(KEY))
    by_study = subject_of(_header(), Pseudonyms(KEY))
    assert len({by_name.patient_id, by_number.patient_id, by_study.patient_id}) == 3


def test_what_is_missing_gets_no_pseudonym():
    subject = subject_of(_header(PatientID="17"), Pseudonyms(KEY))
    assert (subject.accession_number, subject.container_identifier) == ("", "")
    assert subject.specimen_identifiers == ()
