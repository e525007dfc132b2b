"""Notices: what is told, once each, in quiet hours and after them, and never whose slide it is."""

import errno
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from appliance.attention import Attention
from appliance.line import Heartbeat, Mark, SlideStatus, Stage, State, Verdict
from appliance.settings import Settings, VerdictRules
from appliance.slides.findings import ArtifactArea
from appliance.stores.needs import RouteNeed
from appliance.supervisor import daemon_commands
from dicom_node.notify.hours import QuietHours
from dicom_node.notify.looking import GIB, MOST_SLIDES, Look, notices_of
from dicom_node.notify.memory import CALM_S, MOST_SETTLED, Memory
from dicom_node.notify.message import MOST_TOLD, Message
from dicom_node.notify.notebook import Notebook, decoded, encoded
from dicom_node.notify.notice import Notice, headline, of_slide
from inference.judging.quality import judge

NOW = 1_790_000_000.0
SLIDE = "abcdefghijklmnopqrstuvwx27"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.model_validate(
        {
            "storage": {"root": tmp_path_factory.mktemp("root")},
            "keys": {"folder": "/etc/coverslip/keys"},
            "scanners": [
                {"name": "scanner-a", "ae_title": "SCANNER", "addresses": ["10.0.0.0/8"]},
            ],
            "routes": [
                {
                    "name": "pacs",
                    "recipient": "hospital",
                    "place": "inside",
                    "kind": "dimse",
                    "carries": ["SR"],
                    "addresses": ["127.0.0.0/8"],
                    "peer": {"ae_title": "PACS", "host": "127.0.0.1", "port": 104},
                }
            ],
            "notices": {
                "addresses": ["127.0.0.0/8"],
                "webhook": {"url": "http://127.0.0.1:9/"},
            },
        }
    )


def slide(state: State = State.DONE, **changes: object) -> SlideStatus:
    values: dict[str, object] = {
        "slide_id": SLIDE,
        "revision": 1,
        "scanner": "scanner-a",
        "stage": Stage.DELIVER,
        "state": state,
        "attempts": 1,
        "retries": 0,
        "progress": 0.0,
        "words": "",
        "verdict": None,
        "reason": None,
        "error": None,
        "error_code": None,
        "next_step": None,
        "next_try_at": None,
        "claimed_at": None,
        "created_at": NOW - 100,
        "last_byte_at": NOW - 100,
        "verdict_at": None,
        "updated_at": NOW - 1,
        "supersedes": None,
        "mark": None,
        "marked_at": None,
    }
    return SlideStatus(**values | changes)  # type: ignore[arg-type]


def seen(settings: Settings, **changes: object) -> Look:
    beats = tuple(
        Heartbeat(daemon=name, at=NOW - 1, pid=1, words="") for name in daemon_commands(settings)
    )
    values: dict[str, object] = {
        "at": NOW,
        "began_at": NOW - 1000,
        "free_bytes": 10**15,
        "heartbeats": beats,
    }
    return Look(**values | changes)  # type: ignore[arg-type]


def told(settings: Settings, **changes: object) -> list[str]:
    return [notice.sentence for notice in notices_of(seen(settings, **changes), settings)]


# What is told.


def test_a_line_on_which_all_is_well_tells_nothing(settings: Settings) -> None:
    assert told(settings, slides=(slide(verdict=Verdict.ACCEPT),)) == []


def test_a_rescan_is_told_with_the_shares_that_ask_for_it(settings: Settings) -> None:
    reason = "31 % of the tissue is out of focus (limit 15 %); 5.5 % of the tissue is folded."
    scan = slide(verdict=Verdict.RESCAN, reason=reason)
    (notice,) = notices_of(seen(settings, slides=(scan,)), settings)
    assert notice.sentence == (
        "Scan this slide again: 31 % of the tissue is out of focus; 5.5 % of the tissue is folded."
    )
    assert (notice.slide_id, notice.scanner) == (SLIDE, "scanner-a")


def test_a_reason_without_end_and_slides_without_number_make_no_endless_message(
    settings: Settings,
) -> None:
    reason = "1 % of the tissue is folded. " * 5000
    scans = [
        slide(slide_id=str(number), verdict=Verdict.RESCAN, reason=reason)
        for number in range(MOST_SLIDES + 1)
    ]
    notices = notices_of(seen(settings, slides=tuple(scans)), settings)
    assert len(notices) == MOST_SLIDES
    assert max(len(notice.sentence) for notice in notices) < 250
    assert notices[-1] == of_slide(scans[-1], Attention.RESCAN, settings)


@pytest.mark.parametrize(
    "artifact", ["fold", "dark_spot", "pen", "bubble", "out_of_focus", "blood"]
)
def test_the_reason_that_judging_gives_is_understood_for(artifact: str, settings: Settings) -> None:
    area = ArtifactArea(name=artifact, area_mm2=12.5, share_of_tissue=0.125)
    rules = VerdictRules(rescan={artifact: 0.05})
    judged = judge((area,), 100.0, rules)
    notice = of_slide(
        slide(verdict=Verdict.RESCAN, reason=judged.reason), Attention.RESCAN, settings
    )
    share = judged.reason.partition(" (limit")[0]
    assert notice.sentence == f"Scan this slide again: {share}."


def test_no_tissue_is_understood_too(settings: Settings) -> None:
    judged = judge((), 0.0, VerdictRules())
    notice = of_slide(
        slide(verdict=Verdict.RESCAN, reason=judged.reason), Attention.RESCAN, settings
    )
    assert notice.sentence == "Scan this slide again: no tissue was found on it."


@pytest.mark.parametrize("mark", list(Mark))
def test_what_somebody_has_seen_to_is_not_told(settings: Settings, mark: Mark) -> None:
    assert told(settings, slides=(slide(verdict=Verdict.RESCAN, mark=mark),)) == []


def test_a_slide_that_was_scanned_again_is_not_told(settings: Settings) -> None:
    scan = slide(verdict=Verdict.RESCAN)
    assert told(settings, slides=(scan,), superseded=frozenset({SLIDE})) == []


def test_a_slide_that_stands_still_is_told_by_its_code(settings: Settings) -> None:
    stuck = slide(State.ASIDE, error="Anna Meier", error_code="damaged-image", next_step="Anna")
    (notice,) = notices_of(seen(settings, slides=(stuck,)), settings)
    assert notice.code == "damaged-image"
    assert "Anna" not in str(notice)


def test_nothing_but_words_of_ours_is_told(settings: Settings) -> None:
    """Whatever the journal says, written by whomever."""
    name = "meier-anna"
    for state, verdict in ((State.ASIDE, None), (State.DONE, Verdict.RESCAN)):
        texts = dict.fromkeys(("words", "reason", "error", "error_code", "next_step"), name)
        written = slide(state, slide_id=name, scanner=name, verdict=verdict, **texts)
        beat = Heartbeat(daemon=name, at=0.0, pid=1, words=name)
        look = seen(
            settings,
            slides=(written,),
            heartbeats=(*seen(settings).heartbeats, beat),
            routes=(RouteNeed(route=name, failing=1, failing_since=0.0, refused=1),),
        )
        notices = notices_of(look, settings)
        assert len(notices) == 1
        assert name not in str(notices)


def test_a_silent_daemon_is_told_and_one_that_has_just_been_started_is_waited_for(
    settings: Settings,
) -> None:
    beats = [beat for beat in seen(settings).heartbeats if beat.daemon != "infer"]
    gone = Heartbeat(daemon="infer", at=NOW - 300, pid=1, words="")
    assert told(settings, heartbeats=(*beats, gone)) == [
        "The infer daemon has been silent for 5 min."
    ]
    assert told(settings, heartbeats=tuple(beats)) == ["The infer daemon was never started."]
    assert told(settings, heartbeats=(), began_at=NOW - 60) == []


def test_all_daemons_silent_is_one_thing(settings: Settings) -> None:
    assert told(settings, heartbeats=()) == ["No daemon is running: the line stands still."]


def test_a_route_is_told_once_it_was_down_for_long_unless_it_is_paused(settings: Settings) -> None:
    down = RouteNeed(route="pacs", failing=3, failing_since=NOW - 1200)
    assert told(settings, routes=(down,)) == [
        "Nothing has arrived by route pacs for 20 min. 3 deliveries wait."
    ]
    assert told(settings, routes=(down,), paused=frozenset({"deliver@pacs"})) == []
    assert told(settings, routes=(replace(down, failing_since=NOW - 60),)) == []
    assert told(settings, routes=(replace(down, arrived_at=NOW - 30),)) == []


def test_a_full_disk_is_told(settings: Settings) -> None:
    assert told(settings, free_bytes=20 * GIB) == [
        "The disk is nearly full (20 GiB free): new transfers are put off."
    ]
    assert told(settings, free_bytes=GIB) == [
        "The disk is full (1 GiB free): scanners are told to wait."
    ]


def test_only_what_the_settings_ask_for_is_told(settings: Settings) -> None:
    assert settings.notices is not None
    terms = settings.notices.model_copy(update={"tell": ("rescan",)})
    wanted = settings.model_copy(update={"notices": terms})
    look = seen(wanted, slides=(slide(verdict=Verdict.RESCAN),), free_bytes=GIB)
    assert [notice.subject for notice in notices_of(look, wanted)] == ["rescan"]


# When it is told.


def notice(number: int, subject: str = "rescan") -> Notice:
    return Notice(
        key=f"{subject}:{number}",
        subject=subject,  # type: ignore[arg-type]
        code="rescan",
        sentence=f"Sentence {number}.",
        next_step="Do it.",
    )


class Day:
    """A memory with one receiver, and a clock that the test turns."""

    def __init__(self, *receivers: str) -> None:
        self.memory = Memory().for_receivers(receivers or ("webhook",))
        self.at = 0.0
        self.ids = (f"id-{number}" for number in count())

    def look(self, *notices: Notice, after_s: float = 10.0, quiet: bool = False) -> None:
        self.at += after_s
        self.memory = self.memory.observed(notices, now=self.at).packed(
            now=self.at,
            gather_s=30.0,
            is_quiet=quiet,
            through=("disk",),
            new_id=lambda: next(self.ids),
        )

    def take(self, receiver: str = "webhook") -> Message | None:
        """Let a receiver take what is there for it."""
        message = self.memory.boxes[receiver].message
        if message is not None:
            self.memory = self.memory.arrived(receiver, message.message_id)
        return message


def keys(message: Message | None) -> Sequence[str]:
    return () if message is None else [notice.key for notice in message.notices]


def test_what_comes_shortly_after_each_other_comes_in_one_message_and_once() -> None:
    day = Day()
    day.look(notice(1))
    day.look(notice(1), notice(2))
    assert day.take() is None
    day.look(notice(1), notice(2), after_s=20)
    assert keys(day.take()) == ["rescan:1", "rescan:2"]
    for _ in range(100):
        day.look(notice(1), notice(2), after_s=60)
        assert day.take() is None


def test_what_was_over_before_it_was_told_is_not_told_and_is_when_it_comes_back() -> None:
    day = Day()
    day.look(notice(1))
    day.look()
    day.look(after_s=60)
    assert day.take() is None
    day.look(notice(1))
    day.look(notice(1), after_s=30)
    assert keys(day.take()) == ["rescan:1"]


def test_ever_new_things_in_a_quiet_night_fill_no_memory() -> None:
    day = Day()
    for number in range(20):
        found = [notice(200 * number + one) for one in range(200)]
        day.look(*found, quiet=True, after_s=CALM_S)
    assert len(day.memory.boxes["webhook"].settled) == MOST_SETTLED
    assert len(day.memory.known) <= 600


def test_what_comes_and_goes_is_told_again_only_after_a_while() -> None:
    day = Day()
    day.look(notice(1))
    day.look(notice(1), after_s=30)
    assert day.take() is not None
    day.look(after_s=60)
    day.look(notice(1), after_s=60)
    day.look(notice(1), after_s=60)
    assert day.take() is None
    day.look()
    day.look(after_s=CALM_S + 1)
    day.look(notice(1))
    day.look(notice(1), after_s=30)
    assert keys(day.take()) == ["rescan:1"]


def test_quiet_hours_end_with_one_message_about_what_is_still_so() -> None:
    day = Day()
    day.look(notice(1), quiet=True)
    for number in range(2, 6):
        day.look(notice(1), notice(number), after_s=3600, quiet=True)
        assert day.take() is None
    day.look(notice(1), notice(5), after_s=10)
    message = day.take()
    assert keys(message) == ["rescan:1", "rescan:5"]
    assert message is not None
    assert (message.after_quiet, message.settled) == (True, 3)
    day.look(notice(1), notice(5), notice(6), after_s=3600)
    day.look(notice(1), notice(5), notice(6), after_s=30)
    message = day.take()
    assert keys(message) == ["rescan:6"]
    assert message is not None
    assert not message.after_quiet


def test_what_may_not_wait_is_told_in_quiet_hours_too() -> None:
    day = Day()
    day.look(notice(1), notice(2, "disk"), quiet=True)
    day.look(notice(1), notice(2, "disk"), after_s=30, quiet=True)
    assert keys(day.take()) == ["disk:2"]
    day.look(notice(1), notice(2, "disk"), after_s=3600)
    assert keys(day.take()) == ["rescan:1"]


def test_a_receiver_that_is_away_gets_its_message_and_then_one_about_the_rest() -> None:
    day = Day("webhook", "e-mail")
    day.look(notice(1))
    day.look(notice(1), after_s=30)
    assert keys(day.take("e-mail")) == ["rescan:1"]
    for number in range(2, 5):
        day.look(notice(1), notice(number), notice(9), after_s=3600)
        day.take("e-mail")
    assert keys(day.take("webhook")) == ["rescan:1"]
    day.look(notice(1), notice(4), notice(9))
    assert keys(day.take("webhook")) == ["rescan:9", "rescan:4"]


@pytest.mark.parametrize(
    ("hours", "clock", "quiet"),
    [
        ("19:00-07:00", "18:59", False),
        ("19:00-07:00", "19:00", True),
        ("19:00-07:00", "00:00", True),
        ("19:00-07:00", "06:59", True),
        ("19:00-07:00", "07:00", False),
        ("12:00-13:30", "13:29", True),
        ("12:00-13:30", "11:59", False),
        ("", "03:00", False),
    ],
)
def test_quiet_hours_go_over_midnight(hours: str, clock: str, quiet: bool) -> None:  # noqa: FBT001
    moment = time.strptime(f"2026-11-22 {clock}", "%Y-%m-%d %H:%M")
    assert QuietHours.of(hours).cover(0.0, lambda _: moment) is quiet


# What survives a restart, and how it reads.


@pytest.fixture
def notebook_file(tmp_path: Path) -> Path:
    return tmp_path / "told.json"


def test_the_notebook_keeps_everything_over_a_restart(notebook_file: Path) -> None:
    day = Day("webhook", "e-mail")
    day.look(notice(1))
    day.look(notice(1), notice(2, "disk"), after_s=30)
    day.look(notice(3), quiet=True)
    day.look(quiet=True)
    Notebook(notebook_file, ["webhook", "e-mail"]).change(lambda _: day.memory)
    again = Notebook(notebook_file, ["webhook", "e-mail"]).memory
    assert again == day.memory
    assert decoded(encoded(again)) == again


def test_after_a_long_rest_nothing_is_told_twice(notebook_file: Path) -> None:
    day = Day()
    day.look(notice(1))
    day.look(notice(1), after_s=30)
    day.take()
    Notebook(notebook_file, ["webhook"]).change(lambda _: day.memory)
    day.memory = Notebook(notebook_file, ["webhook"]).memory
    day.look(notice(1), after_s=90_000)
    day.look(notice(1), after_s=60)
    assert day.take() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version": 1, "known": 3}', b"\xff"])
def test_a_damaged_notebook_begins_anew(notebook_file: Path, content: bytes) -> None:
    notebook_file.write_bytes(content)
    assert Notebook(notebook_file, ["webhook"]).memory.known == {}


def test_a_full_disk_keeps_nobody_from_being_told(
    notebook_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("appliance.storage.os.fsync", full)
    day = Day()
    day.look(notice(1, "disk"))
    notebook = Notebook(notebook_file, ["webhook"])
    notebook.change(lambda _: day.memory)
    assert notebook.memory == day.memory
    assert not notebook_file.exists()


def test_a_message_counts_what_it_is_about_and_spells_out_only_so_much() -> None:
    notices = tuple(notice(number) for number in range(60))
    message = Message(message_id="x", at=NOW, notices=(*notices, notice(1, "disk")))
    assert message.subject == "Coverslip: 60 slides to scan again, 1 disk nearly full"
    text = message.text("LAB")
    assert text.count("Do it.") == MOST_TOLD
    assert "And 21 more: the screen shows them all." in text
    assert headline([]) == ""
