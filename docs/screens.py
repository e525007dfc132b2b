"""Make the pictures of the screen for the docs, from slides that really walked the line.

Run from the repository's root: `.venv/bin/python -m docs.screens FOLDER` (a fresh folder).
"""

import asyncio
import sys
from pathlib import Path

from appliance.settings import Settings
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.faults import slide_with_corrupt_frame, slide_without_tissue
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.line.appliance_site import ApplianceSite
from tui.app import CoverslipApp

PICTURES = Path(__file__).parent


def scans(folder: Path) -> list[Path]:
    """Write slides of several kinds: good ones, marked ones, an empty and a damaged one."""
    plans = {
        "clean": SlidePlan.small(seed=31, kinds=()),
        "pen": SlidePlan.small(seed=32, kinds=("pen", "dark_spot")),
        "blur": SlidePlan.small(seed=33, kinds=("out_of_focus",)),
        "demo": SlidePlan.demo(seed=7),
    }
    for seed, (name, plan) in enumerate(plans.items()):
        write_slide(folder / name, plan, SlideIdentity.invented(seed + 40))
    slide_without_tissue(folder / "empty", SlideIdentity.invented(50))
    write_slide(folder / "whole", SlidePlan.tiny(seed=35, kinds=()), SlideIdentity.invented(51))
    slide_with_corrupt_frame(folder / "whole", folder / "damaged", frame=3)
    return [folder / name for name in ("clean", "empty", "pen", "damaged", "blur", "demo")]


async def draw(settings: Settings) -> None:
    """Draw worklist and slide as a technician sees them."""
    app = CoverslipApp(settings)
    async with app.run_test(size=(120, 34)) as pilot:
        await pilot.pause(3)
        app.save_screenshot(str(PICTURES / "worklist.svg"))
        for _ in range(3):  # to the newest of those that are done
            await pilot.press("down")
        await pilot.press("enter")
        await pilot.pause(2)
        app.save_screenshot(str(PICTURES / "slide.svg"))


def main() -> None:
    """Walk the slides, then draw."""
    folder = Path(sys.argv[1])
    with ApplianceSite(folder / "site") as site:
        for scan in scans(folder / "scans"):
            site.walk(scan)
        asyncio.run(draw(site.settings))


if __name__ == "__main__":
    main()
