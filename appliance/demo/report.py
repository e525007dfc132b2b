"""What the demo shows at the end: stages, verdict, areas, what every route received."""

from collections.abc import Iterator
from pathlib import Path

from appliance.demo.run import Walk
from appliance.line import SlideStatus, Stage, State
from appliance.slides.classes import SlideClass
from appliance.slides.findings import Findings, read_findings
from appliance.stores.board import Board
from appliance.synthetic.truth import PlantedTruth

VERDICT_AIM_S = 60.0


def slide_lines(walk: Walk, board: Board) -> Iterator[str]:
    """Tell how long each stage took and what came of the slide."""
    slide = walk.slide
    yield f"{'stage':<12}{'seconds':>8}"
    yield f"{'send':<12}{walk.sent_s:8.1f}   by the scanner, over C-STORE"
    yield from (f"{name:<12}{seconds:8.1f}" for name, seconds in stage_seconds(slide, board))
    if slide.verdict_at is not None:
        waited_s = slide.verdict_at - slide.last_byte_at
        yield ""
        yield f"last byte received to verdict: {waited_s:.1f} s (aim {VERDICT_AIM_S:.0f} s)"
        yield f"verdict: {str(slide.verdict).upper()}. {slide.reason}"
    if slide.state is State.ASIDE:
        yield f"set aside: {slide.error}"
        yield f"next step: {slide.next_step}"


def stage_seconds(slide: SlideStatus, board: Board) -> list[tuple[str, float]]:
    """Give the seconds that each stage took, waiting included, in the order of the line."""
    ended = board.stage_times(slide.slide_id, slide.revision)
    for event in board.events(slide_id=slide.slide_id):
        if event.kind == "stage-done":
            ended[Stage(event.actor)] = event.at
        if event.kind == "delivered":
            ended[Stage.DELIVER] = event.at
    seconds = []
    before = slide.last_byte_at
    for stage in Stage:
        if stage in ended:
            seconds.append((str(stage), ended[stage] - before))
            before = ended[stage]
    return seconds


def finding_lines(findings: Findings, truth: PlantedTruth | None) -> Iterator[str]:
    """Tell the areas that were found and, for a generated slide, the planted ones beside them."""
    yield f"{'':<14}{'found mm2':>10}{'share':>8}" + (
        "" if truth is None else f"{'planted mm2':>14}"
    )
    tissue = SlideClass.TISSUE.key
    planted = {} if truth is None else {**truth.area_mm2, tissue: truth.tissue_area_mm2}
    yield _area_line(tissue, findings.tissue_area_mm2, 1.0, planted)
    for area in findings.artifacts:
        yield _area_line(area.name, area.area_mm2, area.share_of_tissue, planted)
    for warning in findings.warnings:
        yield f"note: {warning}"
    for model in findings.models:
        yield f"model {model.name} {model.version} on {model.device}"


def _area_line(name: str, area_mm2: float, share: float, planted: dict[str, float]) -> str:
    known = f"{planted[name]:14.2f}" if name in planted else ""
    return f"{name:<14}{area_mm2:10.2f}{share:8.1%}{known}"


def received_lines(walk: Walk, board: Board) -> Iterator[str]:
    """Tell what every route received, in files."""
    site = walk.site
    for name, folder in (
        ("pacs (inside, true identity)", site.pacs),
        ("registry (outside, bare SR)", site.registry),
        ("research-tiles (outside, shuffled tiles)", site.university),
    ):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        yield f"{name}: {len(files)} files"
        yield from (f"    {_size(path):>9}  {path.name}" for path in files[:4])
    for event in board.events(slide_id=walk.slide.slide_id):
        if event.kind == "stage-done" and event.actor == Stage.RELEASE:
            yield f"release says: {event.text}"
    for delivery in (*walk.slide.deliveries, *board.shards()):
        if delivery.error:
            yield f"route {delivery.route}: {delivery.error}"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e3:,.1f} kB"


def findings_of(walk: Walk, board: Board) -> Findings | None:
    """Read the findings that the line published; None when it came not so far."""
    folder = board.folder(walk.slide.slide_id, Stage.INFER)
    return None if folder is None else read_findings(walk.site.root / "findings" / folder)


def picture_of(walk: Walk, board: Board) -> Path | None:
    """Find the slide picture that the line published; None when it came not so far."""
    folder = board.folder(walk.slide.slide_id, Stage.REPORT)
    return None if folder is None else walk.site.root / "report" / folder / "slide_picture.png"
