"""How every screen looks, in every theme: a literal line, never a machine's own state."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from appliance.errors import IdentityDoubt
from appliance.line import Outcome, Role, Stage, Verdict
from appliance.settings import Settings
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from tests.tui.conftest import NAMES, NOW, literal_details
from tests.tui.drawn import assert_as_looked_at, draw_each_theme
from tests.tui.literal_facts import literal_facts, literal_samples
from tui.action import Choice
from tui.app import CoverslipApp
from tui.feed import JournalChanged
from tui.label import LabelRead
from tui.screens.ask import ChoiceScreen, ConfirmScreen, ReasonScreen
from tui.screens.audit import AuditScreen
from tui.screens.label import LabelScreen
from tui.screens.log import LogScreen
from tui.screens.settings import SettingsScreen
from tui.snapshot import Snapshot
from tui.story import Story
from tui.system_facts import FactsRead
from tui.view import DetailsTold, RoleLearned, StoryRead
from tui.wizard.app import SetupApp
from tui.wizard.document import PinnedModel

SIZES = {"80x24": (80, 24), "140x45": (140, 45)}
SCANNERS = [
    {"name": name, "ae_title": name.upper(), "addresses": ["127.0.0.0/8"]}
    for name in ("scanner-a", "scanner-b")
]
LOG = """\
2026-09-21 14:12:{0:02d},031 node INFO [-] associated with scanner-a from 10.0.5.17
2026-09-21 14:12:{0:02d},408 infer INFO [p2cx6mb8ie] artifacts: 62 % in 21 s
2026-09-21 14:12:{0:02d},611 deliver@pacs WARNING [a9hj4ls1go] the PACS was not there
2026-09-21 14:12:{0:02d},955 anonymize ERROR [f7yd2nq5ce] the label can still be read
"""
FILE = """\
# The laboratory's appliance.
[storage]
root = "/srv/coverslip"

[node]
ae_title = "COVERSLIP"
prot = 11112

[[scanners]]
name = "scanner-a"
ae_title = "SCANNER_A"
addresses = ["10.0.5.0/24"]
quiet_s = "soon"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """All that is shown: a line, the story of a slide, and folders of log and settings."""

    line: Snapshot
    story: Story
    folder: Path
    journal: Journal

    async def shown(self, pilot: Pilot[None]) -> None:
        """Tell the screens what threads would."""
        pilot.app.post_message(JournalChanged(self.line))
        pilot.app.post_message(RoleLearned(Role.TECHNICIAN))
        await pilot.pause()
        pilot.app.post_message(StoryRead(self.story))
        pilot.app.post_message(DetailsTold(self.story.status.slide_id, literal_details()))
        await pilot.pause()
        await pilot.pause()


Way = Callable[[Pilot[None], Literal], Awaitable[None]]


def by_keys(*keys: str) -> Way:
    """Go to a screen as a technician does."""

    async def go(pilot: Pilot[None], literal: Literal) -> None:
        await pilot.press(*keys)
        await literal.shown(pilot)

    return go


async def system(pilot: Pilot[None], literal: Literal) -> None:
    await by_keys("s")(pilot, literal)
    pilot.app.screen.post_message(FactsRead(literal_facts(NOW)))
    await pilot.pause()


async def log(pilot: Pilot[None], literal: Literal) -> None:
    pilot.app.push_screen(LogScreen(pilot.app.view, folder=literal.folder / "log", sought=""))
    await until(pilot, "the label can still be read")


async def audit(pilot: Pilot[None], literal: Literal) -> None:
    board = literal.journal.board
    pilot.app.push_screen(AuditScreen(pilot.app.view, board=lambda: board))
    await until(pilot, "Reason: wrong")


async def settings_file(pilot: Pilot[None], literal: Literal) -> None:
    pilot.app.push_screen(SettingsScreen(pilot.app.view, path=Path("coverslip.toml")))
    await until(pilot, "quiet_s")


async def until(pilot: Pilot[None], text: str, limit_s: float = 8.0) -> None:
    """Wait until a thread's words are on the screen, and no more come."""
    end = time.monotonic() + limit_s
    while text not in seen(pilot):
        assert time.monotonic() < end, seen(pilot)
        await pilot.pause(0.02)
    await pilot.pause()


def seen(pilot: Pilot[None]) -> str:
    """Everything that is on the screen, as text."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def label(pilot: Pilot[None], literal: Literal) -> None:
    read = LabelRead(
        container_identifier="S26-01877-A2",
        barcodes=("S26-01899-A2",),
        texts=("S26-01899", "HE"),
        verdict="The label names another slide than the header.",
    )
    pilot.app.push_screen(LabelScreen("S26-01877-A2", read, may_accept=True))
    await pilot.pause()


async def confirm(pilot: Pilot[None], literal: Literal) -> None:
    question = "Begin S26-01884-C2 now, without waiting for more objects?"
    pilot.app.push_screen(ConfirmScreen(question, "Complete"))
    await pilot.pause()


async def reason(pilot: Pilot[None], literal: Literal) -> None:
    question = "Why is S26-01877-A2 set aside? Write no patient names."
    pilot.app.push_screen(ReasonScreen(question))
    await pilot.pause()
    await pilot.press(*"wrong stain")


async def choice(pilot: Pilot[None], literal: Literal) -> None:
    choices = tuple(Choice(value=one, label=f"route {one}") for one in ("pacs", "registry"))
    pilot.app.push_screen(ChoiceScreen("Echo: which route?", choices))
    await pilot.pause()


WAYS: dict[str, Way] = {
    "worklist": by_keys(),
    "filter": by_keys("slash", *"rescan"),
    "slide": by_keys("enter"),
    "picture": by_keys("p"),
    "system": system,
    "log": log,
    "audit": audit,
    "settings": settings_file,
    "help": by_keys("question_mark"),
    "label": label,
    "confirm": confirm,
    "reason": reason,
    "choice": choice,
}
DRAWN = [(name, size) for size in SIZES for name in WAYS]


@pytest.fixture
def literal(
    settings: Settings,
    literal_line: Snapshot,
    literal_story: Story,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Literal:
    """What is shown; times of events are drawn in the local time of the terminal."""
    time.tzset()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").mkdir()
    lines = "".join(LOG.format(second) for second in range(12))
    (tmp_path / "log" / "all.log").write_text(lines)
    file = tmp_path / "coverslip.toml"
    file.write_text(FILE)
    os.utime(file, (NOW - 3600, NOW - 3600))
    return Literal(
        line=replace(literal_line, disk_samples=literal_samples(NOW)),
        story=literal_story,
        folder=tmp_path,
        journal=past(settings),
    )


def past(settings: Settings) -> Journal:
    """Make a journal in which people and daemons did something, each at its minute."""
    ago = iter(range(3600, 0, -30))
    engine = open_engine(settings.journal_url, store="journal")
    journal = Journal(engine, lambda: NOW - next(ago), lease_s=3600.0)
    for slide_id in list(NAMES)[:3]:
        journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=NOW - 3600)
        journal.complete(slide_id, actor="node", reason="The association ended.")
    first = journal.claim(Stage.ASSEMBLE)
    assert first is not None
    journal.advance(first, Outcome(verdict=Verdict.ACCEPT, reason="6 objects with 3 levels."))
    second = journal.claim(Stage.ASSEMBLE)
    assert second is not None
    journal.set_aside(second, IdentityDoubt("The label can still be read."))
    journal.operate("retry", second.slide_id, operator="tina", reason="")
    journal.operate("set_aside", list(NAMES)[2], operator="ahmed", reason="wrong stain")
    return journal


@pytest.mark.parametrize(("name", "size"), DRAWN, ids=[f"{one}-{size}" for one, size in DRAWN])
def test_a_screen_looks_as_it_was_looked_at_in_every_theme(
    settings: Settings, literal: Literal, tmp_path: Path, name: str, size: str
) -> None:
    settings = Settings.model_validate(settings.model_dump(mode="json") | {"scanners": SCANNERS})
    app = CoverslipApp(settings, clock=lambda: NOW, watch=False)
    app._names.learn(NAMES)

    async def run() -> dict[str, str]:
        async with app.run_test(size=SIZES[size]) as pilot:
            await literal.shown(pilot)
            await WAYS[name](pilot, literal)
            return await draw_each_theme(pilot)

    assert_as_looked_at(asyncio.run(run()), f"{name}-{size}", tmp_path)
    literal.journal._engine.dispose()


@pytest.mark.parametrize("size", SIZES)
def test_the_first_question_of_the_first_run_looks_as_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = PinnedModel(name="tissue", version="1", folder="bundled:tissue", digest="sha256:0")
    app = SetupApp(Path("coverslip.toml"), (model,))

    async def run() -> dict[str, str]:
        async with app.run_test(size=SIZES[size]) as pilot:
            await pilot.pause()
            return await draw_each_theme(pilot)

    assert_as_looked_at(asyncio.run(run()), f"setup-{size}", tmp_path)
