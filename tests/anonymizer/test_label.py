"""The label beside the header: a mismatch stops a slide until a technician accepts it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from anonymizer.deidentify.labels import AcceptedLabels, label_commands
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.stage import handler
from anonymizer.keys.files import init_keys
from anonymizer.part10.reading import read_header
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.sight.decoding import decoded
from anonymizer.sight.label import Agreement, read_label
from anonymizer.sight.sight import Sight, sight_of
from appliance.control import AnsweredError, ControlServer, call
from appliance.errors import EXIT_CONFIG
from appliance.line import Outcome, Stage, State
from appliance.settings import Deidentify, Operators
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Worker
from tests.anonymizer import readable

OTHER = "S25-000991-B2"


@pytest.fixture(scope="module")
def sight(require_tool: Callable[[str], str]) -> Sight:
    require_tool("tesseract")
    made = sight_of(Deidentify(text_in_pixels="off"))
    assert made is not None
    return made


class Bench:
    """The deidentify stage and the anonymize daemon's socket, over a real journal."""

    def __init__(self, folder: Path, sight: Sight) -> None:
        self.root = Root(folder)
        self.engine = open_engine(f"sqlite:///{folder / 'journal.db'}", store="journal")
        self.journal = Journal(self.engine)
        accepted = AcceptedLabels(self.root.zone("deid"))
        method = Method(pseudonyms=Pseudonyms(bytes(range(32))), sight=sight)
        self.handle = handler(method, accepted)
        self.socket = self.root.socket("anonymize")
        commands = label_commands(
            journal=self.journal, root=self.root, sight=sight, accepted=accepted
        )
        self.server = ControlServer(self.socket, commands, Operators())
        self.server.start()

    def assemble(self, files: list[Path]) -> None:
        self.journal.add_slide("slide", scanner="scanner-1", last_byte_at=1.0)
        self.journal.complete("slide", actor="node", reason="all there")

        def copy(work):
            for file in files:
                (work.output / file.name).write_bytes(file.read_bytes())
            return Outcome()

        self.step(Stage.ASSEMBLE, copy)

    def deidentify(self) -> State:
        self.step(Stage.DEIDENTIFY, self.handle)
        return self.status.state

    def step(self, stage: Stage, handle) -> None:
        assert Worker(journal=self.journal, root=self.root, stage=stage, handle=handle).step()

    @property
    def status(self):
        return self.journal.board.slide("slide")

    @property
    def events(self):
        return self.journal.board.events(slide_id="slide")


@pytest.fixture
def bench(tmp_path: Path, sight: Sight) -> Iterator[Bench]:
    (tmp_path / "root").mkdir()
    bench = Bench(tmp_path / "root", sight)
    yield bench
    bench.server.close()
    bench.engine.dispose()


def label_saying(barcode: str, text: str) -> np.ndarray:
    paper = np.full((320, 640, 3), 250, np.uint8)
    paper = readable.coded(paper, barcode, "DataMatrix", at=(20, 20)) if barcode else paper
    return readable.written(paper, text, at=(200, 30), size_px=44, ink=(10, 10, 10))


def scanned(folder: Path, label: np.ndarray | None) -> list[Path]:
    glass = np.full((512, 512, 3), 240, np.uint8)
    return readable.scan(folder, glass, label=label)


def test_a_label_that_names_the_slide_lets_it_pass(bench: Bench, tmp_path: Path):
    label = label_saying(readable.CONTAINER, readable.CONTAINER)
    bench.assemble(scanned(tmp_path / "in", label))
    assert bench.deidentify() is State.WAITING
    assert "The label names the same slide" in bench.events[-1].text


@pytest.mark.parametrize("text", ["", "smudge"])
def test_a_label_that_nobody_can_read_lets_it_pass_and_says_so(
    bench: Bench, tmp_path: Path, text: str
):
    label = label_saying("", text) if text else None
    bench.assemble(scanned(tmp_path / "in", label))
    assert bench.deidentify() is State.WAITING
    assert "No label could be compared" in bench.events[-1].text


def test_a_mismatch_sets_the_slide_aside_before_anything_is_written_until_it_is_accepted(
    bench: Bench, tmp_path: Path
):
    bench.assemble(scanned(tmp_path / "in", label_saying(OTHER, OTHER)))
    assert bench.deidentify() is State.ASIDE
    assert bench.status.error_code == "label-mismatch"
    assert list(bench.root.zone("deid").iterdir()) == []
    assert all(OTHER not in event.text for event in bench.events)

    shown = call(bench.socket, "label", slide_id="slide")
    assert shown["container_identifier"] == readable.CONTAINER
    assert shown["barcodes"] == [OTHER]
    assert shown["agreement"] == "differs"
    assert bench.events[-1].kind == "label"

    call(bench.socket, "accept_label", slide_id="slide")
    assert [event.kind for event in bench.events[-2:]] == ["accept_label", "retry"]
    assert bench.deidentify() is State.WAITING
    assert bench.status.stage is Stage.INFER


def test_what_was_accepted_is_kept_for_that_revision_alone(tmp_path: Path):
    AcceptedLabels(tmp_path).add("slide", 1)
    again = AcceptedLabels(tmp_path)
    assert again.has("slide", 1)
    assert not again.has("slide", 2)
    assert not again.has("other", 1)


def test_only_a_slide_that_was_set_aside_for_its_label_can_be_accepted(
    bench: Bench, tmp_path: Path
):
    bench.assemble(scanned(tmp_path / "in", label_saying(OTHER, OTHER)))
    for slide_id in ("slide", "unknown", "../../etc"):
        with pytest.raises(AnsweredError, match="not set aside for its label"):
            call(bench.socket, "accept_label", slide_id=slide_id)
    assert bench.deidentify() is State.ASIDE


def test_a_slide_whose_original_is_gone_has_no_label_to_show(bench: Bench):
    before = len(bench.journal.board.events())
    with pytest.raises(AnsweredError, match="not at hand"):
        call(bench.socket, "label", slide_id="unknown")
    assert len(bench.journal.board.events()) == before


@pytest.mark.parametrize("name", ["cmu_synthetic_phi", "tcga_xk_pen_synthetic_phi"])
def test_the_labels_of_real_scans_name_their_slide(shared_data: Path, sight: Sight, name: str):
    folder = shared_data / "dicom_converted" / name
    headers = [read_header(folder / file) for file in ("label.dcm", "volume_l3.dcm")]
    label = read_label(headers, sight.reader)
    assert label.agreement is Agreement.AGREES
    assert label.container_identifier in ("S25-000991-B2", "S25-000417-A1")


def test_without_tesseract_the_daemon_stops_and_says_what_to_do(tmp_path: Path):
    init_keys(tmp_path / "keys")
    settings = tmp_path / "coverslip.toml"
    settings.write_text(
        f'[storage]\nroot = "{tmp_path / "root"}"\n[keys]\nfolder = "{tmp_path / "keys"}"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "--settings", str(settings), "anonymize"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert done.returncode == EXIT_CONFIG
    assert "install tesseract-ocr" in done.stderr


def test_a_label_image_of_giant_size_is_not_even_read(tmp_path: Path):
    [*_, label] = scanned(tmp_path / "in", label_saying("C-1", "C-1"))
    assert decoded(label)
    with label.open("r+b") as file:
        file.truncate(1 << 30)
    assert decoded(label) == ()
