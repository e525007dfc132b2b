"""A canary is in every place where a scanner may write an identity, and nowhere twice the same."""

from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan

CANARY = "CANARY7Q"
NOT_IN_VOLUMES = {"label_text", "barcode_value"}


def _values(dataset: Dataset) -> list[str]:
    found: list[str] = []
    for element in dataset.iterall():
        if element.VR == "SQ":
            continue
        values = element.value if element.VM > 1 else [element.value]
        found += [
            each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in values
        ]
    return found


@pytest.fixture(scope="module")
def canary_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canary") / "slide"
    write_slide(folder, SlidePlan.bare(), SlideIdentity.canary(CANARY))
    return folder


def test_every_value_of_a_canary_is_written_into_every_instance(canary_slide: Path) -> None:
    identity = SlideIdentity.canary(CANARY)
    for path in canary_slide.glob("*.dcm"):
        text = "\n".join(_values(dcmread(path)))
        for name in SlideIdentity.__dataclass_fields__:
            value = getattr(identity, name)
            if name in NOT_IN_VOLUMES and path.name != "label.dcm":
                continue
            wanted = value.strftime("%Y%m%d") if isinstance(value, date) else value
            assert wanted in text, name


def test_a_canary_is_in_a_comment_of_every_frame(canary_slide: Path) -> None:
    identity = SlideIdentity.canary(CANARY)
    for path in canary_slide.glob("*.dcm"):
        instance = dcmread(path)
        assert instance.PixelData.count(identity.jpeg_comment.encode()) == instance.NumberOfFrames


def test_no_two_values_of_a_canary_are_equal() -> None:
    identity = SlideIdentity.canary(CANARY)
    values = [getattr(identity, name) for name in SlideIdentity.__dataclass_fields__]
    doubles = [value for value in values if values.count(value) > 1]
    assert set(doubles) == {identity.container_identifier}


def test_needles_hold_the_parts_of_names_dates_and_uids() -> None:
    identity = SlideIdentity.canary(CANARY)
    needles = identity.needles
    assert "CANARY7QFAM" in needles
    assert identity.patient_birth_date.strftime("%Y%m%d") in needles
    assert identity.study_instance_uid in needles
    assert "O" not in needles
    assert "" not in SlideIdentity.invented().needles


def test_values_fit_their_value_representations(tmp_path: Path) -> None:
    for seed in range(30):
        identity = SlideIdentity.invented(seed)
        for name in ("accession_number", "study_id", "station_name", "occupation"):
            assert len(getattr(identity, name)) <= 16


def test_an_invented_identity_writes_no_comment_and_no_canary(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide", SlidePlan.bare(), SlideIdentity.invented(4))
    for path in (tmp_path / "slide").glob("*.dcm"):
        assert b"CANARY" not in path.read_bytes()


def test_a_canary_too_long_for_short_strings_is_refused() -> None:
    with pytest.raises(ValueError, match="canary"):
        SlideIdentity.canary("MUCHTOOLONGACANARY")
