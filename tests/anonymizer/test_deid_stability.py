"""The same slide gives the same bytes, on any day, in any order, in any process."""

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import REPORT_NAME, write_report
from anonymizer.part10.elements import Element
from anonymizer.pseudonyms import Pseudonyms
from tests.anonymizer import mutants, planted, sparse
from tests.anonymizer.bounded import bounded
from tests.anonymizer.planted import Canaries

PSEUDONYMS = Pseudonyms(bytes(range(32)))
METHOD = Method(pseudonyms=PSEUDONYMS)
FRAMES = 6_000
"""A tenth of the largest sparse slides; what it takes grows with their number and no faster."""


def written(files, output, method=METHOD):
    """De-identify some files; give what was written, by name."""
    output.mkdir(parents=True)
    write_report(output / REPORT_NAME, [deidentify_slide(files, output, method)])
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    folder, canaries = tmp_path_factory.mktemp("stable") / "in", Canaries()
    return planted.planted_slide(folder, canaries, mutants.BASE)


@pytest.fixture(scope="module")
def first(slide, tmp_path_factory):
    return written(slide, tmp_path_factory.mktemp("first") / "out")


def test_another_order_of_the_files_gives_the_same_bytes(slide, first, tmp_path):
    assert written(slide[::-1], tmp_path / "out") == first


def test_other_names_of_the_files_give_the_same_images(slide, first, tmp_path):
    renamed = []
    for number, file in enumerate(slide):
        renamed.append(tmp_path / f"renamed {5 - number}")
        renamed[-1].write_bytes(file.read_bytes())
    again = written(renamed, tmp_path / "out")
    again[REPORT_NAME] = first[REPORT_NAME]  # it counts the names that were looked for
    assert again == first


SCRIPT = """
import sys
from pathlib import Path
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.report import REPORT_NAME, write_report
output = Path(sys.argv[1])
report = deidentify_slide(
    [Path(name) for name in sys.argv[2:]], output, Method(pseudonyms=Pseudonyms(bytes(range(32))))
)
write_report(output / REPORT_NAME, [report])
"""


def test_another_process_on_another_day_gives_the_same_bytes(slide, first, tmp_path):
    (tmp_path / "out").mkdir()
    environment = {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "out", *slide],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    again = {path.name: path.read_bytes() for path in sorted((tmp_path / "out").iterdir())}
    assert again == first


def headers(content):
    """Headers of the images among what was written."""
    return [
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(data), stop_before_pixels=True)
        for name, data in content.items()
        if name.endswith(".dcm")
    ]


ONE_A_SLIDE = (
    *("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber"),
    *("ContainerIdentifier", "FrameOfReferenceUID", "SeriesInstanceUID", "AcquisitionDateTime"),
)


def test_the_images_of_a_slide_agree(first):
    base, level = headers(first)
    for keyword in ONE_A_SLIDE:
        assert base[keyword].value == level[keyword].value, keyword
    assert base.SOPInstanceUID != level.SOPInstanceUID


def of_patient(folder, number, method=METHOD):
    """One of two slides of one patient and study."""
    canaries = Canaries()
    elements = planted.with_values(
        planted.slim(canaries),
        Element(0x00080018, "UI", f"1.2.3.{number}".encode()),
        Element(0x00080020, "DA", b"20250103"),
        Element(0x00400512, "LO", f"S25-{number}".encode()),
    )
    folder.mkdir(parents=True, exist_ok=True)
    source = planted.write(
        folder / f"{number}.dcm", elements, [planted.jpeg(seed) for seed in range(4)]
    )
    return headers(written([source], folder / f"out{number}", method))[0]


def test_two_slides_of_one_patient_agree_on_the_patient_and_the_study(tmp_path):
    one, other = of_patient(tmp_path, 1), of_patient(tmp_path, 2)
    for keyword in ("PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert one[keyword].value == other[keyword].value, keyword
    assert one.ContainerIdentifier != other.ContainerIdentifier
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_two_recipients_share_nothing_that_could_join_them(tmp_path):
    recipients = [
        Method(pseudonyms=PSEUDONYMS.for_recipient(name)) for name in ("university", "registry")
    ]
    one, other = (
        of_patient(tmp_path / str(number), 1, method) for number, method in enumerate(recipients)
    )
    for keyword in ("PatientID", "StudyInstanceUID", "StudyDate", "ContainerIdentifier"):
        assert one[keyword].value != other[keyword].value, keyword
    values = [{str(e.value) for e in made.iterall() if e.VR == "UI"} for made in (one, other)]
    shared = values[0] & values[1]
    assert not [uid for uid in shared if uid.startswith("2.25.")]


def test_a_sparse_slide_of_thousands_of_frames_is_done_in_little_memory(tmp_path):
    source, output = sparse.write(tmp_path / "in.dcm", FRAMES), tmp_path / "out"
    output.mkdir()
    end = bounded(
        lambda: deidentify_slide([source], output, METHOD).sentence,
        memory_bytes=FRAMES * 20_000 + (160 << 20),
        cpu_s=20,
    )
    assert end.kind == "done", end.words
    made = pydicom.dcmread(output / "volume-00.dcm", stop_before_pixels=True)
    assert len(made.PerFrameFunctionalGroupsSequence) == FRAMES
