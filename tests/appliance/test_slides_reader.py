"""The reader gives a second library's pixels, or refuses a slide in one sentence."""

import shutil
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
import simplejpeg
import wsidicom
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from appliance.errors import UnsuitableSlide
from appliance.slides.frames import EncodedFrames, MappedFile, NativeFrames
from appliance.slides.jpeg import jpeg_facts, marked_rgb
from appliance.slides.reader import SlideReader, open_slide
from appliance.slides.recent import RecentTiles
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan

CONVERTED = "dicom_converted"
PIXEL_DATA_HEAD = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write_slide(folder, SlidePlan.tiny(kinds=()), SlideIdentity.invented(seed=1))
    return folder


@pytest.fixture
def copy(synthetic: Path, tmp_path: Path) -> Path:
    """A private copy of the synthetic slide, to be damaged."""
    return Path(shutil.copytree(synthetic, tmp_path / "slide"))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def whole(reader: SlideReader, level: int) -> np.ndarray:
    shape = reader.levels[level]
    return reader.region(level, 0, 0, shape.rows, shape.columns)


def seen_by_wsidicom(folder: Path, rows: int, columns: int) -> np.ndarray:
    with wsidicom.WsiDicom.open(files(folder)) as slide:
        level = next(
            level.level for level in slide.levels if level.size.to_tuple() == (columns, rows)
        )
        return np.asarray(slide.read_region((0, 0), level, (columns, rows), as_array=True))


def change(path: Path, edit: Callable[[pydicom.FileDataset], None]) -> None:
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)


@pytest.mark.parametrize("name", ["cmu_jpeg_tiled_sparse", "cmu_jpeg_concatenated3"])
def test_every_level_equals_wsidicom(shared_data: Path, name: str) -> None:
    folder = shared_data / CONVERTED / name
    with open_slide(files(folder)) as reader:
        for number, level in enumerate(reader.levels):
            expected = seen_by_wsidicom(folder, level.rows, level.columns)
            np.testing.assert_array_equal(whole(reader, number), expected)


def test_the_parts_of_a_concatenation_are_one_level(shared_data: Path) -> None:
    with (
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_concatenated3")) as reader,
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_native_bot")) as native,
    ):
        assert len(reader.levels) == len(native.levels)
        assert len(reader.headers) == len(native.headers) + 2
        difference = np.abs(whole(reader, 0).astype(int) - whole(native, 0).astype(int))
        assert difference.mean() < 3  # the same slide, encoded once more


def test_missing_tiles_are_white(shared_data: Path) -> None:
    with (
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_tiled_sparse")) as sparse,
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_native_bot")) as full,
    ):
        missing = (whole(sparse, 0) == 255).all(axis=2)
        assert missing.mean() > 0.3
        assert whole(full, 0)[missing].min(axis=1).mean() > 200


def test_jpeg_2000_under_the_name_of_jpeg_is_read(shared_data: Path) -> None:
    with (
        open_slide(
            files(shared_data / CONVERTED / "quirk_j2k_frames_labelled_jpeg_baseline")
        ) as quirk,
        open_slide(files(shared_data / CONVERTED / "tcga_cr_j2k_native")) as right,
    ):
        area = (0, 1000, 1000, 600, 600)
        np.testing.assert_array_equal(quirk.region(*area), right.region(*area))


def test_edge_frames_smaller_than_a_tile_are_read(shared_data: Path) -> None:
    with (
        open_slide(
            files(shared_data / CONVERTED / "quirk_wsidicomizer_undersized_edge_frames")
        ) as quirk,
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_native_bot")) as right,
    ):
        np.testing.assert_array_equal(whole(quirk, 0), whole(right, 0))
        difference = np.abs(whole(quirk, 1).astype(int) - whole(right, 1).astype(int))
        assert difference.mean() < 8  # levels made by two resamplers


def test_a_codestream_that_says_jfif_is_not_rgb_whatever_the_header_says(shared_data: Path) -> None:
    with (
        open_slide(files(shared_data / "dicom" / "wsi2dcm_cmu-1-small-region")) as said_rgb,
        open_slide(files(shared_data / CONVERTED / "cmu_jpeg_native_bot")) as right,
    ):
        assert said_rgb.header.PhotometricInterpretation == "RGB"
        assert [level.rows for level in said_rgb.levels][-1] == 1
        difference = np.abs(whole(said_rgb, 0).astype(int) - whole(right, 0).astype(int))
        assert difference.mean() < 5


def test_levels_come_finest_first_with_their_spacing(synthetic: Path) -> None:
    with open_slide(files(synthetic)[::-1]) as reader:
        assert [level.um_px for level in reader.levels] == pytest.approx([0.5, 2.0, 8.0])
        assert [level.downsample for level in reader.levels] == pytest.approx([1, 4, 16])
        assert reader.header.TotalPixelMatrixRows == reader.levels[0].rows
        assert "PixelData" not in reader.header


def test_all_levels_together_keep_64_mib_of_tiles(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits_bytes = []

    class Counted(RecentTiles):
        def __init__(self, limit_bytes: int) -> None:
            super().__init__(limit_bytes)
            limits_bytes.append(limit_bytes)

    monkeypatch.setattr("appliance.slides.reader.RecentTiles", Counted)
    with open_slide(files(synthetic)) as reader:
        assert len(reader.levels) == 3
    assert sum(limits_bytes) == 64 << 20


def test_outside_the_slide_is_white(synthetic: Path) -> None:
    with open_slide(files(synthetic)) as reader:
        level = reader.levels[2]
        around = reader.region(2, -5, -7, level.rows + 10, level.columns + 14)
        np.testing.assert_array_equal(around[5:-5, 7:-7], whole(reader, 2))
        assert (around[:5] == 255).all()
        assert (around[:, -7:] == 255).all()
        assert (reader.region(2, 10_000, 0, 4, 4) == 255).all()


def test_threads_see_the_same_pixels(synthetic: Path) -> None:
    with open_slide(files(synthetic)) as reader, ThreadPoolExecutor(4) as pool:
        areas = [(0, row, column, 300, 300) for row in (0, 333, 700) for column in (0, 555, 1200)]
        alone = [reader.region(*area) for area in areas]
        together = pool.map(lambda area: reader.region(*area), areas * 3)
        for number, pixels in enumerate(together):
            np.testing.assert_array_equal(pixels, alone[number % len(areas)])


def test_label_and_overview_are_never_read(synthetic: Path) -> None:
    with open_slide(files(synthetic)) as reader:
        assert all("VOLUME" in header.ImageType for header in reader.headers)


def test_a_slide_without_spacing_is_refused(copy: Path) -> None:
    def forget(dataset: pydicom.FileDataset) -> None:
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        del dataset.ImagedVolumeWidth

    change(copy / "volume-0.dcm", forget)
    with pytest.raises(UnsuitableSlide, match="no pixel spacing"):
        open_slide(files(copy))


def test_the_imaged_volume_stands_in_for_a_missing_spacing(copy: Path) -> None:
    def forget(dataset: pydicom.FileDataset) -> None:
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence

    change(copy / "volume-0.dcm", forget)
    with open_slide(files(copy)) as reader:
        assert reader.levels[0].um_px == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("spacing_mm", [[1.0, 1.0], [0.0005, 0.00051], [1e-9, 1e-9]])
def test_an_absurd_spacing_is_refused(copy: Path, spacing_mm: list[float]) -> None:
    def lie(dataset: pydicom.FileDataset) -> None:
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.PixelSpacing = spacing_mm

    for path in copy.glob("volume-*.dcm"):
        change(path, lie)
    with pytest.raises(UnsuitableSlide, match="cannot be true"):
        open_slide(files(copy))


def test_a_damaged_frame_is_named_in_one_sentence(copy: Path) -> None:
    def damage(dataset: pydicom.FileDataset) -> None:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
        frames[3] = frames[3][: len(frames[3]) // 2]
        dataset.PixelData = encapsulate(frames)

    change(copy / "volume-0.dcm", damage)
    with (
        open_slide(files(copy)) as reader,
        pytest.raises(UnsuitableSlide, match="One frame of the slide is damaged"),
    ):
        whole(reader, 0)


def test_a_truncated_file_is_refused(copy: Path) -> None:
    base = copy / "volume-0.dcm"
    base.write_bytes(base.read_bytes()[:-200_000])
    with pytest.raises(UnsuitableSlide), open_slide(files(copy)) as reader:
        whole(reader, 0)


def test_a_file_that_is_no_dicom_is_refused(copy: Path) -> None:
    (copy / "volume-9.dcm").write_bytes(b"not DICOM at all")
    with pytest.raises(UnsuitableSlide, match="damaged"):
        open_slide(files(copy))


def test_a_folder_without_a_scanned_image_is_refused(copy: Path) -> None:
    with pytest.raises(UnsuitableSlide, match="no scanned image"):
        open_slide([copy / "label.dcm"])


def _stored(frames: list[bytes], kind: str) -> tuple[bytes, bytes]:
    """Encapsulate frames in one of the ways that the standard allows."""
    if kind == "extended offset table":
        value, offsets, _ = encapsulate_extended(frames)
        return value, offsets
    if kind == "several fragments":
        return encapsulate(frames, fragments_per_frame=3, has_bot=False), b""
    return encapsulate(frames, has_bot=kind == "basic offset table"), b""


@pytest.fixture
def tiles() -> list[bytes]:
    random = np.random.default_rng(3)
    return [
        simplejpeg.encode_jpeg(random.integers(0, 255, (16, 16, 3), np.uint8)) for _ in range(5)
    ]


@pytest.mark.parametrize(
    "kind",
    ["basic offset table", "empty offset table", "extended offset table", "several fragments"],
)
def test_frames_are_found_however_they_are_stored(
    tmp_path: Path, tiles: list[bytes], kind: str
) -> None:
    value, offsets = _stored(tiles, kind)
    path = tmp_path / "frames"
    header = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    path.write_bytes(b"before" + header + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    with EncodedFrames(
        path, pixel_data_at=6, n_frames=len(tiles), extended_offsets=offsets
    ) as frames:
        found = [frames.frame(number) for number in range(len(frames))]
    assert [frame.rstrip(b"\0") for frame in found] == [tile.rstrip(b"\0") for tile in tiles]


def test_an_offset_table_that_lies_is_not_believed(tmp_path: Path, tiles: list[bytes]) -> None:
    value = bytearray(encapsulate(tiles))
    value[8 + 4 : 8 + 8] = struct.pack("<I", 4_000_000_000)
    path = tmp_path / "frames"
    header = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    path.write_bytes(header + bytes(value) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    with EncodedFrames(path, pixel_data_at=0, n_frames=len(tiles)) as frames:
        assert frames.frame(4).rstrip(b"\0") == tiles[4].rstrip(b"\0")


def test_a_table_that_lies_in_the_middle_is_found_out(tmp_path: Path, tiles: list[bytes]) -> None:
    value = bytearray(encapsulate(tiles))
    (truth,) = struct.unpack_from("<I", value, 8 + 8)
    struct.pack_into("<I", value, 8 + 8, truth + 6)
    path = tmp_path / "frames"
    header = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    path.write_bytes(header + bytes(value) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    with EncodedFrames(path, pixel_data_at=0, n_frames=len(tiles)) as frames:
        found = [frames.frame(number).rstrip(b"\0") for number in (2, 1, 0, 3)]
    assert found == [tiles[number].rstrip(b"\0") for number in (2, 1, 0, 3)]


def test_threads_that_find_a_table_lying_at_once_all_get_their_frame(
    tmp_path: Path, tiles: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = bytearray(encapsulate(tiles))
    (truth,) = struct.unpack_from("<I", value, 8 + 8)
    struct.pack_into("<I", value, 8 + 8, truth + 6)
    path = tmp_path / "frames"
    path.write_bytes(PIXEL_DATA_HEAD + bytes(value) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    with EncodedFrames(path, pixel_data_at=0, n_frames=len(tiles)) as frames:
        item = MappedFile.item

        def overtaken(file: MappedFile, at: int) -> tuple[int, int, int]:
            """While one thread reads by the table, another one finds out and walks."""
            monkeypatch.setattr(MappedFile, "item", item)
            assert frames.frame(1).rstrip(b"\0") == tiles[1].rstrip(b"\0")
            return item(file, at)

        monkeypatch.setattr(MappedFile, "item", overtaken)
        assert frames.frame(2).rstrip(b"\0") == tiles[2].rstrip(b"\0")


def test_the_fragments_of_a_frame_are_bounded_together(
    tmp_path: Path, tiles: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    value, _ = _stored(tiles, "several fragments")
    path = tmp_path / "frames"
    path.write_bytes(PIXEL_DATA_HEAD + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    monkeypatch.setattr("appliance.slides.frames._MOST_FRAME_BYTES", len(tiles[0]) // 2)
    with (
        EncodedFrames(path, pixel_data_at=0, n_frames=len(tiles)) as frames,
        pytest.raises(UnsuitableSlide, match="cannot be located"),
    ):
        frames.frame(0)


def test_reading_a_large_file_leaves_little_of_it_in_memory(tmp_path: Path) -> None:
    def mapped_mib() -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssFile"))

    path, frame_bytes, n_frames = tmp_path / "frames", 1 << 20, 400
    with path.open("wb") as file:
        file.truncate(n_frames * frame_bytes)
    frames = NativeFrames(
        path,
        value_at=0,
        value_bytes=n_frames * frame_bytes,
        n_frames=n_frames,
        frame_bytes=frame_bytes,
    )
    before = mapped_mib()
    most = 0.0
    for number in range(n_frames):
        assert len(frames.frame(number)) == frame_bytes
        most = max(most, mapped_mib())
    frames.close()
    assert most - before < 64


def test_native_pixel_data_has_no_frames_to_find(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 12) + b"\0" * 40)
    with pytest.raises(UnsuitableSlide, match="cannot be located"):
        EncodedFrames(path, pixel_data_at=0, n_frames=1)


def test_uncompressed_tiles_are_read(copy: Path) -> None:
    with open_slide(files(copy)) as reader:
        expected = whole(reader, 2)

    def decode(dataset: pydicom.FileDataset) -> None:
        frames = generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames)
        pixels = [simplejpeg.decode_jpeg(frame, colorspace="RGB") for frame in frames]
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = b"".join(tile.tobytes() for tile in pixels)
        dataset["PixelData"].is_undefined_length = False
        dataset["PixelData"].VR = "OB"

    change(copy / "volume-2.dcm", decode)
    with open_slide(files(copy)) as reader:
        np.testing.assert_array_equal(whole(reader, 2), expected)


def test_rgb_without_a_marker_is_taken_as_rgb_when_the_header_says_so() -> None:
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    stream = simplejpeg.encode_jpeg(flat, quality=100, colorsubsampling="444")
    facts = jpeg_facts(stream)
    assert facts is not None
    assert (facts.bits, facts.components, facts.names_colour) == (8, 3, True)
    as_rgb = simplejpeg.decode_jpeg(marked_rgb(stream), colorspace="RGB")
    assert as_rgb[8, 8].tolist() != [200, 40, 90]


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51" + b"\0" * 40])
def test_what_is_no_jpeg_has_no_facts(stream: bytes) -> None:
    assert jpeg_facts(stream) is None
