"""Names in every character set of PS3.3 C.12.1.1.2 go, and the gate knows them when they stay."""

# ruff: noqa: RUF001  letters that look like others are the point
import pydicom
import pytest
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.gate.gate import check
from anonymizer.gate.looking import find_in
from anonymizer.gate.needles import needles_of
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from anonymizer.profile.iod import whole_slide_image
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.plan import plan
from appliance.errors import IdentityDoubt
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
NAMES = {
    "": "Lindqvist^Astrid",
    "ISO_IR 100": "Buc^Jérôme",
    "ISO_IR 101": "Dvořák^Łukasz",
    "ISO_IR 109": "Ċensu^Ġwanni",
    "ISO_IR 110": "Šņore^Ģirts",
    "ISO_IR 126": "Διονυσιος^Ελενη",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 144": "Люкceмбypг^Анна",
    "ISO_IR 148": "Çavuşoğlu^Işık",
    "ISO_IR 166": "สมชาย^ใจดี",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "ISO_IR 192": "Wang^XiaoDong=王^小東",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Zhang^XiaoDong=张^小东",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 159": "Yamada^Tarou=丂丄^丅丌",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "\\ISO 2022 IR 58": "Zhang^XiaoDong=张^小东",
    "ISO 2022 IR 100\\ISO 2022 IR 144": "Buc^Jérôme=Люкceмбypг",
}


def parts(name):
    """Components of a name that tell someone apart: four letters, two of scripts with more."""
    words = name.replace("=", "^").split("^")
    return [word for word in words if len(word) >= (4 if word.isascii() else 2)]


def encoded(name, term):
    if term.endswith("IR 58"):  # pydicom writes it without its escape sequences (PS3.5 K.3)
        return b"^".join(
            part if part.isascii() else b"\x1b$)A" + part
            for part in name.replace("=", "=^").encode("gb2312").split(b"^")
        ).replace(b"=^", b"=")
    with quiet_pydicom():
        return PersonName(name).encode(convert_encodings(term.split("\\")))


def with_name(folder, term, raw):
    """De-identify a slide on which one name stands in many places."""
    source, output = folder / "in.dcm", folder / "out"
    elements = planted.with_values(
        planted.slim(Canaries()),
        Element(0x00080005, "CS", term.encode()),
        Element(0x00080080, "LO", raw.replace(b"^", b" ")),
        Element(0x00081070, "PN", raw),
        Element(0x00100010, "PN", raw),
        Element(0x00104000, "LT", b"asked by " + raw),
    )
    planted.write(source, elements, [planted.jpeg(seed) for seed in range(4)])
    output.mkdir()
    deidentify_slide([source], output, METHOD)
    header = read_header(source)
    needles = needles_of([(header, plan(header.elements, whole_slide_image(), METHOD.profile))])
    return output / "volume-00.dcm", needles


@pytest.mark.parametrize("term", NAMES)
def test_a_name_in_any_character_set_goes_and_the_gate_would_have_found_it(tmp_path, term):
    name = NAMES[term]
    made, needles = with_name(tmp_path, term, encoded(name, term))
    written = made.read_bytes()
    for word in parts(name):
        assert word.encode() not in written
        assert encoded(word, term) not in written
    for word in parts(name):
        assert find_in(f"seen by {word} again", needles) is not None
    changed = pydicom.dcmread(made)
    changed.SpecificCharacterSet = "ISO_IR 192"
    changed.PatientID = parts(name)[0]
    changed.save_as(tmp_path / "changed.dcm")
    with pytest.raises(IdentityDoubt):
        check(tmp_path / "changed.dcm", needles, METHOD.profile)


CHARSET_FILES = (
    *("chrArab", "chrFren", "chrFrenMulti", "chrGerm", "chrGreek", "chrH31", "chrH32", "chrHbrw"),
    *("chrI2", "chrJapMulti", "chrJapMultiExplicitIR6", "chrKoreanMulti", "chrRuss"),
    *("chrX1", "chrX2"),
)


@pytest.mark.parametrize("file", CHARSET_FILES)
def test_the_names_that_pydicom_collected_go(shared_data, tmp_path, file):
    original = pydicom.dcmread(
        shared_data / "deid" / "pydicom" / "charset" / f"{file}.dcm", force=True
    )
    term = original.get("SpecificCharacterSet") or ""
    raw = original.get_item("PatientName").value
    name = str(original.PatientName)
    made, _ = with_name(
        tmp_path, term if isinstance(term, str) else "\\".join(term), bytes(raw).rstrip()
    )
    written = made.read_bytes()
    assert bytes(raw).rstrip() not in written
    assert parts(name)
    assert not [word for word in parts(name) if word.encode() in written]
