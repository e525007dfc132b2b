"""A word in every place of a slide that can hold one: none comes out, research keeps its values."""

import os
from collections import Counter

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import REPORT_NAME, write_report
from anonymizer.part10.elements import Element, encode
from anonymizer.profile.iod import Shape, whole_slide_image
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.rewrite import values
from appliance.errors import RejectedError
from tests.anonymizer import planted, planted_frames
from tests.anonymizer.planted import Canaries

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
SEEDS = (0, 20260101)
"""The second form is held out: no rule was written with it in sight."""
FORMATS = tuple(planted_frames.formats(Canaries()))


def written(folder):
    """Everything that a reader of a folder sees: names, times and contents."""
    for path in folder.rglob("*"):
        yield path.name, str(path.relative_to(folder)).encode()
        yield path.name, str(path.stat().st_mtime_ns).encode()
        if path.is_file():
            yield path.name, path.read_bytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_word_of_thousands_is_in_anything_that_was_written(tmp_path, seed):
    canaries = Canaries(seed=seed)
    files = planted.planted_slide(tmp_path / canaries.prefix, canaries)
    for file in files:
        os.utime(file, ns=(1_111_222_333 * 10**9,) * 2)
    output = tmp_path / "out"
    output.mkdir()
    report = deidentify_slide(files, output, METHOD)
    write_report(output / REPORT_NAME, [report])
    assert (canaries.words, canaries.uids) > (4500, 850)
    assert canaries.left_in(files[0].read_bytes())
    for name, content in written(output):
        assert canaries.left_in(content) == [], name
        assert b"1111222333" not in content


def places(shape: Shape, depth: int = 0):
    for attribute in shape.attributes.values():
        yield attribute
        if attribute.items is not None:
            yield from places(attribute.items, depth + 1)


def test_every_attribute_of_the_iod_is_planted():
    kinds = Counter(attribute.vr for attribute in places(whole_slide_image()))
    assert sum(kinds.values()) > 5000
    canaries = Canaries()
    planted.everything(whole_slide_image(), canaries)
    texts = sum(kinds[vr] for vr in planted.TEXTS)
    assert canaries.words >= texts + kinds["OB"] + kinds["OW"]
    assert canaries.uids == kinds["UI"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"DOE JANE", None),
        (b"MRN7731650", None),
        (b"ORIGINAL\\PRIMARY\\VOLUME\\DOE JANE", b"ORIGINAL\\PRIMARY\\VOLUME\\REMOVED"),
        (b"ORIGINAL\\PRIMARY\\VOLUME\\NONE", b"ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        (b"YBR_FULL_422", b"YBR_FULL_422"),
        (b"", b""),
    ],
)
def test_a_code_string_that_stays_is_a_term_of_the_standard(before, after):
    assert values.kept(before, "CS") == after


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_word_is_left_in_frames_of_any_format(tmp_path, name, seed):
    canaries = Canaries(seed=seed)
    made = planted_frames.formats(canaries)[name]
    elements = planted.with_values(planted.slim(canaries), *made.needed, *tables(canaries, made))
    source, output = tmp_path / "in.dcm", tmp_path / "out"
    source.write_bytes(
        planted.content(
            encode(elements), made.pixels(canaries), canaries=canaries, syntax=made.syntax
        )
    )
    output.mkdir()
    if name == "RLE":
        with pytest.raises(RejectedError, match="belong to no pixel"):
            deidentify_slide([source], output, METHOD)
        return
    deidentify_slide([source], output, METHOD)
    for place, content in written(output):
        assert canaries.left_in(content) == [], place
    assert same_pixels(output / "volume-00.dcm", made.frames)


def tables(canaries, made):
    """Offset tables and a total length that hold words instead of numbers."""
    if made.syntax == planted_frames.EXPLICIT_LITTLE_ENDIAN:
        return ()
    word = canaries.word().ljust(32)
    return (
        Element(0x7FE00001, "OV", word),
        Element(0x7FE00002, "OV", word),
        Element(0x7FE00003, "UV", word[:8]),
    )


def same_pixels(path, frames):
    made = pydicom.dcmread(path)
    if not made.file_meta.TransferSyntaxUID.is_encapsulated:
        return made.PixelData == b"".join(frames)
    found = list(generate_frames(made.PixelData, number_of_frames=4))
    return all(map(same_picture, found, frames))


def same_picture(one, other):
    if one[:4] == b"\xff\x4f\xff\x51" and other[4:8] == b"jP  ":
        other = other[other.index(b"jp2c") + 4 :]
    if one[:2] == b"\xff\xd8" and b"\xff\xf7" in one[:80]:
        return np.array_equal(
            planted_frames.jpeg_ls_picture(one), planted_frames.jpeg_ls_picture(other)
        )
    return np.array_equal(decoded(one), decoded(other))


def decoded(frame):
    return cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
