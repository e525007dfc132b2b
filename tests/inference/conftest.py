"""One generated slide, the bundled models loaded once, and a slide analysed once for all tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.settings import VerdictRules
from appliance.slides.findings import Findings
from appliance.slides.reader import SlideReader, open_slide
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.truth import PlantedTruth
from inference.model import bundle
from inference.model.bundle import Models
from inference.running.predict import Predictor
from inference.stage import find, write_report

CANARY = "ZANZIBAR"
SLIDE_ID = "abcdefghijklmnopqrstuvwx23"


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """A slide with all that was written about it, in one folder."""

    folder: Path
    findings: Findings
    slide: Path


def quiet(_fraction: float, _words: str) -> None:
    """Show no progress."""


def open_folder(folder: Path) -> SlideReader:
    """Open all the DICOM files of a folder."""
    return open_slide(sorted(folder.glob("*.dcm")))


def analyse(slide: Path, predictor: Predictor, output: Path) -> Analysed:
    """Run both stages without the line."""
    output.mkdir(parents=True, exist_ok=True)
    rules = VerdictRules()
    with open_folder(slide) as reader:
        find(
            reader,
            predictor,
            rules,
            output=output,
            slide_id=SLIDE_ID,
            revision=1,
            progress=quiet,
        )
        findings = write_report(reader, output, output=output, progress=quiet)
    return Analysed(folder=output, findings=findings, slide=slide)


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> PlantedTruth:
    """A generated slide of 2.8 x 2.1 mm with one artifact of each kind, and what is on it."""
    folder = tmp_path_factory.mktemp("slide")
    return write_slide(folder, SlidePlan.small(), SlideIdentity.canary(CANARY))


@pytest.fixture(scope="session")
def slide(truth: PlantedTruth) -> Path:
    """Folder of the generated slide."""
    return truth.files[0].parent


@pytest.fixture(scope="session")
def empty_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a slide with nothing on it."""
    folder = tmp_path_factory.mktemp("empty")
    write_slide(folder, SlidePlan.bare(), SlideIdentity.invented(seed=3))
    return folder


@pytest.fixture(scope="session")
def models() -> Models:
    """The models that come with the appliance."""
    return bundle.bundled()


@pytest.fixture(scope="session")
def predictor(models: Models) -> Iterator[Predictor]:
    """The bundled models on the CPU, two workers."""
    predictor = Predictor(models, device="cpu", workers=2)
    yield predictor
    predictor.close()


@pytest.fixture(scope="session")
def analysed(
    slide: Path, predictor: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> Analysed:
    """The generated slide with its findings and reports."""
    return analyse(slide, predictor, tmp_path_factory.mktemp("analysed"))


@pytest.fixture(scope="session")
def analysed_empty(
    empty_slide: Path, predictor: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> Analysed:
    """The empty slide with its findings and reports."""
    return analyse(empty_slide, predictor, tmp_path_factory.mktemp("analysed-empty"))
