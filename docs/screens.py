"""Makes the pictures of the screen for the docs, from slides that really walked the line.

Run from the repository's root: `.venv/bin/python -m docs.screens`. It takes about a minute.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from textual.pilot import Pilot

from appliance.line import State
from appliance.settings import Settings
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.faults import slide_with_corrupt_frame, slide_without_tissue
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.line.appliance_site import ApplianceSite
from tui.app import CoverslipApp

PICTURES = Path(__file__).parent
WIDE, HIGH = (120, 34), (120, 40)
LIMIT_S, LOOK_EVERY_S = 60.0, 0.2
SETTLE_S = 5.0
"""The daemons are asked every two seconds while the system screen is open."""


def scans(folder: Path) -> list[Path]:
    """Write slides of several kinds: good ones, marked ones, an empty and a damaged one."""
    plans = {
        "clean": SlidePlan.small(seed=31, kinds=()),
        "pen": SlidePlan.small(seed=32, kinds=("pen", "dark_spot")),
        "blur": SlidePlan.small(seed=33, kinds=("out_of_focus",)),
        "demo": SlidePlan.demo(seed=7),
        "last": SlidePlan.demo(seed=8),
    }
    for seed, (name, plan) in enumerate(plans.items()):
        write_slide(folder / name, plan, SlideIdentity.invented(seed + 40))
    slide_without_tissue(folder / "empty", SlideIdentity.invented(50))
    write_slide(folder / "whole", SlidePlan.tiny(seed=35, kinds=()), SlideIdentity.invented(51))
    slide_with_corrupt_frame(folder / "whole", folder / "damaged", frame=3)
    return [folder / name for name in ("clean", "empty", "pen", "damaged", "blur", "demo", "last")]


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; end with words when it does not come."""
    for _ in range(int(LIMIT_S / LOOK_EVERY_S)):
        if condition():
            return
        await pilot.pause(LOOK_EVERY_S)
    raise SystemExit(f"waited {LIMIT_S:.0f} s in vain: {what}")


def is_busy(app: CoverslipApp) -> bool:
    """Whether a slide is worked on, and all others have their names."""
    running = [slide for slide in app.view.slides if slide.state is State.RUNNING]
    n_named = sum(app.view.names.is_known(slide.slide_id) for slide in app.view.slides)
    return bool(running) and n_named >= len(app.view.slides) - len(running)


async def draw(settings: Settings, send: Callable[[], object]) -> None:
    """Draw each screen as a technician sees it, while one slide is on the line."""
    app = CoverslipApp(settings)
    async with app.run_test(size=WIDE) as pilot:
        Thread(target=send).start()
        await until(pilot, lambda: is_busy(app), "a slide that is worked on")
        app.save_screenshot(str(PICTURES / "worklist.svg"))
        await pilot.resize_terminal(*HIGH)
        await pilot.press("enter")
        await pilot.pause(SETTLE_S)
        app.save_screenshot(str(PICTURES / "slide.svg"))
        await pilot.press("escape", "s")
        await pilot.pause(SETTLE_S)
        app.save_screenshot(str(PICTURES / "system.svg"))


def strict(text: str) -> str:
    """Ask for a rescan sooner than usual, so that one has a picture worth looking at."""
    return f"{text}\n[verdict]\nrescan = {{ out_of_focus = 0.05, fold = 0.15, bubble = 0.15 }}\n"


def main() -> None:
    """Walk the slides, then draw."""
    with (
        tempfile.TemporaryDirectory() as name,
        ApplianceSite(Path(name) / "site", edit=strict) as site,
    ):
        *walked, last = scans(Path(name) / "scans")
        for scan in walked:
            site.walk(scan)
        asyncio.run(draw(site.settings, lambda: site.send(last)))


if __name__ == "__main__":
    main()
