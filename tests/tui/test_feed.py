import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from textual.message import Message

from appliance.daemon import open_journal
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tui.feed import NOT_YET, JournalChanged, JournalFeed, JournalLost
from tui.snapshot import Snapshot

LIMIT_S = 5.0


class Listener:
    """A feed in a thread, and what it posts."""

    def __init__(self, settings: Settings) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.feed = JournalFeed(settings, self.messages.put)
        self.thread = threading.Thread(target=self.feed.run)
        self.thread.start()

    def wait_for(self, *slide_ids: str) -> Snapshot:
        """Wait for a snapshot with exactly these slides."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            message = self.messages.get(timeout=LIMIT_S)
            if isinstance(message, JournalChanged):
                found = {slide.slide_id for slide in message.snapshot.slides}
                if found == set(slide_ids):
                    return message.snapshot
        raise AssertionError(f"no snapshot with {slide_ids} within {LIMIT_S} s")


@pytest.fixture
def listen(settings: Settings) -> Iterator[list[Listener]]:
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.feed.stop()
        listener.thread.join(LIMIT_S)
        assert not listener.thread.is_alive()


def test_a_change_is_shown_within_a_second_and_a_half(
    settings: Settings, journal: Journal, listen: list[Listener]
):
    listen.append(Listener(settings))
    listen[0].wait_for()
    journal.add_slide("first", scanner="a", last_byte_at=1.0)
    began = time.monotonic()
    snapshot = listen[0].wait_for("first")
    assert time.monotonic() - began < 1.5
    assert snapshot.disk is not None


def test_a_missing_journal_is_a_plain_word_and_is_not_made(
    settings: Settings, listen: list[Listener]
):
    listen.append(Listener(settings))
    message = listen[0].messages.get(timeout=LIMIT_S)
    assert isinstance(message, JournalLost)
    assert message.sentence == NOT_YET
    assert not (settings.storage.root / "journal").exists()


def test_a_journal_that_appears_later_is_shown(settings: Settings, listen: list[Listener]):
    listen.append(Listener(settings))
    open_journal(settings).add_slide("late", scanner="a", last_byte_at=1.0)
    listen[0].wait_for("late")


def test_a_journal_that_was_replaced_is_read_anew(
    settings: Settings, journal: Journal, listen: list[Listener], tmp_path: Path
):
    journal.add_slide("old", scanner="a", last_byte_at=1.0)
    listen.append(Listener(settings))
    listen[0].wait_for("old")
    (tmp_path / "journal").rename(tmp_path / "journal-before")
    open_journal(settings).add_slide("new", scanner="a", last_byte_at=1.0)
    listen[0].wait_for("new")


def test_a_journal_that_another_process_has_locked_is_shown_all_the_same(
    settings: Settings, journal: Journal, listen: list[Listener], tmp_path: Path
):
    journal.add_slide("there", scanner="a", last_byte_at=1.0)
    with closing(sqlite3.connect(tmp_path / "journal" / "journal.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE slide SET words = 'never said'")
        listen.append(Listener(settings))
        snapshot = listen[0].wait_for("there")
        other.rollback()
    assert snapshot.slides[0].words == "receiving"


def test_only_the_newest_snapshot_survives_in_the_queue():
    old, new = (JournalChanged(Snapshot(at=at)) for at in (1.0, 2.0))
    assert new.can_replace(old)
    assert not new.can_replace(JournalLost("gone"))
    assert JournalLost("gone").can_replace(JournalLost("slow"))
