import json
import shutil

import pytest

from anonymizer.deidentify.method import Method
from anonymizer.deidentify.stage import handler
from anonymizer.deidentify.told import report_commands
from anonymizer.pseudonyms import Pseudonyms
from appliance.control import Operator
from appliance.errors import ForbiddenAction
from appliance.line import Outcome, Role, Stage, State
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.worker import Worker
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries


@pytest.fixture
def journal(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    journal = Journal(engine)
    journal.add_slide("slide", scanner="scanner-1", last_byte_at=1.0)
    journal.complete("slide", actor="node", reason="all there")
    yield journal
    engine.dispose()


def walked(journal, root, files):
    """Assemble some files and de-identify them as the daemon does; give the published folder."""

    def assemble(work):
        for number, file in enumerate(files):
            shutil.copy(file, work.output / f"{number:04d}.dcm")
        return Outcome()

    method = Method(pseudonyms=Pseudonyms(bytes(range(32))))
    steps = ((Stage.ASSEMBLE, assemble), (Stage.DEIDENTIFY, handler(method)))
    for stage, handle in steps:
        assert Worker(journal=journal, root=root, stage=stage, handle=handle).step()
    return sorted(root.zone("deid").iterdir())


def asked(journal, root):
    """Ask the anonymize daemon for the report of the slide, as anyone at the screen may."""
    command = report_commands(journal=journal, root=root)["deid_report"]
    assert command.role is Role.VIEWER
    return command.run(Operator(name="anyone", role=Role.VIEWER), {"slide_id": "slide"})


def test_a_report_that_is_not_there_yet_is_a_plain_word(tmp_path, journal):
    with pytest.raises(ForbiddenAction, match="not de-identified yet"):
        asked(journal, Root(tmp_path))


def test_a_slide_of_the_generator_walks_past_the_stage_without_its_canaries(tmp_path, journal):
    identity = SlideIdentity.canary()
    write_slide(tmp_path / "scan", SlidePlan.tiny(), identity)
    [folder] = walked(journal, Root(tmp_path), sorted((tmp_path / "scan").glob("*.dcm")))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["deidentification.json", *(f"volume-0{n}.dcm" for n in range(len(names) - 1))]
    content = b"".join(path.read_bytes() for path in folder.iterdir()).upper()
    assert not [needle for needle in identity.needles if needle.upper().encode() in content]
    assert b"2.25." in content
    assert json.loads((folder / "deidentification.json").read_text())["dropped"]
    told = asked(journal, Root(tmp_path))
    assert not [needle for needle in identity.needles if needle in json.dumps(told)]
    kinds = told["attributes"]
    for kind in ("removed", "replaced", "cleaned"):
        counts = [one["count"] for one in told["reasons"] if one["kind"] == kind]
        assert sum(counts) == kinds[kind] > 0
        assert counts == sorted(counts, reverse=True)
    assert (told["images_in"], told["images_kept"]) == (len(names) + 2, len(names) - 1)
    assert {one["what"] for one in told["dropped"]} == {"LABEL", "OVERVIEW", "THUMBNAIL"}
    assert told["values_sought"] > 0
    status = journal.board.slide("slide")
    assert (status.stage, status.state) == (Stage.INFER, State.WAITING)


def test_a_slide_in_doubt_is_set_aside_and_publishes_nothing(tmp_path, journal):
    base = planted.volume(Canaries(), flavor="OVERVIEW")
    source = planted.write(tmp_path / "in.dcm", base, [planted.jpeg(n) for n in range(4)])
    assert walked(journal, Root(tmp_path), [source]) == []
    status = journal.board.slide("slide")
    assert (status.state, status.error_code) == (State.ASIDE, "incomplete-slide")
    assert planted.WORD not in (status.error or "")
