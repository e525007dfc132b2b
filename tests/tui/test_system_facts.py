"""Daemons are asked while the system screen is shown; one that hangs or is gone holds up nobody."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from textual.message import Message
from textual.pilot import Pilot

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction, TransientError
from appliance.facts import Facts, LoadedModel, OpenAssociation, written
from appliance.line import Role
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.stores.journal import Journal
from tests.tui.test_app import seen, sees, until
from tui import system_facts
from tui.app import CoverslipApp
from tui.machine import Ticks, read_machine, read_ticks
from tui.screens.system import SystemScreen
from tui.system_facts import FactsFeed, FactsRead, SystemFacts, ask

MODEL = LoadedModel(name="tissue", version="3", task="tissue", digest="ab" * 32, device="cpu")


def status(facts: Callable[[], Facts]) -> dict[str, Command]:
    """Give the command that every daemon has, with facts of a test."""

    def run(_operator: Operator, _arguments: object) -> dict[str, object]:
        return {"daemon": "any", "version": "0.1.0", "facts": written(facts())}

    return {"status": Command(role=Role.VIEWER, run=run)}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def feed(settings: Settings, journal: Journal, clock: Callable[[], float] = time.time) -> FactsFeed:
    return FactsFeed(settings, lambda: journal.board, lambda _message: None, clock)


def test_every_daemon_is_asked_and_who_is_not_there_is_said(
    settings: Settings, journal: Journal, pool: ThreadPoolExecutor, serve: Callable[..., None]
):
    serve("infer", status(lambda: Facts(models=(MODEL,))))
    found = feed(settings, journal).read(pool)
    assert found.of("infer").models == (MODEL,)
    assert found.of("release") == Facts()
    assert found.silent["release"] == "The release daemon does not answer."
    assert found.silent["deliver@pacs"] == "The deliver@pacs daemon does not answer."
    assert "infer" not in found.silent
    assert found.throughput is not None
    assert found.machine is not None


def test_a_daemon_that_hangs_holds_up_no_other(
    settings: Settings,
    journal: Journal,
    pool: ThreadPoolExecutor,
    serve: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(system_facts, "ANSWER_LIMIT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(Root(settings.storage.root).socket("node")))
        hanging.listen()
        serve("infer", status(lambda: Facts(models=(MODEL,))))
        began = time.monotonic()
        found = feed(settings, journal).read(pool)
    assert time.monotonic() - began < 2.0
    assert found.silent["node"] == "The node daemon does not answer."
    assert found.of("infer").models == (MODEL,)


def test_a_refusal_and_an_answer_of_another_kind_are_said_or_left_out(
    settings: Settings, serve: Callable[..., None]
):
    def refuse(_operator: Operator, _arguments: object) -> dict[str, object]:
        raise ForbiddenAction("The action status needs the role viewer.")

    root = Root(settings.storage.root)
    serve("node", {"status": Command(role=Role.VIEWER, run=refuse)})
    assert ask(root, "node") == "The action status needs the role viewer."
    serve("infer", {"status": Command(role=Role.VIEWER, run=lambda _who, _what: {"facts": 7})})
    answer = ask(root, "infer")
    assert not isinstance(answer, str)
    assert answer.facts == Facts()


def test_how_fast_a_transfer_is_comes_from_two_looks(
    settings: Settings, journal: Journal, pool: ThreadPoolExecutor, serve: Callable[..., None]
):
    n_bytes = [1_000_000]
    serve(
        "node",
        status(
            lambda: Facts(
                associations=(
                    OpenAssociation(name="a", scanner="s", since=0.0, n_bytes=n_bytes[0]),
                )
            )
        ),
    )
    now = [1000.0]
    asked = feed(settings, journal, lambda: now[0])
    assert asked.read(pool).speeds == {}
    now[0], n_bytes[0] = 1002.0, 81_000_000
    assert asked.read(pool).speeds == {"a": 40_000_000.0}


def test_a_journal_that_is_away_hides_nothing_else(
    settings: Settings, pool: ThreadPoolExecutor, serve: Callable[..., None]
):
    def away() -> Board:
        raise TransientError("The journal does not answer.")

    serve("infer", status(lambda: Facts(models=(MODEL,))))
    found = FactsFeed(settings, away, lambda _message: None).read(pool)
    assert found.throughput is None
    assert found.of("infer").models == (MODEL,)


def test_a_feed_that_is_stopped_asks_no_more(settings: Settings, journal: Journal):
    came: list[Message] = []
    running = FactsFeed(settings, lambda: journal.board, came.append)

    def stop(message: Message) -> None:
        came.append(message)
        running.stop()

    running._post = stop
    thread = threading.Thread(target=running.run)
    thread.start()
    thread.join(10.0)
    assert not thread.is_alive()
    assert len(came) == 1


def test_only_the_newest_answers_wait_for_the_screen():
    older, newer = FactsRead(SystemFacts(at=1.0)), FactsRead(SystemFacts(at=2.0))
    assert newer.can_replace(older)


def test_cores_and_memory_are_read_as_the_system_tells_them(tmp_path: Path):
    (tmp_path / "stat").write_text(
        "cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 50 0 25 400 25 0 0 0 0 0\n"
        "cpu1 50 0 25 400 25 0 0 0 0 0\nintr 5\n"
    )
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\n")
    ticks = read_ticks(tmp_path)
    assert ticks == Ticks(busy=150, all=1000)
    found = read_machine(ticks, Ticks(busy=100, all=900), tmp_path)
    assert found is not None
    assert (found.n_cores, found.busy_share) == (2, 0.5)
    assert (found.memory_used_bytes, found.memory_total_bytes) == (400 * 1024, 1000 * 1024)
    assert ticks.share_since(None) is None
    assert ticks.share_since(ticks) is None


def test_a_system_that_tells_nothing_is_not_guessed(tmp_path: Path):
    assert read_ticks(tmp_path) is None
    assert read_machine(None, None, tmp_path) is None
    (tmp_path / "stat").write_text("nonsense\n")
    (tmp_path / "meminfo").write_text("nonsense\n")
    assert read_machine(read_ticks(tmp_path), None, tmp_path) is None


def test_the_daemons_are_asked_only_while_the_system_screen_is_in_front(
    settings: Settings, journal: Journal, serve: Callable[..., None]
):
    n_asked = [0]

    def counted() -> Facts:
        n_asked[0] += 1
        return Facts(models=(MODEL,))

    serve("infer", status(counted))
    app = CoverslipApp(settings)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await sees(pilot, "tissue 3")
        assert "The release daemon did not tell" not in seen(app)
        screen = app.screen
        assert isinstance(screen, SystemScreen)
        assert screen._feed is not None
        await pilot.press("question_mark")
        await until(pilot, lambda: screen._feed is None, "it asks no more")
        await pilot.press("escape")
        await until(pilot, lambda: screen._feed is not None, "it asks again")
        await pilot.press("escape")
        await until(pilot, lambda: screen._feed is None, "it is closed")

    async def run() -> None:
        async with app.run_test(size=(140, 60)) as pilot:
            await script(pilot)

    asyncio.run(run())
    assert n_asked[0] >= 1
