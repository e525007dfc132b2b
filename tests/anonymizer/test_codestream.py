import io
import struct

import cv2
import numpy as np
import pydicom
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import generate_frames

from anonymizer.pixels.codestream import Cleaner, strip
from anonymizer.pixels.markers import JPEG, JPEG_2000, JPEG_LS, Block, Masks
from anonymizer.pixels.rle import RleCleaner
from appliance.errors import InvalidInstance

NOTE = b"CANARY^NOTE"


def picture(mode="RGB", side_px=48):
    noise = np.random.default_rng(1).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((side_px, side_px)).convert(mode)


def encoded(kind="JPEG", mode="RGB", **options):
    buffer = io.BytesIO()
    picture(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def same_pixels(one, other):
    """In two decoders: libjpeg-turbo in simplejpeg, and OpenCV's own."""
    first = (
        simplejpeg.decode_jpeg(one, colorspace="RGB"),
        simplejpeg.decode_jpeg(other, colorspace="RGB"),
    )
    second = (cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in (one, other))
    return np.array_equal(*first) and np.array_equal(*second)


JPEGS = {
    "baseline": encoded(quality=80),
    "subsampling 4:4:4": encoded(quality=95, subsampling=0),
    "progressive": encoded(quality=80, progressive=True),
    "restart markers": encoded(quality=80, restart_marker_blocks=2),
    "grey": encoded(mode="L", quality=80),
}
notes = st.lists(
    st.tuples(st.sampled_from([0xFE, *range(0xE1, 0xEE), 0xEF]), st.binary(max_size=40)),
    max_size=6,
)


@pytest.mark.parametrize("name", JPEGS)
@given(before=notes, behind=st.binary(max_size=40))
def test_notes_go_and_pixels_stay(name, before, behind):
    clean = strip(JPEGS[name])
    noted = JPEGS[name][:2] + b"".join(segment(*note) for note in before) + JPEGS[name][2:]
    assert strip(noted + behind) == clean
    assert same_pixels(clean, JPEGS[name])
    assert strip(clean) == clean


def test_a_note_between_the_scans_of_a_progressive_jpeg_goes():
    frame = JPEGS["progressive"]
    second_scan = frame.rindex(b"\xff\xda")
    huffman = frame.rindex(b"\xff\xc4", 0, second_scan)
    noted = frame[:huffman] + segment(0xFE, NOTE) + frame[huffman:]
    assert strip(noted) == strip(frame)


def test_a_second_image_behind_the_first_goes():
    frame = JPEGS["baseline"]
    assert strip(frame + JPEGS["grey"]) == strip(frame)


def test_jfif_is_written_anew_without_its_thumbnail():
    body = b"JFIF\0\x01\x02\x01\x00\x48\x00\x48\x01\x01" + b"abc"
    frame = JPEGS["baseline"][:2] + segment(0xE0, body) + JPEGS["baseline"][20:]
    stripped = strip(frame)
    assert stripped == strip(JPEGS["baseline"])
    assert b"abc" not in stripped[:40]


def test_the_colour_transform_of_app14_is_kept_and_nothing_else_of_it():
    rgb = encoded(quality=90, keep_rgb=True)
    noted = rgb.replace(
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\0"), segment(0xEE, b"Adobe\0\x64\0\0\0\0\0" + NOTE)
    )
    assert NOTE in noted
    stripped = strip(noted)
    assert NOTE not in stripped
    assert b"\xff\xee\x00\x0eAdobe" in stripped
    assert same_pixels(stripped, rgb)


def test_a_table_with_bytes_to_spare_is_refused():
    frame = JPEGS["baseline"]
    table = segment(0xDB, bytes([0]) + bytes(range(1, 65)) + b"JANE DOE")
    with pytest.raises(InvalidInstance, match="not allowed"):
        strip(frame[:2] + table + frame[2:])


@pytest.mark.parametrize("name", JPEGS)
def test_a_cut_off_frame_is_refused(name):
    for length in range(0, len(JPEGS[name]) - 2, 7):
        with pytest.raises(InvalidInstance):
            strip(JPEGS[name][:length])


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_with_our_sentence(noise):
    for start in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51"):
        try:
            strip(start + noise)
        except InvalidInstance:
            continue


def j2k(**options):
    return encoded("JPEG2000", no_jp2=True, irreversible=False, **options)


def decoded(codestream):
    return np.asarray(Image.open(io.BytesIO(codestream)))


def test_comments_of_jpeg_2000_go_and_pixels_stay():
    frame = j2k(comment=NOTE)
    stripped = strip(frame)
    assert NOTE in frame
    assert NOTE not in stripped
    assert b"\xff\x64" not in stripped[:200]
    assert np.array_equal(decoded(stripped), decoded(frame))
    assert strip(stripped + NOTE) == stripped


def test_a_comment_in_a_tile_part_goes_and_its_length_is_corrected():
    frame = j2k()
    start = frame.index(b"\xff\x90")
    stated = struct.unpack_from(">I", frame, start + 6)[0]
    comment = segment(0x64, b"\0\x01" + NOTE)
    noted = (
        frame[: start + 6]
        + struct.pack(">I", stated + len(comment))
        + frame[start + 10 : start + 12]
        + comment
        + frame[start + 12 :]
    )
    stripped = strip(noted)
    assert stripped == strip(frame)
    assert np.array_equal(decoded(stripped), decoded(frame))


def test_a_jp2_wrapper_is_taken_off():
    wrapped = encoded("JPEG2000", irreversible=False, comment=NOTE)
    stripped = strip(wrapped)
    assert stripped[:4] == b"\xff\x4f\xff\x51"
    assert np.array_equal(decoded(stripped), decoded(wrapped))


def test_several_tiles_keep_their_pixels():
    frame = j2k(tile_size=(16, 16), comment=NOTE)
    assert np.array_equal(decoded(strip(frame)), decoded(frame))


def rle_frame(*segments):
    """A frame of segments that stand one behind the other."""
    ends = np.cumsum([64, *map(len, segments)])
    offsets = [*ends[:-1], *[0] * (15 - len(segments))]
    return struct.pack("<16I", len(segments), *offsets) + b"".join(segments)


def clean_rle(frame, plane_bytes=10):
    return RleCleaner(plane_bytes).clean(Block(frame), 0, len(frame))


LITERAL = bytes([9, *range(10)])
RUN = bytes([256 - 9, 7])


@pytest.mark.parametrize("segments", [(LITERAL,), (RUN, RUN, RUN), (LITERAL + b"\0", RUN)])
def test_an_rle_frame_stays_whole(segments):
    frame = rle_frame(*segments)
    assert clean_rle(frame) == len(frame)


@pytest.mark.parametrize(
    "segments",
    [
        (LITERAL + NOTE,),
        (RUN + NOTE, LITERAL),
        (RUN, LITERAL + b"\0\0"),
        (RUN, LITERAL + b"A"),
        (LITERAL[:-1],),
        (b"",),
    ],
)
def test_bytes_between_or_behind_the_segments_of_an_rle_frame_are_refused(segments):
    with pytest.raises(InvalidInstance):
        clean_rle(rle_frame(*segments))


def test_an_rle_header_with_spare_offsets_is_refused():
    with pytest.raises(InvalidInstance):
        clean_rle(struct.pack("<16I", 1, 64, *[0x454E414A] * 14) + LITERAL)
    with pytest.raises(InvalidInstance):
        clean_rle(b"short")


def test_an_rle_frame_that_claims_a_gigantic_plane_costs_nothing():
    with pytest.raises(InvalidInstance):
        clean_rle(rle_frame(RUN), plane_bytes=65535 * 65535)


STUFFED = st.lists(
    st.sampled_from([b"\xff\x00", b"\xff\xd3", b"\xff\x7f", b"ab", b"\x00", b"\xfe", b"\xd9"])
)


@given(STUFFED, st.sampled_from([JPEG, JPEG_LS, JPEG_2000]), st.integers(0xC0, 0xFE))
def test_the_first_marker_is_the_one_that_a_plain_search_finds(parts, stuffing, marker):
    data = b"".join(parts) + bytes([0xFF, marker]) + b"behind"
    expected = next(
        (
            place
            for place in range(len(data) - 1)
            if data[place] == 0xFF
            and data[place + 1] >= stuffing.least
            and data[place + 1] not in stuffing.passed_over
        ),
        None,
    )
    block = Block(bytearray(data) + b"\xff\xd9", len(data))
    if expected is None:
        with pytest.raises(InvalidInstance, match="ends before"):
            block.next_marker(0, len(data), stuffing)
    else:
        assert block.next_marker(0, len(data), stuffing) == expected


def test_memory_that_is_used_again_holds_no_marker_of_a_block_before():
    masks = Masks()
    first = Block(b"ab\xff\xd9" * 100, masks=masks)
    assert first.next_marker(0, 400, JPEG) == 2
    second = Block(b"ab\xff\x00" * 99 + b"\xff\xd9", masks=masks)
    assert second.next_marker(0, 398, JPEG) == 396


def test_the_note_of_one_frame_does_not_spare_that_of_the_next():
    plain, noted = JPEGS["baseline"], JPEGS["baseline"][:2] + segment(0xFE, NOTE)
    noted += JPEGS["baseline"][2:]
    cleaner, frames = Cleaner(), (plain, noted, strip(plain), noted, JPEGS["progressive"], noted)
    for frame in frames:
        cleaned = cleaner.clean(Block(frame), 0, len(frame))
        assert (frame[:cleaned] if isinstance(cleaned, int) else cleaned) == strip(frame)


@pytest.mark.parametrize("kind", ["jls", "htj2k"])
def test_other_formats_keep_their_pixels_without_their_notes(shared_data, kind):
    name = {"jls": "cmu_half_jpegls_lossless", "htj2k": "cmu_half_htj2k_lossless"}[kind]
    path = shared_data / "dicom_converted" / name / "volume_l3.dcm"
    made = pydicom.dcmread(path)
    for frame in generate_frames(made.PixelData, number_of_frames=int(made.NumberOfFrames)):
        comment = segment(0x64 if kind == "htj2k" else 0xFE, b"\0\1" + NOTE)
        start = 2 if kind == "jls" else frame.index(b"\xff\x52")
        noted = frame[:start] + comment + frame[start:] + NOTE
        assert strip(noted) == strip(frame)
        assert NOTE not in strip(noted)
