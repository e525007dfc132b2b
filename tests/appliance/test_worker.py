"""The worker: publishes by rename and one commit, and sorts failures by what happens next."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import PeerUnavailable, TransientError, UnsuitableSlide
from appliance.line import Outcome, Stage, State
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Handler, Work, Worker, renewing, retry_after_s


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    journal = Journal(engine)
    journal.add_slide("slide", scanner="scanner-1", last_byte_at=1.0)
    journal.complete("slide", actor="node", reason="all there")
    yield journal
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def write(work: Work) -> Outcome:
    (work.output / "slide.json").write_text("{}")
    return Outcome()


def worker(journal: Journal, root: Root, handle: Handler) -> Worker:
    return Worker(journal=journal, root=root, stage=Stage.ASSEMBLE, handle=handle)


def folders(root: Root) -> list[str]:
    return sorted(path.name for path in root.zone("original").iterdir())


def test_a_stage_publishes_the_folder_that_the_journal_names(journal: Journal, root: Root) -> None:
    assert worker(journal, root, write).step()
    assert folders(root) == sorted(journal.board.named_folders(Stage.ASSEMBLE))
    assert not worker(journal, root, write).step()


def test_a_transient_failure_puts_the_slide_back_and_leaves_no_folder(
    journal: Journal, root: Root
) -> None:
    def fail(work: Work) -> Outcome:
        raise PeerUnavailable("The PACS does not answer.")

    assert worker(journal, root, fail).step()
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.state, status.error) == (State.WAITING, "The PACS does not answer.")
    assert status.next_try_at is not None
    assert folders(root) == []


def test_a_full_disk_puts_the_slide_back_and_is_no_bug(journal: Journal, root: Root) -> None:
    def fill(work: Work) -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert worker(journal, root, fill).step()
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.state, status.error_code) == (State.WAITING, "storage-full")


def test_a_lease_is_renewed_again_after_the_journal_did_not_answer_once() -> None:
    renewed = threading.Event()
    answers = iter([TransientError("The journal database does not answer.")])

    def renew(claim: str) -> None:
        failure = next(answers, None)
        if failure is not None:
            raise failure
        renewed.set()

    with renewing(renew, "claim", lease_s=0.03):
        assert renewed.wait(timeout=10)


def test_a_rejected_slide_is_set_aside_and_leaves_no_folder(journal: Journal, root: Root) -> None:
    def fail(work: Work) -> Outcome:
        (work.output / "half.dcm").write_text("half")
        raise UnsuitableSlide("There is no tissue.")

    assert worker(journal, root, fail).step()
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.state, status.error_code) == (State.ASIDE, "unsuitable-slide")
    assert folders(root) == []


def test_a_bug_is_not_swallowed(journal: Journal, root: Root) -> None:
    def fail(work: Work) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        worker(journal, root, fail).step()


def test_the_result_of_a_lost_lease_is_thrown_away(journal: Journal, root: Root) -> None:
    def held_meanwhile(work: Work) -> Outcome:
        journal.operate("hold", "slide", operator="tech")
        return write(work)

    assert worker(journal, root, held_meanwhile).step()
    assert folders(root) == []
    status = journal.board.slide("slide")
    assert status is not None
    assert status.state is State.HELD


def test_a_worker_whose_folder_was_swept_while_it_was_paused_goes_on(
    journal: Journal, root: Root
) -> None:
    def swept_meanwhile(work: Work) -> Outcome:
        journal.operate("hold", "slide", operator="tech")
        worker(journal, root, write).sweep()
        return write(work)

    journal.lease_s = 0.0
    assert worker(journal, root, swept_meanwhile).step()
    assert folders(root) == []


def test_a_sweep_removes_what_a_crash_left_and_nothing_else(journal: Journal, root: Root) -> None:
    working = worker(journal, root, write)
    assert working.step()
    named = folders(root)
    zone = root.zone("original")
    (zone / "slide@dead").mkdir()
    (zone / ".slide@dead.part").mkdir()
    (zone / "not-ours").mkdir()
    working.sweep()
    assert folders(root) == sorted([*named, "not-ours"])


def test_a_sweep_leaves_a_live_claim_alone(journal: Journal, root: Root) -> None:
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    (root.zone("original") / f".{claim.folder}.part").mkdir()
    worker(journal, root, write).sweep()
    assert folders(root) == [f".{claim.folder}.part"]


def test_what_lies_among_the_outboxes_neither_stops_a_sweep_nor_leads_it_elsewhere(
    journal: Journal, root: Root, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "slide@dead").mkdir(parents=True)
    (root.outbox("pacs") / "slide@dead").mkdir()
    (root.zone("outbox") / "stray.dcm").write_bytes(b"DICM")
    (root.zone("outbox") / "linked").symlink_to(elsewhere)
    release = Worker(journal=journal, root=root, stage=Stage.RELEASE, handle=write)
    assert release.sweep() == ("slide@dead",)
    assert (elsewhere / "slide@dead").is_dir()
    assert list(root.outbox("pacs").iterdir()) == []


def test_waiting_time_doubles_and_is_capped() -> None:
    waits = [retry_after_s(retries, lambda: 1.0) for retries in range(30)]
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert waits == sorted(waits)
    assert waits[-1] == 600.0


def test_waiting_time_is_spread_by_chance_over_all_of_it() -> None:
    assert retry_after_s(3, lambda: 0.0) == 1.0
    assert retry_after_s(3, lambda: 0.5) == 20.0
    waits = [retry_after_s(3) for _ in range(1000)]
    assert all(1.0 <= wait <= 40.0 for wait in waits)
    assert min(waits) < 10.0
    assert max(waits) > 30.0
