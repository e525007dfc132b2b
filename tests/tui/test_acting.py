"""Actions from key to daemon: whom they are about, what is asked first, and who may."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from textual import events
from textual.pilot import Pilot
from textual.widgets import Footer, Input

from appliance.control import Command, Operator
from appliance.errors import ConflictingInstance, RejectedError
from appliance.line import Mark, Outcome, Parcel, Role, Stage, State, Verdict
from appliance.pausing import pause_actions
from appliance.settings import Settings
from appliance.stores.journal import Journal
from appliance.stores.journal_schema import slides
from dicom_node.deliver.actions import delivery_actions
from dicom_node.deliver.probing import Probing
from dicom_node.peer import ArchivePeer
from tests.tui.test_app import drive, seen, sees, state, until
from tui.app import CoverslipApp
from tui.health import daemons_of
from tui.preferences import Preferences

Serve = Callable[..., None]


@pytest.fixture
def app(settings: Settings, journal: Journal) -> CoverslipApp:
    return CoverslipApp(settings)


def judged(journal: Journal, verdict: Verdict) -> str:
    """Put a slide on the line and let it come as far as its verdict."""
    journal.add_slide("judgedslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("judgedslide", actor="node", reason="all is there")
    for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER):
        claim = journal.claim(stage)
        assert claim is not None
        found = Outcome(verdict=verdict, reason="Out of focus.")
        journal.advance(claim, found if stage is Stage.INFER else Outcome())
    return "judgedslide"


def mark(journal: Journal) -> Mark | None:
    found = journal.board.slide("judgedslide")
    assert found is not None
    return found.mark


def footer(app: CoverslipApp) -> str:
    return app.screen.query_one(Footer).region and seen(app).splitlines()[-1]


def test_a_route_is_chosen_and_its_pacs_answers(
    settings: Settings, journal: Journal, serve: Serve, tmp_path: Path
):
    pacs = ArchivePeer(folder=tmp_path / "pacs")
    port = pacs.start(ae_title="PACS", host="127.0.0.1", port=0)
    route = settings.routes[0]
    assert route.peer is not None
    there = route.model_copy(update={"peer": route.peer.model_copy(update={"port": port})})
    serve("deliver@pacs", Probing(there, journal.note).commands())

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await sees(pilot, "Echo: which one?")
        await sees(pilot, "route research")
        await pilot.press("enter")
        await sees(pilot, "Route pacs: PACS answers C-ECHO")

    try:
        drive(CoverslipApp(settings), script)
    finally:
        pacs.stop()
    assert journal.board.events()[-1].kind == "probe"


def test_a_pacs_that_is_away_is_a_sentence_with_a_next_step(
    app: CoverslipApp, settings: Settings, journal: Journal, serve: Serve
):
    serve("deliver@pacs", Probing(settings.routes[0], journal.note).commands())

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("e", "enter")
        await sees(pilot, "Route pacs: The peer does not answer")

    drive(app, script)


def test_a_route_pauses_with_a_word_for_others_and_goes_on(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    serve("deliver@pacs", pause_actions(journal, "deliver@pacs"))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("g")
        await sees(pilot, "No route is paused.")
        await pilot.press("w", "enter")
        await sees(pilot, "Why is route pacs paused?")
        await pilot.press(*"update", "enter")
        await until(pilot, lambda: bool(journal.board.pauses()), "paused")
        await sees(pilot, "Route pacs sends nothing more until it goes on.")
        await sees(pilot, "pacs paused")
        await pilot.press("g")
        await until(pilot, lambda: not journal.board.pauses(), "goes on")
        await sees(pilot, "Route pacs sends again.")

    drive(app, script)


def test_the_line_is_drained_and_takes_slides_again(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    serve("node", pause_actions(journal, "node"))
    for daemon in daemons_of(app.settings):
        journal.heartbeat(daemon, pid=1, words="")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "No slide on the line")
        await pilot.press("d")
        await sees(pilot, "Scanners will be told to wait")
        await pilot.press("enter")
        await sees(pilot, "The node takes no new slides")
        await sees(pilot, "safe to switch off")
        await pilot.press("d")
        await sees(pilot, "No new slides are taken already")
        await pilot.press("i")
        await until(pilot, lambda: not journal.board.pauses(), "takes again")

    drive(app, script)
    assert [one.kind for one in journal.board.events()] == ["pause", "go-on"]


def test_a_daemon_is_chosen_to_pause(app: CoverslipApp, journal: Journal, serve: Serve):
    serve("infer", pause_actions(journal, "infer"))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("W", "down", "enter")
        await sees(pilot, "Why does the infer daemon pause?")
        await pilot.press("enter")
        await until(pilot, lambda: bool(journal.board.pauses()), "paused")
        await until(pilot, lambda: bool(pilot.app.view.snapshot.pauses), "the screen knows")
        await pilot.press("G")
        await until(pilot, lambda: not journal.board.pauses(), "goes on")

    drive(app, script)


def test_a_rescan_is_noted_as_asked_for_and_as_done(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    judged(journal, Verdict.RESCAN)
    serve("infer")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "judgedsl")
        await pilot.press("N")
        await sees(pilot, "Only for a slide with a note about a rescan.")
        await pilot.press("m")
        await until(pilot, lambda: mark(journal) is Mark.REQUESTED, "asked for")
        await sees(pilot, "a rescan was asked for.")
        await until(pilot, lambda: "Rescan done" in footer(pilot.app), "offered now")
        await pilot.press("M")
        await until(pilot, lambda: mark(journal) is Mark.DONE, "done")
        await until(pilot, lambda: pilot.app.slide.mark is Mark.DONE, "the screen knows")
        await pilot.press("N")
        await until(pilot, lambda: mark(journal) is None, "taken back")

    drive(app, script)


def test_a_purge_says_first_how_much_goes_and_needs_a_yes(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    asked: list[bool] = []

    def purge(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(bool(arguments.get("dry_run")))
        words = "12 objects, 812.5 MB are removed; an archive holds them."
        return {"words": words if asked[-1] else "The originals were purged: 12 objects."}

    serve("node", {"purge": Command(role=Role.ADMINISTRATOR, run=purge)})
    slide_id = judged(journal, Verdict.ACCEPT)
    for stage in (Stage.REPORT, Stage.RELEASE):
        claim = journal.claim(stage)
        assert claim is not None
        journal.advance(claim, Outcome())
    assert state(journal, slide_id) is State.DONE

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "judgedsl")
        await pilot.press("P")
        await sees(pilot, "812.5 MB")
        await pilot.press("n")
        await pilot.press("P")
        await sees(pilot, "Remove the originals of")
        await pilot.press("y")
        await sees(pilot, "The originals were purged: 12 objects.")

    drive(app, script)
    assert asked == [True, True, False]


def test_of_two_objects_under_one_identifier_the_operator_chooses(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    kept: list[str] = []

    def settle(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        kept.append(str(arguments["keep"]))
        return {}

    serve("node", {"settle_conflict": Command(role=Role.ADMINISTRATOR, run=settle)})
    journal.add_slide("twofold", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("twofold", actor="node", reason="all is there")
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, ConflictingInstance("Two different objects came under one UID."))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "twofold")
        await pilot.press("k")
        await sees(pilot, "the one that came first")
        await pilot.press("escape")
        await pilot.press("k", "enter")
        await pilot.press("k", "down", "down", "enter")
        await sees(pilot, "goes on with the chosen object.")

    drive(app, script)
    assert kept == ["newest"]


def test_an_action_without_the_right_is_grey_and_says_which_right_it_needs(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    def say(_operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"operator": "vera", "role": "viewer"}

    serve("node", {"status": Command(role=Role.VIEWER, run=say)})
    judged(journal, Verdict.RESCAN)

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "judgedsl")
        await until(pilot, lambda: pilot.app.view.role is Role.VIEWER, "the role is known")
        await until(pilot, lambda: "Rescan asked" in footer(pilot.app), "it is shown")
        assert not pilot.app.active_bindings["m"].enabled
        await pilot.press("m")
        await sees(pilot, "Needs the right of technician; yours")
        commands = {one.title: one.help for one in pilot.app.get_system_commands(pilot.app.screen)}
        assert "technician" in commands["Rescan asked: judgedsl"]
        await pilot.press("question_mark")
        await sees(pilot, "(needs technician)")

    drive(app, script)
    assert mark(journal) is None


def test_keys_of_ones_own_act_and_stand_in_footer_and_help(
    settings: Settings, journal: Journal, serve: Serve
):
    serve("node")
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")
    liked = Preferences(keys={"hold": "u", "resume": "f5"}, mistakes=("bell is true or false.",))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "bell is true or false.")
        await sees(pilot, "waitings")
        await pilot.press("h")
        await pilot.press("u")
        await until(pilot, lambda: state(journal, "waitingslide") is State.HELD, "held")
        await until(pilot, lambda: "f5 Resume" in footer(pilot.app), "it is offered")
        await pilot.press("f5")
        await until(pilot, lambda: state(journal, "waitingslide") is State.WAITING, "goes on")
        await pilot.press("question_mark")
        await until(pilot, lambda: _has_line(pilot.app, "f5", "Resume"), "the help knows")

    drive(CoverslipApp(settings, liked=liked), script)


def _has_line(app: CoverslipApp, *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in seen(app).splitlines())


def test_a_click_on_the_footer_does_what_its_key_does(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    serve("node")
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "Hold" in footer(pilot.app), "it is offered")
        row = pilot.app.screen.query_one(Footer).region.y
        await pilot.click(offset=(footer(pilot.app).index("Hold"), row))
        await until(pilot, lambda: state(journal, "waitingslide") is State.HELD, "held")

    drive(app, script)


def test_the_sentence_of_a_slide_is_copied_with_its_id_and_code(
    app: CoverslipApp, journal: Journal
):
    journal.add_slide("twofold", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("twofold", actor="node", reason="all is there")
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, ConflictingInstance("Two different objects came under one UID."))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "twofold")
        await pilot.press("Y")
        await until(pilot, lambda: bool(pilot.app.clipboard), "copied")

    drive(app, script)
    sentence = "Slide twofold at assemble: Two different objects came under one UID."
    assert app.clipboard == f"{sentence} [conflicting-instance]"


def test_a_theme_is_kept_in_the_own_file_and_grey_is_for_no_colour(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own_file = tmp_path / "own" / "screen.toml"
    app = CoverslipApp(settings, liked=Preferences(theme="light"), own_file=own_file, watch=False)
    assert app.theme == "coverslip-light"

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("t")

    drive(app, script)
    assert own_file.read_text() == 'theme = "contrast"\n'
    monkeypatch.setenv("NO_COLOR", "1")
    assert CoverslipApp(settings, liked=Preferences(theme="light")).theme == "coverslip-grey"


def burst(app: CoverslipApp, *keys: str) -> None:
    """Let keys come in one go, as over a slow line."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def test_what_is_typed_behind_a_question_acts_on_nothing(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    serve("node", pause_actions(journal, "node"))
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        burst(pilot.app, "x", *"hmdtq broken")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)), "it asks")
        await pilot.press(*" glass", "enter")
        await until(pilot, lambda: state(journal, "waitingslide") is State.ASIDE, "set aside")

    drive(app, script)
    assert app.theme == "coverslip-dark"
    assert journal.board.pauses() == ()
    told = journal.board.events(slide_id="waitingslide")
    assert [one.kind for one in told][-1:] == ["set_aside"]
    assert "glass" in told[-1].text


def test_a_key_that_follows_the_cursor_at_once_acts_where_the_cursor_went(
    app: CoverslipApp, journal: Journal, serve: Serve
):
    serve("node")
    for name in ("firstslide", "secondslide"):
        journal.add_slide(name, scanner="scanner-a", last_byte_at=time.time())
        journal.complete(name, actor="node", reason="all is there")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "firstsli")
        await sees(pilot, "secondsl")
        upper = pilot.app.slide.slide_id
        lower = {"firstslide": "secondslide", "secondslide": "firstslide"}[upper]
        burst(pilot.app, "down", "h")
        await until(pilot, lambda: state(journal, lower) is State.HELD, "the lower one")
        assert state(journal, upper) is State.WAITING

    drive(app, script)


def test_the_palette_acts_too(app: CoverslipApp, journal: Journal, serve: Serve):
    serve("node")
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("ctrl+p", *"hold:")
        await sees(pilot, "Hold: waitings")
        await pilot.press("enter")
        await until(pilot, lambda: state(journal, "waitingslide") is State.HELD, "held")

    drive(app, script)


def test_what_a_route_refused_is_sent_again(app: CoverslipApp, journal: Journal, serve: Serve):
    journal.add_slide("refusedslide", scanner="scanner-a", last_byte_at=time.time())
    parcel = Parcel(
        parcel_id="one", route="pacs", kind="report", folder="one@0", slide_id="refusedslide"
    )
    with journal._engine.begin() as connection:
        connection.execute(update(slides).values(stage=Stage.DELIVER, state=State.WAITING))
        journal.parcels.add(connection, parcel)
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.parcels.set_aside(claim, RejectedError("The PACS does not know this patient."))
    serve("deliver@pacs", delivery_actions(journal, "pacs"))

    def states() -> set[State]:
        return {one.state for one in journal.parcels.pending()}

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "The PACS does not know this patient.")
        assert states() == {State.ASIDE}
        await pilot.press("f")
        await sees(pilot, "tries again now")
        assert states() == {State.WAITING}

    drive(app, script)
