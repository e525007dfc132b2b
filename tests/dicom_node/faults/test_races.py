"""Two threads of the node meet at one slide."""

from pathlib import Path
from typing import Any

from appliance.line import Stage
from dicom_node.sender import dicom_files, send
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write


class AssembledMeanwhile:
    """Receipts that are assembled just after the watcher has read them."""

    def __init__(self, hospital: Hospital) -> None:
        self._receipts = hospital.node.receipts
        self._hospital = hospital

    def of_study(self, study_instance_uid: str) -> Any:
        read = self._receipts.of_study(study_instance_uid)
        self._hospital.work()
        return read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receipts, name)


def test_a_slide_that_is_assembled_while_the_watcher_looks_is_not_taken_back(
    hospital: Hospital, tmp_path: Path
) -> None:
    image = Image()
    send(dicom_files(write(image, tmp_path / "scanner")), hospital.endpoint)
    hospital.settle()
    hospital.node.arrivals.receipts = AssembledMeanwhile(hospital)  # type: ignore[assignment]
    hospital.look()
    slide = hospital.slide()
    assert (slide.stage, slide.revision) == (Stage.DEIDENTIFY, 1)
