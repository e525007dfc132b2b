"""Slides on which something can be read: set aside, or painted over, and nothing else changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.part10.reading import read_header
from anonymizer.profile.decide import profile_in
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.sight.found import Box
from anonymizer.sight.look import look
from anonymizer.sight.removing import remove
from anonymizer.sight.sight import Sight, TextOnSlide, sight_of
from appliance.errors import IdentityDoubt, UnsuitableSlide
from appliance.settings import Deidentify
from appliance.slides.frames import EncodedFrames
from appliance.slides.reader import open_slide
from tests.anonymizer import readable


@pytest.fixture(scope="module")
def sight(require_tool) -> Sight:
    require_tool("tesseract")
    made = sight_of(Deidentify(label="ignore"))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def marked(shared_data, tmp_path_factory) -> list[Path]:
    picture = readable.written(readable.tissue(shared_data), "BIOPSY 4711")
    return readable.scan(tmp_path_factory.mktemp("marked"), picture)


def method(sight: Sight, answer: str = "set_aside") -> Method:
    return Method(
        profile=profile_in(Deidentify(text_in_pixels=answer)),
        pseudonyms=Pseudonyms(bytes(range(32))),
        sight=replace(sight, text_in_pixels=answer),
    )


def frames_of(file: Path) -> list[bytes]:
    header = read_header(file)
    count = int(header.text(0x00280008))
    with EncodedFrames(
        file, pixel_data_at=header.pixel_place.offset - 12, n_frames=count
    ) as frames:
        return [frames.frame(number) for number in range(count)]


def test_a_slide_without_writing_passes_and_its_pictures_are_counted(shared_data, sight, tmp_path):
    files = readable.scan(tmp_path / "in", readable.tissue(shared_data))
    (tmp_path / "out").mkdir()
    report = deidentify_slide(files, tmp_path / "out", method(sight))
    assert report.seen.pictures == 2
    assert (report.seen.places_painted, report.seen.label) == (0, None)
    assert report.to_json()["seen"]["pictures"] == 2


def test_a_slide_with_writing_is_set_aside_without_saying_what_it_reads(marked, sight, tmp_path):
    with pytest.raises(TextOnSlide) as refused:
        deidentify_slide(marked, tmp_path, method(sight))
    assert "BIOPSY" not in str(refused.value)
    assert "remove" in refused.value.next_step


def test_with_off_nobody_looks(marked, sight, tmp_path):
    report = deidentify_slide(marked, tmp_path, method(sight, "off"))
    assert report.seen.pictures == 0


def test_writing_is_painted_over_on_every_level_and_everything_else_stays(marked, sight, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "clean").mkdir()
    deidentify_slide(marked, tmp_path / "plain", method(sight, "off"))
    report = deidentify_slide(marked, tmp_path / "clean", method(sight, "remove"))
    assert report.seen.places_painted > 0
    changed = 0
    for file in sorted((tmp_path / "clean").iterdir()):
        before, after = frames_of(tmp_path / "plain" / file.name), frames_of(file)
        differing = [
            n for n, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1
        ]
        assert 0 < len(differing) < len(after)
        changed += len(differing)
        header = pydicom.dcmread(file)
        assert header.BurnedInAnnotation == "NO"
        codes = {item.CodeValue for item in header.DeidentificationMethodCodeSequence}
        assert "113101" in codes
    assert changed == report.seen.frames_painted
    with open_slide(sorted((tmp_path / "clean").iterdir())) as slide:
        for number, level in enumerate(slide.levels):
            written = slide.region(number, 0, 0, level.rows // 4, level.columns // 2)
            assert written.min() > 180


def test_what_is_stored_in_another_way_is_not_painted_but_refused(shared_data, tmp_path):
    source = next((shared_data / "dicom_converted/cmu_half_j2k_lossless").glob("volume_l3*"))
    file = tmp_path / "volume.dcm"
    file.write_bytes(source.read_bytes())
    with pytest.raises(IdentityDoubt, match="nothing can be painted over"):
        remove(file, [Box(top=0.1, left=0.1, bottom=0.2, right=0.2)])
    assert file.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", ["cmu_jpeg_ybr422_512", "tcga_xk_pen_synthetic_phi"])
def test_a_painted_place_is_white_and_the_tissue_around_it_looks_as_before(
    shared_data, tmp_path, name
):
    source = shared_data / "dicom_converted" / name / "volume_l2.dcm"
    file = tmp_path / "volume.dcm"
    file.write_bytes(source.read_bytes())
    assert remove(file, [Box(top=0.4, left=0.4, bottom=0.5, right=0.6)]) > 0
    with open_slide([source]) as before, open_slide([file]) as after:
        level = before.levels[0]
        was = before.region(0, 0, 0, level.rows, level.columns)
        now = after.region(0, 0, 0, level.rows, level.columns)
    place = np.s_[
        int(0.41 * level.rows) : int(0.49 * level.rows),
        int(0.41 * level.columns) : int(0.59 * level.columns),
    ]
    assert now[place].min() > 240
    assert was[place].min() < 200
    outside = np.ones(now.shape[:2], bool)
    outside[int(0.35 * level.rows) : int(0.55 * level.rows)] = False
    difference = np.abs(now[outside].astype(int) - was[outside])
    assert difference.mean() < 1.0


def test_single_images_are_looked_at_too(shared_data, sight):
    label = shared_data / "dicom_converted/cmu_synthetic_phi/label.dcm"
    seen = look([], [label], sight.reader, frozenset(("RICHARD",)))
    assert seen.pictures == 1
    assert "text" in {one.kind for one in seen.sights}


def test_pixels_that_cannot_be_decoded_are_refused_for_nobody_knows_what_they_show(
    shared_data, sight, tmp_path
):
    files = readable.scan(tmp_path, readable.tissue(shared_data))
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"\xff\xda", b"\0\0"))
    for slides, others in ((files, []), ([], files)):
        with pytest.raises(UnsuitableSlide):
            look(slides, others, sight.reader, frozenset())
