"""The journal is not trusted: what stands in it cannot steer a terminal, nor hide other slides."""

import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, String, insert, update
from textual.pilot import Pilot

from appliance.command import main
from appliance.control import Command
from appliance.line import ZONES, Outcome, Parcel, Role, Stage, Verdict
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.journal import Journal
from appliance.stores.journal_schema import events, heartbeats, metadata, pauses
from tests.tui.conftest import FULL_REASON, literal_findings
from tests.tui.test_app import drive, sees
from tests.tui.test_app import seen as shown_on
from tui.app import CoverslipApp
from tui.health import daemons_of
from tui.register import ALL_EVERY_S, Register
from tui.settings_file import masked
from tui.story import read_story

ATTACK = "HOSTILE\x1b]52;c;Y3VybA==\x07\x1b[2J\x9b31m\u202etxt\u2028\n\t\x7f\u200b\x00"
SLIDE = "hostileslide"
SPARED = frozenset({"slide_id", "stage", "state", "verdict", "mark", "daemon", "parcel_id"})
"""Columns that choose a row, or that hold one of a few words."""
OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    return not any(unicodedata.category(sign) in OBEYED for sign in text.replace("\n", ""))


def lines_of(app: CoverslipApp) -> list[str]:
    return shown_on(app).split("\n")


def poison(connection: Connection) -> None:
    """Put the attack into every column that takes a text."""
    for table in metadata.sorted_tables:
        texts = [c.name for c in table.columns if isinstance(c.type, String)]
        values = {name: ATTACK for name in texts if name not in SPARED and name != "folder"}
        if values and table.name != "product":
            connection.execute(update(table).values(**values))


@pytest.fixture
def hostile(journal: Journal, settings: Settings) -> Journal:
    """A journal in which every text is an attack."""
    now = time.time()
    journal.add_slide(SLIDE, scanner="a", last_byte_at=now)
    journal.complete(SLIDE, actor="node", reason="all is there")
    for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT, Stage.RELEASE):
        claim = journal.claim(stage)
        assert claim is not None
        parcels = ()
        if stage is Stage.INFER:
            folder = settings.storage.root / ZONES[stage] / claim.folder
            folder.mkdir(parents=True)
            (folder / "findings.json").write_text(hostile_findings())
        if stage is Stage.RELEASE:
            parcels = (
                Parcel(parcel_id="p", route="pacs", kind="report", folder="f", slide_id=SLIDE),
            )
        verdict = Verdict.RESCAN if stage is Stage.INFER else None
        journal.advance(claim, Outcome(verdict=verdict, reason="x", parcels=parcels))
    for daemon in daemons_of(settings):
        journal.heartbeat(daemon, pid=1, words="")
    with journal._engine.begin() as connection:
        connection.execute(insert(pauses).values(daemon="node", at=now, operator="o", reason="r"))
        poison(connection)
    return journal


def hostile_findings() -> str:
    findings = literal_findings(SLIDE)
    models = tuple(replace(one, name=ATTACK, device=ATTACK) for one in findings.models)
    return replace(findings, reason=ATTACK, warnings=(ATTACK,), models=models).to_json()


def test_no_text_of_the_journal_or_of_a_daemon_reaches_the_terminal_as_more_than_text(
    hostile: Journal, settings: Settings, serve: Callable[..., None]
):
    def lies(**values: object) -> dict[str, Command]:
        return {
            name: Command(role=Role.VIEWER, run=lambda _operator, _arguments, said=said: said)
            for name, said in values.items()
        }

    identity = {"slides": {SLIDE: {"container_identifier": ATTACK}}}
    serve("release", lies(identify=identity))
    image = {"flavour": ATTACK, "rows": 1, "columns": 1, "objects": 1, "frames": 1, "bytes": 1}
    serve("node", lies(describe_slide={"images": [image | {"encoding": ATTACK}]}))
    serve("anonymize", lies(deid_report={"label": ATTACK, "profile": ATTACK, "key_id": ATTACK}))
    logs = settings.storage.root / "log"
    logs.mkdir(exist_ok=True)
    (logs / "node.log").write_text(f"words of a log {ATTACK}\n", encoding="utf-8")
    app = CoverslipApp(settings)

    async def script(pilot: Pilot[None]) -> None:
        for keys, there in (
            ((), "HOSTILE·]52;c;"),
            (("enter",), "; pseudonyms by key"),
            (("escape", "a"), "◆ HOSTILE"),
            (("escape", "s"), "drained just now by HOSTILE·"),
            (("escape", "l"), "words of a log HOSTILE·"),
        ):
            await pilot.press(*keys)
            await sees(pilot, there)
            assert all(map(is_plain, lines_of(app)))

    drive(app, script, size=(200, 60))


def test_the_status_command_prints_one_plain_line_a_slide(
    hostile: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "coverslip.toml"
    file.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{tmp_path}/keys"\n', encoding="utf-8"
    )
    main(["--settings", str(file), "status"])
    said = capsys.readouterr().out
    assert is_plain(said)
    assert sum("HOSTILE·]52;c;" in line and line.startswith("  ") for line in said.split("\n")) == 1


# Rows that do not fit.

ODD = [
    "created_at='x'",
    "created_at=1e18, verdict='rescan', verdict_at=1e18",
    "created_at=9e999",
    "created_at=-1",
    "stage='zzz'",
    "state='zzz'",
    "verdict='zzz'",
    "mark='zzz'",
    "updated_at=-9e999, state='aside'",
    "updated_at='x'",
    "state='waiting', retries=1, next_try_at=9e999",
    "state='running', claimed_at='x', progress=0.5",
    "state='running', progress=7.0",
    "progress='half'",
    "scanner=x'ff00'",
    "error=17.5, error=x'00'",
    "slide_id='a' || char(27)",
    "slide_id=x'61'",
    "stage=cast(x'ff' as text)",
]


def setting(slide_id: str, change: str) -> str:
    return f"update slide set {change} where slide_id = '{slide_id}'"  # noqa: S608


@pytest.fixture
def altered(journal: Journal, settings: Settings) -> Iterator[Callable[..., None]]:
    """Change a sound journal of two slides by SQL."""
    now = time.time()
    for slide_id in ("sound", "odd"):
        journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=now)
    with closing(sqlite3.connect(settings.journal_url.removeprefix("sqlite:///"))) as opened:

        def alter(*statements: str) -> None:
            for statement in statements:
                opened.execute(statement)
            opened.commit()

        yield alter


@pytest.mark.parametrize("change", ODD)
def test_a_slide_whose_row_does_not_fit_hides_no_other(
    journal: Journal, altered: Callable[..., None], change: str
):
    altered(setting("odd", change))
    shown = journal.shown
    slides = shown.read_slides(list(shown.versions(newest=9)))
    assert [slide.slide_id for slide in slides] == ["sound"]
    assert shown.unreadable == {"slide": 1}
    counted = shown.throughput(since=time.time() - 60, bin_s=60, n_bins=2)
    assert sum(counted.received) in (1, 2)
    assert journal.unsettled(since=0.0) == slides


def test_rows_of_every_kind_that_do_not_fit_are_counted_and_those_that_fit_are_shown(
    journal: Journal, altered: Callable[..., None]
):
    now = time.time()
    with journal._engine.begin() as connection:
        for daemon in ("node", "infer", "release"):
            connection.execute(insert(heartbeats).values(daemon=daemon, at=now, pid=1, words=""))
        for daemon in ("node", "infer"):
            connection.execute(
                insert(pauses).values(daemon=daemon, at=now, operator="o", reason="")
            )
        for number in range(4):
            connection.execute(
                insert(events).values(number=100 + number, at=now, actor="a", kind="k", text="t")
            )
    altered(
        "update event set at = 9e999 where number = 100",
        "update event set at = 'q' where number = 101",
        "update event set text = x'00' where number = 102",
        "update heartbeat set at = 'q' where daemon = 'node'",
        "update heartbeat set pid = 'p' where daemon = 'infer'",
        "update pause set at = 9e999 where daemon = 'node'",
        "insert into disk_sample values (1, 1, 1), (9e18, 1, 1), (2, 'f', 1)",
    )
    shown = journal.shown
    assert [event.number for event in shown.events(after=99)] == [103]
    assert [beat.daemon for beat in shown.heartbeats()] == ["release"]
    assert [pause.daemon for pause in shown.pauses()] == ["infer"]
    assert [sample.at for sample in shown.disk_samples(since=0)] == [1]
    assert shown.unreadable == {"event": 3, "heartbeat": 2, "pause": 1, "sample": 2}
    altered("update event set at = 1, text = 't'", "delete from pause where daemon = 'node'")
    shown.events(after=99)
    shown.pauses()
    assert shown.unreadable == {"heartbeat": 2, "sample": 2}


def test_a_daemon_overlooks_no_row(journal: Journal, altered: Callable[..., None]):
    altered(
        "update slide set created_at = 'x', verdict = 'rescan' where slide_id = 'odd'",
        "insert into pause values ('node', 'x', 'o', '')",
    )
    assert journal.shown.slide("odd") is None
    status = journal.board.slide("odd")
    assert status is not None
    assert status.verdict is Verdict.RESCAN
    assert [pause.daemon for pause in journal.board.pauses()] == ["node"]


def test_the_screen_says_what_cannot_be_read_and_lives_on_every_screen(
    settings: Settings, journal: Journal, altered: Callable[..., None]
):
    for number, _ in enumerate(ODD):
        journal.add_slide(f"odd{number:02}", scanner="scanner-a", last_byte_at=time.time())
    altered(
        "delete from slide where slide_id = 'odd'",
        *(setting(f"odd{number:02}", change) for number, change in enumerate(ODD)),
        "update event set at = 'q'",
        "insert into heartbeat values ('other', 'q', 1, 'w')",
        "insert into pause values ('node', 9e999, 'o', 'r')",
        "insert into disk_sample values (9e18, 1, 1), (9e999, 5, 5)",
    )
    for daemon in daemons_of(settings):
        journal.heartbeat(daemon, pid=1, words="")
    app = CoverslipApp(settings)

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, f"{len(ODD)} slides, 1 sign of life, 1 pause")
        await sees(pilot, "cannot be read")
        await sees(pilot, "sound")
        for keys in (("enter",), ("escape", "a"), ("escape", "s"), ("escape",)):
            await pilot.press(*keys)
            await pilot.pause()
        await sees(pilot, "cannot be read")

    drive(app, script, size=(200, 60))


def test_a_slide_that_was_mended_is_shown_again(journal: Journal, altered: Callable[..., None]):
    altered("update slide set created_at = 'x' where slide_id = 'odd'")
    register = Register(journal.shown)
    register.read(1000.0)
    assert [slide.slide_id for slide in register.slides] == ["sound"]
    altered("update slide set created_at = 1.0 where slide_id = 'odd'")
    register.read(1001.0 + ALL_EVERY_S)
    assert {slide.slide_id for slide in register.slides} == {"sound", "odd"}
    assert journal.shown.unreadable == {}
    altered("update slide set stage = 'zzz' where slide_id = 'odd'")
    register.read(1002.0 + ALL_EVERY_S)
    assert [slide.slide_id for slide in register.slides] == ["sound"]


def test_the_settings_file_is_shown_without_what_a_terminal_obeys():
    assert masked("# a\x1b[2J\r\n\tb = 1\u2028c\n") == "# a·[2J\n    b = 1·c\n"


def test_findings_cannot_bring_an_escape_either(hostile: Journal, settings: Settings):
    story = read_story(hostile.shown, Root(settings.storage.root), SLIDE)
    assert story is not None
    assert story.findings is not None
    found = story.findings
    assert "HOSTILE·" in found.reason
    assert is_plain("".join([found.reason, *found.warnings, *(one.name for one in found.models)]))
    assert FULL_REASON not in found.reason
