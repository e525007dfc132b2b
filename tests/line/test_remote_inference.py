"""Tiles go to model servers, answers come back, and a second report says what they found."""

import itertools
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.answers import read_placed
from appliance.line import SIDING, SlideStatus, Stage, State
from appliance.settings import load
from appliance.slides.findings import Findings, TileResult, read_findings
from appliance.slides.reader import open_slide
from inference.model.bundle import BUNDLED, Models
from inference.model.manifest import load_model
from inference.running.predict import Predictor
from tests.line.appliance_site import ApplianceSite, wait_for
from tests.line.asking_site import (
    SIDE_PX,
    Server,
    asking,
    certify,
    classifier_folder,
    model_server,
)
from tests.line.conftest import clean_slide

ROUTES = {"rack", "company"}


class Walked:
    """What a slide left behind that came back from model servers."""

    def __init__(self, site: ApplianceSite, scan: Path) -> None:
        self.site = site
        self.slide_id = site.walk(scan).slide_id
        wait_for(lambda: site.tended() and self._told("answered"), "answers came back")
        site.signal("release", signal.SIGKILL)  # whatever it is doing with them
        wait_for(lambda: site.tended() and self._joined(), "both routes were joined")
        self.status: SlideStatus = site.slides()[self.slide_id]
        self.events = site.board.events(slide_id=self.slide_id)
        self.findings = self._findings()
        self.reports = sorted(
            (pydicom.dcmread(path) for path in site.site.pacs.glob("*.dcm")),
            key=lambda one: (one.ContentDate, one.ContentTime, int(one.InstanceNumber)),
        )

    def _told(self, kind: str) -> bool:
        return any(one.kind == kind for one in self.site.board.events(slide_id=self.slide_id))

    def _folder(self, stage: str, *, revision: int) -> str:
        with self.site.board._engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT folder FROM product WHERE slide_id = ? AND stage = ? AND revision = ?",
                (self.slide_id, str(stage), revision),
            ).scalar()
        assert found is not None
        return str(found)

    def _joined(self) -> bool:
        status = self.site.slides()[self.slide_id]
        assert status.state is not State.ASIDE, status
        if status.stage is not Stage.DELIVER or status.state is not State.DONE:
            return False
        return {one.remote.route for one in self._findings().tile_results if one.remote} == ROUTES

    def _findings(self) -> Findings:
        return read_findings(self.site.product(self.slide_id, Stage.INFER))

    def result(self, route: str) -> TileResult:
        (found,) = [
            one for one in self.findings.tile_results if one.remote and one.remote.route == route
        ]
        return found

    def placed(self, route: str) -> Path:
        """The newest folder of answers of a route."""
        for revision in itertools.count(self.status.revision, -1):
            folder = self.site.root.zone("placed") / self._folder(SIDING, revision=revision)
            if (folder / route).is_dir():
                return folder / route
        raise AssertionError(route)

    def structured(self) -> list[pydicom.Dataset]:
        return [one for one in self.reports if one.Modality == "SR"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Walked, dict[str, Server]]]:
    folder = tmp_path_factory.mktemp("asking")
    scan = clean_slide(folder / "scan", seed=3)
    model = classifier_folder(folder / "classifier")
    with ExitStack() as stack:
        servers = {
            "rack-1": stack.enter_context(model_server("grpc")),
            "rack-2": stack.enter_context(model_server("http")),
            "company": stack.enter_context(model_server("grpc")),
        }

        def edit(text: str) -> str:
            certify(folder / "site" / "keys")
            rack = [servers["rack-1"].url, servers["rack-2"].url]
            return asking(text, rack=rack, company=[servers["company"].url], model=model)

        with ApplianceSite(folder / "site", edit=edit) as site:
            walked = Walked(site, scan)
        stack.close()
        yield walked, servers


@pytest.fixture
def walked(asked: tuple[Walked, dict[str, Server]]) -> Walked:
    return asked[0]


def test_the_local_verdict_waits_for_nobody(walked: Walked) -> None:
    order = [one.kind for one in walked.events]
    verdict = next(i for i, one in enumerate(walked.events) if one.text.startswith("Verdict"))
    assert verdict < order.index("delivered") < order.index("rejoined")
    assert walked.status.verdict is not None
    assert walked.status.verdict_at < walked.events[order.index("answered")].at
    assert walked.status.revision in {2, 3}


def test_every_tile_was_asked_about_once(asked: tuple[Walked, dict[str, Server]]) -> None:
    walked, servers = asked
    rack = [servers["rack-1"].asked, servers["rack-2"].asked]
    assert all(one["tiles"] > 0 for one in rack)
    assert sum(one["tiles"] for one in rack) == read_placed(walked.placed("rack")).n_tiles
    company = read_placed(walked.placed("company"))
    assert servers["company"].asked["tiles"] == len(company.values)
    assert len(company.values) > company.n_tiles - 4  # what makes no whole batch stays


def test_the_last_report_names_its_predecessor_and_states_the_sample(walked: Walked) -> None:
    reports = walked.structured()
    assert len(reports) == walked.status.revision
    named = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for report in reports
        for study in report.get("PredecessorDocumentsSequence", [])
        for item in study.ReferencedSeriesSequence
    }
    assert len(named) == len(reports) - 1
    (last,) = [report for report in reports if str(report.SOPInstanceUID) not in named]
    texts = " ".join(
        str(element.value) for element in last.iterall() if element.keyword == "TextValue"
    )
    assert "estimates from a sample" in texts
    (first,) = [one for one in reports if "PredecessorDocumentsSequence" not in one]
    assert "estimates from a sample" not in str(first)


def test_a_sample_is_an_estimate_and_site_compute_is_not(walked: Walked) -> None:
    company, rack = walked.result("company"), walked.result("rack")
    assert company.remote is not None
    assert rack.remote is not None
    assert 0 < company.remote.seen_share < 0.3
    assert company.is_estimate
    assert not rack.is_estimate
    assert rack.remote.seen_share > company.remote.seen_share


def test_site_compute_says_what_local_inference_says(walked: Walked, tmp_path: Path) -> None:
    folder = classifier_folder(tmp_path / "classifier")
    (folder / "model.onnx").write_bytes((BUNDLED / "metastasis" / "model.onnx").read_bytes())
    bundled = {name: load_model(BUNDLED / name) for name in ("tissue", "artifact")}
    predictor = Predictor(
        Models(**bundled, classifiers=(load_model(folder),)), device="cpu", workers=1
    )
    try:
        files = sorted(walked.site.product(walked.slide_id, Stage.DEIDENTIFY).glob("*.dcm"))
        with open_slide(files) as reader:
            (local,) = predictor.predict(reader, lambda *_: None).tile_maps
    finally:
        predictor.close()
    placed = read_placed(walked.placed("rack"))
    rows, columns = placed.rows_px // SIDE_PX, placed.columns_px // SIDE_PX
    here = local.probability[rows, columns]
    both = ~np.isnan(here)
    assert np.count_nonzero(both) > 0.9 * len(here)
    assert np.array_equal(here[both], placed.values[both, local.class_index])


def test_release_tells_how_many_slides_wait(walked: Walked) -> None:
    (release,) = [one for one in walked.site.board.heartbeats() if one.daemon == "release"]
    assert "waiting for answers" in release.words
    assert load(walked.site.site.settings_file).routes[-1].name == "company"
