"""The report for outside: one item that is not on the list, and it does not leave."""

import copy
import tomllib
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.belonging import walk
from anonymizer.release.outside_sr import outside_report
from anonymizer.release.pinned_models import pinned_models
from anonymizer.release.restore import to_file
from appliance.errors import ConfigError, DeliveryRefused
from appliance.line import Verdict
from appliance.model_folder import BUNDLED, MODEL_FILES, digest_of_files
from appliance.settings import Model
from inference.reports.naming import Naming
from inference.reports.outside_sr import outside_sr
from tests.anonymizer.release_parts import KEY, findings_of

PSEUDONYMS = Pseudonyms(KEY)
UNIVERSITY = PSEUDONYMS.for_recipient("university")
REGISTRY = PSEUDONYMS.for_recipient("registry")
NAMING = Naming(slide_id="s", revision=1, sources=("0" * 64,))


def bare(verdict: Verdict = Verdict.ACCEPT) -> Dataset:
    return dcmread(BytesIO(outside_sr(findings_of(verdict), NAMING)))


PINNED = (("tissue", "1.0"), ("artifact", "2.0"))


def checked(report: Dataset, recipient: Pseudonyms = UNIVERSITY) -> Dataset:
    return outside_report(report, patient="PATIENT", recipient=recipient, models=PINNED)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_report_that_inference_makes_passes_and_keeps_its_content(verdict):
    report = bare(verdict)
    made = checked(report)
    assert len(made.ContentSequence) == len(report.ContentSequence)
    assert made.ContentSequence[1].MeasuredValueSequence[0].NumericValue == 1.25
    value = made.ContentSequence[0].ConceptCodeSequence[0].CodeValue
    assert value == report.ContentSequence[0].ConceptCodeSequence[0].CodeValue


def test_each_recipient_gets_uids_and_a_patient_of_its_own():
    report, one, other = bare(), checked(bare()), checked(bare(), REGISTRY)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        values = {report[keyword].value, one[keyword].value, other[keyword].value}
        assert len(values) == 3, keyword
    assert one.PatientID != "PATIENT"


def test_the_same_report_gives_the_same_bytes():
    assert to_file(checked(bare())) == to_file(checked(bare()))


def test_a_number_leaves_in_three_digits():
    """More of them would tell one slide from all others, or carry a word of whoever made them."""
    report = bare()
    report.ContentSequence[1].MeasuredValueSequence[0].NumericValue = "12.3456789"
    made = checked(report)
    assert made.ContentSequence[1].MeasuredValueSequence[0].NumericValue == 12.3


def test_a_uid_that_the_standard_registers_is_replaced_too():
    """Whoever made the report could say something by choosing among them."""
    report = bare()
    report.StudyInstanceUID = report.SeriesInstanceUID = "1.2.840.10008.1.1"
    made = checked(report)
    assert made.StudyInstanceUID.startswith("2.25.")
    assert made.SeriesInstanceUID.startswith("2.25.")


def test_nothing_is_left_that_names_device_specimen_site_place_or_image():
    told = {element.keyword for element in walk(checked(bare()))}
    parts = ("Device", "Software", "Station", "Institution", "Specimen", "Container", "Referenced")
    parts += ("Observer", "Operator", "Graphic", "FrameOf", "Timezone", "Issuer", "Model")
    assert "NumericValue" in told
    assert not {keyword for keyword in told if any(part in keyword for part in parts)}


def test_numbers_leave_with_three_digits():
    report = bare()
    report.ContentSequence[1].MeasuredValueSequence[0].NumericValue = "123.456"
    assert checked(report).ContentSequence[1].MeasuredValueSequence[0].NumericValue == 123


def models_told(report: Dataset) -> list[tuple[str, ...]]:
    texts = [
        tuple(one.TextValue for one in item.ContentSequence if one.ValueType == "TEXT")
        for item in report.ContentSequence
        if item.ValueType == "CONTAINER"
    ]
    return [names for names in texts if names]


def with_models(*named: tuple[str, str]) -> Dataset:
    findings = findings_of()
    (model,) = findings.models
    uses = tuple(replace(model, name=name, version=version) for name, version in named)
    return dcmread(BytesIO(outside_sr(replace(findings, models=uses), NAMING)))


@pytest.mark.parametrize(
    "other", [("zebrafinch-joerg-19500102", "2024.5"), ("row-12345-column-67890", "1.0")]
)
def test_no_model_is_told_but_those_that_the_settings_pin(other):
    assert models_told(checked(with_models(other))) == []
    assert models_told(checked(with_models(*PINNED, other, ("tissue", "1.0.1950")))) == [*PINNED]


def test_the_order_of_models_and_artifacts_tells_nothing():
    report = with_models(*PINNED)
    dark = copy.deepcopy(report.ContentSequence[2])
    dark.ContentSequence[0].ConceptCodeSequence[0].CodeValue = "dark-spot"
    report.ContentSequence.insert(3, dark)
    turned = copy.deepcopy(report)
    turned.ContentSequence = list(reversed(turned.ContentSequence))
    for item in turned.ContentSequence:
        if item.ValueType == "CONTAINER":
            item.ContentSequence = list(reversed(item.ContentSequence))
    assert to_file(checked(turned)) == to_file(checked(report))
    assert len(checked(report).ContentSequence) == 6


def test_release_tells_only_pinned_models_that_are_the_pinned_ones(tmp_path):
    folder = BUNDLED / "tissue"
    onnx, manifest = ((folder / name).read_bytes() for name in MODEL_FILES)
    good = f"sha256:{digest_of_files(onnx, manifest)}"
    version = tomllib.loads(manifest.decode())["version"]
    assert pinned_models([Model(folder="bundled:tissue", digest=good)]) == (
        ("coverslip-tissue", version),
    )
    classifier = BUNDLED / "metastasis"  # its name would tell the organ
    digest = digest_of_files(*((classifier / name).read_bytes() for name in MODEL_FILES))
    assert pinned_models([Model(folder=classifier, digest=f"sha256:{digest}")]) == ()
    (tmp_path / "model.onnx").write_bytes(onnx)
    (tmp_path / "model.toml").write_bytes(manifest.replace(b"coverslip-tissue", b"zebrafinch"))
    for wrong in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError):
            pinned_models([Model(folder=wrong, digest=good)])


def test_no_date_but_the_constant_one_is_left():
    for element in walk(checked(bare())):
        if element.VR in {"DA", "DT"}:
            assert element.value in {"", "19000101"}


def add(keyword, value):
    def change(report):
        setattr(report, keyword, value)

    return change


def add_item(**values):
    def change(report):
        item = copy.deepcopy(report.ContentSequence[0])
        for keyword, value in values.items():
            setattr(item, keyword, value)
        report.ContentSequence.append(item)

    return change


def private(report):
    report.add_new(0x00091001, "LO", "secret")


def foreign_code(report):
    report.ContentSequence[0].ConceptCodeSequence[0].CodeValue = "hidden"


def extra_in_code(report):
    report.ContentSequence[0].ConceptCodeSequence[0].CodingSchemeVersion = "secret"


def free_text(report):
    model = report.ContentSequence[-1]
    model.ContentSequence[0].TextValue = "Zebrafinch, born 1950"


def text_of_other_concept(report):
    model = report.ContentSequence[-1]
    model.ContentSequence[0].ConceptNameCodeSequence[0].CodeValue = "111050"


def nested_deep(report):
    item = report.ContentSequence[-1]
    for _ in range(5):
        inner = copy.deepcopy(report.ContentSequence[-1])
        item.ContentSequence = [inner]
        item = inner


def many(report):
    report.ContentSequence = [copy.deepcopy(report.ContentSequence[0]) for _ in range(100)]


def number(value, unit="mm2"):
    def change(report):
        measured = report.ContentSequence[1].MeasuredValueSequence[0]
        measured.NumericValue = value
        measured.MeasurementUnitsCodeSequence[0].CodeValue = unit

    return change


def qualified_number(report):
    measured = report.ContentSequence[1].MeasuredValueSequence[0]
    measured.FloatingPointValue = 0.123456789


def twice(number):
    def change(report):
        report.ContentSequence.append(copy.deepcopy(report.ContentSequence[number]))

    return change


def lacking(number):
    def change(report):
        del report.ContentSequence[number].ContentSequence[0]

    return change


def value_of_another_concept(report):
    report.ContentSequence[0].ConceptCodeSequence[0].CodeValue = "111001"


def artifact_in_an_artifact(report):
    artifact = next(item for item in report.ContentSequence[2:] if len(item.ContentSequence) == 3)
    artifact.ContentSequence.append(copy.deepcopy(artifact))


def reference() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    item.ReferencedSOPInstanceUID = "1.2.3"
    return item


@pytest.mark.parametrize(
    "change",
    [
        add("PatientName", "Zebrafinch"),
        add("PatientID", "1"),
        add("PatientBirthDate", "19500102"),
        add("StudyDate", "20240506"),
        add("ContentTime", "101112"),
        add("ContentDate", ["19000101", "20240506"]),
        add("StationName", "scanner 3"),
        add("InstitutionName", "Hospital"),
        add("DeviceSerialNumber", "12345"),
        add("SoftwareVersions", "1.0"),
        add("StudyDescription", "biopsy"),
        add("ContainerIdentifier", "C1"),
        add("FrameOfReferenceUID", "1.2.3"),
        add("TimezoneOffsetFromUTC", "+0100"),
        add("Modality", "SM"),
        add("SOPClassUID", "1.2.840.10008.5.1.4.1.1.77.1.6"),
        add("CurrentRequestedProcedureEvidenceSequence", [reference()]),
        add("PerformedProcedureCodeSequence", [reference()]),
        private,
        foreign_code,
        extra_in_code,
        free_text,
        text_of_other_concept,
        nested_deep,
        many,
        number("-1"),
        number("10001"),
        twice(0),
        twice(1),
        twice(2),
        twice(-1),
        lacking(2),
        value_of_another_concept,
        artifact_in_an_artifact,
        number("1.5", "um"),
        qualified_number,
        add_item(ValueType="SCOORD", GraphicData=[1.0, 2.0]),
        add_item(ValueType="IMAGE", ReferencedSOPSequence=[reference()]),
        add_item(ValueType="UIDREF", UID="1.2.3"),
        add_item(ValueType="PNAME", PersonName="Zebrafinch"),
        add_item(ValueType="DATE", Date="20240506"),
        add_item(ValueType="COMPOSITE", ReferencedSOPSequence=[reference()]),
        add_item(ObservationDateTime="20240506101112"),
        add_item(TextValue="extra"),
        add_item(ReferencedContentItemIdentifier=[1, 2]),
        add_item(RelationshipType="INFERRED FROM"),
    ],
)
def test_anything_that_is_not_on_the_list_stops_the_report(change):
    report = bare()
    change(report)
    with pytest.raises(DeliveryRefused) as refusal:
        checked(report)
    assert "Zebrafinch" not in str(refusal.value)
    assert "1950" not in str(refusal.value)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "ContentSequence"])
def test_a_report_without_what_it_needs_is_refused(keyword):
    report = bare()
    if keyword == "ContentSequence":
        del report.ContentSequence[0].ConceptCodeSequence
    else:
        del report[keyword]
    with pytest.raises(DeliveryRefused):
        checked(report)


def test_the_report_for_outside_satisfies_the_validator(require_tool, tmp_path):
    import subprocess

    path = tmp_path / "outside.dcm"
    path.write_bytes(to_file(checked(bare())))
    done = subprocess.run(
        [require_tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
