"""Killing or pausing a daemon at any stage ends in the same products, once each at the peer.

Killed at every second stage and paused at the others; COVERSLIP_LONG=1 does both at each.
"""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pydicom
import pytest

from appliance.line import DAEMONS, SlideStatus, Stage, State
from tests.line.appliance_site import LEASE_S, ApplianceSite, data_set, wait_for
from tests.line.conftest import tiny_slide

SHARED = (Stage.ASSEMBLE, Stage.REPORT)
"""Stages whose daemon has work to do before: it receives, or infers."""
TRIES = 5
PAUSABLE = [stage for stage in Stage if stage is not Stage.ASSEMBLE]
EVERY = 1 if os.environ.get("COVERSLIP_LONG") else 2
_seeds = count(100)
"""Every slide is another one: the same slide sent again makes no work."""
DAEMON_OF = {**DAEMONS, Stage.DELIVER: "deliver@pacs"}


def is_running(slide: SlideStatus | None, stage: Stage) -> bool:
    """Whether a worker holds the slide (or its parcel for the PACS) at a stage right now."""
    if slide is None or slide.stage is not stage:
        return False
    if stage is Stage.DELIVER:
        return any(d.route == "pacs" and d.state is State.RUNNING for d in slide.deliveries)
    return slide.state is State.RUNNING


def stop_at(site: ApplianceSite, scans: Path, stage: Stage) -> str:
    """Send slides until the stage's daemon was stopped in the middle of one; give that slide."""
    daemon = DAEMON_OF[stage]
    for seed in islice(_seeds, TRIES):
        slide_id = send_with_daemon_stopped(site, tiny_slide(scans / str(seed), seed=seed), stage)
        deadline = time.monotonic() + 30
        site.signal(daemon, signal.SIGCONT)
        while not is_running(site.board.slide(slide_id), stage):
            if past(site.board.slide(slide_id), stage) or time.monotonic() > deadline:
                break
        site.signal(daemon, signal.SIGSTOP)
        if is_running(site.board.slide(slide_id), stage) and not holds_a_store(site):
            return slide_id
        site.signal(daemon, signal.SIGCONT)
        site.await_state(slide_id, (State.DONE,))
    pytest.fail(f"the {stage} stage was never caught at work in {TRIES} tries")


def holds_a_store(site: ApplianceSite) -> bool:
    """Whether the daemon was stopped inside a commit: then nobody can go on, whatever we do."""
    stores = [site.root.zone("journal") / "journal.db", site.root.zone("vault") / "vault.db"]
    return any(is_locked(store) for store in stores)


def is_locked(store: Path) -> bool:
    connection = sqlite3.connect(store, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def pause(site: ApplianceSite, daemon: str) -> None:
    """Stop a daemon, but not inside a commit."""
    for _ in range(TRIES):
        site.signal(daemon, signal.SIGSTOP)
        if not holds_a_store(site):
            return
        site.signal(daemon, signal.SIGCONT)
    pytest.fail(f"the {daemon} daemon was always stopped inside a commit")


@pytest.fixture(autouse=True)
def nobody_stays_paused(running: ApplianceSite) -> Iterator[None]:
    """Let every daemon go on after a test, so that one failure stays one."""
    yield
    for name in running.supervisor.names:
        running.signal(name, signal.SIGCONT)


def send_with_daemon_stopped(site: ApplianceSite, scan: Path, stage: Stage) -> str:
    before = set(site.slides())
    if stage not in SHARED:
        pause(site, DAEMON_OF[stage])
    assert site.send(scan) == 0
    wait_for(lambda: bool(set(site.slides()) - before), "the slide is on the line", every_s=0.005)
    (slide_id,) = set(site.slides()) - before
    if stage not in SHARED:
        wait_for(
            lambda: site.tended() and waits_at(site.board.slide(slide_id), stage),
            f"the slide waits at {stage}",
        )
    return slide_id


def waits_at(slide: SlideStatus | None, stage: Stage) -> bool:
    """Whether the slide came to a stage: its daemon may have claimed it before it was stopped."""
    return slide is not None and slide.stage is stage


def past(slide: SlideStatus | None, stage: Stage) -> bool:
    return slide is not None and (
        list(Stage).index(slide.stage) > list(Stage).index(stage) or slide.state is State.DONE
    )


def received_by_pacs(site: ApplianceSite, slide_id: str) -> list[pydicom.Dataset]:
    """Objects at the PACS that belong to the slide's study, told by the study that was sent."""
    study = study_of(site, slide_id)
    found = [pydicom.dcmread(path) for path in sorted(site.site.pacs.rglob("*.dcm"))]
    return [one for one in found if one.StudyInstanceUID == study]


def study_of(site: ApplianceSite, slide_id: str) -> str:
    original = min(site.product(slide_id, Stage.ASSEMBLE).glob("*.dcm"))
    return str(pydicom.dcmread(original, stop_before_pixels=True).StudyInstanceUID)


def assert_walked_once(site: ApplianceSite, slide_id: str) -> None:
    status = site.await_state(slide_id, (State.DONE,))
    assert status.error is None
    objects = received_by_pacs(site, slide_id)
    assert sorted(one.Modality for one in objects) == ["SEG", "SR"]
    parcel = site.root.outbox("pacs")
    signed = {
        data_set(path)
        for folder in parcel.iterdir()
        if folder.name in site.board.named_parcels("pacs")
        for path in folder.glob("*.dcm")
    }
    received = {data_set(path) for path in site.site.pacs.rglob("*.dcm")}
    assert received <= signed, "the PACS holds bytes that were never signed"
    assert len(received) == len(list(site.site.pacs.rglob("*.dcm")))


@pytest.mark.parametrize("stage", list(Stage)[::EVERY])
def test_a_daemon_killed_at_work_changes_nothing_in_the_end(
    running: ApplianceSite, tmp_path: Path, stage: Stage
) -> None:
    slide_id = stop_at(running, tmp_path, stage)
    running.signal(DAEMON_OF[stage], signal.SIGKILL)
    assert_walked_once(running, slide_id)
    running.await_daemons()


@pytest.mark.parametrize("stage", PAUSABLE[::EVERY])
def test_a_daemon_paused_past_its_lease_does_no_harm(
    running: ApplianceSite, tmp_path: Path, stage: Stage
) -> None:
    slide_id = stop_at(running, tmp_path, stage)
    paused = running.supervisor.process(DAEMON_OF[stage])
    arguments = DAEMON_OF[stage].split("@") if stage is Stage.DELIVER else [DAEMON_OF[stage]]
    running.supervisor.start("twin", arguments)
    try:
        assert_walked_once(running, slide_id)
    finally:
        paused.send_signal(signal.SIGCONT)
        running.supervisor.retire("twin")
    wait_for(lambda: paused.poll() is None, "the paused daemon goes on", limit_s=LEASE_S)
    assert_walked_once(running, slide_id)


def test_a_node_paused_past_its_lease_takes_its_slide_up_again(
    running: ApplianceSite, tmp_path: Path
) -> None:
    slide_id = stop_at(running, tmp_path, Stage.ASSEMBLE)
    status = running.board.slide(slide_id)
    assert status is not None
    until = time.monotonic() + LEASE_S + 0.5
    wait_for(lambda: time.monotonic() > until, "the lease runs out")
    running.signal("node", signal.SIGCONT)
    assert_walked_once(running, slide_id)
