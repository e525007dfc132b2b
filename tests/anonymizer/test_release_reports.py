"""Every kind of report goes to a PACS under the true identity, and says what it supersedes."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import dcmread
from pydicom.uid import RLELossless

from anonymizer.release.belonging import inverse_of
from anonymizer.release.restore import restore
from appliance.errors import DeliveryRefused, IdentityDoubt
from appliance.line import REPORTS, Stage, State
from appliance.manifest import verify
from appliance.settings import Report, Settings
from appliance.slides.findings import ModelUse, Region, TileResult
from inference.stage import report_handler
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route, tiles_route
from tests.anonymizer.release_parts import (
    CANARY,
    findings_of,
    original_slide,
    sealed_identity,
)
from tests.anonymizer.test_restore_objects import REPORTED_AT

PACS = INSIDE | {"carries": sorted(REPORTS)}
EVERYTHING = Report(
    segmentation="labelmap", annotations=True, heat_map="fractional", one_pager=True
)
FILES = {"sr.dcm", "seg.dcm", "ann.dcm", "heat_map.dcm", "one_pager.dcm"}
MAPS = {"tumour.png": np.full((20, 20), 200, np.uint8)}


def full_findings(slide_id, revision=1):
    result = TileResult(
        model="metastasis",
        name="tumour",
        code=("108369006", "SCT", "Neoplasm"),
        threshold=0.5,
        area_mm2=0.1,
        share_of_tissue=0.1,
        highest=0.9,
        map_file="tumour.png",
        map_um_px=50.0,
    )
    corners = ((100.0, 100.0), (300.0, 100.0), (300.0, 300.0))
    models = tuple(
        ModelUse(name=name, version="1.0", digest="0" * 64, device="cpu", um_px=8.0)
        for name in ("tissue", "artifact", "metastasis")
    )
    return replace(
        findings_of(),
        slide_id=slide_id,
        revision=revision,
        regions=(Region(name="fold", area_mm2=0.02, polygon_um=corners),),
        models=models,
        tile_results=(result,),
    )


def walk(line, slide_id, *, number=1, patient=1, revision=1, settings=EVERYTHING):
    """Walk a slide through the real report stage and release it."""
    line.bring(
        slide_id,
        number=number,
        patient=patient,
        findings=full_findings(slide_id, revision),
        maps=MAPS,
        report_with=report_handler(settings),
    )
    assert line.work()
    assert line.status(slide_id).state is not State.ASIDE, line.status(slide_id).error


def sent(line):
    """Give the files of each parcel of the PACS, in the order in which they were made."""
    parcels = sorted(line.parcels("pacs"), key=lambda folder: folder.stat().st_ctime_ns)
    return [{path.name: dcmread(path) for path in folder.glob("*.dcm")} for folder in parcels]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A slide, its rescan, a late object for the rescan, and another slide, all released."""
    line = Line(tmp_path_factory.mktemp("line"), [PACS])
    walk(line, "slide-a")
    line.journal.add_slide("slide-b", scanner="s", last_byte_at=2.0, supersedes="slide-a")
    walk(line, "slide-b")
    line.journal.new_revision("slide-b", actor="node", last_byte_at=3.0)
    line.journal.operate("resume", "slide-b", operator="anna")
    walk(line, "slide-b", revision=2)
    walk(line, "slide-c", number=2, patient=2, settings=Report(heat_map="parametric"))
    yield line
    line.close()


def test_every_kind_goes_to_the_pacs_under_the_true_identity(line):
    original, parcel = original_slide(), sent(line)[0]
    assert parcel.keys() == FILES
    for made in parcel.values():
        assert made.PatientID == original.PatientID
        assert made.StudyInstanceUID == original.StudyInstanceUID
        assert "PatientIdentityRemoved" not in made
        named = {str(e.value) for e in made.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
        assert original.SOPInstanceUID in named
    for name in ("seg.dcm", "ann.dcm", "heat_map.dcm"):
        assert parcel[name].FrameOfReferenceUID == original.FrameOfReferenceUID


def test_products_keep_their_uids_and_compressed_pixels_stay_as_they_are(line):
    folder = line.journal.board.folder("slide-a", Stage.REPORT)
    written = line.root.zone("report") / folder
    for name, made in sent(line)[0].items():
        before = dcmread(written / name)
        assert made.SOPInstanceUID == before.SOPInstanceUID
        assert made.SeriesInstanceUID == before.SeriesInstanceUID
    label_map = sent(line)[0]["seg.dcm"]
    assert label_map.file_meta.TransferSyntaxUID == RLELossless
    np.testing.assert_array_equal(label_map.pixel_array, dcmread(written / "seg.dcm").pixel_array)


def test_the_deliverer_takes_what_was_released_and_no_other_route_does(line):
    route = line.settings.route("pacs")
    kinds = set()
    for folder in line.parcels("pacs"):
        manifest = verify(folder, route=route, public_key=line.public_key, now=line.now)
        kinds |= {file.kind for file in manifest.files}
        narrow = route.model_copy(update={"carries": ("SEG",)})
        with pytest.raises(DeliveryRefused):
            verify(folder, route=narrow, public_key=line.public_key, now=line.now)
    assert kinds == REPORTS


def test_a_parametric_map_goes_with_its_values(line):
    parcel = sent(line)[3]
    assert parcel.keys() == {"sr.dcm", "seg.dcm", "heat_map.dcm"}
    assert parcel["heat_map.dcm"].PatientID == original_slide(2, patient=2).PatientID
    values = np.frombuffer(parcel["heat_map.dcm"].FloatPixelData, np.float32)
    assert values.max() == pytest.approx(199 / 254)


def test_the_page_itself_names_nobody(line):
    page = sent(line)[0]["one_pager.dcm"]
    assert CANARY in str(page.PatientName)
    assert CANARY.encode() not in bytes(page.EncapsulatedDocument)


def predecessor_of(report):
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    return study.StudyInstanceUID, series.SeriesInstanceUID, named.ReferencedSOPInstanceUID


def place_of(report):
    return report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPInstanceUID


def test_a_rescan_names_the_report_that_it_supersedes_as_the_pacs_has_it(line):
    first, rescan, *_ = (parcel["sr.dcm"] for parcel in sent(line))
    assert "PredecessorDocumentsSequence" not in first
    assert predecessor_of(rescan) == place_of(first)


def test_a_new_revision_names_the_report_of_the_one_before(line):
    _, rescan, revised, _ = (parcel["sr.dcm"] for parcel in sent(line))
    assert predecessor_of(revised) == place_of(rescan)


def test_a_report_that_never_left_is_superseded_by_none(tmp_path):
    line = Line(tmp_path / "line", [PACS])
    line.bring("slide-a", findings=full_findings("slide-a"), maps=MAPS)
    line.journal.add_slide("slide-b", scanner="s", last_byte_at=2.0, supersedes="slide-a")
    assert line.journal.board.superseded_report("slide-b", 1) is None
    assert line.work()
    found = line.journal.board.superseded_report("slide-b", 1)
    assert found == ("slide-a", line.journal.board.folder("slide-a", Stage.REPORT))
    line.close()


def identity(line, *, number=1, patient=1, study=None):
    original = original_slide(number, patient=patient)
    if study:
        original.StudyInstanceUID = study
    return inverse_of(sealed_identity(original), line.keys.pseudonyms)


def rescan_report(line, before):
    """Give the SR of the rescan as if its predecessor lay in the study of another identity."""
    folder = line.journal.board.superseded_report("slide-b", 2)[1]
    report = dcmread(line.root.zone("report") / folder / "sr.dcm")
    report.PredecessorDocumentsSequence[0].StudyInstanceUID = before.subject.study_instance_uid
    return report


def restored(line, report, earlier):
    own = {str(report.SOPInstanceUID)}
    own |= {str(e.value) for e in report.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    own -= {predecessor_of(report)[2]}
    return restore(
        report, identity(line), reported_at=REPORTED_AT, own=frozenset(own), earlier=earlier
    )


def test_an_earlier_scan_in_another_study_is_named_there(line):
    before = identity(line, study="1.2.826.0.1.77")
    made = restored(line, rescan_report(line, before), before)
    assert predecessor_of(made)[0] == "1.2.826.0.1.77"


@pytest.mark.parametrize("other", [{"number": 2}, {"patient": 2, "study": "1.2.826.0.1.77"}])
def test_a_predecessor_of_another_glass_slide_or_patient_is_refused(line, other):
    before = identity(line, **other)
    with pytest.raises(IdentityDoubt, match="supersedes"):
        restored(line, rescan_report(line, before), before)


@pytest.mark.parametrize("route", [tiles_route(), outside_sr_route()], ids=["tiles", "outside_sr"])
@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_no_route_outside_can_carry_a_report(tmp_path, kind, route):
    tables = {"storage": {"root": str(tmp_path)}, "keys": {"folder": str(tmp_path)}}
    for carries in ([kind], [*route["carries"], kind]):
        with pytest.raises(ValidationError, match="carries either tiles or outside_sr"):
            Settings.model_validate(tables | {"routes": [route | {"carries": carries}]})


def test_a_route_gets_no_parcel_of_a_slide_that_has_nothing_it_carries(tmp_path):
    line = Line(tmp_path / "line", [INSIDE | {"carries": ["ANN"]}])
    line.bring("slide-a")
    assert line.work()
    assert line.status("slide-a").state is not State.ASIDE, line.status("slide-a").error
    assert not line.parcels("pacs")
    line.close()


def test_a_file_of_another_kind_than_its_name_says_goes_nowhere(tmp_path):
    line = Line(tmp_path / "line", [PACS])

    def swap(folder):
        (folder / "ann.dcm").write_bytes((folder / "seg.dcm").read_bytes())

    line.bring("slide-a", change_report=swap)
    assert line.work()
    assert line.status("slide-a").state is State.ASIDE
    assert not line.parcels("pacs")
    line.close()
