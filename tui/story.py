"""Everything the screen tells about one slide: read once from journal and zones, then frozen."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from appliance.errors import IdentityDoubt, RejectedError
from appliance.line import ZONES, Event, SlideStatus, Stage
from appliance.plain_text import all_plain
from appliance.slides.findings import Findings, read_findings
from appliance.storage import Root, plain_folder
from appliance.stores.board import Board
from tui.terminal.picture import PictureUnreadable, around_tissue, load

SLIDE_PICTURE_PNG = "slide_picture.png"
SLIDE_PLAIN_JPG = "slide_plain.jpg"
MOST_EVENTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a stage began and ended; an end of None means that it has not ended."""

    name: str
    began_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One slide with its past and its products."""

    status: SlideStatus
    events: tuple[Event, ...] = ()
    stage_times: tuple[tuple[Stage, float], ...] = ()
    """When each stage that publishes was committed, in the order of the line."""
    findings: Findings | None = None
    picture: Image.Image | None = None
    """RGB, small enough for a terminal, with the artifacts drawn over the slide."""
    bare: Image.Image | None = None
    """The same picture without what is drawn over it."""
    scans: tuple[SlideStatus, ...] = ()
    """Every scan of the same container, this one too, the oldest first."""

    @property
    def spans(self) -> tuple[Span, ...]:
        """When each step of this revision ran: receiving, the stages, the deliveries."""
        status = self.status
        ends = dict(self.stage_times) | self._release_time()
        began = status.created_at
        found = [Span(name="receive", began_at=began, ended_at=status.last_byte_at)]
        began = status.last_byte_at
        for stage in Stage:
            if stage is Stage.DELIVER or stage not in ends:
                break
            found.append(Span(name=stage, began_at=began, ended_at=ends[stage]))
            began = ends[stage]
        return (*found, *self._open_end(began))

    def _release_time(self) -> dict[Stage, float]:
        """Release publishes no zone folder: its event says when it was done."""
        if self.status.stage is not Stage.DELIVER:
            return {}
        done = [
            event.at
            for event in self.events
            if event.kind == "stage-done" and event.actor == Stage.RELEASE
        ]
        return {Stage.RELEASE: done[-1]} if done else {}

    def _open_end(self, began: float) -> tuple[Span, ...]:
        """Give the stage the slide is at; deliver ends with the last parcel."""
        status = self.status
        if status.stage is not Stage.DELIVER:
            return (Span(name=status.stage, began_at=began, ended_at=None),)
        ended = [delivery.updated_at for delivery in status.deliveries]
        is_done = status.state == "done"
        ended_at = max(ended, default=began) if is_done else None
        return (Span(name=Stage.DELIVER, began_at=began, ended_at=ended_at),)


def read_story(board: Board, root: Root, slide_id: str) -> Story | None:
    """Read all there is about a slide; None when it is not on the line.

    Findings or a picture that are missing or damaged are left out: the slide's own state says why.
    """
    status = board.slide(slide_id)
    if status is None:
        return None
    times = board.stage_times(slide_id, status.revision)
    picture, bare = _pictures(_folder(board, root, slide_id, Stage.REPORT))
    return Story(
        status=status,
        events=board.events(slide_id=slide_id, newest=MOST_EVENTS),
        stage_times=tuple((stage, times[stage]) for stage in Stage if stage in times),
        findings=_findings(_folder(board, root, slide_id, Stage.INFER)),
        picture=picture,
        bare=bare,
        scans=board.scans(slide_id),
    )


def _folder(board: Board, root: Root, slide_id: str, stage: Stage) -> Path | None:
    name = board.folder(slide_id, stage)
    try:
        return root.path / ZONES[stage] / plain_folder(str(name), slide_id) if name else None
    except IdentityDoubt:
        return None


def _findings(folder: Path | None) -> Findings | None:
    if folder is None:
        return None
    try:
        found = read_findings(folder)
    except RejectedError:
        return None
    # Outlines are long and hold no text that is shown.
    shown: Findings = all_plain(replace(found, regions=()))
    return replace(shown, regions=found.regions)


def _pictures(folder: Path | None) -> tuple[Image.Image | None, Image.Image | None]:
    """Give the picture with and without overlay, cut alike; None for what is not there."""
    shown = _picture(folder, SLIDE_PICTURE_PNG)
    bare = _picture(folder, SLIDE_PLAIN_JPG)
    if shown is None:
        return None, None
    if bare is not None and bare.size == shown.size:
        return around_tissue(shown), around_tissue(bare, like=shown)
    return around_tissue(shown), None


def _picture(folder: Path | None, name: str) -> Image.Image | None:
    if folder is None:
        return None
    try:
        return load(folder / name)
    except PictureUnreadable:
        return None
