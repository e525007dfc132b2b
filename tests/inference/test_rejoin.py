"""Answers of model servers become sampled results of the slide; its verdict is never touched."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import Findings, TileResult
from inference.judging.stored import read_class_map
from inference.remote.estimate import interval, share_of
from inference.remote.models import RemoteModel, remote_models
from inference.remote.rejoin import Rejoined, rejoined, taken_over
from tests.inference.conftest import Analysed, open_folder
from tests.inference.remote_parts import (
    CELL_PX,
    CELL_UM,
    SIDE_PX,
    UM_PX,
    manifest_folder,
    placed_in,
    route_to,
    two_classes,
)


@pytest.fixture(scope="module")
def remotes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RemoteModel]:
    """A route outside, one to the hospital's own servers, one to a model for other slides."""
    folder = manifest_folder(tmp_path_factory.mktemp("model"))
    kidney = manifest_folder(tmp_path_factory.mktemp("kidney"), site="64033007")
    routes = (
        route_to(folder),
        route_to(folder, "own", at_site=True),
        route_to(kidney, "renal"),
    )
    return dict(remote_models(routes))


@pytest.fixture(scope="module")
def class_map(analysed: Analysed) -> ClassMap:
    """The class map of the analysed slide."""
    return read_class_map(analysed.folder, analysed.findings)


@pytest.fixture(scope="module")
def cells(analysed: Analysed, class_map: ClassMap) -> npt.NDArray[np.intp]:
    """Cells of one colour that are clean tissue, `(n, 2)`."""
    um_px = analysed.findings.class_map_um_px
    side = CELL_UM / um_px
    rows, columns = (int(n // side) for n in class_map.shape)
    clean = [
        (row, column)
        for row in range(0, rows, 2)
        for column in range(0, columns, 2)
        if (_cell(class_map, row, column, side) == SlideClass.TISSUE).all()
    ]
    assert len(clean) >= 6
    return np.array(clean)


def _cell(class_map: ClassMap, row: int, column: int, side: float) -> ClassMap:
    top, left = int(row * side), int(column * side)
    return class_map[top : int(top + side) + 2, left : int(left + side) + 2]


def join(
    analysed: Analysed,
    class_map: ClassMap,
    placed: Path,
    remotes: dict[str, RemoteModel],
    findings: Findings | None = None,
) -> Rejoined:
    with open_folder(analysed.slide) as reader:
        return rejoined(
            findings or analysed.findings,
            class_map,
            placed=placed,
            remotes=remotes,
            header=reader.header,
            revision=2,
        )


def only(made: Rejoined) -> TileResult:
    (result,) = (one for one in made.findings.tile_results if one.remote is not None)
    return result


def test_a_sample_of_tiles_gives_estimates_with_an_interval(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    tumour = np.linspace(0, 1, len(cells))
    made = join(analysed, class_map, placed_in(tmp_path / "p", cells, two_classes(tumour)), remotes)
    findings, result = made.findings, only(made)
    found = np.count_nonzero(tumour >= 0.608) / len(cells)
    assert result.remote is not None
    assert result.is_estimate
    assert result.share_of_tissue == pytest.approx(found, abs=0.02)
    assert result.area_mm2 == pytest.approx(
        result.share_of_tissue * findings.clean_tissue_mm2, abs=1e-5
    )
    assert result.remote.low is not None
    assert result.remote.high is not None
    assert 0 < result.remote.low < result.share_of_tissue < result.remote.high < 1
    seen_mm2 = len(cells) * (SIDE_PX * UM_PX / 1000) ** 2
    assert result.remote.seen_share == pytest.approx(seen_mm2 / findings.tissue_area_mm2, rel=0.05)
    assert (result.remote.n_tiles, result.highest) == (len(cells), 1.0)
    drawn = made.maps[result.map_file]
    assert np.count_nonzero(drawn) == len(cells)
    np.testing.assert_array_equal(drawn[tuple(cells.T)], np.rint(1 + tumour * 254))
    (use,) = (model for model in findings.models if model.route is not None)
    assert (use.device, use.route, use.recipient) == ("remote", "lab", "lab-clinic")


def test_an_estimate_of_area_leaves_out_what_artifacts_cover(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    """Only clean tissue is sampled, so that nobody judged what lies below a fold."""
    um_px = analysed.findings.class_map_um_px
    folded = class_map.copy()
    beside = np.ones(class_map.shape, bool)
    for row, column in cells:
        side = CELL_UM / um_px
        beside[int(row * side) : int((row + 1) * side) + 2, int(column * side) :][
            :, : int(side) + 2
        ] = False
    was_clean = class_map == SlideClass.TISSUE
    folded[beside & was_clean & (np.arange(class_map.shape[1]) % 2 == 0)] = SlideClass.FOLD
    clean, was = (np.count_nonzero(one) for one in (folded == SlideClass.TISSUE, was_clean))
    assert clean < 0.9 * was
    findings = analysed.findings
    share = (was - clean) * um_px**2 / 1e6 / findings.tissue_area_mm2
    fold = findings.artifact(SlideClass.FOLD)
    more = replace(fold, share_of_tissue=fold.share_of_tissue + share)
    others = tuple(one for one in findings.artifacts if one.name != fold.name)
    placed = placed_in(tmp_path / "p", cells, two_classes(np.ones(len(cells))))
    result = only(
        join(analysed, folded, placed, remotes, replace(findings, artifacts=(*others, more)))
    )
    assert result.share_of_tissue == 1
    assert result.area_mm2 == pytest.approx(clean * um_px**2 / 1e6, rel=1e-4)


def test_the_verdict_and_all_that_was_measured_here_stay(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    placed = placed_in(tmp_path / "p", cells, two_classes(np.ones(len(cells))))
    joined = join(analysed, class_map, placed, remotes).findings
    local = replace(
        joined,
        revision=1,
        tile_results=tuple(one for one in joined.tile_results if one.remote is None),
        models=tuple(one for one in joined.models if one.route is None),
    )
    assert local == analysed.findings
    assert Findings.from_json(joined.to_json()) == joined


def test_maps_of_tiles_are_measured_part_by_part(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    tumour = np.zeros((len(cells), 24, 24), np.float32)
    tumour[:, :, :12] = 0.9  # the left half of every tile
    made = join(analysed, class_map, placed_in(tmp_path / "p", cells, two_classes(tumour)), remotes)
    result = only(made)
    assert result.share_of_tissue == pytest.approx(0.5, abs=0.06)
    assert result.map_um_px >= 8
    drawn = made.maps[result.map_file]
    k = round(SIDE_PX * UM_PX / result.map_um_px)
    assert np.count_nonzero(drawn) == k * k * len(cells)
    top, left = np.rint((cells[0] * CELL_PX + 16) * UM_PX / result.map_um_px).astype(int)
    block = drawn[top : top + k, left : left + k]
    assert block[:, 0].max() > 200
    assert block[:, -1].max() == 1


def test_every_tile_of_the_slide_gives_an_area_and_no_estimate(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    placed = placed_in(tmp_path / "p", cells, two_classes(np.ones(len(cells))), route="own")
    made = join(analysed, class_map, placed, remotes)
    result = only(made)
    assert result.remote is not None
    assert not result.is_estimate
    assert result.share_of_tissue == 1
    assert result.area_mm2 == pytest.approx(
        result.remote.seen_share * made.findings.tissue_area_mm2, abs=1e-4
    )


def test_a_slide_that_the_model_is_not_for_says_so(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    placed = placed_in(tmp_path / "p", cells, two_classes(np.ones(len(cells))), route="renal")
    findings = join(analysed, class_map, placed, remotes).findings
    assert findings.tile_results == analysed.findings.tile_results
    (added,) = set(findings.warnings) - set(analysed.findings.warnings)
    assert added == (
        "The model coverslip-metastasis was not run: the tissue is from elsewhere than the model "
        "is for (route renal)."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((6, 2), 0.9, np.float32), "cannot be used"),  # they do not add up to one
        (np.full((6, 3), 1 / 3, np.float32), "cannot be used"),  # another number of classes
        (np.full((6, 2), np.nan, np.float32), "cannot be used"),
        (np.zeros((0, 2), np.float32), "gave no answer about this slide"),
    ],
    ids=["sum", "classes", "nan", "none"],
)
def test_a_lying_server_costs_its_answers_and_not_the_verdict(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
    values: npt.NDArray[np.float32],
    words: str,
) -> None:
    placed = placed_in(tmp_path / "p", cells[: len(values)], values, n_tiles=6)
    findings = join(analysed, class_map, placed, remotes).findings
    assert (findings.verdict, findings.tile_results) == (
        analysed.findings.verdict,
        analysed.findings.tile_results,
    )
    assert words in findings.warnings[-1]


def test_answers_that_are_gone_leave_the_findings_as_they_are(
    analysed: Analysed, class_map: ClassMap, remotes: dict[str, RemoteModel], tmp_path: Path
) -> None:
    joined = join(analysed, class_map, tmp_path / "gone", remotes).findings
    assert joined == replace(analysed.findings, revision=2)


def test_tiles_beyond_the_slide_are_not_believed(
    analysed: Analysed, class_map: ClassMap, remotes: dict[str, RemoteModel], tmp_path: Path
) -> None:
    placed = placed_in(tmp_path / "p", np.array([[0, 4000]]), two_classes([1.0]))
    assert "cannot be used" in join(analysed, class_map, placed, remotes).findings.warnings[-1]


def test_a_route_that_answers_again_takes_the_place_of_what_it_said(
    analysed: Analysed,
    class_map: ClassMap,
    cells: npt.NDArray[np.intp],
    remotes: dict[str, RemoteModel],
    tmp_path: Path,
) -> None:
    none, all_ = np.zeros(len(cells)), np.ones(len(cells))
    placed = placed_in(tmp_path / "1", cells[:4], two_classes(none[:4]), n_tiles=len(cells))
    placed_in(placed, cells, two_classes(all_), route="own")
    first = join(analysed, class_map, placed, remotes).findings
    assert sum("did not answer about" in warning for warning in first.warnings) == 1
    later = placed_in(tmp_path / "2", cells, two_classes(all_))
    second = join(analysed, class_map, later, remotes, first).findings
    shares = {one.route: one.share_of_tissue for one in second.tile_results if one.route}
    assert shares == {"lab": 1.0, "own": 1.0}
    assert [model.route for model in second.models if model.route] == ["own", "lab"]
    assert not any("did not answer about" in warning for warning in second.warnings)


def test_earlier_findings_are_taken_over_whole_or_not_at_all(
    analysed: Analysed, tmp_path: Path
) -> None:
    output, earlier = tmp_path / "output", tmp_path / "earlier"
    output.mkdir()
    earlier.mkdir()
    assert taken_over(None, output) is None
    for name in ("findings.json", "class_map.png"):
        (earlier / name).write_bytes((analysed.folder / name).read_bytes())
    assert taken_over(earlier, output) is None  # the focus map is gone
    assert list(output.iterdir()) == []
    assert taken_over(analysed.folder, output) == analysed.findings
    assert {path.name for path in output.iterdir()} == {"class_map.png", "focus_map.png"}


def test_findings_of_before_there_were_remote_models_are_read(analysed: Analysed) -> None:
    raw = json.loads(analysed.findings.to_json())
    for model in raw["models"]:
        del model["route"], model["recipient"]
    for result in raw["tile_results"]:
        del result["remote"]
    assert Findings.from_json(json.dumps(raw)) == analysed.findings


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 1)), min_size=1, max_size=60),
)
def test_the_interval_holds_the_share_and_narrows_with_more_tiles(
    tiles: list[tuple[float, float]],
) -> None:
    part, tissue = np.array(tiles).T
    share = share_of(part * tissue, tissue)
    low, high = interval(share, tissue)
    assert 0 <= low <= share <= high <= 1
    low4, high4 = interval(share, np.tile(tissue, 4))
    assert high4 - low4 < high - low


def test_the_interval_covers_the_true_share_when_one_cell_in_four_is_sampled() -> None:
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(400):
        noise = cv2.GaussianBlur(rng.standard_normal((40, 40)), (0, 0), rng.uniform(0.3, 4))
        tumour = noise > np.quantile(noise, rng.uniform(0.5, 0.97))
        row, column = rng.integers(0, 2, 2)
        seen = tumour[row::2, column::2].ravel().astype(float)
        tissue = np.ones(len(seen))
        low, high = interval(share_of(seen, tissue), tissue)
        covered.append(low <= tumour.mean() <= high)
    assert np.mean(covered) >= 0.95
