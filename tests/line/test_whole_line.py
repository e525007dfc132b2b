"""A slide of a canary patient walks the whole line, and everybody got what they may have."""

import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from appliance.line import Stage, State
from appliance.slides.findings import read_findings
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.line.appliance_site import ApplianceSite, content, wait_for
from tests.line.conftest import clean_slide

CANARY = "ZQXJKV"


class Walked:
    """What one undisturbed walk left behind."""

    def __init__(self, site: ApplianceSite, scan: Path) -> None:
        self.site = site
        self.scan = scan
        self.status = site.walk(scan)
        self.slide_id = self.status.slide_id
        wait_for(
            lambda: any(site.site.university.iterdir()), f"tiles after {self.status}", limit_s=20
        )
        wait_for(
            lambda: all(shard.state is State.DONE for shard in site.board.shards()),
            "every shard is delivered",
        )
        self.sent = [pydicom.dcmread(path) for path in sorted(scan.glob("*.dcm"))]
        self.at_pacs = [pydicom.dcmread(path) for path in sorted(site.site.pacs.glob("*.dcm"))]

    def report(self, modality: str) -> pydicom.Dataset:
        (found,) = [one for one in self.at_pacs if one.Modality == modality]
        return found


def small_shards(settings: str) -> str:
    """A small slide gives few tiles: let few make a shard."""
    assert "tiles_per_shard = 64" in settings
    return settings.replace("tiles_per_shard = 64", "tiles_per_shard = 4")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    folder = tmp_path_factory.mktemp("whole-line")
    scan = clean_slide(folder / "scan", seed=3, canary=CANARY)
    with ApplianceSite(folder / "site", edit=small_shards) as site:
        yield Walked(site, scan)


def test_the_slide_is_done_with_a_verdict_and_a_reason(walked: Walked) -> None:
    assert walked.status.state is State.DONE
    assert walked.status.verdict is not None
    assert walked.status.reason
    assert {d.route: d.state for d in walked.status.deliveries} == {
        "pacs": State.DONE,
        "registry": State.DONE,
    }


def test_the_pacs_files_the_reports_under_the_true_patient_and_study(walked: Walked) -> None:
    source = walked.sent[0]
    assert sorted(one.Modality for one in walked.at_pacs) == ["SEG", "SR"]
    for report in walked.at_pacs:
        assert report.PatientID == source.PatientID
        assert report.PatientName == source.PatientName
        assert report.PatientBirthDate == source.PatientBirthDate
        assert report.StudyInstanceUID == source.StudyInstanceUID
        assert report.AccessionNumber == source.AccessionNumber


def test_the_reports_refer_to_instances_that_were_sent(walked: Walked) -> None:
    sent = {str(one.SOPInstanceUID) for one in walked.sent}
    for report in walked.at_pacs:
        referenced = {
            str(element.value)
            for element in report.iterall()
            if element.keyword == "ReferencedSOPInstanceUID"
        }
        own = {str(one.SOPInstanceUID) for one in walked.at_pacs}
        assert referenced & sent
        assert referenced <= sent | own


def test_the_report_and_segmentation_open_in_highdicom(walked: Walked, tmp_path: Path) -> None:
    report = hd.sr.srread(walked.site.site.pacs / f"{walked.report('SR').SOPInstanceUID}.dcm")
    assert report.content.get_planar_roi_measurement_groups is not None
    path = walked.site.site.pacs / f"{walked.report('SEG').SOPInstanceUID}.dcm"
    segmentation = hd.seg.segread(path)
    assert segmentation.number_of_segments >= 1


def test_dcmtk_reads_the_report(walked: Walked, require_tool: Callable[[str], str]) -> None:
    path = walked.site.site.pacs / f"{walked.report('SR').SOPInstanceUID}.dcm"
    dumped = subprocess.run(
        [require_tool("dsrdump"), str(path)], check=True, capture_output=True, text=True
    )
    assert "Comprehensive 3D SR" in dumped.stdout
    assert "mm2" in dumped.stdout
    assert "E:" not in dumped.stderr


def searched(walked: Walked) -> dict[str, bytes]:
    """Every file that should hold no identity."""
    root = walked.site.root
    found = {}
    for zone in ("deid", "findings", "report", "journal", "log"):
        found |= {f"{zone}/{name}": data for name, data in content(root.zone(zone)).items()}
    for route in ("research-tiles", "registry"):
        found |= {f"{route}/{name}": data for name, data in content(root.outbox(route)).items()}
    for folder in (walked.site.site.university, walked.site.site.registry):
        found |= {f"{folder.name}/{name}": data for name, data in content(folder).items()}
    return found


def test_the_canary_patient_is_nowhere_but_inside(walked: Walked) -> None:
    needles = canary_needles(walked)
    files = searched(walked)
    assert len(files) > 15
    for name, data in files.items():
        for needle in needles:
            assert needle not in data, f"identity in {name}"
            assert needle.decode().encode("utf-16-le") not in data, f"identity in {name}"


def canary_needles(walked: Walked) -> set[bytes]:
    """The canary text, and every UID of the scanned instances that names an instance or entity."""
    needles = {CANARY.encode(), CANARY.lower().encode()}
    for one in walked.sent:
        for element in one.iterall():
            if element.VR == "UI" and element.keyword in {
                "SOPInstanceUID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
                "FrameOfReferenceUID",
                "SpecimenUID",
                "DeviceUID",
                "PyramidUID",
                "DimensionOrganizationUID",
            }:
                needles.add(str(element.value).encode())
    return needles


def test_the_canary_is_where_the_search_can_find_it(walked: Walked) -> None:
    original = content(walked.site.product(walked.slide_id, Stage.ASSEMBLE))
    assert any(CANARY.encode() in data for data in original.values())
    assert all(CANARY.encode() in path.read_bytes() for path in walked.site.site.pacs.glob("*.dcm"))


def test_the_sealed_identity_and_the_vault_hold_it_only_encrypted(walked: Walked) -> None:
    for zone in ("sealed", "vault"):
        for name, data in content(walked.site.root.zone(zone)).items():
            assert CANARY.encode() not in data, f"identity in clear in {name}"


def test_no_label_or_overview_goes_past_deidentification(walked: Walked) -> None:
    for path in walked.site.product(walked.slide_id, Stage.DEIDENTIFY).glob("*.dcm"):
        assert pydicom.dcmread(path, stop_before_pixels=True).ImageType[2] == "VOLUME"


def test_the_university_gets_shuffled_tiles_and_nothing_to_place_them_by(walked: Walked) -> None:
    shards = sorted(walked.site.site.university.rglob("*.tar"))
    assert shards
    for shard in shards:
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
            assert {member.mtime for member in members} == {0}
            for member in members:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    assert set(json.loads(file.read())) == {"id", "um_px", "stain"}


def test_the_registry_gets_a_bare_report(walked: Walked) -> None:
    (path,) = walked.site.site.registry.glob("*.dcm")
    bare = pydicom.dcmread(path)
    keywords = {element.keyword for element in bare.iterall()}
    assert bare.Modality == "SR"
    assert not keywords & {
        "ReferencedSOPInstanceUID",
        "GraphicData",
        "FrameOfReferenceUID",
        "SpecimenIdentifier",
        "InstitutionName",
        "DeviceSerialNumber",
        "SoftwareVersions",
    }
    dates = {str(e.value) for e in bare.iterall() if e.VR in ("DA", "DT") and e.value}
    assert dates <= {"19000101", "19000101000000"}


def test_the_areas_agree_with_the_planted_truth(walked: Walked) -> None:
    findings = read_findings(walked.site.product(walked.slide_id, Stage.INFER))
    plan = SlidePlan.small(seed=3, kinds=())
    assert findings.base_rows == plan.rows
    assert findings.tissue_area_mm2 > 0.5
    assert all(area.share_of_tissue < 0.05 for area in findings.artifacts)


def test_the_log_and_the_journal_name_the_slide_by_its_opaque_id(walked: Walked) -> None:
    logs = b"".join(content(walked.site.root.zone("log")).values())
    assert walked.slide_id.encode() in logs
    assert SlideIdentity.canary(CANARY).container_identifier.encode() not in logs


def test_a_second_send_of_the_same_slide_makes_no_work(walked: Walked) -> None:
    before = walked.site.slides()
    received = content(walked.site.site.pacs)
    assert walked.site.send(walked.scan) == 0
    assert set(walked.site.slides()) == set(before)
    assert walked.site.slides()[walked.slide_id].revision == 1
    assert content(walked.site.site.pacs) == received
