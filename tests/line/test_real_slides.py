"""Real slides walk the line into a real PACS."""

import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image

from appliance.conversion import StandInIdentity, dicom_folder
from appliance.line import Stage, State
from appliance.slides.findings import read_findings
from tests.line.appliance_site import ApplianceSite
from tests.line.orthanc import Orthanc, running_orthanc

pytestmark = pytest.mark.slow

REAL = ("slides/CMU-1-Small-Region.svs", "dicom_converted/tcga_xk_pen_synthetic_phi")


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]
) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc") / "pacs"
    with running_orthanc(require_tool("Orthanc"), folder, "PACS") as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[ApplianceSite]:
    def to_orthanc(text: str) -> str:
        before, _, after = text.partition('ae_title = "PACS", host = "127.0.0.1", port = ')
        port = after.split(" ", 1)[0]
        return f'{before}ae_title = "PACS", host = "127.0.0.1", port = {orthanc.dicom_port}' + (
            after.removeprefix(port)
        )

    with ApplianceSite(
        tmp_path_factory.mktemp("real") / "site", edit=to_orthanc, forged=False
    ) as site:
        yield site


@pytest.mark.parametrize("name", REAL)
def test_a_real_slide_gets_a_verdict_a_picture_and_reports_in_orthanc(
    site: ApplianceSite,
    orthanc: Orthanc,
    shared_data: Path,
    tmp_path: Path,
    require_tool: Callable[[str], str],
    name: str,
) -> None:
    stand_in = StandInIdentity(
        patient_id="REAL-1", patient_name="Real^Slide", container_identifier="REAL-1-A"
    )
    scan = dicom_folder(shared_data / name, tmp_path / "scan", stand_in, say=lambda _: None)
    slide = site.walk(scan)
    assert slide.state is State.DONE, slide.error
    assert slide.verdict is not None
    assert slide.reason

    findings = read_findings(site.product(slide.slide_id, Stage.INFER))
    assert findings.tissue_area_mm2 > 0.3
    if "pen" in name:
        assert any(area.name == "pen" and area.area_mm2 > 0 for area in findings.artifacts)
    picture_shows_tissue(site.product(slide.slide_id, Stage.REPORT) / "slide_picture.png")

    source = pydicom.dcmread(next(scan.glob("*.dcm")), stop_before_pixels=True)
    reports = filed_under(orthanc, str(source.StudyInstanceUID))
    assert sorted(report.Modality for report in reports.values()) == ["SEG", "SR"]
    for data, report in reports.items():
        assert report.PatientID == source.PatientID
        assert_valid(data, tmp_path, require_tool("dciodvfy"))
        if report.Modality == "SR":
            hd.sr.srread(BytesIO(data))
        else:
            assert hd.seg.segread(BytesIO(data)).number_of_segments >= 1


def picture_shows_tissue(path: Path) -> None:
    """Check that a good part of the picture is coloured as stained tissue is, not white glass."""
    with Image.open(path) as picture:
        saturation = np.asarray(picture.convert("HSV"))[..., 1]
    assert (saturation > 25).mean() > 0.05


def filed_under(orthanc: Orthanc, study_instance_uid: str) -> dict[bytes, pydicom.Dataset]:
    """What Orthanc filed under a study: file bytes to data set."""
    found = {}
    for instance in orthanc.get("/instances"):
        data = orthanc.file(instance)
        dataset = pydicom.dcmread(BytesIO(data))
        if str(dataset.StudyInstanceUID) == study_instance_uid:
            found[data] = dataset
    return found


def assert_valid(data: bytes, folder: Path, dciodvfy: str) -> None:
    path = folder / "object.dcm"
    path.write_bytes(data)
    done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []
