import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.gate.gate import check
from anonymizer.gate.needles import needles_of
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from anonymizer.profile.decide import Profile
from anonymizer.profile.iod import whole_slide_image
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.rewrite.plan import plan
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.errors import IdentityDoubt
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

PATIENT = "LINDQVIST^ASTRID"
ORIGINAL_UID = b"1.2.826.0.1.77.5"


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A clean de-identified file, and what the gate looks for in it."""
    folder = tmp_path_factory.mktemp("gate")
    elements = planted.with_values(
        planted.volume(Canaries()),
        Element(0x00080018, "UI", ORIGINAL_UID),
        Element(0x00080080, "LO", "Krankenhaus Würzburg".encode()),
        Element(0x00100010, "PN", PATIENT.encode()),
        Element(0x00100030, "DA", b"19510417"),
        Element(0x00101002, "SQ", items=((Element(0x00100020, "LO", b"77316500421"),),)),
    )
    source = planted.write(folder / "in.dcm", elements, [planted.jpeg(n) for n in range(4)])
    (folder / "out").mkdir()
    deidentify_slide([source], folder / "out", Method(pseudonyms=Pseudonyms(bytes(range(32)))))
    header = read_header(source)
    needles = needles_of([(header, plan(header.elements, whole_slide_image(), Profile()))])
    return folder / "out" / "volume-00.dcm", needles


def test_a_file_that_our_receiver_wrote_names_us_and_passes(slide, tmp_path):
    received = pydicom.dcmread(slide[0])
    received.SOPInstanceUID = "1.2.826.0.9"
    received.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    received.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    received.file_meta.SourceApplicationEntityTitle = "SCANNER7"
    received.save_as(tmp_path / "received.dcm", enforce_file_format=True)
    needles = needles_of([(read_header(tmp_path / "received.dcm"), ())])
    assert "scanner7" in needles.words
    check(slide[0], needles, Profile())


def changed(slide, tmp_path, **values):
    made = pydicom.dcmread(slide[0])
    for name, value in values.items():
        setattr(made, name, value)
    made.save_as(tmp_path / "changed.dcm")
    return tmp_path / "changed.dcm"


def test_a_clean_object_passes(slide):
    check(*slide, Profile())


@pytest.mark.parametrize(
    ("attribute", "value", "origin"),
    [
        ("PatientName", PATIENT, "PatientName"),
        ("PatientName", "Astrid^Lindqvist", "PatientName"),
        ("ImageComments", "seen with lindqvist's sister", "PatientName"),
        ("SeriesDescription", "born 17.04.1951", "PatientBirthDate"),
        ("SeriesDescription", "1951-04-17", "PatientBirthDate"),
        ("StationName", "WÜRZBURG", "InstitutionName"),
        ("SeriesInstanceUID", ORIGINAL_UID.decode(), "SOPInstanceUID"),
        ("OtherPatientIDs", "77316500421", "OtherPatientIDsSequence"),
    ],
)
def test_a_value_of_the_input_is_found_and_not_told(slide, tmp_path, attribute, value, origin):
    with pytest.raises(IdentityDoubt) as refused:
        check(changed(slide, tmp_path, **{attribute: value}), slide[1], Profile())
    sentence = str(refused.value)
    assert origin in sentence
    assert "rule" in sentence
    for word in ("lindqvist", "astrid", "1951", "würzburg", "77316500421", "1.2.826"):
        assert word not in sentence.lower()


def test_a_foreign_uid_is_found_even_when_it_is_not_of_the_input(slide, tmp_path):
    with pytest.raises(IdentityDoubt, match="UID"):
        check(changed(slide, tmp_path, SeriesInstanceUID="1.2.3.4"), slide[1], Profile())


def test_a_private_attribute_is_found(slide, tmp_path):
    made = pydicom.dcmread(slide[0])
    made.private_block(0x0011, "ANYONE", create=True).add_new(1, "LO", "anything")
    made.save_as(tmp_path / "private.dcm")
    with pytest.raises(IdentityDoubt, match="private"):
        check(tmp_path / "private.dcm", slide[1], Profile())


def test_a_code_meaning_that_is_not_of_the_table_is_found(slide, tmp_path):
    made = pydicom.dcmread(slide[0])
    made.DeidentificationMethodCodeSequence[0].CodeMeaning = "anything"
    made.save_as(tmp_path / "code.dcm")
    with pytest.raises(IdentityDoubt, match="a code"):
        check(tmp_path / "code.dcm", slide[1], Profile())


def test_missing_marks_are_found(slide, tmp_path):
    with pytest.raises(IdentityDoubt, match="marks"):
        check(changed(slide, tmp_path, PatientIdentityRemoved="NO"), slide[1], Profile())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_value_among_binary_bytes_is_found(slide, tmp_path, encoding):
    hidden = "lindqvist^astrid".encode(encoding)
    raw = slide[0].read_bytes()
    place = raw.index(b"para") + 16
    content = tmp_path / "binary.dcm"
    content.write_bytes(raw[:place] + hidden + raw[place + len(hidden) :])
    with pytest.raises(IdentityDoubt):
        check(content, slide[1], Profile())


def test_bytes_behind_the_pixels_are_found(slide, tmp_path):
    longer = tmp_path / "longer.dcm"
    longer.write_bytes(slide[0].read_bytes() + b"\0\0")
    with pytest.raises(IdentityDoubt, match="behind the pixels"):
        check(longer, slide[1], Profile())


def test_a_comment_in_a_frame_is_found(slide, tmp_path):
    raw = slide[0].read_bytes()
    noted = tmp_path / "noted.dcm"
    noted.write_bytes(raw.replace(b"\xff\xe0\x00\x10JFIF\0", b"\xff\xfe\x00\x10JANE\0", 1))
    with pytest.raises(IdentityDoubt, match="comment"):
        check(noted, slide[1], Profile())


def test_a_preamble_or_file_meta_of_someone_else_is_found(slide, tmp_path):
    raw = slide[0].read_bytes()
    other = tmp_path / "other.dcm"
    other.write_bytes(b"II*\0" + raw[4:])
    with pytest.raises(IdentityDoubt, match="preamble"):
        check(other, slide[1], Profile())
    made = pydicom.dcmread(slide[0])
    made.file_meta.SourceApplicationEntityTitle = "SCANNER1"
    made.save_as(other, enforce_file_format=False)
    with pytest.raises(IdentityDoubt, match="file meta"):
        check(other, slide[1], Profile())


def test_common_words_of_the_standard_do_not_stop_a_slide(tmp_path):
    component = (Element(0x00400520, "SQ", items=((Element(0x0050001A, "CS", b"GLASS"),),)),)
    elements = planted.with_values(
        planted.volume(Canaries()),
        *component,
        Element(0x0040051A, "LO", b"Glass slide, right corner chipped"),
        Element(0x0008103E, "LO", b"ORIGINAL PRIMARY VOLUME"),
    )
    source = planted.write(tmp_path / "in.dcm", elements, [planted.jpeg(n) for n in range(4)])
    (tmp_path / "out").mkdir()
    deidentify_slide([source], tmp_path / "out", Method(pseudonyms=Pseudonyms(bytes(range(32)))))
    made = pydicom.dcmread(tmp_path / "out" / "volume-00.dcm")
    assert made.ContainerComponentSequence[0].ContainerComponentMaterial == "GLASS"
