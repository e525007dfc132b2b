"""A literal line for the screen to show, and a real journal for it to follow."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from appliance.control import ControlServer
from appliance.daemon import open_journal, slide_actions
from appliance.line import (
    DeliveryStatus,
    Event,
    Heartbeat,
    SlideStatus,
    Stage,
    State,
    Verdict,
)
from appliance.settings import Operators, Settings
from appliance.slides.findings import ArtifactArea, Findings, ModelUse
from appliance.storage import Root
from appliance.stores.journal import Journal
from tui.app import CoverslipApp
from tui.health import daemons_of
from tui.snapshot import Disk, Snapshot
from tui.story import Story
from tui.told import DeidTold, Details, ImagesTold, ImageTold, Reason

NOW = 1_790_000_000.0
"""The moment at which the literal line is shown."""

NAMES = {
    "mq4xk7b2pa": "S26-01877-A1",
    "f7yd2nq5ce": "S26-01877-A2",
    "k3vw8rt6zu": "S26-01880-B1",
    "a9hj4ls1go": "S26-01881-A1",
    "p2cx6mb8ie": "S26-01882-A1",
    "t5ne1dy3wa": "S26-01883-A1",
    "z8ub5kf7qo": "S26-01884-C2",
    "c1rg9xh2lu": "S26-01876-A1",
    "w6pa3jv4ny": "S26-01875-A1",
    "d4st7mo9ke": "S26-01877-A1",
}

MOMENTS = ("claimed_at", "created_at", "last_byte_at", "verdict_at", "updated_at", "marked_at")
FULL_REASON = "31 % of the tissue is out of focus, most of it at the lower edge."


def slide(slide_id: str, stage: Stage, state: State, **changes: object) -> SlideStatus:
    """Make one slide of the literal line; times are given as seconds before NOW."""
    values: dict[str, object] = {
        "revision": 1,
        "scanner": "scanner-a",
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
        "created_at": 240.0,
        "last_byte_at": 200.0,
        "verdict_at": None,
        "updated_at": 5.0,
        "supersedes": None,
        "mark": None,
        "marked_at": None,
        "deliveries": (),
    } | changes
    for moment in MOMENTS:
        ago = values[moment]
        values[moment] = None if ago is None else NOW - float(str(ago))
    return SlideStatus(slide_id=slide_id, stage=stage, state=state, **values)  # type: ignore[arg-type]


def delivery(route: str, kind: str, state: State, error: str | None = None) -> DeliveryStatus:
    """Make one delivery of the literal line."""
    return DeliveryStatus(
        parcel_id=f"{route}-{kind}",
        route=route,
        kind=kind,
        state=state,
        attempts=1,
        error=error,
        updated_at=NOW - 660,
    )


PACS_DONE = delivery("pacs", "report", State.DONE)
REGISTRY_DONE = delivery("registry", "outside_sr", State.DONE)
PACS_WAITS = delivery("pacs", "report", State.WAITING, "The PACS did not accept the association.")


def literal_slides() -> tuple[SlideStatus, ...]:
    """Make one slide of every kind a technician meets."""
    accept = {"verdict": Verdict.ACCEPT, "reason": "The tissue is clean and in focus."}
    return (
        slide(
            "mq4xk7b2pa",
            Stage.DELIVER,
            State.DONE,
            created_at=760,
            last_byte_at=702,
            verdict=Verdict.RESCAN,
            reason=FULL_REASON,
            verdict_at=681.6,
            updated_at=660,
            deliveries=(PACS_DONE,),
        ),
        slide(
            "f7yd2nq5ce",
            Stage.DEIDENTIFY,
            State.ASIDE,
            error="The label can still be read in one of the images.",
            error_code="identity-doubt",
            next_step="Nothing has left. Show the de-identification report to the administrator.",
            updated_at=130,
        ),
        slide("k3vw8rt6zu", Stage.INFER, State.HELD, scanner="scanner-b", updated_at=400),
        slide(
            "a9hj4ls1go",
            Stage.DELIVER,
            State.WAITING,
            verdict=Verdict.REVIEW,
            reason="9 % of the tissue is folded.",
            verdict_at=186,
            retries=1,
            next_try_at=NOW + 40,
            error="The PACS did not accept the association.",
            error_code="peer-unavailable",
            deliveries=(PACS_WAITS, REGISTRY_DONE),
        ),
        slide(
            "p2cx6mb8ie",
            Stage.INFER,
            State.RUNNING,
            created_at=64,
            last_byte_at=21,
            progress=0.62,
            words="artifacts",
            updated_at=0.4,
        ),
        slide("t5ne1dy3wa", Stage.DEIDENTIFY, State.WAITING, created_at=40, last_byte_at=12),
        slide(
            "z8ub5kf7qo",
            Stage.ASSEMBLE,
            State.RECEIVING,
            scanner="scanner-b",
            created_at=9,
            last_byte_at=0.5,
            words="3 objects, 412 MB",
            updated_at=0.5,
        ),
        slide(
            "c1rg9xh2lu",
            Stage.DELIVER,
            State.DONE,
            created_at=1900,
            last_byte_at=1850,
            verdict_at=1833,
            updated_at=1820,
            deliveries=(PACS_DONE, REGISTRY_DONE),
            **accept,
        ),
        slide(
            "w6pa3jv4ny",
            Stage.DELIVER,
            State.DONE,
            created_at=2900,
            last_byte_at=2850,
            verdict_at=2829,
            updated_at=2820,
            deliveries=(PACS_DONE, REGISTRY_DONE),
            **accept,
        ),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a small lab."""
    # A Unix socket's path may have 107 characters, so that the folder's name is kept short.
    return Settings.model_validate(
        {
            "storage": {"root": tmp_path, "soft_free_gib": 1, "hard_free_gib": 0},
            "keys": {"folder": tmp_path / "keys"},
            "routes": [
                {
                    "name": "pacs",
                    "recipient": "hospital",
                    "place": "inside",
                    "kind": "dimse",
                    "carries": ["SR", "SEG"],
                    "addresses": ["127.0.0.0/8"],
                    "peer": {"ae_title": "PACS", "host": "127.0.0.1", "port": 11113},
                },
                {
                    "name": "registry",
                    "recipient": "registry",
                    "place": "outside",
                    "kind": "folder",
                    "carries": ["outside_sr"],
                    "folder": "/srv/registry",
                    "policy": {
                        "mechanism": "bare_report",
                        "statement": "The bare report tells the areas of artifacts.",
                    },
                },
                {
                    "name": "research",
                    "recipient": "university",
                    "place": "outside",
                    "kind": "object_store",
                    "carries": ["tiles"],
                    "store": {"url": "s3://tiles", "credentials_file": "/etc/s3.toml"},
                    "limits": {"tiles_per_day": 20_000, "mb_s": 2.5},
                    "policy": {
                        "mechanism": "coloured_tiles",
                        "statement": "Does not protect against whoever holds the slide.",
                    },
                },
            ],
        }
    )


@pytest.fixture
def literal_line(settings: Settings) -> Snapshot:
    """One slide of every kind, all daemons alive."""
    beats = tuple(
        Heartbeat(daemon=daemon, at=NOW - 1, pid=100 + number, words="")
        for number, daemon in enumerate(daemons_of(settings))
    )
    return Snapshot(
        at=NOW,
        slides=literal_slides(),
        heartbeats=beats,
        disk=Disk(free_bytes=812 << 30, total_bytes=1800 << 30),
    )


@pytest.fixture
def literal_story(settings: Settings) -> Story:
    """The story of the slide that must be scanned again."""
    status = literal_slides()[0]
    stages = (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT)
    ends = (699.0, 694.5, 681.6, 679.0)
    parcel = (
        "Parcel pacs-report for route pacs to hospital (inside, dimse): report, 2 files, 1284410 "
        f"bytes. Policy {settings.routes[0].policy_digest}: true_patient. Signed with key "
        "5f0c2a9be1d47733."
    )
    notes = (
        (760.0, "scanner-a", "received", "The first object arrived."),
        (701.0, "node", "complete", "The association ended and all that is expected is there."),
        (681.6, "infer", "stage-done", "Rescan: 31 % of the tissue is out of focus."),
        (676.2, "release", "parcel", parcel),
        (676.0, "release", "stage-done", "1 parcel was signed."),
        (660.0, "deliver@pacs", "delivered", "2 objects arrived at PACS."),
    )
    return Story(
        status=status,
        events=tuple(
            Event(
                number=number,
                at=NOW - ago,
                actor=actor,
                slide_id=status.slide_id,
                kind=kind,
                text=text,
            )
            for number, (ago, actor, kind, text) in enumerate(notes)
        ),
        stage_times=tuple((stage, NOW - ago) for stage, ago in zip(stages, ends, strict=True)),
        findings=literal_findings(status.slide_id),
        picture=drawn_picture(),
        scans=(earlier_scan(), status),
    )


def earlier_scan() -> SlideStatus:
    """Make the scan that came before the one of the literal story."""
    return slide(
        "d4st7mo9ke",
        Stage.DELIVER,
        State.DONE,
        created_at=90_000,
        last_byte_at=89_950,
        verdict=Verdict.RESCAN,
        reason="44 % of the tissue is under an air bubble.",
        verdict_at=89_930,
        updated_at=89_900,
        deliveries=(PACS_DONE,),
    )


def literal_findings(slide_id: str) -> Findings:
    """Findings that ask for a rescan."""
    amounts = {"fold": 0.021, "dark_spot": 0.0, "pen": 0.004, "bubble": 0.0, "out_of_focus": 0.312}
    tissue_mm2 = 148.2
    return Findings(
        slide_id=slide_id,
        revision=1,
        verdict=Verdict.RESCAN,
        reason=FULL_REASON,
        class_map_um_px=8.0,
        rows=1500,
        columns=2400,
        base_um_px=0.25,
        base_rows=48000,
        base_columns=76800,
        tissue_area_mm2=tissue_mm2,
        artifacts=tuple(
            ArtifactArea(name=name, area_mm2=share * tissue_mm2, share_of_tissue=share)
            for name, share in amounts.items()
        ),
        regions=(),
        models=(
            ModelUse(name="tissue", version="1", digest="0" * 64, device="cpu", um_px=8.0),
            ModelUse(name="artifact", version="1", digest="1" * 64, device="cpu", um_px=2.0),
        ),
    )


def drawn_picture() -> Image.Image:
    """Draw something like a section on glass, the same every time."""
    picture = Image.new("RGB", (240, 150), (250, 248, 250))
    draw = ImageDraw.Draw(picture)
    dice = np.random.default_rng(7)
    draw.ellipse((30, 20, 205, 130), fill=(226, 178, 205))
    draw.ellipse((120, 10, 220, 90), fill=(222, 170, 200))
    for _ in range(900):
        x, y = int(dice.integers(32, 210)), int(dice.integers(18, 128))
        if picture.getpixel((x, y)) != (250, 248, 250):
            draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(120, 70, 150))
    draw.polygon([(60, 95), (150, 90), (190, 120), (90, 130)], fill=(236, 216, 96))
    return picture


@pytest.fixture
def literal_app(settings: Settings, literal_line: Snapshot) -> CoverslipApp:
    """The application, which shows only what a test hands to it."""
    app = CoverslipApp(settings, clock=lambda: NOW, watch=False)
    app._names.learn(NAMES)
    return app


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    """A real journal in a fresh folder."""
    journal = open_journal(settings)
    yield journal
    journal._engine.dispose()


@pytest.fixture
def serve(settings: Settings, journal: Journal) -> Iterator[Callable[..., None]]:
    """Serve control sockets of daemons with the actions that every daemon has."""
    servers: list[ControlServer] = []

    def start(daemon: str, commands: dict | None = None) -> None:
        path = Root(settings.storage.root).socket(daemon)
        server = ControlServer(path, slide_actions(journal) | (commands or {}), Operators())
        server.start()
        servers.append(server)

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def _same_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own terminal and time zone out of what is shown."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert os.environ["TZ"] == "UTC"


def literal_details() -> Details:
    """What the daemons tell of the slide that must be scanned again."""
    return Details(
        images=ImagesTold(
            images=(
                *(
                    ImageTold(
                        flavour="VOLUME",
                        rows=48_000 >> 2 * level,
                        columns=76_800 >> 2 * level,
                        um_px=0.25 * 4**level,
                        n_objects=1,
                        n_frames=28_200 >> 4 * level,
                        n_bytes=1_400_000_000 >> 4 * level,
                        encoding="JPEG Baseline (Process 1)",
                    )
                    for level in range(4)
                ),
                *(
                    ImageTold(
                        flavour=flavour,
                        rows=400,
                        columns=600,
                        um_px=None,
                        n_objects=1,
                        n_frames=1,
                        n_bytes=80_000,
                        encoding="JPEG Baseline (Process 1)",
                    )
                    for flavour in ("LABEL", "OVERVIEW")
                ),
            ),
            n_objects=6,
            n_bytes=1_493_000_000,
            n_dismissed=0,
            n_purged=0,
            n_promised=6,
            n_archived=0,
        ),
        deid=DeidTold(
            n_images=6,
            n_kept=4,
            dropped=(
                ("LABEL", "its image type is not VOLUME"),
                ("OVERVIEW", "its image type is not VOLUME"),
            ),
            attributes={"removed": 141, "replaced": 78, "cleaned": 42, "kept": 177},
            reasons=(
                Reason(kind="removed", reason="by the profile's table", n_attributes=90),
                Reason(kind="replaced", reason="by the profile's table", n_attributes=54),
                Reason(kind="cleaned", reason="cleaned item by item", n_attributes=42),
                Reason(kind="replaced", reason="date or time", n_attributes=24),
                Reason(kind="removed", reason="private", n_attributes=18),
                Reason(kind="removed", reason="not part of such an object", n_attributes=12),
                Reason(kind="removed", reason="free text", n_attributes=9),
                Reason(kind="removed", reason="names the institution", n_attributes=12),
            ),
            n_sought=174,
            not_sought=((4, "of fewer than four characters: looked for as a whole text only"),),
            n_judged=894,
            n_pictures_read=3,
            n_painted=2,
            label="agrees",
            profile="DICOM PS3.15 2026d Basic Application Level Confidentiality Profile",
            key_id="a93fb88db57657cf",
        ),
    )
