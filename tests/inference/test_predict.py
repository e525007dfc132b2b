"""Models see the slide at their resolution, and the numbers agree with what was planted."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from appliance.errors import UnsuitableSlide
from appliance.line import Verdict
from appliance.slides.classes import SlideClass
from appliance.slides.sources import TiledSource
from appliance.synthetic.truth import PlantedTruth
from inference.model.bundle import Models
from inference.running.predict import Predictor
from tests.inference.conftest import Analysed, open_folder, quiet


def test_the_workers_number_changes_nothing(slide: Path, models: Models) -> None:
    maps = []
    for workers in (1, 3):
        predictor = Predictor(models, device="cpu", workers=workers)
        with open_folder(slide) as reader:
            maps.append(predictor.predict(reader, quiet).class_map)
        predictor.close()
    np.testing.assert_array_equal(maps[0], maps[1])


def test_tissue_area_agrees_with_what_was_planted(analysed: Analysed, truth: PlantedTruth) -> None:
    found = analysed.findings.tissue_area_mm2
    assert found == pytest.approx(truth.tissue_area_mm2, rel=0.1)


def test_pen_is_found_where_it_was_planted(analysed: Analysed, truth: PlantedTruth) -> None:
    found = analysed.findings.artifact(SlideClass.PEN).area_mm2
    assert found == pytest.approx(truth.area_mm2["pen"], rel=0.5)
    pen = [region for region in analysed.findings.regions if region.name == "pen"]
    rows, columns = np.nonzero(truth.class_map == SlideClass.PEN)
    middle = np.array([columns.mean(), rows.mean()]) * truth.class_map_um_px
    assert np.abs(np.mean(pen[0].polygon_um, axis=0) - middle).max() < 100


def test_the_class_map_has_the_slides_extent(analysed: Analysed) -> None:
    findings = analysed.findings
    assert findings.class_map_um_px == 2.0
    assert findings.rows * 2.0 == pytest.approx(findings.base_rows * findings.base_um_px, abs=2.0)


def test_a_slide_without_tissue_asks_for_a_rescan(analysed_empty: Analysed) -> None:
    assert analysed_empty.findings.verdict is Verdict.RESCAN
    assert analysed_empty.findings.tissue_area_mm2 == 0


def test_a_coarse_slide_is_judged_with_a_warning(
    slide: Path, predictor: Predictor, tmp_path: Path
) -> None:
    for number in (1, 2):
        shutil.copy(slide / f"volume-{number}.dcm", tmp_path)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        spacing = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        spacing.PixelSpacing = [2 * float(value) for value in spacing.PixelSpacing]
        dataset.save_as(path)
    with open_folder(tmp_path) as reader:
        prediction = predictor.predict(reader, quiet)
    assert prediction.um_px == pytest.approx(4.0)
    coarser = [warning for warning in prediction.warnings if "coarser" in warning]
    assert len(coarser) == 1
    assert "coverslip-artifact" in coarser[0]


def test_a_damaged_frame_sets_the_slide_aside(
    slide: Path, predictor: Predictor, tmp_path: Path
) -> None:
    shutil.copytree(slide, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "volume-1.dcm"
    dataset = pydicom.dcmread(path)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    middle = len(frames) // 2
    frames[middle] = frames[middle][:300]
    dataset.PixelData = encapsulate(frames)
    dataset.save_as(path)
    with (
        open_folder(tmp_path) as reader,
        pytest.raises(UnsuitableSlide, match="One frame of the slide is damaged"),
    ):
        predictor.predict(reader, quiet)


def test_frames_at_the_rims_of_squares_are_decoded_once(
    slide: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[tuple[int, int]] = Counter()
    frame = TiledSource._frame

    def counted(source: TiledSource, number: int) -> bytes:
        decoded[id(source), number] += 1
        return frame(source, number)

    monkeypatch.setattr(TiledSource, "_frame", counted)
    predictor = Predictor(models, device="cpu", workers=1)
    with open_folder(slide) as reader:
        predictor.predict(reader, quiet)
    predictor.close()
    assert len(decoded) > 20
    assert set(decoded.values()) == {1}


def test_progress_rises_to_the_end(slide: Path, predictor: Predictor) -> None:
    seen: list[float] = []
    with open_folder(slide) as reader:
        predictor.predict(reader, lambda fraction, _words: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.95)


@pytest.mark.slow
def test_a_real_slide_with_pen_asks_for_a_look(shared_data: Path, predictor: Predictor) -> None:
    folder = shared_data / "dicom_converted" / "tcga_xk_pen_synthetic_phi"
    with open_folder(folder) as reader:
        prediction = predictor.predict(reader, quiet)
    pen = np.count_nonzero(prediction.class_map == SlideClass.PEN) * prediction.um_px**2 / 1e6
    tissue = np.count_nonzero(prediction.tissue) * prediction.um_px**2 / 1e6
    assert tissue == pytest.approx(66, rel=0.1)
    assert pen > 2
