"""Text and barcodes in pictures: found where they are, and not where there is only tissue."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from anonymizer.part10.elements import Element
from anonymizer.sight.barcodes import read_barcodes
from anonymizer.sight.found import Box, Reading, Word
from anonymizer.sight.judging import is_like, is_one_off, judge, seeds_of
from anonymizer.sight.label import Agreement, compare
from anonymizer.sight.reading import read
from anonymizer.sight.tesseract import Tesseract, find_tesseract
from appliance.errors import ConfigError, IdentityDoubt
from tests.anonymizer import readable

SEEDS = frozenset(("S25000417A1", "PENNY"))
BLACK, RED, GREEN = (20, 20, 20), (190, 30, 40), (20, 110, 60)


@pytest.fixture(scope="module")
def reader(require_tool) -> Tesseract:
    require_tool("tesseract")
    return find_tesseract()


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_writing_on_the_glass_is_found_whichever_way_round_it_stands(shared_data, reader, quarter):
    picture = readable.written(readable.tissue(shared_data), "BIOPSY 4711", quarter=quarter)
    [*found] = judge(read(picture, reader), SEEDS)
    assert found
    length, height = found[0].box.right - found[0].box.left, found[0].box.bottom - found[0].box.top
    assert (length > height) == (quarter % 2 == 0)


def test_the_place_of_a_word_is_its_whole_line(shared_data, reader):
    blank = readable.tissue(shared_data)
    picture = readable.written(blank, "BIOPSY ~~ qj 4711")
    ink = np.argwhere((picture != blank).any(axis=2) & (picture.min(axis=2) < 120))
    [(top, left), (bottom, right)] = ink.min(axis=0), ink.max(axis=0)
    boxes = [one.box for one in judge(read(picture, reader), SEEDS)]
    assert min(box.left for box in boxes) <= left + 3
    assert max(box.right for box in boxes) >= right - 3
    assert all(box.top >= top - 20 and box.bottom <= bottom + 20 for box in boxes)


@pytest.mark.parametrize("ink", [BLACK, RED, GREEN], ids=str)
def test_ink_of_any_colour_is_found_on_tissue(shared_data, reader, ink):
    picture = readable.written(
        readable.tissue(shared_data), "PENNY DOE", at=(560, 420), size_px=48, ink=ink
    )
    assert judge(read(picture, reader), SEEDS)


def test_a_word_of_the_header_counts_at_a_confidence_at_which_another_does_not():
    box = Box(top=0, left=0, bottom=10, right=40)

    def words(text):
        return Reading(words=(Word(text=text, confidence=35.0, box=box),), barcodes=())

    assert [one.kind for one in judge(words("S25-0O0417-A1"), SEEDS)] == ["value of the header"]
    assert judge(words("BIOPSY"), SEEDS) == ()
    assert judge(words("PENNE"), SEEDS) == ()  # short words have to be right


@pytest.mark.parametrize("symbology", ["Code128", "DataMatrix", "QRCode", "PDF417"])
def test_a_barcode_on_tissue_is_found_and_said_where(shared_data, symbology):
    picture = readable.coded(readable.tissue(shared_data), readable.CONTAINER, symbology)
    [barcode] = read_barcodes(picture)
    assert barcode.text == readable.CONTAINER
    assert barcode.box.top >= 30
    assert barcode.box.right < 700


def test_barcodes_turned_and_inverted_are_read(shared_data):
    picture = readable.coded(readable.tissue(shared_data), readable.CONTAINER, "DataMatrix")
    for turned in (np.rot90(picture), 255 - picture, np.rot90(255 - picture, 2)):
        assert [one.text for one in read_barcodes(turned)] == [readable.CONTAINER]


def test_a_barcode_that_lies_askew_is_read_and_its_place_is_that_of_the_upright_picture():
    glass = np.full((700, 900, 3), 240, np.uint8)
    picture = readable.coded(glass, "S25-000417", "Code128", at=(300, 200))
    turn = cv2.getRotationMatrix2D((450, 350), 40, 1)
    askew = cv2.warpAffine(picture, turn, (900, 700), borderValue=(240, 240, 240))
    [barcode] = read_barcodes(askew)
    assert barcode.text == "S25-000417"
    dark = np.argwhere(askew.min(axis=2) < 60)
    assert abs(barcode.box.left - dark[:, 1].min()) < 60
    assert abs(barcode.box.right - dark[:, 1].max()) < 60


@pytest.mark.parametrize(
    "name", ["gcp_barcode_datamatrix.jpeg", "gcp_barcode_wikipedia_pdf417.png"]
)
def test_barcodes_of_other_peoples_labels_are_read(shared_data, name):
    assert read_barcodes(np.asarray(Image.open(shared_data / "labels" / name).convert("RGB")))


@pytest.mark.parametrize(
    "name",
    [
        "histolab/pil-images-rgb/tcga-lung-rgb.png",
        "histolab/pil-images-rgb/tcga-red-pen.png",
        "histolab/tiles/no-tissue-line.png",
        "histoqc/models/pen_markings_he/pen_green.png",
        "wsi-qa-artifacts/fold/images/4.png",
        "tiatoolbox/kather1.tif",
    ],
)
def test_tissue_and_strokes_of_a_pen_are_no_text(shared_data, reader, name):
    picture = np.asarray(Image.open(shared_data / "images" / name).convert("RGB"))
    assert judge(read(picture, reader), SEEDS) == ()


def test_seeds_are_the_values_that_name_somebody():
    specimen = (Element(0x00400551, "LO", b"S25-1 A"),)
    header = (
        Element(0x00080070, "LO", b"Manufacturer"),
        Element(0x00100010, "PN", b"DOE^PENNY"),
        Element(0x00100030, "DA", b"19510417"),
        Element(0x00400560, "SQ", items=(specimen,)),
    )
    assert seeds_of([header]) == {
        "PENNY",
        "DOEPENNY",
        "19510417",
        "17041951",
        "04171951",
        "S251",
        "S251A",
    }


def test_words_are_alike_when_one_letter_is_missing_added_or_another():
    assert all(is_one_off("S25417", other) for other in ("S25417", "S25411", "S2417", "S254177"))
    assert not any(is_one_off("S25417", other) for other in ("S25471", "S254", "X25418"))
    assert is_like("NOS25000417", "S25000417")
    assert is_like("00417", "S25000417")
    assert not is_like("0417", "S25000417")


def test_a_tesseract_that_does_not_work_stops_the_daemon_with_a_sentence(tmp_path):
    broken = tmp_path / "tesseract"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    for program in (broken, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="install tesseract-ocr"):
            Tesseract(program)


def test_a_tesseract_that_hangs_is_ended(monkeypatch, tmp_path, reader):
    monkeypatch.setattr("anonymizer.sight.tesseract.TIME_LIMIT_S", 0.05)
    with pytest.raises(IdentityDoubt, match="could not be looked through"):
        reader.words(np.full((2000, 2000), 255, np.uint8))


def test_nothing_is_left_in_any_temporary_folder(monkeypatch, tmp_path, reader):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    picture = readable.written(np.full((200, 600, 3), 240, np.uint8), "BIOPSY 4711")
    assert judge(read(picture, reader), SEEDS)
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize(
    ("barcodes", "words", "agreement"),
    [
        (["s25 000417 a1"], [], Agreement.AGREES),
        (["S25000417A17"], [], Agreement.AGREES),  # a check digit
        (["S25-000417"], [], Agreement.AGREES),  # the case, not the slide
        (["S25-000991-B2"], ["S25-000417-A1"], Agreement.DIFFERS),
        ([], ["$25-000417", "A1"], Agreement.AGREES),
        ([], ["S25-000991", "B2"], Agreement.UNKNOWN),
        (["A1"], [], Agreement.UNKNOWN),
        ([], [], Agreement.UNKNOWN),
    ],
)
def test_a_label_is_compared_without_blanks_dashes_and_case(barcodes, words, agreement):
    assert compare(["S25-000417-A1", ""], barcodes, words) is agreement


@pytest.mark.parametrize("named", [[], [""], ["Unknown"]])
def test_without_an_identifier_in_the_header_no_label_differs(named):
    assert compare(named, ["S25-000417-A1"], []) is Agreement.UNKNOWN
