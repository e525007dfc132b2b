"""What the reports say of a remote model: where it ran, what it saw, and that it is an estimate."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from appliance.line import Outcome, Parcel, Stage, State
from appliance.settings import Report, VerdictRules
from appliance.slides.findings import Findings, read_findings
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Worker
from inference.remote.models import RemoteModel, remote_models
from inference.reports import codes
from inference.reports.picture import _legend
from inference.running.predict import Predictor
from inference.stage import infer_handler, join, report_handler, write_report
from tests.inference.conftest import SLIDE_ID, Analysed, open_folder, quiet
from tests.inference.remote_parts import copied, manifest_folder, placed_in, route_to, two_classes
from tests.inference.test_reports_objects import EXPLAINED
from tests.inference.test_stage import walk

EVERYTHING = Report(annotations=True, heat_map="parametric", one_pager=True)
FRACTIONAL = Report(heat_map="fractional")
TITLE = "coverslip-metastasis: tumor (demonstration)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A slide with answers of a sample by one route, and of every tile by another."""

    folder: Path
    findings: Findings


@pytest.fixture(scope="module")
def remotes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RemoteModel]:
    folder = manifest_folder(tmp_path_factory.mktemp("model"))
    return dict(remote_models((route_to(folder), route_to(folder, "own", at_site=True))))


def answers_in(folder: Path) -> Path:
    """Place answers about a row of cells, half of them tumour."""
    cells = np.array([(8, column) for column in range(6, 16, 2)])
    placed = placed_in(folder, cells, two_classes([0.1, 0.9, 0.1, 0.9, 0.2]))
    return placed_in(placed, cells, two_classes([0.7, 0.1, 0.1, 0.1, 0.2]), route="own")


@pytest.fixture(scope="module")
def reported(
    analysed: Analysed,
    remotes: dict[str, RemoteModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reported]:
    folder = copied(analysed.folder, tmp_path_factory.mktemp("remote") / "joined")
    placed = answers_in(folder.parent / "placed")
    with open_folder(analysed.slide) as reader:
        join(reader, analysed.findings, placed=placed, remotes=remotes, output=folder, revision=2)
        compact = folder / "compact"
        compact.mkdir()
        for settings, output in ((FRACTIONAL, compact), (EVERYTHING, folder)):
            findings = write_report(
                reader, folder, output=output, progress=quiet, settings=settings
            )
        yield Reported(folder=folder, findings=findings)


@pytest.mark.parametrize(
    ("name", "iod"),
    [
        ("sr.dcm", "Comprehensive3DSR"),
        ("heat_map.dcm", "ParametricMap"),
        ("compact/heat_map.dcm", "Segmentation"),
    ],
)
def test_dciodvfy_finds_no_error(
    reported: Reported, name: str, iod: str, require_tool: Callable[[str], str]
) -> None:
    command = [require_tool("dciodvfy"), str(reported.folder / name)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    assert [line for line in lines if not any(known in line for known in EXPLAINED)] == [iod]


def group(reported: Reported, tracking: str) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    report = hd.sr.srread(reported.folder / "sr.dcm")
    found = report.content.get_image_measurement_groups()
    return next(one for one in found if one.tracking_identifier == tracking)


def texts(group: hd.sr.MeasurementsAndQualitativeEvaluations) -> set[str]:
    return {str(item.value) for item in group[0].iterall() if item.keyword == "TextValue"}


def test_the_sr_marks_a_sample_as_an_estimate_with_its_interval(reported: Reported) -> None:
    said = group(reported, f"lab: {TITLE}")
    result = next(one for one in reported.findings.tile_results if one.route == "lab")
    remote = result.remote
    assert remote is not None
    assert remote.low is not None
    assert remote.high is not None
    measured = {item.name.value: item for item in said.get_measurements()}
    for name, value, scale in (
        (codes.AREA, result.area_mm2, reported.findings.clean_tissue_mm2),
        (codes.SHARE_OF_TISSUE, 100 * result.share_of_tissue, 100),
    ):
        item = measured[name.value]
        assert item.value == pytest.approx(value, abs=1e-3)
        assert item.derivation == hd.sr.CodedConcept(*codes.ESTIMATED[:3])
        around = {
            one.name.value: one.value
            for one in item[0].ContentSequence
            if one.relationship_type is hd.sr.RelationshipTypeValues.HAS_PROPERTIES
        }
        assert around == {
            codes.UNCERTAINTY_BELOW.value: pytest.approx(
                scale * (result.share_of_tissue - remote.low), abs=1e-3
            ),
            codes.UNCERTAINTY_ABOVE.value: pytest.approx(
                scale * (remote.high - result.share_of_tissue), abs=1e-3
            ),
        }
    assert measured[codes.SHARE_SEEN.value].value == pytest.approx(
        100 * remote.seen_share, abs=0.01
    )


def test_the_sr_says_where_the_model_ran_and_no_address(reported: Reported) -> None:
    said = texts(group(reported, f"lab: {TITLE}"))
    assert any(
        "ran outside this appliance, at lab-clinic (route lab). Area and share are estimates from "
        "a sample: 5 tiles" in text
        for text in said
    )
    assert {"route=lab", "recipient=lab-clinic", "threshold=0.608"} <= said
    assert any(text.startswith("manifest=sha256:") for text in said)
    assert b"127.0.0" not in (reported.folder / "sr.dcm").read_bytes()


def test_every_tile_is_no_estimate(reported: Reported) -> None:
    said = group(reported, f"own: {TITLE}")
    assert {item.derivation for item in said.get_measurements()} == {
        None,
        hd.sr.CodedConcept(*codes.MAXIMUM[:3]),
    }
    assert any("It saw 5 tiles with" in text for text in texts(said))


def test_the_observer_is_the_appliance_alone(reported: Reported) -> None:
    content = (reported.folder / "sr.dcm").read_bytes()
    assert b"Coverslip slide quality control on cpu" in content
    assert b"cpu and remote" not in content


def test_the_outside_report_is_the_same_byte_by_byte(
    reported: Reported, analysed: Analysed
) -> None:
    outside = (reported.folder / "outside_sr.dcm").read_bytes()
    assert outside == (analysed.folder / "outside_sr.dcm").read_bytes()
    assert (reported.folder / "sr.dcm").read_bytes() != (analysed.folder / "sr.dcm").read_bytes()


def test_the_heat_map_has_a_channel_a_route(reported: Reported) -> None:
    made = pydicom.dcmread(reported.folder / "compact" / "heat_map.dcm")
    labels = [item.SegmentLabel for item in made.SegmentSequence]
    assert labels == [f"lab: {TITLE}", f"own: {TITLE}"]
    assert len({item.TrackingUID for item in made.SegmentSequence}) == 2
    said = group(reported, labels[0])
    assert said.finding_type == hd.sr.CodedConcept("128462008", "SCT", "Metastasis")


def test_the_page_and_the_summary_say_the_same(
    reported: Reported, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    page = tmp_path / "page.pdf"
    document = pydicom.dcmread(reported.folder / "one_pager.dcm").EncapsulatedDocument
    page.write_bytes(document)
    words = subprocess.run(
        [require_tool("pdftotext"), "-layout", str(page), "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Metastasis (estimate) *" in words
    assert "Area and share are estimates from a sample" in " ".join(words.split())
    summary = json.loads((reported.folder / "summary.json").read_text())
    sampled = summary["tiles"]["lab: coverslip-metastasis: tumor"]
    result = next(one for one in reported.findings.tile_results if one.route == "lab")
    assert result.remote is not None
    assert sampled["is_estimate"] is True
    assert sampled["interval_95"] == [result.remote.low, result.remote.high]
    assert summary["tiles"]["own: coverslip-metastasis: tumor"]["interval_95"] is None
    assert any("at lab-clinic (route lab)" in model for model in summary["models"])


def test_the_picture_gives_an_estimate_as_about_so_much(reported: Reported) -> None:
    shares = {one.route: 100 * one.share_of_tissue for one in reported.findings.tile_results}
    told = [words for kind, words in _legend(reported.findings) if kind is None]
    assert told == [f"tumor about {shares['lab']:.1f} %", f"tumor {shares['own']:.1f} %"]


def finished(tmp_path: Path, slide: Path, predictor: Predictor) -> tuple[Journal, Root]:
    """Walk a slide to its end: reported, handed to a route, delivered."""
    journal = Journal(open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal"))
    journal.add_slide(SLIDE_ID, scanner="scanner-1", last_byte_at=1.0)
    journal.complete(SLIDE_ID, actor="node", reason="all there")
    root = Root(tmp_path)
    walk(journal, root, slide, predictor)
    claim = journal.claim(Stage.RELEASE)
    assert claim is not None
    parcel = Parcel(
        parcel_id="p1", route="pacs", kind="report", folder="p1@1", slide_id=claim.slide_id
    )
    journal.advance(claim, Outcome(parcels=(parcel,)))
    sending = journal.parcels.claim("pacs")
    assert sending is not None
    journal.parcels.delivered(sending, words="taken")
    return journal, root


def predecessor_of(report: pydicom.Dataset) -> str:
    """Give the SOP Instance UID of the report that one supersedes."""
    (study,) = report.PredecessorDocumentsSequence
    (named,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    return str(named.ReferencedSOPInstanceUID)


def test_a_slide_that_comes_back_keeps_its_verdict_and_runs_no_model(
    analysed: Analysed,
    predictor: Predictor,
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    journal, root = finished(tmp_path, analysed.slide, predictor)
    before = journal.board.slide(SLIDE_ID)
    assert before is not None
    assert (before.stage, before.state) == (Stage.DELIVER, State.DONE)
    folder = answers_in(root.zone("placed") / f"{SLIDE_ID}@token").name
    assert journal.rejoin(SLIDE_ID, revision=1, folder=folder, note="Answers came back.")

    def never(*_: object) -> None:
        raise AssertionError("the models ran again")

    class Idle:
        predict = never

    handle = infer_handler(Idle(), VerdictRules(), remotes=remotes)  # type: ignore[arg-type]
    Worker(journal=journal, root=root, stage=Stage.INFER, handle=handle).step()
    Worker(journal=journal, root=root, stage=Stage.REPORT, handle=report_handler()).step()
    after = journal.board.slide(SLIDE_ID)
    assert after is not None
    assert (after.stage, after.state, after.error) == (Stage.RELEASE, State.WAITING, None)
    assert after.revision == 2
    assert (after.verdict, after.reason, after.verdict_at) == (
        before.verdict,
        before.reason,
        before.verdict_at,
    )
    name = journal.board.folder(SLIDE_ID, Stage.INFER)
    assert name is not None
    findings = read_findings(root.zone("findings") / name)
    assert [one.route for one in findings.tile_results] == ["lab", "own"]
    reports = [pydicom.dcmread(path) for path in root.zone("report").glob("*/sr.dcm")]
    first, second = sorted(reports, key=lambda report: "PredecessorDocumentsSequence" in report)
    assert predecessor_of(second) == first.SOPInstanceUID


def test_the_models_run_anew_when_the_earlier_findings_are_gone(
    analysed: Analysed,
    predictor: Predictor,
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    journal, root = finished(tmp_path, analysed.slide, predictor)
    folder = answers_in(root.zone("placed") / f"{SLIDE_ID}@token").name
    assert journal.rejoin(SLIDE_ID, revision=1, folder=folder, note="Answers came back.")
    (earlier,) = root.zone("findings").iterdir()
    (earlier / "class_map.png").write_bytes(b"lost")
    handle = infer_handler(predictor, VerdictRules(), remotes=remotes)
    Worker(journal=journal, root=root, stage=Stage.INFER, handle=handle).step()
    name = journal.board.folder(SLIDE_ID, Stage.INFER)
    assert name is not None
    findings = read_findings(root.zone("findings") / name)
    assert findings.verdict == analysed.findings.verdict
    assert [one.route for one in findings.tile_results] == ["lab", "own"]
