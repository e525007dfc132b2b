"""One tiny slide for all tests of the generator."""

from pathlib import Path

import pytest

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.truth import PlantedTruth


@pytest.fixture(scope="session")
def plan() -> SlidePlan:
    return SlidePlan.tiny(seed=1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, plan: SlidePlan) -> tuple[Path, PlantedTruth]:
    folder = tmp_path_factory.mktemp("tiny") / "slide"
    return folder, write_slide(folder, plan, SlideIdentity.invented(1))
