"""One slide through the whole line, watched from the journal."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from appliance.conversion import StandInIdentity, dicom_folder
from appliance.daemon import open_journal
from appliance.demo.site import Site, make_site
from appliance.errors import IncompleteSlide, PeerUnavailable
from appliance.line import SlideStatus, State
from appliance.settings import load
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.supervisor import Supervisor, daemon_commands
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.truth import PlantedTruth
from appliance.temporary import (
    LOOK_EVERY_S,
    await_daemons,
    reads_pixels,
    start_command,
    stop_command,
)

LINE_LIMIT_S = 600.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a demo saw."""

    site: Site
    slide: SlideStatus
    truth: PlantedTruth | None
    """What was planted; None for a real slide."""
    sent_s: float


def walk_the_line(folder: Path, slide: Path | None, *, seed: int, say: Say) -> Walk:
    """Set up a hospital in a folder, scan one slide and wait until it has walked the line.

    Parameters
    ----------
    folder
        Fresh folder for everything.
    slide
        A DICOM folder or a vendor's slide file; None for a generated slide.
    seed
        Of the generated slide.
    say
        Told what happens, one line at a time.
    """
    site = make_site(folder)
    say(f"folder    {folder}")
    if not reads_pixels():
        say("pixels    tesseract is not installed: nobody looks for text in them, nor at the label")
    with ExitStack() as ending:
        _start_peers(site, ending)
        supervisor = Supervisor(settings_file=site.settings_file, quiet=True)
        settings = load(site.settings_file)
        supervisor.start_all(settings)
        ending.callback(supervisor.stop)
        say(f"daemons   {', '.join(daemon_commands(settings))}, each a process of its own")
        scanned, truth = _scan(site, slide, seed=seed, say=say)
        await_daemons(Root(site.root), supervisor)
        started = time.monotonic()
        _push(site, scanned)
        sent_s = time.monotonic() - started
        journal = open_journal(settings)
        status = _watch(journal.board, supervisor, say)
    return Walk(site=site, slide=status, truth=truth, sent_s=sent_s)


def _start_peers(site: Site, ending: ExitStack) -> None:
    for ae_title, port, received in (
        ("PACS", site.pacs_port, site.pacs),
        ("REGISTRY", site.registry_port, site.registry),
    ):
        peer = start_command(
            ["peer", "--ae", ae_title, "--port", str(port), "--folder", str(received)]
        )
        ending.callback(stop_command, peer)


def _scan(
    site: Site, slide: Path | None, *, seed: int, say: Say
) -> tuple[Path, PlantedTruth | None]:
    """Find or make the DICOM folder that the scanner will send."""
    scanner = site.folder / "scanner"
    if slide is not None:
        say(f"slide     {slide}")
        invented = SlideIdentity.invented(seed=seed)
        stand_in = StandInIdentity(
            patient_id=invented.patient_id,
            patient_name=invented.patient_name,
            container_identifier=slide.stem,
        )
        return dicom_folder(slide, scanner, stand_in, say=say), None
    started = time.monotonic()
    truth = write_slide(scanner, SlidePlan.demo(seed=seed), SlideIdentity.invented(seed=seed))
    size_mb = sum(file.stat().st_size for file in scanner.iterdir()) / 1e6
    say(f"slide     generated, {size_mb:.0f} MB in {time.monotonic() - started:.1f} s")
    return scanner, truth


def _push(site: Site, scanned: Path) -> None:
    to = f"127.0.0.1:{site.node_port}"
    arguments = ["send", str(scanned), "--to", to, "--called", "COVERSLIP", "--calling", "SCANNER"]
    if start_command(arguments).wait():
        raise PeerUnavailable("The scanner could not send the slide.")


def _watch(board: Board, supervisor: Supervisor, say: Say) -> SlideStatus:
    """Follow the slide until it is done or set aside, and its tiles are where they belong."""
    deadline = time.monotonic() + LINE_LIMIT_S
    seen = ""
    while time.monotonic() < deadline:
        supervisor.tend()
        for slide in board.snapshot(newest=1):
            words = f"{slide.stage} {slide.state}"
            if words != seen:
                say(f"line      {words}")
                seen = words
            tiles_wait = any(s.state in (State.WAITING, State.RUNNING) for s in board.shards())
            if slide.state is State.ASIDE or (slide.state is State.DONE and not tiles_wait):
                return slide
        time.sleep(LOOK_EVERY_S)
    raise IncompleteSlide(f"The slide did not finish within {LINE_LIMIT_S:.0f} s.")
