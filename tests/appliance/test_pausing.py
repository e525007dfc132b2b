"""Pauses and marks: an operator's word in the journal, asked of a daemon and kept over restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.attention import Attention, attention
from appliance.control import AnsweredError, ControlServer, call
from appliance.daemon import slide_actions
from appliance.errors import ForbiddenAction
from appliance.line import Mark, Outcome, SlideStatus, Stage, State, Verdict
from appliance.pausing import Pausing, pause_actions
from appliance.settings import Operators
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.worker import Work, Worker


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    yield Journal(engine)
    engine.dispose()


def pause(journal: Journal, daemon: str) -> None:
    journal.pause(daemon, operator="anna", reason="", words="It pauses.")


def worker(journal: Journal, folder: Path, stage: Stage) -> Worker:
    def handle(_work: Work) -> Outcome:
        return Outcome(verdict=Verdict.RESCAN) if stage is Stage.INFER else Outcome()

    return Worker(journal=journal, root=Root(folder), stage=stage, handle=handle)


def put(journal: Journal) -> None:
    journal.add_slide("slide", scanner="scanner-1", last_byte_at=1.0)
    journal.complete("slide", actor="node", reason="all there")


def status(journal: Journal) -> SlideStatus:
    found = journal.board.slide("slide")
    assert found is not None
    return found


def judge(journal: Journal, verdict: Verdict) -> None:
    """Let the slide come as far as its verdict."""
    put(journal)
    for stage, outcome in (
        (Stage.ASSEMBLE, Outcome()),
        (Stage.DEIDENTIFY, Outcome()),
        (Stage.INFER, Outcome(verdict=verdict)),
    ):
        claim = journal.claim(stage)
        assert claim is not None
        journal.advance(claim, outcome)


def test_a_paused_daemon_begins_no_slide_and_goes_on_with_it_later(
    journal: Journal, tmp_path: Path
) -> None:
    put(journal)
    assert worker(journal, tmp_path, Stage.ASSEMBLE).step()
    pause(journal, "anonymize")
    assert not worker(journal, tmp_path, Stage.DEIDENTIFY).step()
    assert status(journal).state is State.WAITING
    journal.go_on("anonymize", operator="anna", words="It goes on.")
    assert worker(journal, tmp_path, Stage.DEIDENTIFY).step()


def test_a_drained_node_puts_together_what_it_has_taken(journal: Journal, tmp_path: Path) -> None:
    put(journal)
    pause(journal, "node")
    assert worker(journal, tmp_path, Stage.ASSEMBLE).step()


def test_a_pause_is_seen_within_half_a_second_and_looked_up_no_oftener(journal: Journal) -> None:
    now = [100.0]
    is_paused = Pausing(journal, "infer", clock=lambda: now[0])
    assert not is_paused()
    pause(journal, "infer")
    assert not is_paused()
    now[0] += 0.5
    assert is_paused()


def test_while_the_journal_does_not_answer_the_last_word_counts(
    journal: Journal, tmp_path: Path
) -> None:
    now = [100.0]
    is_paused = Pausing(journal, "infer", clock=lambda: now[0])
    pause(journal, "infer")
    assert is_paused()
    journal._engine.dispose()
    (tmp_path / "journal.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "journal.db").mkdir()
    now[0] += 60.0
    assert is_paused()
    (tmp_path / "journal.db").rmdir()


def test_a_pause_is_asked_of_the_daemon_which_writes_down_who_and_why(
    journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "d.sock"
    server = ControlServer(path, pause_actions(journal, "deliver@pacs"), Operators())
    server.start()
    try:
        told = call(path, "pause", reason="the PACS is updated")
        assert told["words"] == "Route pacs sends nothing more until it goes on."
        (found,) = journal.board.pauses()
        assert (found.daemon, found.reason) == ("deliver@pacs", "the PACS is updated")
        assert call(path, "go_on")["words"] == "Route pacs sends again."
        assert journal.board.pauses() == ()
        with pytest.raises(AnsweredError, match="not paused"):
            call(path, "go_on")
    finally:
        server.close()
    kinds = [(event.actor == found.operator, event.kind) for event in journal.board.events()]
    assert kinds == [(True, "pause"), (True, "go-on")]
    assert "the PACS is updated" in journal.board.events()[0].text


def test_a_daemon_without_slides_offers_no_pause(journal: Journal) -> None:
    assert pause_actions(journal, "notify") == {}


def test_every_operation_on_a_slide_is_a_command_of_every_daemon(journal: Journal) -> None:
    assert {"retry", "mark_requested", "mark_done", "unmark"} <= slide_actions(journal).keys()


def test_a_mark_moves_the_slide_down_and_says_when_and_who(journal: Journal) -> None:
    judge(journal, Verdict.RESCAN)

    def need() -> Attention:
        return attention(status(journal), now=0.0, is_superseded=False)

    assert need() is Attention.RESCAN
    journal.operate("mark_requested", "slide", operator="anna")
    assert status(journal).mark is Mark.REQUESTED
    assert status(journal).marked_at is not None
    assert need() is Attention.REQUESTED
    journal.operate("mark_done", "slide", operator="bert")
    assert need() is Attention.MOVING
    journal.operate("unmark", "slide", operator="bert")
    assert need() is Attention.RESCAN
    noted = [(one.actor, one.kind) for one in journal.board.events(slide_id="slide")][-3:]
    assert noted == [("anna", "mark_requested"), ("bert", "mark_done"), ("bert", "unmark")]


def test_a_slide_that_asks_for_nothing_is_not_marked(journal: Journal) -> None:
    judge(journal, Verdict.ACCEPT)
    for action in ("mark_requested", "mark_done", "unmark"):
        with pytest.raises(ForbiddenAction):
            journal.operate(action, "slide", operator="anna")
    assert status(journal).mark is None
