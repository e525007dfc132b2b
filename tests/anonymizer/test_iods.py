import json

import pytest

from anonymizer.profile.iod import iod_of, sop_classes
from appliance.errors import InvalidInstance
from tests.anonymizer.compile_iods import TABLE, compiled

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"


def paths(shape, inside=()):
    for tag, attribute in shape.attributes.items():
        yield (*inside, tag)
        if attribute.items is not None:
            yield from paths(attribute.items, (*inside, tag))


def test_the_table_is_what_the_script_makes_of_highdicom():
    assert TABLE.read_text(encoding="utf-8") == compiled()


def test_the_table_stays_small():
    assert TABLE.stat().st_size < 1 << 20


def test_every_sop_class_of_highdicom_has_a_shape_but_the_dicomdir():
    assert len(sop_classes()) == 179
    assert "1.2.840.10008.1.3.10" not in sop_classes()
    assert all(0x00080018 in iod_of(uid).attributes for uid in sop_classes())


def test_a_whole_slide_image_has_thousands_of_paths():
    assert len(list(paths(iod_of("1.2.840.10008.5.1.4.1.1.77.1.6")))) == 5059


@pytest.mark.parametrize(
    ("sop_class", "path", "vr", "kind"),
    [
        (SEGMENTATION, (0x00620002, 0x00620005), "LO", "1"),
        (SEGMENTATION, (0x52009230, 0x00209111, 0x00209157), "UL", "1C"),
        (COMPREHENSIVE_3D_SR, (0x0040A730, 0x0040A160), "UT", "1C"),
        (COMPREHENSIVE_3D_SR, (0x0040A073, 0x0040A075), "PN", "1"),
        (ANNOTATIONS, (0x006A0002, 0x00660016), "OF", "1C"),
        (ANNOTATIONS, (0x006A0002, 0x006A0003), "UI", "1"),
        ("1.2.840.10008.5.1.4.1.1.30", (0x7FE00008,), "OF", "1"),
        ("1.2.840.10008.5.1.4.1.1.77.1.3", (0x00400560,), "SQ", "1"),
    ],
)
def test_an_attribute_has_the_vr_and_type_of_the_standard(sop_class, path, vr, kind):
    shape = iod_of(sop_class)
    for tag in path[:-1]:
        shape = shape.attributes[tag].items
    attribute = shape.attributes[path[-1]]
    assert (attribute.vr, attribute.type) == (vr, kind)


def test_equal_shapes_are_one():
    shapes = json.loads(TABLE.read_text(encoding="utf-8"))["shapes"]
    assert len({json.dumps(shape) for shape in shapes}) == len(shapes)


@pytest.mark.parametrize("sop_class", ["", "1.2.3", "1.2.840.10008.1.3.10", "1.2.840.10008.1.1"])
def test_another_kind_of_object_is_refused(sop_class):
    with pytest.raises(InvalidInstance, match="cannot be de-identified"):
        iod_of(sop_class)
