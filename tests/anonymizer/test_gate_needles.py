"""What is collected from an input to be looked for: from every place, in every form."""

import gzip
import io
import json
import struct
import zipfile
import zlib

import pytest

from anonymizer.gate import sought
from anonymizer.gate.looking import find_in
from anonymizer.gate.needles import needles_of
from anonymizer.gate.sought import Needles, Origin, is_harmless
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from anonymizer.profile.decide import Profile, profile_of
from anonymizer.profile.iod import whole_slide_image
from anonymizer.rewrite.plan import plan
from appliance.errors import IdentityDoubt
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

ORIGIN = Origin("PatientName", "E.1-1 Z")


def needles_in(folder, *elements, frames=None, canaries=None, profile=None):
    """Needles of a file that has these values beside what an image needs."""
    image = planted.with_values(
        [
            Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
            Element(0x00080018, "UI", b"1.2.826.0.1.77.5"),
        ],
        *elements,
    )
    source = planted.write(folder / "Scan of Okonkwo.dcm", image, frames or [], canaries)
    header = read_header(source)
    return needles_of([(header, plan(header.elements, whole_slide_image(), profile or Profile()))])


@pytest.mark.parametrize(
    ("element", "word"),
    [
        (Element(0x00100010, "PN", b"Lindqvist^Astrid"), "lindqvist"),
        (Element(0x00111001, "LO", b"Lindqvist"), "lindqvist"),
        (Element(0x00111001, "UN", b"Lindqvist\0"), "lindqvist"),
        (Element(0x00111001, "CS", b"LINDQVIST"), "lindqvist"),
        (
            Element(0x00111001, "SQ", items=((Element(0x00111002, "UT", b"Lindqvist"),),)),
            "lindqvist",
        ),
        (Element(0x00080FFE, "LO", b"Lindqvist"), "lindqvist"),
        (Element(0x60003000, "OW", b"Lindqvist\0"), "lindqvist"),
        (Element(0x00400512, "LO", b"S26-93951-A"), "93951"),
        (Element(0x00081190, "UR", b"https://pacs.northmere.example/wado?id=9"), "northmere"),
    ],
)
def test_a_word_is_collected_from(tmp_path, element, word):
    assert word in needles_in(tmp_path, element).words


def test_everything_outside_the_data_set_is_collected(tmp_path):
    canaries = Canaries()
    frames = [planted.noted(planted.jpeg(1), canaries)]
    needles = needles_in(tmp_path, frames=frames, canaries=canaries)
    assert canaries.words > 8
    for number in range(1, canaries.words + 1):
        assert f"canary{number:05d}" in needles.words
    assert "okonkwo" in needles.words


def blob_of(words):
    """Words in each of the forms in which binary values hide them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("note.xml", f"<patient name='{words}'/>")
    return {
        "as they are": words.encode(),
        "UTF-16": words.encode("utf-16-le"),
        "the other UTF-16": words.encode("utf-16-be"),
        "XML": f"<p><name>{words}</name></p>".encode(),
        "JSON": json.dumps({"patient": words}).encode(),
        "gzip": b"head" + gzip.compress(words.encode()),
        "zlib": zlib.compress(words.encode()),
        "deflate": zlib.compress(words.encode())[2:-4],
        "a zip archive": archive.getvalue(),
        "gzip in zlib": zlib.compress(gzip.compress(words.encode())),
        "an ICC text": b"desc\0\0\0\0" + struct.pack(">I", 17) + words.encode() + b"\0",
    }


@pytest.mark.parametrize("form", blob_of("x"))
def test_words_are_read_in_binary_values(tmp_path, form):
    blob = blob_of("Lindqvist Astrid")[form]
    needles = needles_in(tmp_path, Element(0x00111001, "OB", blob + b"\0" * (len(blob) % 2)))
    assert {"lindqvist", "astrid"} <= needles.words.keys()
    assert "lindqvist astrid" in needles.phrases


def test_a_bomb_of_compressed_bytes_costs_little(tmp_path):
    bomb = zlib.compress(b"a" * 50_000_000)
    needles = needles_in(tmp_path, Element(0x00111001, "OB", bomb + b"\0" * (len(bomb) % 2)))
    assert len(needles.patterns) < 1000


@pytest.mark.parametrize(
    ("charset", "raw", "word"),
    [
        (b"ISO_IR 100", "Müller^Jörg".encode("latin-1"), "muller"),
        (b"ISO_IR 101", "Wałęsa^Jan".encode("iso8859-2"), "walesa"),
        (b"ISO_IR 109", "Ħal^Xifer".encode("iso8859-3"), "xifer"),
        (b"ISO_IR 110", "Ģirts^Bērziņš".encode("iso8859-4"), "berzins"),
        (b"ISO_IR 144", "Кожевников^Иван".encode("iso8859-5"), "кожевников"),
        (b"ISO_IR 127", "قباني^لنزار".encode("iso8859-6"), "قباني"),
        (b"ISO_IR 126", "Διονυσιος^Νικος".encode("iso8859-7"), "νικοσ"),
        (b"ISO_IR 138", "שרון^דבורה".encode("iso8859-8"), "דבורה"),
        (b"ISO_IR 148", "Çavuşoğlu^Ayşe".encode("iso8859-9"), "cavusoglu"),
        (b"ISO_IR 166", "นามสกุล^ชื่อ".encode("tis-620"), "นามสกล"),
        (b"GB18030", "王小东^伟明珠".encode("gb18030"), "王小东"),
        (b"ISO_IR 192", "Yamada^Tarou=山田花子^太郎".encode(), "山田花子"),
        (b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "gildong"),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3EDB@O:\x1b(B^\x1b$BB@O:\x1b(B",
            "山田太郎",
        ),
    ],
)
def test_names_of_every_character_set_are_collected(tmp_path, charset, raw, word):
    name = Element(0x00100010, "PN", raw)
    needles = needles_in(tmp_path, Element(0x00080005, "CS", charset), name)
    assert word in needles.words
    assert raw in needles.patterns


def test_an_item_may_have_a_character_set_of_its_own(tmp_path):
    item = (
        Element(0x00080005, "CS", b"ISO_IR 144"),
        Element(0x00100010, "PN", "Иванов".encode("iso8859-5")),
    )
    needles = needles_in(
        tmp_path,
        Element(0x00080005, "CS", b"ISO_IR 100"),
        Element(0x00101002, "SQ", items=(item,)),
    )
    assert "иванов" in needles.words


@pytest.mark.parametrize(
    "text",
    [
        "Astrid Lindqvist",
        "LINDQVIST, A.",
        "seen with lindqvist's sister",
        "caselindqvistastrid7",
        "a.lindqvist",
        "ALindqvist",
        "Líndqvíst",
    ],
)
def test_a_name_is_found_however_it_is_written(text):
    needles = Needles()
    needles.add_text("Lindqvist^Astrid", ORIGIN, is_person=True)
    assert find_in(text, needles) is ORIGIN


def test_an_ideographic_name_is_found_inside_a_text():
    needles = Needles()
    needles.add_text("王^小东", ORIGIN, is_person=True)
    assert find_in("患者王小东先生", needles) is ORIGIN


@pytest.mark.parametrize(
    "text",
    ["17.04.1951", "born 1951-04-17", "19510417", "19510417101500", "Apr 17, 1951", "4/17/51"],
)
def test_a_date_is_found_however_it_is_written(text):
    needles = Needles()
    needles.add_date(("1951", "04", "17"), ORIGIN)
    assert find_in(text, needles) is ORIGIN


@pytest.mark.parametrize("text", ["119510417", "2.25.195104170000", "1951", "18.04.1951", "Astra"])
def test_what_only_looks_alike_is_not_found(text):
    needles = Needles()
    needles.add_date(("1951", "04", "17"), ORIGIN)
    needles.add_text("Lindqvist^Astrid", ORIGIN, is_person=True)
    assert find_in(text, needles) is None


def test_a_short_value_is_found_only_as_a_whole():
    needles = Needles()
    needles.add_text("B7", ORIGIN)
    assert find_in("b7", needles) is ORIGIN
    assert find_in("block b7 of two", needles) is None
    assert not needles.patterns
    assert needles.too_short == 1


def test_uids_in_texts_are_looked_for(tmp_path):
    needles = needles_in(tmp_path, Element(0x00204000, "LT", b"see 1.3.6.1.4.1.5962.99.1 too"))
    assert "1.3.6.1.4.1.5962.99.1" in needles.uids
    assert find_in("of 1.3.6.1.4.1.5962.99.1", needles) is not None


def test_registered_uids_numbers_times_and_terms_are_not_looked_for(tmp_path):
    needles = needles_in(
        tmp_path,
        Element(0x00080031, "TM", b"101530"),
        Element(0x00101010, "AS", b"047Y"),
        Element(0x00101030, "DS", b"71.5"),
        Element(0x0020000D, "UI", b"1.2.840.10008.1.1"),
        Element(0x00100040, "CS", b"TILED_FULL"),
    )
    sought = needles.uids.keys() | needles.words.keys() | needles.phrases.keys()
    assert not [one for one in sought if any(x in one for x in ("10153", "047y", "71.5", "tiled"))]
    assert "1.2.840.10008.1.1" not in sought


def test_what_an_option_keeps_is_not_looked_for_anywhere(tmp_path):
    elements = (
        Element(0x00181000, "LO", b"SN-222452"),
        Element(0x00204000, "LT", b"scanner SN-222452 was cleaned"),
    )
    assert "222452" in needles_in(tmp_path, *elements).words
    kept = needles_in(tmp_path, *elements, profile=profile_of(["retain_device_identity"]))
    assert "222452" not in kept.words
    assert "cleaned" in kept.words


def test_very_many_values_are_looked_for_in_fewer_spellings_and_that_is_counted():
    needles = Needles()
    for number in range(3000):
        needles.add_text(f"value {number:07d} of many", ORIGIN)
    assert needles.not_sought
    assert b"value 0002999 of many" in needles.patterns
    assert len(needles.patterns) < 20_000


def test_more_values_than_can_be_looked_for_are_refused(monkeypatch):
    monkeypatch.setattr(sought, "_MOST_VALUES", 10)
    needles = Needles()
    for number in range(10):
        needles.add_text(f"value {number}", ORIGIN)
    with pytest.raises(IdentityDoubt, match="more identifying values"):
        needles.add_text("one more", ORIGIN)


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("volume", True),
        ("volume^lossy", True),
        ("philip", True),
        ("volume^lindqvist", False),
        ("lindqvist", False),
        ("17", False),
    ],
)
def test_words_of_tables_and_parts_of_them_are_harmless(text, harmless):
    assert is_harmless(text, frozenset(("volume", "lossy", "philips", "1740"))) is harmless
