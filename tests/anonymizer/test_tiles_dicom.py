"""A tile as DICOM: readable by anyone, linked to nothing, and the JPEG that was cut."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.sequence import Sequence

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.restore import to_file
from anonymizer.release.tile_forms import products_of
from anonymizer.tiles.cut import encode
from anonymizer.tiles.dicom import tile_image
from anonymizer.tiles.dicom_check import check_tile_file
from anonymizer.tiles.shards import Tile
from appliance.errors import DeliveryRefused
from appliance.settings import Route

KEY = bytes(range(32))
UNIVERSITY = Pseudonyms(KEY).for_recipient("university")
TILE_ID = "0123456789abcdef" * 2
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

EXPLAINED = {
    "VLMicroscopicImage": "what it takes the file for",
    (
        "Warning - is only permitted to be empty when actually unknown; should be absent (not "
        "empty) if an unpaired body part, and have a value if a paired body part - attribute "
        "<Laterality>"
    ): "it is unknown: a tile does not say what organ it is of",
}
"""Every line that dciodvfy may print about a tile, and why it stands."""


def jpeg(seed: int = 0, side_px: int = 192) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(90, 250, (12, 12, 3), dtype=np.uint8))
    return encode(np.array(small.resize((side_px, side_px), Image.Resampling.BICUBIC)), 90)


def tile(stain: str = "H&E", um_px: float = 0.5, content: bytes | None = None) -> Tile:
    return Tile(jpeg=jpeg() if content is None else content, um_px=um_px, stain=stain)


def file_of(one: Tile, *, tile_id: str = TILE_ID, recipient: Pseudonyms = UNIVERSITY) -> bytes:
    return to_file(tile_image(tile_id, one, recipient))


def check(content: bytes, one: Tile, *, tile_id: str = TILE_ID) -> None:
    check_tile_file(content, tile_id=tile_id, tile=one, recipient=UNIVERSITY)


@pytest.mark.parametrize("stain", ["H&E", "other"])
def test_every_line_of_dciodvfy_is_explained(
    tmp_path: Path, require_tool: Callable[[str], str], stain: str
) -> None:
    path = tmp_path / "tile.dcm"
    path.write_bytes(file_of(tile(stain)))
    done = subprocess.run(
        [require_tool("dciodvfy"), path], capture_output=True, text=True, check=True
    )
    assert set((done.stdout + done.stderr).splitlines()) <= EXPLAINED.keys()


def test_no_attribute_follows_the_look_of_a_tile() -> None:
    flat = encode(np.full((192, 192, 3), 240, np.uint8), 90)
    here, there = (tile_image(TILE_ID, tile(content=one), UNIVERSITY) for one in (jpeg(), flat))
    del here.PixelData, there.PixelData
    assert here == there


def test_pydicom_and_dcmtk_see_the_pixels_of_the_jpeg(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    one = tile()
    path = tmp_path / "tile.dcm"
    path.write_bytes(file_of(one))
    expected = np.asarray(Image.open(io.BytesIO(one.jpeg)))
    image = dcmread(path)
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    assert frame.removesuffix(b"\0") == one.jpeg
    assert np.abs(image.pixel_array.astype(int) - expected).max() <= 1
    picture = tmp_path / "tile.ppm"
    subprocess.run([require_tool("dcmj2pnm"), path, picture], check=True)
    assert np.abs(np.asarray(Image.open(picture)).astype(int) - expected).max() <= 1


def test_dcmdump_reads_it_to_the_end(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    path = tmp_path / "tile.dcm"
    path.write_bytes(file_of(tile()))
    done = subprocess.run(
        [require_tool("dcmdump"), path], capture_output=True, text=True, check=True
    )
    assert "W: " not in done.stderr
    assert "E: " not in done.stderr
    assert "JPEGBaseline" in done.stdout


def test_spacing_and_stain_are_those_of_the_tile_and_an_unknown_stain_is_not_told() -> None:
    image = dcmread(io.BytesIO(file_of(tile(um_px=0.2527))))
    assert [float(one) for one in image.PixelSpacing] == [0.0002527] * 2
    told = [item.ConceptCodeSequence[0].CodeValue for item in image.AcquisitionContextSequence]
    assert told == ["12710003", "36879007"]
    other = dcmread(io.BytesIO(file_of(tile("PAS of Dr. Zebrafinch"))))
    assert len(other.AcquisitionContextSequence) == 0
    assert b"Zebrafinch" not in file_of(tile("PAS of Dr. Zebrafinch"))


def test_the_same_tile_gives_the_same_bytes_for_ever() -> None:
    assert file_of(tile()) == file_of(tile())


def test_no_two_tiles_and_no_two_recipients_share_a_patient_a_study_or_any_uid() -> None:
    registry = Pseudonyms(KEY).for_recipient("registry")
    images = [
        dcmread(io.BytesIO(file_of(tile(), tile_id=f"{number:032x}", recipient=recipient)))
        for number in range(20)
        for recipient in (UNIVERSITY, registry)
    ]
    uids = [image[keyword].value for image in images for keyword in UIDS]
    assert len(set(uids)) == 3 * len(images)
    assert len({image.PatientID for image in images}) == 20  # the id of the tile itself


def test_it_says_nothing_of_a_specimen_a_place_a_device_or_a_day() -> None:
    image = dcmread(io.BytesIO(file_of(tile())))
    for keyword in (
        "ContainerIdentifier",
        "SpecimenDescriptionSequence",
        "FrameOfReferenceUID",
        "ImagePositionPatient",
        "PlanePositionSlideSequence",
        "DeviceSerialNumber",
        "ManufacturerModelName",
        "InstitutionName",
    ):
        assert keyword not in image
    dates = {str(one.value) for one in image.iterall() if one.VR in {"DA", "DT"}}
    assert dates == {"", "19000101"}


def add(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda image: setattr(image, keyword, value)


def private(image: Dataset) -> None:
    image.add_new(0x00091001, "LO", "Zebrafinch")


def in_the_stain(image: Dataset) -> None:
    image.AcquisitionContextSequence[0].ConceptCodeSequence[0].CodeMeaning = "Zebrafinch"


def beside_the_stain(image: Dataset) -> None:
    item = Dataset()
    item.TextValue = "Zebrafinch"
    image.AcquisitionContextSequence.append(item)


@pytest.mark.parametrize(
    "change",
    [
        add("PatientName", "Zebrafinch^Jörg"),
        add("StudyDate", "20240506"),
        add("StudyInstanceUID", "1.2.826.0.1.1.1"),
        add("SOPInstanceUID", "2.25.12345"),
        add("AccessionNumber", "A1"),
        add("PixelSpacing", ["0.00025", "0.00025"]),
        add("FrameOfReferenceUID", "2.25.1"),
        add("ContainerIdentifier", "C1"),
        add("ImageComments", "Zebrafinch"),
        add("ReferencedImageSequence", Sequence()),
        add("LossyImageCompressionRatio", "12.3456"),
        private,
        in_the_stain,
        beside_the_stain,
    ],
)
def test_an_attribute_too_many_or_another_value_is_refused(
    change: Callable[[Dataset], None],
) -> None:
    one = tile()
    image = tile_image(TILE_ID, one, UNIVERSITY)
    check(to_file(image), one)
    change(image)
    with pytest.raises(DeliveryRefused, match="may not leave: attribute") as raised:
        check(to_file(image), one)
    assert "Zebrafinch" not in str(raised.value)


def commented(content: bytes) -> bytes:
    return content[:2] + b"\xff\xfe\x00\x0cZebrafinch" + content[2:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"Zebrafinch" + content[10:],
        lambda content: content + b"Zebrafinch",
        lambda content: content + bytes(8),
        lambda content: content[:-20],
        lambda content: b"",
    ],
)
def test_bytes_outside_the_data_set_and_a_file_cut_short_are_refused(spoil) -> None:
    one = tile()
    with pytest.raises(DeliveryRefused):
        check(spoil(file_of(one)), one)


@pytest.mark.parametrize(
    ("tile_id", "one", "what"),
    [
        (TILE_ID, tile(content=commented(jpeg())), "more in it than pixels"),
        (TILE_ID, tile(content=jpeg() + b"Zebrafinch"), "behind the pixels"),
        (TILE_ID, tile(content=b"Zebrafinch"), "more in it than pixels"),
        (TILE_ID, tile("PAS of Dr. Zebrafinch"), "a stain"),
        (TILE_ID, tile(um_px=float("nan")), "spacing"),
        ("slide-a", tile(), "not random"),
    ],
)
@pytest.mark.parametrize("kind", ["dimse", "folder"])
def test_a_tile_that_tells_more_is_packed_in_no_form(
    kind: Literal["dimse", "folder"], tile_id: str, one: Tile, what: str
) -> None:
    route = Route.model_construct(kind=kind)
    assert products_of(route, "parcel", {TILE_ID: tile()}, recipient=UNIVERSITY)
    with pytest.raises(DeliveryRefused, match=what) as raised:
        products_of(route, "parcel", {tile_id: one}, recipient=UNIVERSITY)
    assert "Zebrafinch" not in str(raised.value)


def test_pixels_of_another_tile_are_refused() -> None:
    with pytest.raises(DeliveryRefused, match=r"attribute|other pixels"):
        check(file_of(tile(content=jpeg(1))), tile())


@pytest.mark.parametrize("mode", ["L", "CMYK", "PNG"])
def test_what_is_no_baseline_jpeg_in_colour_becomes_no_file(mode: str) -> None:
    buffer = io.BytesIO()
    if mode == "PNG":
        Image.new("RGB", (32, 32)).save(buffer, "PNG")
    else:
        Image.new(mode, (32, 32)).save(buffer, "JPEG")
    with pytest.raises(DeliveryRefused, match="no baseline JPEG"):
        tile_image(TILE_ID, tile(content=buffer.getvalue()), UNIVERSITY)
