"""Every encoding gives the pixels that were encoded, or those that a second library decodes."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import ImplicitVRLittleEndian

from appliance.errors import DamagedImage, UnreadableEncoding, UnsuitableSlide
from appliance.slides.codestreams import Kind, sniff
from appliance.slides.decoding import encoded, native
from appliance.slides.grey import PixelForm
from appliance.slides.reader import open_slide
from benchmarks.formats import examine, sets

SIDE_PX = 240


def form(
    photometric_interpretation: str = "RGB",
    *,
    bits: int = 8,
    tile_px: int = SIDE_PX,
    window: tuple[float, float] | None = None,
) -> PixelForm:
    grey = photometric_interpretation.startswith("MONO")
    return PixelForm(
        photometric_interpretation=photometric_interpretation,
        samples_per_pixel=1 if grey else 3,
        bits_allocated=8 if bits == 8 else 16,
        bits_stored=bits,
        is_planar=False,
        tile_rows=tile_px,
        tile_columns=tile_px,
        window=window,
    )


@pytest.fixture(scope="module")
def tile(shared_data: Path) -> np.ndarray:
    """`(240, 240, 3)` uint8, real tissue."""
    path = shared_data / "codestreams/wsidicom-data/Explicit_VR_Little_Endian-RGB-8.raw"
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(SIDE_PX, SIDE_PX, 3)


def test_every_shared_set_equals_a_second_library_or_is_refused(shared_data: Path) -> None:
    """`make formats` compares all levels of all sets; here those that take a moment."""
    slow = ("tcga_cr_j2k_native", "quirk_j2k_frames_labelled_jpeg_baseline", "cmu_half_j2k")
    rows = [
        examine(name, files, quick=True)
        for name, files in sets(shared_data)
        if not name.startswith(slow)
    ]
    assert len(rows) > 40
    assert [row.name for row in rows if not row.holds] == []
    assert sum(not row.refusal for row in rows) > 20


CODESTREAMS = {
    "JPEG-LS_Lossless_Image_Compression-GRAYSCALE-16.jls": 0,
    "JPEG-LS_Lossless_Image_Compression-RGB-8.jls": 0,
    "JPEG-LS_Lossy_(Near-Lossless)_Image_Compression-RGB-8.jls": 1,
    "JPEG_2000_Image_Compression-GRAYSCALE-16.jp2": 1,
    "JPEG_2000_Image_Compression_(Lossless_Only)-GRAYSCALE-16.jp2": 0,
    "JPEG_2000_Image_Compression_(Lossless_Only)-RGB-8.jp2": 0,
    "JPEG_2000_Image_Compression_(Lossless_Only)-YBR-8.jp2": 0,
    "JPEG_Extended_(Process_2_and_4)-GRAYSCALE-12.jpg": 1,
    "JPEG_Lossless,_Non-Hierarchical_(Process_14)-GRAYSCALE-16.jpg": 0,
    "JPEG_Lossless,_Non-Hierarchical_(Process_14)-RGB-8.jpg": 0,
    "JPEG_Lossless,_Non-Hierarchical_(Process_14)-YBR-8.jpg": 0,
    "RLE_Lossless-GRAYSCALE-16.rle": 0,
    "RLE_Lossless-RGB-8.rle": 0,
}
"""Real codestreams of one tile, and how far lossy ones may be from what was encoded."""


@pytest.mark.parametrize("name", CODESTREAMS)
def test_a_codestream_gives_the_pixels_that_were_encoded(shared_data: Path, name: str) -> None:
    folder = shared_data / "codestreams/wsidicom-data"
    _, colours, bits = Path(name).stem.rsplit("-", 2)
    as_raw = "GRAYSCALE-16" if colours == "GRAYSCALE" else "RGB-8"
    raw = (folder / f"Explicit_VR_Little_Endian-{as_raw}.raw").read_bytes()
    stored = form("MONOCHROME2", bits=16) if colours == "GRAYSCALE" else form()
    expected = native(stored)(raw, 1)
    names = {"GRAYSCALE": "MONOCHROME2", "RGB": "RGB", "YBR": "YBR_FULL"}
    found = encoded(form(names[colours], bits=int(bits)))((folder / name).read_bytes(), 1)
    assert np.abs(found.astype(int) - expected).max() <= CODESTREAMS[name]


@pytest.mark.parametrize("name", ["GRAYSCALE-8", "RGB-8", "YBR-8"])
def test_baseline_jpeg_is_what_pillow_decodes(shared_data: Path, name: str) -> None:
    path = shared_data / f"codestreams/wsidicom-data/JPEG_Baseline_(Process_1)-{name}.jpg"
    colours = "MONOCHROME2" if name.startswith("GRAY") else "RGB"
    found = encoded(form(colours))(path.read_bytes(), 1)
    np.testing.assert_array_equal(found, np.asarray(Image.open(path).convert("RGB")))


def test_htj2k_is_read_as_openjph_wrote_it(tile: np.ndarray) -> None:
    lossless = imagecodecs.htj2k_encode(tile)
    stream = sniff(lossless)
    assert stream is not None
    assert (stream.kind, stream.rows, stream.columns) == (Kind.HTJ2K, SIDE_PX, SIDE_PX)
    np.testing.assert_array_equal(encoded(form("YBR_RCT"))(lossless, 1), tile)
    lossy = imagecodecs.htj2k_encode(tile, level=0.002, reversible=False)
    assert np.abs(encoded(form("YBR_ICT"))(lossy, 1).astype(int) - tile).max() <= 3


@pytest.mark.parametrize("boxed", [False, True], ids=["bare", "in boxes"])
def test_jpeg_xl_is_read(tile: np.ndarray, *, boxed: bool) -> None:
    stream = imagecodecs.jpegxl_encode(tile, lossless=True, usecontainer=boxed)
    facts = sniff(stream)
    assert facts is not None
    assert (facts.kind, facts.rows, facts.columns) == (Kind.JPEG_XL, SIDE_PX, SIDE_PX)
    np.testing.assert_array_equal(encoded(form())(stream, 1), tile)


def test_jpeg_recompressed_as_jpeg_xl_is_the_same_jpeg(tile: np.ndarray) -> None:
    jpeg = imagecodecs.jpeg8_encode(tile, 90)
    again = imagecodecs.jpegxl_encode_jpeg(jpeg)
    difference = encoded(form("YBR_FULL_422"))(again, 1).astype(int) - encoded(form())(jpeg, 1)
    assert np.abs(difference).max() <= 8  # libjxl smooths subsampled colours in its own way
    assert np.abs(difference).mean() < 1


def test_colour_of_twelve_bits_is_read_in_proportion(tile: np.ndarray) -> None:
    wide = (tile.astype(np.uint32) * 4095 // 255).astype(np.uint16)
    stream = imagecodecs.jpeg2k_encode(wide, level=0, bitspersample=12, codecformat="j2k")
    np.testing.assert_array_equal(encoded(form(bits=12))(stream, 1), tile)


def test_a_window_of_the_header_is_used_for_greys() -> None:
    values = np.array([[0, 1000, 2000], [1500, 1250, 4095]], "<u2")
    stored = PixelForm(
        photometric_interpretation="MONOCHROME2",
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=12,
        is_planar=False,
        tile_rows=2,
        tile_columns=3,
        window=(1500.5, 1001.0),
    )
    assert native(stored)(values.tobytes(), 1)[:, :, 1].tolist() == [[0, 0, 255], [128, 64, 255]]


def test_monochrome1_is_white_where_it_is_zero() -> None:
    stored = form("MONOCHROME1", tile_px=2)
    assert native(stored)(bytes([0, 255, 100, 155]), 1)[:, :, 2].tolist() == [[255, 0], [155, 100]]


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_shrunken_tile_is_nearly_the_average(tile: np.ndarray, shrink: int) -> None:
    jpeg = imagecodecs.jpeg8_encode(tile, 95, subsampling="444")
    whole = encoded(form())(jpeg, 1).astype(float)
    small = SIDE_PX // shrink
    expected = whole.reshape(small, shrink, small, shrink, 3).mean(axis=(1, 3))
    by_dct = encoded(form())(jpeg, shrink)
    by_area = native(form())(whole.astype(np.uint8).tobytes(), shrink)
    assert by_dct.shape == by_area.shape == (small, small, 3)
    assert np.abs(by_area - expected).max() <= 0.51
    assert np.abs(by_dct - expected).mean() < 1.5


def _claiming(stream: bytes, at: int, layout: str, *values: int) -> bytes:
    content = bytearray(stream)
    struct.pack_into(layout, content, at, *values)
    return bytes(content)


def test_a_codestream_that_asks_for_gigabytes_is_refused_before_it_is_decoded(
    tile: np.ndarray,
) -> None:
    jpeg = imagecodecs.jpeg8_encode(tile, 80)
    at = jpeg.index(b"\xff\xc0") + 5
    j2k = imagecodecs.jpeg2k_encode(tile, codecformat="j2k")
    xl = imagecodecs.jpegxl_encode(np.zeros((8, 8, 3), np.uint8), lossless=True)
    huge = (1 << 30) - 1
    bits = 0 | 3 << 1 | (huge - 1) << 3 | 1 << 33
    for stream in (
        _claiming(jpeg, at, ">HH", 65000, 65000),
        _claiming(j2k, 8, ">II", 1 << 30, 1 << 30),
        xl[:2] + bits.to_bytes(8, "little") + xl[10:],
    ):
        with pytest.raises(DamagedImage, match="larger than its header"):
            encoded(form())(stream, 1)


def test_a_codestream_is_bounded_however_large_its_tile_is(tile: np.ndarray) -> None:
    jpeg = imagecodecs.jpeg8_encode(tile, 80)
    claiming = _claiming(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", 7000, 7000)
    with pytest.raises(DamagedImage, match="larger than its header"):
        encoded(form(tile_px=5000))(claiming, 1)


def test_fill_bytes_before_a_marker_are_passed_over(tile: np.ndarray) -> None:
    jpeg = imagecodecs.jpeg8_encode(tile, 80)
    filled = jpeg.replace(b"\xff\xc0", b"\xff\xff\xff\xff\xc0", 1)
    filled = filled[:2] + b"\xff" + filled[2:]
    assert sniff(filled) == sniff(jpeg)
    np.testing.assert_array_equal(encoded(form())(filled, 1), encoded(form())(jpeg, 1))
    assert sniff(jpeg[:2] + b"\xff" * 100) is None


@pytest.mark.parametrize(
    "name", ["JPEG_Baseline_(Process_1)-RGB-8.jpg", *(n for n in CODESTREAMS if "RGB" in n)]
)
def test_a_codestream_that_is_cut_is_one_sentence(shared_data: Path, name: str) -> None:
    half = (shared_data / "codestreams/wsidicom-data" / name).read_bytes()
    half = half[: len(half) // 2]
    with pytest.raises(DamagedImage, match="One frame of the slide is damaged"):
        encoded(form())(half, 1)


def test_a_data_set_in_implicit_vr_is_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom/highdicom_sm/sm_image.dcm"
    dataset = pydicom.dcmread(source)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, implicit_vr=True, little_endian=True)
    with open_slide([tmp_path / "a.dcm"]) as implicit, open_slide([source]) as explicit:
        area = (0, 0, 0, 50, 50)
        np.testing.assert_array_equal(implicit.region(*area), explicit.region(*area))


def test_the_extended_offset_table_is_used(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom_converted/cmu_jpeg_ybr422_512/volume_l2.dcm"
    dataset = pydicom.dcmread(source)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    value, offsets, lengths = encapsulate_extended(frames)
    dataset.PixelData = value
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    dataset.save_as(tmp_path / "a.dcm")
    with open_slide([tmp_path / "a.dcm"]) as found, open_slide([source]) as expected:
        area = (0, 0, 0, 742, 555)
        np.testing.assert_array_equal(found.region(*area), expected.region(*area))


@pytest.fixture
def changed(shared_data: Path, tmp_path: Path) -> pydicom.FileDataset:
    return pydicom.dcmread(shared_data / "dicom_converted/cmu_jpeg_ybr422_512/volume_l2.dcm")


def read_whole(path: Path) -> None:
    with open_slide([path]) as reader:
        level = reader.levels[0]
        reader.region(0, 0, 0, level.rows, level.columns)


def read_changed(dataset: pydicom.FileDataset, tmp_path: Path) -> None:
    path = tmp_path / "volume.dcm"
    dataset.save_as(path)
    read_whole(path)


def test_an_unknown_compression_says_that_the_glass_is_not_the_matter(
    changed: pydicom.FileDataset, tmp_path: Path
) -> None:
    changed.PixelData = encapsulate([b"\x00\x00\x01\xb3 not a still image"] * 4)
    with pytest.raises(UnreadableEncoding, match="compressed in a way") as caught:
        read_changed(changed, tmp_path)
    assert caught.value.code == "unreadable-encoding"
    assert "JPEG" in caught.value.next_step


@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("TotalPixelMatrixRows", 2**31 - 1, "larger than any glass slide"),
        ("NumberOfFrames", 0, "cannot be located|number of frames"),
        ("NumberOfFrames", 2_000_000_000, "cannot be located|number of frames"),
        ("Rows", 0, "damaged"),
        ("PhotometricInterpretation", "PALETTE COLOR", "colours"),
        ("BitsStored", 4, "8 to 16 bits"),
        ("SamplesPerPixel", 4, "colours"),
    ],
)
def test_a_header_that_cannot_be_true_is_one_sentence(
    changed: pydicom.FileDataset, tmp_path: Path, keyword: str, value: object, sentence: str
) -> None:
    setattr(changed, keyword, value)
    with pytest.raises(UnsuitableSlide, match=sentence):
        read_changed(changed, tmp_path)


def test_a_frame_of_hundreds_of_megabytes_is_refused(
    changed: pydicom.FileDataset, tmp_path: Path
) -> None:
    changed.Rows = changed.Columns = 6000
    with pytest.raises(UnreadableEncoding, match="larger than can be read"):
        read_changed(changed, tmp_path)


def test_a_file_cut_anywhere_is_one_sentence(shared_data: Path, tmp_path: Path) -> None:
    content = (shared_data / "dicom_converted/cmu_jpeg_tiled_sparse/volume_l3.dcm").read_bytes()
    path = tmp_path / "volume.dcm"
    for end in range(0, len(content) - 12, 331):  # the last bytes only say that the frames end
        path.write_bytes(content[:end])
        with pytest.raises(UnsuitableSlide):
            read_whole(path)


def test_four_lossless_encodings_of_one_slide_are_the_same_pixels(shared_data: Path) -> None:
    seen = []
    for name in ("htj2k_lossless", "j2k_lossless", "jpegls_lossless", "rle"):
        folder = shared_data / f"dicom_converted/cmu_half_{name}"
        with open_slide(list(folder.glob("volume_*.dcm"))) as reader:
            seen.append(reader.region(0, 600, 100, 500, 700))
    assert seen[0].std() > 10
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns of what was changed
@given(
    st.sampled_from(["cmu_jpeg_tiled_sparse", "cmu_half_rle", "cmu_half_j2k_lossless"]),
    st.lists(st.tuples(st.integers(132, 8000), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=60)
def test_bytes_that_were_changed_end_in_pixels_or_in_one_sentence(
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[int, int]],
) -> None:
    content = bytearray((shared_data / f"dicom_converted/{name}/volume_l3.dcm").read_bytes())
    for at, value in changes:
        content[at] = value
    path = tmp_path_factory.getbasetemp() / "changed.dcm"
    path.write_bytes(content)
    with suppress(UnsuitableSlide), open_slide([path]) as reader:
        assert reader.region(0, 0, 0, 50, 60).shape == (50, 60, 3)


def test_a_missing_part_of_a_concatenation_is_named(shared_data: Path) -> None:
    folder = shared_data / "dicom_converted/cmu_jpeg_concatenated3"
    for missing in ("part1of3", "part2of3", "part3of3"):
        files = [path for path in folder.glob("volume_*.dcm") if missing not in path.name]
        with pytest.raises(DamagedImage, match="part of an image"):
            open_slide(files)


def test_greys_of_three_optical_paths_show_the_first(shared_data: Path) -> None:
    folder = shared_data / "dicom/wg26_fluorescence/BPAEC"
    with open_slide([folder / "8_0", folder / "9_0"]) as reader:
        assert not reader.is_colour
        found = reader.region(0, 0, 0, 288, 384)
    dataset = pydicom.dcmread(folder / "8_0")
    first = next(generate_frames(dataset.PixelData, number_of_frames=3))
    grey = np.asarray(Image.open(io.BytesIO(first)))[:288, :384]
    assert found.std() > 1
    np.testing.assert_array_equal(found, np.repeat(grey[:, :, np.newaxis], 3, axis=2))
