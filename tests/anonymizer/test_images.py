import struct

import pytest

from anonymizer.deidentify.images import Doubt, select
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from appliance.errors import IncompleteSlide, InvalidInstance
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries


@pytest.fixture(scope="module")
def base():
    return planted.volume(Canaries())


@pytest.fixture
def header(tmp_path, base):
    """Make the header of an image that differs from a good one in some elements."""

    def make(*values, name="image.dcm"):
        elements = planted.with_values(base, *values)
        return read_header(planted.write(tmp_path / name, elements, [planted.jpeg(1)]))

    return make


def size(rows, columns):
    return (
        Element(0x00480007, "UL", struct.pack("<I", rows)),
        Element(0x00480006, "UL", struct.pack("<I", columns)),
    )


def frame_type(value):
    item = (Element(0x00400710, "SQ", items=((Element(0x00089007, "CS", value),),)),)
    return Element(0x52009229, "SQ", items=(item,))


@pytest.mark.parametrize(
    ("element", "doubt"),
    [
        (Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\LABEL\\NONE"), Doubt.FLAVOR),
        (Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\OVERVIEW\\NONE"), Doubt.FLAVOR),
        (Element(0x00080008, "CS", b"DERIVED\\PRIMARY\\THUMBNAIL\\RESAMPLED"), Doubt.FLAVOR),
        (Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\LOCALIZER\\NONE"), Doubt.FLAVOR),
        (Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY"), Doubt.FLAVOR),
        (Element(0x00080008, "CS", b""), Doubt.FLAVOR),
        (frame_type(b"ORIGINAL\\PRIMARY\\LABEL\\NONE"), Doubt.FRAMES),
        (Element(0x00480010, "CS", b"YES"), Doubt.LABEL),
        (Element(0x00480010, "CS", b""), Doubt.LABEL),
        (Element(0x00280301, "CS", b"YES"), Doubt.ANNOTATION),
        (Element(0x00480006, "UL", bytes(4)), Doubt.SIZE),
    ],
)
def test_an_image_in_doubt_is_left_out(header, element, doubt):
    selection = select([header(), header(element, name="doubtful.dcm")])
    assert [one.path.name for one in selection.kept] == ["image.dcm"]
    assert [why for _, why in selection.dropped] == [doubt]


def test_an_overview_that_calls_itself_a_volume_is_left_out_by_its_shape(header):
    level = header(*size(740, 555), name="level.dcm")
    liar = header(*size(431, 1280), name="overview.dcm")
    selection = select([liar, header(*size(2967, 2220)), level])
    assert [one.path.name for one in selection.kept] == ["image.dcm", "level.dcm"]
    assert selection.dropped == (("VOLUME", Doubt.SHAPE),)


def test_levels_come_finest_first_and_parts_in_their_order(header):
    part = [
        header(*size(800, 800), Element(0x00209162, "US", struct.pack("<H", n)), name=f"part{n}")
        for n in (3, 1, 2)
    ]
    coarse = header(*size(200, 200), name="coarse")
    selection = select([coarse, *part])
    names = [one.path.name for one in selection.kept]
    assert names == ["part1", "part2", "part3", "coarse"]


def test_the_smallest_levels_may_round(header):
    tiny = [header(*size(rows, 1), name=f"tiny{rows}") for rows in (1, 2)]
    assert len(select([header(*size(2967, 2220)), *tiny]).kept) == 3


def test_a_flavor_that_is_no_known_word_is_not_told(header):
    odd = header(Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\DOE_JANE\\NONE"), name="odd")
    assert select([header(), odd]).dropped[0][0] == "other"


def test_a_slide_without_a_sure_image_is_refused(header):
    with pytest.raises(IncompleteSlide):
        select([header(Element(0x00480010, "CS", b"YES"))])


def test_another_kind_of_object_is_refused(header):
    ct = Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2")
    with pytest.raises(InvalidInstance, match="whole-slide"):
        select([header(ct)])
