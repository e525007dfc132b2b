"""Real slides with a planted identity: through the real de-identification and back."""

import subprocess
from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.release.belonging import inverse_of, walk
from anonymizer.release.restore import restore, to_file
from appliance.slides.identity import SealedIdentity, identity_of
from tests.anonymizer.release_parts import KEY, report_of

SLIDES = ["tcga_xk_pen_synthetic_phi", "cmu_synthetic_phi"]


@pytest.fixture(params=SLIDES, scope="module")
def walked(request, shared_data, tmp_path_factory):
    """Original base header, its inverse, and SR and SEG made on what de-identification left."""
    files = sorted((shared_data / "dicom_converted" / request.param).glob("*.dcm"))
    output = tmp_path_factory.mktemp("deid")
    pseudonyms = Pseudonyms(KEY)
    with quiet_pydicom():
        deidentify_slide(files, output, Method(pseudonyms=pseudonyms))
        headers = [dcmread(file, stop_before_pixels=True) for file in files]
        volumes = [header for header in headers if "VOLUME" in header.ImageType]
        base = max(volumes, key=lambda header: header.TotalPixelMatrixColumns)
        sealed = identity_of(base, headers).to_bytes()
        deid = dcmread(output / "volume-00.dcm")
        for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID"):
            if keyword not in deid:
                setattr(deid, keyword, "")
        products = report_of(deid)
        return base, inverse_of(SealedIdentity.from_bytes(sealed), pseudonyms), products


def restored_of(walked):
    _, inverse, products = walked
    own = frozenset(str(product.SOPInstanceUID) for product in products)
    moment = datetime(2024, 5, 6, 10, 11, 12, tzinfo=UTC)
    with quiet_pydicom():
        return [restore(made, inverse, reported_at=moment, own=own) for made in products]


def test_a_real_slide_gets_its_patient_and_study_back(walked):
    original = walked[0]
    for made in restored_of(walked):
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber"):
            assert made.get(keyword) == original.get(keyword), keyword
        named = {str(e.value) for e in walk(made) if e.keyword == "ReferencedSOPInstanceUID"}
        assert original.SOPInstanceUID in named


def test_the_restored_reports_of_a_real_slide_satisfy_the_validator(walked, require_tool, tmp_path):
    for number, made in enumerate(restored_of(walked)):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(to_file(made))
        done = subprocess.run(
            [require_tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        errors = [line for line in lines if line.startswith("Error")]
        assert [line for line in errors if "PatientOrientation" not in line] == []
