"""Bad input ends in one sentence and a slide that is set aside; nothing of it is published."""

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from appliance.line import Outcome, SlideStatus, Stage, State, Verdict
from appliance.settings import VerdictRules
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.faults import with_corrupt_frame, without_pixel_spacing
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.worker import Work, Worker
from inference.model.bundle import Models
from inference.running.predict import Predictor
from inference.stage import infer_handler, report_handler
from tests.inference.conftest import CANARY
from tests.inference.small_models import FOR_EVER, instead, says

SLIDE_ID = "abcdefghijklmnopqrstuvwx24"
LIMIT_S = 0.5
AS_SHIPPED = VerdictRules()

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_slide(folder, SlidePlan.tiny(), SlideIdentity.canary(CANARY))
    return folder


class Line:
    """The stages infer and report on a real journal; a slide is put before them as it is given."""

    def __init__(self, folder: Path) -> None:
        self.root = Root(folder)
        self._engine = open_engine(f"sqlite:///{folder / 'journal.db'}", store="journal")
        self.journal = Journal(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def put(self, source: Path, spoil: Spoil) -> None:
        """Publish a spoiled copy of a slide as that which was de-identified."""
        self.journal.add_slide(SLIDE_ID, scanner="scanner-1", last_byte_at=1.0)
        self.journal.complete(SLIDE_ID, actor="node", reason="all there")

        def copied(work: Work) -> Outcome:
            for path in source.glob("volume-*.dcm"):
                shutil.copy(path, work.output)
            spoil(work.output)
            return Outcome()

        for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY):
            Worker(journal=self.journal, root=self.root, stage=stage, handle=copied).step()

    def infer(self, predictor: Predictor, rules: VerdictRules = AS_SHIPPED) -> SlideStatus:
        return self._step(Stage.INFER, infer_handler(predictor, rules))

    def find(self, source: Path, found: Path, spoil: Spoil) -> None:
        """Publish a good slide, and a spoiled copy of its findings."""
        self.put(source, lambda _folder: None)

        def copied(work: Work) -> Outcome:
            shutil.copytree(found, work.output, dirs_exist_ok=True)
            spoil(work.output)
            return Outcome(verdict=Verdict.ACCEPT, reason="Whatever.")

        assert self._step(Stage.INFER, copied).stage is Stage.REPORT

    def report(self) -> SlideStatus:
        return self._step(Stage.REPORT, report_handler())

    def findings(self) -> Path:
        (folder,) = self.root.zone("findings").iterdir()
        return folder

    def _step(self, stage: Stage, handle: Callable[[Work], Outcome]) -> SlideStatus:
        Worker(journal=self.journal, root=self.root, stage=stage, handle=handle).step()
        status = self.journal.board.slide(SLIDE_ID)
        assert status is not None
        return status


@pytest.fixture(scope="module")
def found(
    tiny: Path, predictor: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """What the infer stage published of the good slide."""
    line = Line(tmp_path_factory.mktemp("found"))
    line.put(tiny, lambda _folder: None)
    line.infer(predictor)
    yield line.findings()
    line.close()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


def assert_set_aside(line: Line, status: SlideStatus, stage: Stage, code: str, words: str) -> None:
    assert (status.stage, status.state) == (stage, State.ASIDE)
    assert status.error is not None
    assert (status.error_code, words in status.error) == (code, True), status.error
    assert status.error.endswith(".")
    assert CANARY not in status.error
    zones = {Stage.INFER: "findings", Stage.REPORT: "report"}
    assert list(line.root.zone(zones[stage]).iterdir()) == []


# The slide.


def edited(**values: object) -> Spoil:
    """Change attributes of the base image."""

    def spoil(folder: Path) -> None:
        image = pydicom.dcmread(folder / "volume-0.dcm")
        for keyword, value in values.items():
            setattr(image, keyword, value)
        image.save_as(folder / "volume-0.dcm")

    return spoil


def spaced(row_mm: str, column_mm: str) -> Spoil:
    """Write a pixel spacing into every image."""

    def spoil(folder: Path) -> None:
        for path in folder.glob("*.dcm"):
            image = pydicom.dcmread(path)
            measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
            measures.PixelSpacing = [row_mm, column_mm]
            image.save_as(path)

    return spoil


def torn(folder: Path) -> None:
    """Tear a frame in the middle of the level that the models read."""
    path = folder / "volume-1.dcm"
    with_corrupt_frame(path, path, int(pydicom.dcmread(path).NumberOfFrames) // 2)


def unspaced(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        without_pixel_spacing(path, path)


def emptied(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        path.unlink()


def cut_off(folder: Path) -> None:
    content = (folder / "volume-1.dcm").read_bytes()
    (folder / "volume-1.dcm").write_bytes(content[: len(content) // 3])


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        pytest.param(torn, "damaged-image", "damaged", id="a frame in the middle is noise"),
        pytest.param(cut_off, "damaged-image", "damaged", id="a file is cut off"),
        pytest.param(emptied, "unfit-scan", "no scanned image", id="the files are gone"),
        pytest.param(unspaced, "unfit-scan", "no pixel spacing", id="no spacing"),
        pytest.param(spaced("0", "0"), "unfit-scan", "spacing", id="no distance"),
        pytest.param(spaced("1e-9", "1e-9"), "unfit-scan", "cannot be true", id="atoms"),
        pytest.param(spaced("1e6", "1e6"), "unfit-scan", "cannot be true", id="a town"),
        pytest.param(spaced("0.0005", "0.005"), "unfit-scan", "cannot be true", id="oblong"),
        pytest.param(spaced("-0.0005", "-0.0005"), "unfit-scan", "cannot", id="negative"),
        pytest.param(
            edited(TotalPixelMatrixRows=2**31, TotalPixelMatrixColumns=2**31),
            "unfit-scan",
            "larger than any glass slide",
            id="a slide of kilometres",
        ),
        pytest.param(edited(NumberOfFrames=1), "damaged-image", "", id="frames are missing"),
    ],
)
def test_a_bad_slide_is_set_aside(
    line: Line, tiny: Path, predictor: Predictor, spoil: Spoil, code: str, words: str
) -> None:
    line.put(tiny, spoil)
    assert_set_aside(line, line.infer(predictor), Stage.INFER, code, words)


def one_pixel(folder: Path) -> None:
    """Leave one image of one pixel."""
    for path in folder.glob("volume-[12].dcm"):
        path.unlink()
    edited(TotalPixelMatrixRows=1, TotalPixelMatrixColumns=1, NumberOfFrames=1)(folder)
    image = pydicom.dcmread(folder / "volume-0.dcm")
    frame = next(pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1))
    image.PixelData = pydicom.encaps.encapsulate([frame])
    image.save_as(folder / "volume-0.dcm")


def test_a_slide_of_one_pixel_has_no_tissue(line: Line, tiny: Path, predictor: Predictor) -> None:
    line.put(tiny, one_pixel)
    status = line.infer(predictor)
    assert (status.stage, status.verdict) == (Stage.REPORT, Verdict.RESCAN)
    assert (line.report().stage, status.reason) == (
        Stage.RELEASE,
        "No tissue was found on the slide.",
    )


# The models.


def test_a_model_that_gives_no_numbers_sets_the_slide_aside(
    line: Line, tiny: Path, models: Models
) -> None:
    n_classes = len(models.artifact.classes)
    broken = instead(models.artifact, says([float("nan")] * n_classes))
    predictor = Predictor(Models(tissue=models.tissue, artifact=broken), device="cpu", workers=2)
    line.put(tiny, lambda _folder: None)
    status = line.infer(predictor)
    assert_set_aside(line, status, Stage.INFER, "model", "numbers that cannot be used")
    predictor.close()


def test_a_model_that_hangs_sets_the_slide_aside(line: Line, tiny: Path, models: Models) -> None:
    n_classes = len(models.artifact.classes)
    endless = instead(models.artifact, says([1 / n_classes] * n_classes, rounds=FOR_EVER))
    predictor = Predictor(
        Models(tissue=models.tissue, artifact=endless), device="cpu", workers=2, limit_s=LIMIT_S
    )
    line.put(tiny, lambda _folder: None)
    status = line.infer(predictor)
    assert_set_aside(line, status, Stage.INFER, "model", "took longer")
    predictor.close()


# The findings, between the two stages.


def said(**changes: object) -> Spoil:
    """Change what findings.json says."""

    def spoil(folder: Path) -> None:
        path = folder / "findings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def drawn(pixels: np.ndarray) -> Spoil:
    """Put another class map in place."""
    return lambda folder: (folder / "class_map.png").write_bytes(
        cv2.imencode(".png", pixels)[1].tobytes()
    )


def swollen(folder: Path) -> None:
    """Let the class map say that it has a thousand million pixels."""
    content = bytearray((folder / "class_map.png").read_bytes())
    content[16:24] = (32_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (folder / "class_map.png").write_bytes(content)


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def half(folder: Path) -> None:
    content = (folder / "findings.json").read_bytes()
    (folder / "findings.json").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(half, "findings", id="half of the findings"),
        pytest.param(without("findings.json"), "findings", id="no findings"),
        pytest.param(said(tissue_area_mm2=-1), "findings", id="a negative area"),
        pytest.param(said(tissue_area_mm2=float("nan")), "findings", id="no number"),
        pytest.param(said(verdict="fine"), "findings", id="a verdict that there is not"),
        pytest.param(said(rules={"rescan": {"fold": "much"}}), "findings", id="limits of no kind"),
        pytest.param(said(slide_id="another"), "another slide", id="another slide's"),
        pytest.param(said(revision=2), "another slide", id="another revision's"),
        pytest.param(said(base_um_px=5.0), "do not fit", id="another scale"),
        pytest.param(said(class_map_um_px=200.0), "do not fit", id="another scale of the map"),
        pytest.param(said(rows=1, columns=1), "do not fit", id="another size"),
        pytest.param(drawn(np.zeros((3, 4), np.uint8)), "does not fit", id="a map of wrong size"),
        pytest.param(drawn(np.zeros((3, 4, 3), np.uint8)), "does not fit", id="a coloured map"),
        pytest.param(swollen, "does not fit", id="a map that would fill the memory"),
        pytest.param(without("class_map.png"), "cannot be read", id="no class map"),
        pytest.param(without("focus_map.png"), "cannot be read", id="no focus map"),
    ],
)
def test_findings_that_were_changed_are_not_reported(
    line: Line, tiny: Path, found: Path, spoil: Spoil, words: str
) -> None:
    line.find(tiny, found, spoil)
    assert_set_aside(line, line.report(), Stage.REPORT, "rejected", words)


def test_a_report_states_the_limits_that_the_verdict_followed(
    line: Line, tiny: Path, predictor: Predictor
) -> None:
    line.put(tiny, lambda _folder: None)
    line.infer(predictor, VerdictRules(review={"fold": 0.37}))
    line.report()
    (folder,) = line.root.zone("report").iterdir()
    report = pydicom.dcmread(folder / "sr.dcm")
    texts = [item.value for item in report.iterall() if item.keyword == "TextValue"]
    assert any("37 %" in text for text in texts)


def test_a_class_that_there_is_not_is_not_reported(line: Line, tiny: Path, found: Path) -> None:
    stored = cv2.imread(str(found / "class_map.png"), cv2.IMREAD_UNCHANGED)
    line.find(tiny, found, drawn(np.full_like(stored, 99)))
    assert_set_aside(line, line.report(), Stage.REPORT, "rejected", "does not fit")


def test_a_slide_that_is_torn_after_inference_is_not_half_reported(
    line: Line, tiny: Path, found: Path
) -> None:
    line.find(tiny, found, lambda _folder: None)
    (deid,) = line.root.zone("deid").iterdir()
    for path in deid.glob("*.dcm"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert_set_aside(line, line.report(), Stage.REPORT, "damaged-image", "damaged")
