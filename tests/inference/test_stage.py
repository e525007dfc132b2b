"""Both stages on a real journal: from `deid/` to `findings/` and `report/`, and what sets aside."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import RejectedError
from appliance.line import Outcome, Stage, State, Verdict
from appliance.settings import VerdictRules
from appliance.slides.findings import read_findings
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Handler, Work, Worker
from inference.running.predict import Predictor
from inference.stage import infer_handler, read_class_map, report_handler
from tests.inference.conftest import Analysed

SLIDE_ID = "abcdefghijklmnopqrstuvwx22"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    journal = Journal(engine)
    journal.add_slide(SLIDE_ID, scanner="scanner-1", last_byte_at=1.0)
    journal.complete(SLIDE_ID, actor="node", reason="all there")
    yield journal
    engine.dispose()


def walk(journal: Journal, root: Root, source: Path, predictor: Predictor) -> None:
    """Work the stages from assemble to report; the first two only put the files there."""

    def copied(work: Work) -> Outcome:
        for path in source.glob("volume-*.dcm"):
            shutil.copy(path, work.output)
        return Outcome()

    rules = VerdictRules()
    handlers: dict[Stage, Handler] = {
        Stage.ASSEMBLE: copied,
        Stage.DEIDENTIFY: copied,
        Stage.INFER: infer_handler(predictor, rules),
        Stage.REPORT: report_handler(),
    }
    for stage, handle in handlers.items():
        Worker(journal=journal, root=root, stage=stage, handle=handle).step()


def test_a_slide_walks_from_infer_to_release(
    journal: Journal, tmp_path: Path, analysed: Analysed, predictor: Predictor
) -> None:
    root = Root(tmp_path)
    walk(journal, root, analysed.slide, predictor)
    status = journal.board.slide(SLIDE_ID)
    assert status is not None
    assert (status.stage, status.state) == (Stage.RELEASE, State.WAITING)
    assert (status.verdict, status.reason) == (
        analysed.findings.verdict,
        analysed.findings.reason,
    )
    (findings_folder,) = root.zone("findings").iterdir()
    (report_folder,) = root.zone("report").iterdir()
    assert read_findings(findings_folder).slide_id == SLIDE_ID
    assert {path.name for path in report_folder.iterdir()} == {
        "sr.dcm",
        "seg.dcm",
        "outside_sr.dcm",
        "slide_picture.png",
        "slide_plain.jpg",
        "summary.json",
    }
    summary = json.loads((report_folder / "summary.json").read_text())
    assert summary["verdict"] == analysed.findings.verdict.value
    assert summary["seconds"]["infer_s"] > 0


def test_an_empty_slide_is_reported_as_a_rescan(
    journal: Journal, tmp_path: Path, empty_slide: Path, predictor: Predictor
) -> None:
    walk(journal, Root(tmp_path), empty_slide, predictor)
    status = journal.board.slide(SLIDE_ID)
    assert status is not None
    assert (status.stage, status.verdict) == (Stage.RELEASE, Verdict.RESCAN)
    assert status.reason == "No tissue was found on the slide."


def test_a_damaged_slide_is_set_aside_and_nothing_is_published(
    journal: Journal, tmp_path: Path, slide: Path, predictor: Predictor
) -> None:
    source = Path(shutil.copytree(slide, tmp_path / "source"))
    content = bytearray((source / "volume-1.dcm").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9000] = bytes(9000)
    (source / "volume-1.dcm").write_bytes(content)
    walk(journal, Root(tmp_path), source, predictor)
    status = journal.board.slide(SLIDE_ID)
    assert status is not None
    assert (status.stage, status.state) == (Stage.INFER, State.ASIDE)
    assert status.error_code == "damaged-image"
    assert list((tmp_path / "findings").iterdir()) == []


def test_a_class_map_that_does_not_fit_is_refused(analysed: Analysed, tmp_path: Path) -> None:
    (tmp_path / "class_map.png").write_bytes(b"no picture")
    with pytest.raises(RejectedError, match="does not fit"):
        read_class_map(tmp_path, analysed.findings)
