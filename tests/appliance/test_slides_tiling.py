"""The frame index finds every tile, however the frames are ordered, and no other."""

import struct
import tracemalloc
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from appliance.errors import DamagedImage, UnfitScan, UnreadableEncoding
from appliance.slides.decoding import native
from appliance.slides.elements import Place
from appliance.slides.frame_groups import FrameGroups, read_frame_groups
from appliance.slides.frames import NativeFrames
from appliance.slides.grey import PixelForm
from appliance.slides.reader import open_slide
from appliance.slides.recent import RecentTiles
from appliance.slides.sources import TiledSource
from appliance.slides.tiling import Grid, full_index, sparse_index
from tests.appliance.sparse_slides import (
    TILE_PX,
    Position,
    flat_tile,
    group_item,
    many_items,
    sequence,
    write_items,
    write_sparse,
)

PER_FRAME = 0x52009230
sides = st.integers(1, 40)
tile_sides = st.sampled_from([1, 3, 8, 16])
grids = st.builds(Grid, rows=sides, columns=sides, tile_rows=tile_sides, tile_columns=tile_sides)


@st.composite
def tilings(draw: st.DrawFn) -> tuple[Grid, list[int], list[tuple[int, str]]]:
    """A grid, the tiles that exist in any order, and a plane and path for each frame."""
    grid = draw(grids)
    tiles = list(range(grid.down * grid.across))
    kept = draw(st.lists(st.sampled_from(tiles), unique=True, min_size=1, max_size=30))
    layers = [(z, path) for z in range(draw(st.integers(1, 3))) for path in ("A", "B")]
    frames = draw(st.permutations([(tile, layer) for tile in kept for layer in layers]))
    return grid, [tile for tile, _ in frames], [layer for _, layer in frames]


def groups_of(grid: Grid, tiles: list[int], layers: list[tuple[int, str]]) -> FrameGroups:
    at = np.array(tiles)
    return FrameGroups(
        row=at // grid.across * grid.tile_rows + 1,
        column=at % grid.across * grid.tile_columns + 1,
        z_um=np.array([z * 1.5 for z, _ in layers]),
        path=np.array(["AB".index(path) for _, path in layers]),
        path_names=("A", "B"),
    )


@given(tilings())
def test_a_sparse_index_gives_the_middle_plane_of_the_first_path(
    tiling: tuple[Grid, list[int], list[tuple[int, str]]],
) -> None:
    grid, tiles, layers = tiling
    index = sparse_index(grid, groups_of(grid, tiles, layers), ("B", "A"))
    middle = (len(set(layers)) // 2 - 1) // 2
    for tile in range(grid.down * grid.across):
        found = index.frame(*divmod(tile, grid.across))
        if tile in tiles:
            assert found is not None
            assert (tiles[found], layers[found]) == (tile, (middle, "B"))
        else:
            assert found is None


@given(grids, st.integers(1, 4), st.integers(1, 3))
def test_a_full_index_counts_tiles_then_planes_then_paths(
    grid: Grid, planes: int, paths: int
) -> None:
    tiles = grid.down * grid.across
    index = full_index(grid, n_frames=tiles * planes * paths, planes=planes, paths=paths)
    assert len(index) == tiles
    for tile in range(tiles):
        expected = (planes - 1) // 2 * tiles + tile
        assert index.frame(*divmod(tile, grid.across)) == expected


@pytest.mark.parametrize("n_frames", [0, 11, 13, 24])
def test_frames_that_do_not_fit_the_matrix_are_refused(n_frames: int) -> None:
    grid = Grid(rows=30, columns=40, tile_rows=10, tile_columns=10)
    with pytest.raises(DamagedImage, match="number of frames"):
        full_index(grid, n_frames=n_frames, planes=1, paths=1)


def test_tiles_beside_the_grid_are_refused() -> None:
    grid = Grid(rows=32, columns=32, tile_rows=16, tile_columns=16)
    groups = groups_of(grid, [0, 1], [(0, "A"), (0, "A")])
    groups.column[1] += 3
    with pytest.raises(UnreadableEncoding, match="one grid"):
        sparse_index(grid, groups, ())


def test_a_tile_outside_of_the_matrix_is_refused() -> None:
    grid = Grid(rows=32, columns=32, tile_rows=16, tile_columns=16)
    groups = groups_of(grid, [0], [(0, "A")])
    groups.row[0] += 160
    with pytest.raises(DamagedImage):
        sparse_index(grid, groups, ())


@given(tilings(), st.data())
@settings(max_examples=60)
def test_a_region_is_what_the_whole_level_shows_there(
    tmp_path_factory: pytest.TempPathFactory,
    tiling: tuple[Grid, list[int], list[tuple[int, str]]],
    data: st.DataObject,
) -> None:
    grid, tiles, layers = tiling
    shown = np.random.default_rng(len(tiles)).integers(
        0, 255, (len(tiles), grid.tile_rows, grid.tile_columns, 3), np.uint8
    )
    path = tmp_path_factory.getbasetemp() / "tiles"
    path.write_bytes(b"head" + shown.tobytes())
    form = PixelForm(
        photometric_interpretation="RGB",
        samples_per_pixel=3,
        bits_allocated=8,
        bits_stored=8,
        is_planar=False,
        tile_rows=grid.tile_rows,
        tile_columns=grid.tile_columns,
    )
    frames = NativeFrames(
        path,
        value_at=4,
        value_bytes=shown.nbytes,
        n_frames=len(tiles),
        frame_bytes=form.frame_bytes,
    )
    index = sparse_index(grid, groups_of(grid, tiles, layers), ("A",))
    whole = np.full((grid.down * grid.tile_rows, grid.across * grid.tile_columns, 3), 255, np.uint8)
    for tile in set(tiles):
        down, across = divmod(tile, grid.across)
        number = index.frame(down, across)
        assert number is not None
        top, left = down * grid.tile_rows, across * grid.tile_columns
        whole[top : top + grid.tile_rows, left : left + grid.tile_columns] = shown[number]
    top, left = (
        data.draw(st.integers(0, grid.rows - 1)),
        data.draw(st.integers(0, grid.columns - 1)),
    )
    rows = data.draw(st.integers(1, grid.rows - top))
    columns = data.draw(st.integers(1, grid.columns - left))
    source = TiledSource([frames], index, native(form), RecentTiles(1 << 20))
    found = source.region(top, left, rows, columns)
    source.close()
    np.testing.assert_array_equal(found, whole[top : top + rows, left : left + columns])


positions = st.tuples(
    st.integers(1, 100_000),
    st.integers(1, 100_000),
    st.floats(-50, 50).map(lambda value: round(value, 3)),
    st.sampled_from(["1", "DAPI", "green2"]),
)


@given(
    frames=st.lists(positions, min_size=1, max_size=40), explicit=st.booleans(), sized=st.booleans()
)
def test_positions_are_read_in_every_way_of_writing_them(
    *, frames: list[Position], explicit: bool, sized: bool
) -> None:
    items = [
        group_item(one, number, explicit=explicit, sized=sized)
        for number, one in enumerate(frames, 1)
    ]
    content = sequence(PER_FRAME, items, explicit=explicit, sized=sized) + b"behind"
    value_at = 12 if explicit else 8
    (length,) = struct.unpack_from("<I", content, value_at - 4)
    place = Place(PER_FRAME, b"SQ" if explicit else b"", 0, value_at, length)
    groups, end = read_frame_groups(content, place, explicit=explicit)
    assert content[end:] == b"behind"
    assert groups.row.tolist() == [row for row, *_ in frames]
    assert groups.column.tolist() == [column for _, column, *_ in frames]
    assert groups.z_um.tolist() == pytest.approx([z for *_, z, _ in frames])
    assert [groups.path_names[number] for number in groups.path] == [path for *_, path in frames]


@given(st.binary(max_size=60), st.integers(0, 400))
def test_damaged_groups_are_an_error_and_no_endless_loop(noise: bytes, at: int) -> None:
    items = [group_item((1, 1 + 16 * n, 0.0, "1"), n) for n in range(4)]
    content = sequence(PER_FRAME, items)
    content = content[:at] + noise + content[at + len(noise) :]
    place = Place(PER_FRAME, b"SQ", 0, 12, len(content) - 12)
    try:
        groups, end = read_frame_groups(content, place, explicit=True)
    except (ValueError, struct.error):
        return
    assert end == len(content)
    assert len(groups.row) <= len(content)


@pytest.fixture(scope="module")
def two_paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles of a 2 x 2 matrix on two optical paths and three planes, all greys differ."""
    path = tmp_path_factory.mktemp("paths") / "volume.dcm"
    frames: list[Position] = []
    greys = []
    for name, base in (("late", 40), ("first", 100)):
        for plane in (2, 0, 1):
            for number, (row, column) in enumerate([(1, 17), (17, 1), (1, 1)]):
                frames.append((row, column, plane * 1.5, name))
                greys.append(base + 30 * plane + 5 * number)
    write_sparse(path, frames, map(flat_tile, greys), rows=30, columns=32, paths=("first", "late"))
    return path


def test_of_several_paths_and_planes_one_picture_is_shown(two_paths: Path) -> None:
    with open_slide([two_paths]) as reader:
        pixels = reader.region(0, 0, 0, 30, 32)
    shown = [pixels[4, 4, 0], pixels[4, 20, 0], pixels[20, 4, 0], pixels[20, 20, 0]]
    assert [int(grey) for grey in shown] == pytest.approx([140, 130, 135, 255], abs=1)


def test_a_sparse_slide_of_200_000_frames_opens_in_bounded_memory(tmp_path: Path) -> None:
    n_frames, across = 200_000, 500
    items = many_items(
        (1 + TILE_PX * (n // across), 1 + TILE_PX * (n % across)) for n in range(n_frames)
    )
    path = tmp_path / "volume.dcm"
    frames = chain([flat_tile(90)], repeat(b"\xff\xd8\xff\xd9", n_frames - 1))
    write_items(path, items, frames, rows=8000, columns=8000)
    tracemalloc.start()
    with open_slide([path]) as reader:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reader.region(0, 0, 0, TILE_PX, TILE_PX)[3, 3, 0] == pytest.approx(90, abs=1)
        assert reader.levels[0].rows == 8000
    assert peak_bytes < 80 << 20


def test_a_reader_that_leaves_frames_out_says_so(two_paths: Path, shared_data: Path) -> None:
    with open_slide([two_paths]) as several:
        assert not several.shows_everything
    full = shared_data / "dicom_converted/cmu_jpeg_concatenated3"
    with open_slide(list(full.glob("volume_*.dcm"))) as one:
        assert one.shows_everything
    with open_slide([shared_data / "dicom/highdicom_sm/sm_image_grayscale.dcm"]) as wide:
        assert not wide.shows_everything


def test_of_one_instance_for_each_path_and_plane_the_same_one_is_shown(tmp_path: Path) -> None:
    for number, (name, z_um) in enumerate(
        [("1", 3.0), ("1", 0.0), ("2", 1.5), ("1", 1.5), ("2", 0.0)]
    ):
        path = tmp_path / f"{number}.dcm"
        write_sparse(
            path, [(1, 1, 0.0, name)], iter([flat_tile(40 * number)]), rows=9, columns=16,
            paths=(name,),
        )  # fmt: skip
        dataset = pydicom.dcmread(path)
        origin = Dataset()
        origin.ZOffsetInSlideCoordinateSystem = z_um
        dataset.TotalPixelMatrixOriginSequence = [origin]
        dataset.save_as(path)
    with open_slide(sorted(tmp_path.iterdir())) as reader:
        assert len(reader.levels) == 1
        assert len(reader.headers) == 5
        assert not reader.shows_everything
        assert reader.region(0, 0, 0, 9, 16).mean() == pytest.approx(120, abs=1)


def write_flat(path: Path, *, side_px: int, um_px: float, optical_path: str, grey: int) -> None:
    """One image of one tile, and its spacing."""
    write_sparse(
        path, [(1, 1, 0.0, optical_path)], iter([flat_tile(grey)]), rows=side_px, columns=side_px,
        paths=(optical_path,),
    )  # fmt: skip
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [um_px / 1000, um_px / 1000]
    dataset.save_as(path)


def test_all_levels_show_the_same_optical_path(tmp_path: Path) -> None:
    levels = [(16, 1.0, ("2", "1")), (8, 2.0, ("1", "2"))]
    for side_px, um_px, optical_paths in levels:
        for number, name in enumerate(optical_paths):
            write_flat(
                tmp_path / f"{side_px}-{number}.dcm", side_px=side_px, um_px=um_px,
                optical_path=name, grey=100 * int(name),
            )  # fmt: skip
    with open_slide(sorted(tmp_path.iterdir())) as reader:
        shown = [reader.region(number, 0, 0, 8, 8).mean() for number in (0, 1)]
    assert shown == pytest.approx([100, 100], abs=1)


def move(path: Path, x_mm: float) -> None:
    """Say where on the glass an image lies."""
    dataset = pydicom.dcmread(path)
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = x_mm, 5
    dataset.TotalPixelMatrixOriginSequence = [origin]
    dataset.save_as(path)


def test_two_areas_of_one_glass_are_not_taken_for_levels(tmp_path: Path) -> None:
    sides = [("a", 16, 1.0), ("b", 12, 1.0), ("c", 6, 2.0)]
    for name, side_px, um_px in sides:
        write_flat(tmp_path / name, side_px=side_px, um_px=um_px, optical_path="1", grey=9)
    with pytest.raises(UnfitScan, match="different areas"):
        open_slide([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UnfitScan, match="different areas"):
        open_slide([tmp_path / "c", tmp_path / "a"])


def test_areas_of_one_size_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        write_flat(path, side_px=16, um_px=1.0, optical_path="1", grey=9)
    move(paths[0], 10.0)
    move(paths[1], 10.001)
    with open_slide(paths) as reader:
        assert len(reader.levels) == 1
    move(paths[1], 12.0)
    with pytest.raises(UnfitScan, match="different areas"):
        open_slide(paths)


def test_a_slide_of_very_many_tiny_tiles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_sparse(path, [(1, 1, 0.0, "1")], iter([flat_tile(9)]), rows=40_000, columns=40_000)
    with pytest.raises(UnfitScan, match="more tiles"):
        open_slide([path])
