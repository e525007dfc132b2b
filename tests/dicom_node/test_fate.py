"""Whether originals may be purged, and what is left when they were."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.control import ControlServer, Operator
from appliance.errors import ApplianceError, ForbiddenAction, PeerUnavailable
from appliance.line import Outcome, Role, Stage
from appliance.storage import Root
from appliance.stores.commitments import COMMITTED, Reference
from appliance.stores.originals import Original
from dicom_node import commands
from dicom_node import node as node_module
from dicom_node.commitment.decision import Held, decide
from dicom_node.commitment.decision import reason as reason_of
from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Transfer
from dicom_node.slides.content import Content
from dicom_node.slides.fate import why_not
from tests.dicom_node.commitment_peers import (
    CommittingHospital,
    Desk,
    action,
    ask,
    asking,
    committing,
)
from tests.dicom_node.objects import CT_IMAGE, Image
from tests.dicom_node.test_commitment import archive, promised

OPERATOR = Operator(name="administrator", role=Role.ADMINISTRATOR)

# What the standard part of the decision says.

HELD = st.builds(
    Held,
    sop_class_uid=st.sampled_from([VL_WHOLE_SLIDE_MICROSCOPY, CT_IMAGE]),
    content=st.sampled_from(list(Content)),
    purged=st.booleans(),
    archived=st.booleans(),
)
REFERENCES = st.builds(
    Reference,
    sop_class_uid=st.sampled_from([VL_WHOLE_SLIDE_MICROSCOPY, CT_IMAGE]),
    sop_instance_uid=st.sampled_from(["1.1", "1.2", "1.3"]),
)
ASKED = st.dictionaries(REFERENCES, st.lists(HELD, max_size=3), min_size=1, max_size=4)
MEANS = st.sampled_from(["own", "after_archive"])


@given(asked=ASKED, means=MEANS, given_up=st.booleans())
def test_nothing_is_promised_that_is_neither_here_nor_in_an_archive(
    asked: dict[Reference, list[Held]], means: str, *, given_up: bool
) -> None:
    for one, reason in (decide(asked, means, given_up=given_up) or {}).items():  # type: ignore[arg-type]
        if reason != COMMITTED:
            continue
        assert asked[one]
        for held in asked[one]:
            assert held.sop_class_uid == one.sop_class_uid
            here = not held.purged and held.content is Content.SOUND
            assert held.archived or (means == "own" and here)


@given(asked=ASKED, means=MEANS)
def test_every_request_is_answered_about_every_object_in_the_end(
    asked: dict[Reference, list[Held]], means: str
) -> None:
    reasons = decide(asked, means, given_up=True)  # type: ignore[arg-type]
    assert reasons is not None
    assert set(reasons) == set(asked)


@given(ASKED)
def test_only_after_archive_waits(asked: dict[Reference, list[Held]]) -> None:
    assert decide(asked, "own", given_up=False) is not None
    waits = decide(asked, "after_archive", given_up=False) is None
    some = [reason_of(one, held, "after_archive") for one, held in asked.items()]
    assert waits == (None in some)


# The fate.

ORIGINALS = st.lists(
    st.builds(
        Original,
        number=st.integers(1, 9),
        sha256=st.just("aa"),
        size_bytes=st.just(1),
        calling_ae_title=st.sampled_from(["FILES", "DELETES"]),
        promised=st.booleans(),
        archived=st.booleans(),
        awaited=st.booleans(),
    ),
    max_size=5,
)


@given(ORIGINALS)
def test_what_a_scanner_may_delete_is_purged_only_when_an_archive_has_it(
    originals: list[Original],
) -> None:
    if why_not(originals, archiving_scanners={"FILES"}) is not None:
        return
    assert originals
    for one in originals:
        assert one.archived or not one.promised
        assert one.archived or one.calling_ae_title == "FILES"
        assert not one.awaited


@given(ORIGINALS)
def test_a_refusal_always_says_why(originals: list[Original]) -> None:
    reason = why_not(originals, archiving_scanners={"FILES"})
    assert reason is None or reason.endswith((".", "!"))


def test_what_an_archive_has_may_be_purged() -> None:
    one = Original(
        number=1, sha256="aa", size_bytes=1, calling_ae_title="DELETES", promised=True,
        archived=True, awaited=False,
    )  # fmt: skip
    assert why_not([one], archiving_scanners=()) is None
    other = replace(one, archived=False)
    assert why_not([one, other], archiving_scanners={"DELETES"}) is not None
    assert why_not([one, replace(other, promised=False)], archiving_scanners={"DELETES"}) is None


# Purging, as an administrator asks for it.


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def hospital(tmp_path: Path, desk: Desk) -> Iterator[CommittingHospital]:
    with committing(tmp_path, desk.terms()) as one:
        yield one


def finish(hospital: CommittingHospital) -> None:
    """Let a slide walk the rest of the line."""
    hospital.settle()
    hospital.work()
    for stage in (Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT, Stage.RELEASE):
        claim = hospital.journal.claim(stage)
        assert claim is not None
        hospital.journal.advance(claim, Outcome())


def purge(hospital: CommittingHospital, **more: object) -> dict[str, object]:
    run = node_module.commands(hospital.node)["purge"].run
    return run(OPERATOR, {"slide_id": hospital.slide().slide_id} | more)


def originals(hospital: CommittingHospital) -> list[Path]:
    folder = hospital.settings.storage.root / "original"
    return [path for path in folder.rglob("*") if path.is_file()]


def commit(hospital: CommittingHospital, *uids: str) -> None:
    with asking(hospital) as association:
        assert ask(association, action(*uids)) == 0x0000
    hospital.node.answerer.decide()


def test_a_slide_without_an_archive_is_never_purged(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    with pytest.raises(ForbiddenAction, match="knows no slide"):
        hospital.node.purge.run("nothing", operator="x")
    hospital.look()
    with pytest.raises(ForbiddenAction, match="that is done"):
        purge(hospital)
    finish(hospital)
    with pytest.raises(ForbiddenAction, match="No archive has confirmed"):
        purge(hospital)
    commit(hospital, *[one.uid for one in slide_images])
    with pytest.raises(ForbiddenAction, match="was told that we keep"):
        purge(hospital)
    archive(hospital, *[one.uid for one in slide_images[:3]])
    with pytest.raises(ForbiddenAction):
        purge(hospital)
    assert len(hospital.stored_files()) == 4


def test_a_purged_slide_leaves_its_receipts_and_is_answered_from_them(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, slide_images: list[Image]
) -> None:
    uids = {one.uid for one in slide_images}
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    archive(hospital)
    told = purge(hospital)
    assert (told["objects"], told["bytes"]) == (4, _size(hospital))
    assert hospital.stored_files() == []
    assert originals(hospital) == []
    assert any("originals were purged: 4 objects" in one for one in hospital.texts())
    with desk.opened():
        commit(hospital, *uids)
        hospital.answer()
    assert [one.committed for one in desk.reports] == [uids]
    with pytest.raises(ForbiddenAction, match="no originals"):
        purge(hospital)


def test_a_rehearsed_purge_says_how_much_and_removes_nothing(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    with pytest.raises(ForbiddenAction, match="No archive has confirmed"):
        purge(hospital, dry_run=True)
    archive(hospital)
    before = hospital.texts()
    told = purge(hospital, dry_run=True)
    assert (told["objects"], told["bytes"]) == (4, _size(hospital))
    assert "4 objects" in str(told["words"])
    assert len(hospital.stored_files()) == 4
    assert hospital.texts() == before


def _size(hospital: CommittingHospital) -> int:
    stored = hospital.node.receipts.of_slide(hospital.slide().slide_id)
    return sum(one.receipt.size_bytes for one in stored)


def test_an_object_that_comes_again_after_its_purge_is_kept_again(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    archive(hospital)
    purge(hospital)
    hospital.store(tmp_path, slide_images[0])
    assert len(hospital.stored_files()) == 1
    hospital.node.stop()
    hospital.start()
    assert len(hospital.stored_files()) == 1
    stored = hospital.node.receipts.of_slide(hospital.slide().slide_id)
    assert [one.purged_at is None for one in stored] == [True, False, False, False]
    assert hospital.slide().state == "done"


def test_an_object_that_came_again_before_its_content_was_removed_stays(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    store = hospital.node.purge.originals
    ended = store.end(hospital.slide().slide_id, why_not=lambda _held: None)
    hospital.store(tmp_path, slide_images[0])
    store.remove(ended, lambda sha256: hospital.node.spool.path(sha256).unlink())
    assert hospital.stored_files() == [hospital.file_of(slide_images[0].uid)]


def test_an_object_whose_content_is_removed_while_it_comes_again_is_not_answered_for(
    hospital: CommittingHospital,
    tmp_path: Path,
    slide_images: list[Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    store = hospital.node.purge.originals
    ended = store.end(hospital.slide().slide_id, why_not=lambda _held: None)
    publish = Spool.publish

    def publish_before_it_is_removed(spool: Spool, transfer: Transfer) -> Path:
        path = publish(spool, transfer)
        store.remove(ended, lambda sha256: spool.path(sha256).unlink(missing_ok=True))
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "publish", publish_before_it_is_removed)
        with pytest.raises(PeerUnavailable, match="0xA700"):
            hospital.store(tmp_path, slide_images[0])
    assert hospital.stored_files() == []
    hospital.store(tmp_path, slide_images[0])
    assert hospital.stored_files() == [hospital.file_of(slide_images[0].uid)]


def test_what_the_scanner_files_itself_may_go_unless_it_was_promised(
    tmp_path: Path, desk: Desk, slide_images: list[Image]
) -> None:
    with committing(tmp_path, desk.terms(), also_archived_by_scanner=True) as hospital:
        hospital.store(tmp_path, *slide_images)
        finish(hospital)
        commit(hospital, slide_images[0].uid)
        assert promised(hospital) == 1
        with pytest.raises(ForbiddenAction, match="was told that we keep"):
            purge(hospital)
        archive(hospital, slide_images[0].uid)
        with pytest.raises(ForbiddenAction, match="on its way to an archive"):
            purge(hospital)
        archive(hospital)
        purge(hospital)
        assert hospital.stored_files() == []


def test_a_slide_is_not_purged_while_a_scanner_waits_for_our_decision(
    tmp_path: Path, desk: Desk, slide_images: list[Image]
) -> None:
    with committing(tmp_path, desk.terms(), also_archived_by_scanner=True) as hospital:
        hospital.store(tmp_path, *slide_images)
        finish(hospital)
        with asking(hospital) as association:
            ask(association, action(slide_images[0].uid))
        with pytest.raises(ForbiddenAction, match="a scanner waits"):
            purge(hospital)


def test_a_promise_is_not_made_of_what_was_purged_meanwhile(
    tmp_path: Path, desk: Desk, slide_images: list[Image]
) -> None:
    with committing(tmp_path, desk.terms(), also_archived_by_scanner=True) as hospital:
        hospital.store(tmp_path, *slide_images)
        finish(hospital)
        with asking(hospital) as association:
            ask(association, action(slide_images[0].uid))
        commitments = hospital.node.receiving.commitments
        (asked,) = commitments.asked()
        with hospital.node.receipts._engine.begin() as connection:
            connection.exec_driver_sql("update instance set purged_at = 1.0")
        commitments.decide(asked, dict.fromkeys(asked.reasons, COMMITTED))
        (decided,) = commitments.due()
        assert set(decided.reasons.values()) == {0x0112}
        assert promised(hospital) == 0


def test_a_late_level_of_a_purged_slide_asks_for_the_rest_again(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    archive(hospital)
    purge(hospital)
    hospital.store(tmp_path, replace(slide_images[0], uid="1.2.3.4.5", rows=8))
    hospital.settle()
    hospital.journal.operate("resume", hospital.slide().slide_id, operator="x")
    hospital.work()
    assert hospital.slide().error_code == "incomplete-slide"
    assert "purged after an archive" in str(hospital.slide().error)


def test_purge_works_as_typed(
    hospital: CommittingHospital,
    tmp_path: Path,
    slide_images: list[Image],
    capsys: pytest.CaptureFixture[str],
) -> None:
    hospital.store(tmp_path, *slide_images)
    finish(hospital)
    settings_file = tmp_path / "coverslip.toml"
    settings_file.write_text(
        f"""
        [storage]
        root = {json.dumps(str(hospital.settings.storage.root))}
        [keys]
        folder = {json.dumps(str(hospital.settings.keys.folder))}
        """
    )
    server = ControlServer(
        Root(hospital.settings.storage.root).socket("node"),
        node_module.commands(hospital.node),
        hospital.settings.operators,
    )
    server.start()
    try:
        typed = argparse.Namespace(settings=settings_file, slide_id=hospital.slide().slide_id)
        with pytest.raises(ApplianceError, match="No archive has confirmed"):
            commands.run_purge(typed)
        archive(hospital)
        assert commands.run_purge(typed) == 0
    finally:
        server.close()
    assert "4 originals were removed" in capsys.readouterr().out
    assert hospital.stored_files() == []
