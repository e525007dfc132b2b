"""The screen of one slide over a real journal, with what the daemons' own commands tell."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image
from textual.pilot import Pilot

from anonymizer.deidentify.report import REPORT_NAME, DeidReport, write_report
from anonymizer.deidentify.told import report_commands
from anonymizer.profile.decide import Profile
from appliance.errors import IdentityDoubt
from appliance.line import ZONES, Outcome, Stage, Verdict
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.originals import Originals
from appliance.stores.receipts import Receipt, Receipts
from dicom_node.headers import Instance
from dicom_node.slides.described import Description
from tests.tui.test_app import drive, seen, sees, until
from tui.app import CoverslipApp
from tui.screens.picture import PictureScreen
from tui.screens.worklist import WorklistScreen
from tui.story import Story
from tui.widgets.picture_view import PictureView

BARE = (200, 100, 150)


def colours(app: CoverslipApp) -> set[tuple[int, ...]]:
    """The colours of the picture's cells."""
    strips = app.screen.query_one(PictureView)
    lines = [strips.render_line(y) for y in range(strips.size.height)]
    styles = [segment.style for line in lines for segment in line if segment.text == "▀"]
    return {tuple(style.color.triplet) for style in styles if style and style.color}


@pytest.fixture
def app(settings: Settings, journal: Journal) -> CoverslipApp:
    return CoverslipApp(settings)


def walk(
    journal: Journal, root: Path, slide_id: str, story: Story, *, before: str | None = None
) -> None:
    """Let a slide walk up to release, with findings and a picture."""
    journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=time.time(), supersedes=before)
    journal.complete(slide_id, actor="node", reason="all is there")
    for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT):
        claim = journal.claim(stage)
        assert claim is not None
        folder = root / ZONES[stage] / claim.folder
        folder.mkdir(parents=True)
        if stage is Stage.DEIDENTIFY:
            write_deid_report(folder)
        if stage is Stage.INFER:
            (folder / "findings.json").write_text(story.findings.to_json())
        if stage is Stage.REPORT:
            story.picture.save(folder / "slide_picture.png")
            Image.new("RGB", story.picture.size, BARE).save(folder / "slide_plain.jpg")
        verdict = Verdict.RESCAN if stage is Stage.INFER else None
        journal.advance(claim, Outcome(verdict=verdict, reason="31 % is out of focus."))


def write_deid_report(folder: Path) -> None:
    report = DeidReport(
        key_id="a93fb88db57657cf",
        profile=Profile(),
        images=(),
        dropped=(("LABEL", "its image type is not VOLUME"),),
        looked_for={"names": 174},
        too_short=0,
    )
    write_report(folder / REPORT_NAME, [report])


def described(folder: Path, *slide_ids: str) -> Description:
    """The node's own receipts, with one object for each slide."""
    engine = open_engine(f"sqlite:///{folder / 'receipts.db'}", store="receipts")
    receipts = Receipts(engine)
    for number, slide_id in enumerate(slide_ids, start=1):
        facts = Instance(
            sop_instance_uid=f"1.2.{number}",
            sop_class_uid="1.2.3",
            transfer_syntax_uid="1.2.840.10008.1.2.4.50",
            study_instance_uid="1.2.3.4",
            series_instance_uid="1.2.3.4.5",
            flavour="VOLUME",
            rows_px=48_000,
            columns_px=76_800,
        )
        receipts.add(
            Receipt(
                **{
                    name: getattr(facts, name)
                    for name in (
                        "sop_instance_uid",
                        "sop_class_uid",
                        "transfer_syntax_uid",
                        "study_instance_uid",
                        "series_instance_uid",
                    )
                },
                facts=json.dumps(asdict(facts)),
                sha256=f"{number:064d}",
                size_bytes=1_400_000_000,
                calling_ae_title="SCANNER",
                association="a",
                received_at=1.0,
            )
        )
        receipts.assign([number], slide_id)
    return Description(
        receipts=receipts, originals=Originals(engine), path_of=lambda sha256: folder / sha256
    )


async def look_below_the_overlay(pilot: Pilot[None]) -> None:
    await pilot.press("p")
    await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "picture")
    await sees(pilot, "out of focus 31 %")
    assert "▀" in seen(pilot.app)
    assert "not to diagnose" in seen(pilot.app)
    assert BARE not in colours(pilot.app)
    await pilot.press("v")
    await until(pilot, lambda: BARE in colours(pilot.app), "the slide without overlay")
    await pilot.press("v")
    await until(pilot, lambda: BARE not in colours(pilot.app), "the overlay again")


def test_everything_about_a_slide_is_on_its_screen_and_its_earlier_scan_is_a_key_away(
    app: CoverslipApp,
    journal: Journal,
    settings: Settings,
    literal_story: Story,
    serve: Callable[..., None],
):
    folder = settings.storage.root
    walk(journal, folder, "earlierscan", literal_story)
    walk(journal, folder, "laterscan", literal_story, before="earlierscan")
    serve("anonymize", report_commands(journal=journal, root=Root(folder)))
    node = described(folder, "earlierscan", "laterscan")
    serve("node", node.commands())

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "↻ RESCAN")
        await pilot.press("enter")
        await sees(pilot, "46.24 mm²")
        await sees(pilot, "76,800 x 48,000")
        await sees(pilot, "174 values of the original: none was found")
        await sees(pilot, "Scans of this container")
        assert "The infer stage is done." in seen(pilot.app)
        assert pilot.app.screen.slide_id == "laterscan"
        assert pilot.app.screen.query_one(PictureView).display
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: pilot.app.screen.slide_id == "earlierscan", "earlier scan")
        await sees(pilot, "id earliers")
        await sees(pilot, "174 values")
        await look_below_the_overlay(pilot)
        await pilot.press("escape", "right_square_bracket", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, WorklistScreen), "worklist")

    drive(app, script, size=(140, 60))
    node.receipts._engine.dispose()


def test_daemons_that_are_away_and_a_slide_that_was_set_aside_are_plain_words(
    app: CoverslipApp, journal: Journal
):
    journal.add_slide("asideslide", scanner="scanner-a", last_byte_at=time.time())
    journal.reject("asideslide", actor="node", error=IdentityDoubt("Two patients in one slide."))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "Two patients in one slide.")
        await pilot.press("enter")
        await sees(pilot, "by itself")
        await sees(pilot, "(identity-doubt)")
        await sees(pilot, "The node daemon does not answer.")
        await sees(pilot, "The anonymize daemon does not answer.")
        assert "Earlier scan" not in seen(pilot.app)
        await pilot.press("p")
        await sees(pilot, "There is no picture of this slide yet.")

    drive(app, script, size=(100, 40))
