"""The command `coverslip privacy plan`: what would leave of a slide on a route; nothing leaves.

The cells are those that release would choose from. Crops, turns and ids are drawn anew with a key
of the moment: the true ones are a secret that no picture should show.
"""

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anonymizer.tiles.plan import Placement
    from appliance.settings import ColouredTiles, Settings
    from appliance.slides.findings import Findings
    from appliance.slides.reader import SlideReader

_KEY_BYTES = 32
_LONGEST_PX = 1200


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip privacy plan`."""
    plan = subparsers.add_parser(
        "plan", help="show what would leave of a slide on a route, with pictures; nothing leaves"
    )
    plan.add_argument("route", metavar="ROUTE")
    plan.add_argument("slide", metavar="SLIDE", help="id of a slide on the line")
    plan.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="where the pictures go"
    )
    plan.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan, draw, and say in numbers what would leave."""
    from appliance.errors import ForbiddenAction
    from appliance.settings import ColouredTiles, load

    settings = load(arguments.settings)
    policy = settings.route(arguments.route).policy
    if not isinstance(policy, ColouredTiles):
        raise ForbiddenAction(f"The route {arguments.route} sends no coloured tiles.")
    deid, findings_folder = _folders(settings, arguments.slide)
    for line in _dry_run(deid, findings_folder, policy, arguments.folder):
        print(line)
    return 0


def _folders(settings: "Settings", slide_id: str) -> tuple[Path, Path]:
    """Find the de-identified slide and its findings."""
    from appliance.daemon import open_journal
    from appliance.errors import ForbiddenAction
    from appliance.line import ZONES, Stage
    from appliance.storage import Root, plain_folder

    board, root = open_journal(settings).board, Root(settings.storage.root)
    names = [board.folder(slide_id, stage) for stage in (Stage.DEIDENTIFY, Stage.INFER)]
    found = [
        root.zone(ZONES[stage]) / plain_folder(name, slide_id)
        for stage, name in zip((Stage.DEIDENTIFY, Stage.INFER), names, strict=True)
        if name is not None
    ]
    if len(found) != len(names):
        raise ForbiddenAction("There is no slide of that id that was judged already.")
    return found[0], found[1]


def _dry_run(
    deid: Path, findings_folder: Path, policy: "ColouredTiles", folder: Path
) -> tuple[str, ...]:
    from anonymizer.release.tile_route import read_class_map
    from anonymizer.tiles.plan import Sampler, candidate_cells, plan_tiles
    from appliance.slides.findings import read_findings
    from appliance.slides.reader import open_slide

    findings = read_findings(findings_folder)
    class_map = read_class_map(findings_folder, findings)
    um_px = findings.class_map_um_px
    placements = plan_tiles(
        class_map,
        class_map_um_px=um_px,
        policy=policy,
        sampler=Sampler(key=secrets.token_bytes(_KEY_BYTES)),
        n_at_most=policy.max_tiles_per_patient,
    )
    n_cells = len(candidate_cells(class_map, class_map_um_px=um_px, policy=policy))
    with open_slide(sorted(deid.glob("*.dcm"))) as reader:
        n_bytes = _draw(reader, placements, policy, folder)
    return (
        *_numbers(findings, placements, policy, n_cells=n_cells, n_bytes=n_bytes),
        "not asked here: what recipients hold already, and what is left of budgets and limits",
        f"pictures: {folder / 'plan.png'} {folder / 'tiles.png'}",
        f"not protected: {policy.statement}",
    )


def _draw(
    reader: "SlideReader",
    placements: tuple["Placement", ...],
    policy: "ColouredTiles",
    folder: Path,
) -> int:
    """Write both pictures; give the bytes of the tiles."""
    from PIL import Image

    from anonymizer.privacy.pictures import overlay, sheet
    from anonymizer.tiles.cut import cut_tiles
    from appliance.slides.sampling import Sampler

    tiles = [jpeg for _, jpeg in cut_tiles(reader, placements, policy)]
    base = reader.levels[0]
    small = Sampler(reader, max(base.rows, base.columns) * base.um_px / _LONGEST_PX)
    picture = small.region(0, 0, small.rows, small.columns)
    px_per_px = policy.um_px * small.rows / (base.rows * base.um_px)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(overlay(picture, placements, px_per_px=px_per_px)).save(folder / "plan.png")
    Image.fromarray(sheet(tiles)).save(folder / "tiles.png")
    return sum(map(len, tiles))


def _numbers(
    findings: "Findings",
    placements: tuple["Placement", ...],
    policy: "ColouredTiles",
    *,
    n_cells: int,
    n_bytes: int,
) -> tuple[str, ...]:
    tile_mm2 = (policy.crop_px * policy.um_px / 1000) ** 2
    share = len(placements) * tile_mm2 / findings.tissue_area_mm2 if placements else 0.0
    verdict = "" if findings.verdict == "accept" else f", so nothing leaves: {findings.verdict}"
    few = policy.few_tiles == "refuse" and len(placements) < policy.min_tiles_per_slide
    would = "are too few, so none would leave" if few else "would leave"
    mixed = f"mixed with tiles of {policy.min_patients - 1} other patients at least"
    return (
        f"verdict {findings.verdict}{verdict}",
        f"clean cells {n_cells}; of colour {policy.colour} {len(placements)} tiles {would}",
        f"that is {share:.1%} of the tissue, {n_bytes / 1e6:.2f} MB, {mixed}",
    )
