"""A study's own pseudonyms: one to one, telling nothing, and the same for release as for us."""

from datetime import UTC, datetime, timedelta

import pytest
from pydicom import dcmread

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.keys.code_list import read_code_list
from anonymizer.pseudonyms import Code, Pseudonyms, subject_of
from anonymizer.release.belonging import check_belongs, inverse_of
from anonymizer.release.opened import read_keys
from anonymizer.release.restore import restore
from appliance.errors import ConfigError, IdentityDoubt
from appliance.slides.identity import identity_of
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.anonymizer.release_line import Line, outside_sr_route
from tests.anonymizer.release_parts import original_slide, pseudonymous, report_of

KEY = bytes(range(32))
HEADER = "patient_id,issuer,pseudonym,shift_weeks\n"


def written(tmp_path, text, mode=0o640):
    path = tmp_path / "study.csv"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_code_list_is_read(tmp_path):
    text = (
        HEADER + "4711,NORTH,ONCO-0001,104\n\n 4712 , NORTH ,ONCO-0002,\n4711,SOUTH,ONCO-0003,52\n"
    )
    assert read_code_list(written(tmp_path, "\ufeff" + text)) == {
        ("NORTH", "4711"): Code(pseudonym="ONCO-0001", shift_weeks=104),
        ("NORTH", "4712"): Code(pseudonym="ONCO-0002"),
        ("SOUTH", "4711"): Code(pseudonym="ONCO-0003", shift_weeks=52),
    }


def test_the_column_of_weeks_may_be_left_out(tmp_path):
    path = written(tmp_path, "patient_id,issuer,pseudonym\n4711,,ONCO-0001\n")
    assert read_code_list(path) == {("", "4711"): Code(pseudonym="ONCO-0001")}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("ZEBRA4711,,ONCO-0001,\nZEBRA4711,,ONCO-0002,", "line 3 names a patient for the second"),
        ("ZEBRA4711,,ONCO-0001,\nZEBRA4712,,onco-0001,", "line 3 gives a pseudonym for the second"),
        ("ZEBRA4711,,ST-zebra4711,", "line 2 has a pseudonym that tells"),
        ("ZEBRA-4711,,ST4711,", "line 2 has a pseudonym that tells"),
        ("004711,,ST-04711,", "line 2 has a pseudonym that tells"),
        ("17,,ST-0017,", "line 2 has a pseudonym that tells"),
        ("ZEBRA4711,,ONCO-0001,\nONCO0001,,ONCO-0002,", "line 2 has a pseudonym that tells"),
        ("ZEBRA4711,,ABC,", "4 to 64"),
        (f"ZEBRA4711,,{'A' * 65},", "4 to 64"),
        ("ZEBRA4711,,ONCO\\\\0001,", "4 to 64"),
        ("ZEBRA4711,,ONCO^0001,", "4 to 64"),
        ("ZEBRA4711,,ÖNCO-0001,", "4 to 64"),
        ("ZEBRA4711,,,", "4 to 64"),
        (",,ONCO-0001,", "line 2 names no patient"),
        ("ZEBRA4711,,ONCO-0001,0", "52 to 520"),
        ("ZEBRA4711,,ONCO-0001,-60", "52 to 520"),
        ("ZEBRA4711,,ONCO-0001,52.5", "52 to 520"),
        ("ZEBRA4711,,ONCO-0001,521", "52 to 520"),
        ("ZEBRA4711,ONCO-0001", "line 2 has not 4 values"),
        ('ZEBRA4711,"ONCO-0001', "no CSV"),
        ("", "names no patient"),
    ],
)
def test_a_code_list_in_doubt_is_refused_by_its_line_and_without_a_value(tmp_path, rows, sentence):
    with pytest.raises(ConfigError, match=sentence) as refused:
        read_code_list(written(tmp_path, HEADER + rows))
    for value in ("ZEBRA", "4711", "ONCO", "onco"):
        assert value not in str(refused.value)


def test_a_list_without_its_first_line_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="first line"):
        read_code_list(written(tmp_path, "4711,,ONCO-0001,\n"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_list_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "study.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_code_list(path)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641])
def test_a_list_that_others_may_read_or_the_group_may_change_is_refused(tmp_path, mode):
    with pytest.raises(ConfigError, match="chmod 640"):
        read_code_list(written(tmp_path, HEADER + "4711,,ONCO-0001,\n", mode=mode))


def test_the_list_may_be_a_systemd_credential(tmp_path, monkeypatch):
    handed_over = tmp_path / "credentials"
    handed_over.mkdir()
    written(handed_over, HEADER + "4711,,ONCO-0001,\n", mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    assert read_code_list(tmp_path / "study.csv")


def coded(header, pseudonym="ONCO-0001", weeks=104):
    issuer = str(header.get("IssuerOfPatientID", ""))
    return {(issuer, str(header.PatientID)): Code(pseudonym=pseudonym, shift_weeks=weeks)}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    write_slide(folder, SlidePlan.tiny(), SlideIdentity.canary())
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="module")
def original(scan):
    return dcmread(scan[0], stop_before_pixels=True)


def deidentified(scan, tmp_path, codes):
    (tmp_path / "out").mkdir()
    method = Method(pseudonyms=Pseudonyms(KEY, codes))
    deidentify_slide(scan, tmp_path / "out", method)
    return dcmread(tmp_path / "out" / "volume-00.dcm", stop_before_pixels=True)


def test_a_slide_gets_the_pseudonym_and_the_shift_of_the_study(scan, original, tmp_path):
    made = deidentified(scan, tmp_path, coded(original))
    assert made.PatientID == "ONCO-0001"
    keyed = subject_of(original, Pseudonyms(KEY))
    assert made.ContainerIdentifier == keyed.container_identifier
    was = datetime.strptime(str(original.StudyDate), "%Y%m%d").replace(tzinfo=UTC)
    assert made.StudyDate == f"{was - timedelta(weeks=104):%Y%m%d}"


def test_a_patient_who_is_not_in_the_list_is_refused(scan, original, tmp_path):
    with pytest.raises(IdentityDoubt, match="not in the code list") as refused:
        deidentified(scan, tmp_path, {("", "somebody else"): Code(pseudonym="ONCO-0001")})
    assert str(original.PatientID) not in str(refused.value)
    assert not list((tmp_path / "out").iterdir())


def test_the_same_number_of_another_issuer_is_another_patient():
    original = original_slide()
    codes = {("ELSEWHERE", str(original.PatientID)): Code(pseudonym="ONCO-0001")}
    with pytest.raises(IdentityDoubt, match="not in the code list"):
        subject_of(original, Pseudonyms(KEY, codes))


def test_a_patient_without_a_shift_in_the_list_keeps_the_keyed_one():
    original = original_slide()
    keyed = subject_of(original, Pseudonyms(KEY))
    subject = subject_of(original, Pseudonyms(KEY, coded(original, weeks=None)))
    assert subject.shift_weeks == keyed.shift_weeks
    assert subject.study_instance_uid == keyed.study_instance_uid


def test_a_pseudonym_that_holds_the_name_of_the_patient_is_stopped_by_the_gate(
    scan, original, tmp_path
):
    name = str(original.PatientName).split("^")[0]
    with pytest.raises(IdentityDoubt, match="PatientName"):
        deidentified(scan, tmp_path, coded(original, pseudonym=f"{name}-01"))


@pytest.mark.parametrize("keyword", ["AccessionNumber", "ContainerIdentifier"])
def test_a_pseudonym_that_is_another_identifier_of_the_slide_is_stopped(
    scan, original, tmp_path, keyword
):
    with pytest.raises(IdentityDoubt, match=keyword):
        deidentified(scan, tmp_path, coded(original, pseudonym=str(original[keyword].value)))


def test_a_pseudonym_that_the_scanner_was_told_is_no_leak(scan, original, tmp_path):
    """The study's label is on the slide already, as a whole value of another attribute."""
    marked = []
    for number, file in enumerate(scan):
        header = dcmread(file)
        header.ClinicalTrialSubjectID = header.StudyDescription = "ONCO-0001"
        marked.append(tmp_path / f"{number}.dcm")
        header.save_as(marked[-1])
    made = deidentified(marked, tmp_path, coded(original))
    assert made.PatientID == "ONCO-0001"
    assert made.get("ClinicalTrialSubjectID") != "ONCO-0001"
    assert "StudyDescription" not in made


def test_release_restores_the_patient_of_the_same_list_only():
    original, moment = original_slide(), datetime(2026, 11, 21, tzinfo=UTC)
    pseudonyms = Pseudonyms(KEY, coded(original))
    structured, _ = report_of(pseudonymous(original, pseudonyms))
    assert structured.PatientID == "ONCO-0001"
    identity = identity_of(original, [original])
    inverse = inverse_of(identity, pseudonyms)
    own = frozenset({str(structured.SOPInstanceUID)}) | frozenset(
        str(item.ReferencedSOPInstanceUID)
        for series in structured.CurrentRequestedProcedureEvidenceSequence[
            0
        ].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    )
    restored = restore(structured, inverse, reported_at=moment, own=own)
    assert restored.PatientID == original.PatientID
    for other in (Pseudonyms(KEY), Pseudonyms(KEY, coded(original, pseudonym="ONCO-0002"))):
        with pytest.raises(IdentityDoubt, match="PatientID"):
            check_belongs(structured, inverse_of(identity, other), own=own)


def test_an_outside_recipient_never_gets_the_code_of_the_study():
    original = original_slide()
    coded_pseudonyms = Pseudonyms(KEY, coded(original))
    recipient = coded_pseudonyms.for_recipient("university")
    assert recipient.patient("", "ONCO-0001")[0] != "ONCO-0001"
    assert recipient.patient("", "17") == Pseudonyms(KEY).for_recipient("university").patient(
        "", "17"
    )


def test_a_patient_stays_the_same_for_a_recipient_when_a_code_list_comes(tmp_path):
    line = Line(tmp_path, [outside_sr_route()])
    try:
        line.bring("slide-a")
        line.work()
        codes = coded(original_slide())
        line.keys = read_keys(line.keys_folder, codes)
        line.bring("slide-b", number=2)
        line.work()
        made = [next(folder.glob("*.dcm")) for folder in line.parcels("registry")]
        patients = {str(dcmread(path).PatientID) for path in made}
        assert len(made) == 2
        assert len(patients) == 1
        assert patients != {"ONCO-0001"}
    finally:
        line.close()
