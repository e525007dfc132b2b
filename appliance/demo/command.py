"""The command `coverslip demo`."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

EXIT_ASIDE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the demo may be told."""
    parser.add_argument("--slide", type=Path, help="a DICOM folder or a vendor's slide file")
    parser.add_argument("--seed", type=int, default=1, help="of the generated slide")
    parser.add_argument("--folder", type=Path, help="fresh folder for everything")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Walk one slide down the line and show what came of it."""
    from appliance.daemon import open_journal
    from appliance.demo.report import (
        finding_lines,
        findings_of,
        picture_of,
        received_lines,
        slide_lines,
    )
    from appliance.demo.run import walk_the_line
    from appliance.line import State
    from appliance.settings import load
    from appliance.supervisor import NO_ZONES

    started = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = (arguments.folder or Path("demo") / stamp).absolute()
    _say(f"Coverslip demo. {NO_ZONES}")
    walk = walk_the_line(folder, arguments.slide, seed=arguments.seed, say=_say)
    board = open_journal(load(walk.site.settings_file)).board
    _section(slide_lines(walk, board))
    findings = findings_of(walk, board)
    if findings is not None:
        _section(finding_lines(findings, walk.truth))
    _section(received_lines(walk, board))
    picture = picture_of(walk, board)
    if picture is not None:
        _say("")
        sys.stdout.flush()
        subprocess.run([sys.executable, "-m", "appliance", "picture", str(picture)], check=True)  # noqa: S603
        _say(f"\npicture   {picture}")
    _say(f"all of it {folder}")
    _say(f"the demo took {time.monotonic() - started:.1f} s")
    return EXIT_ASIDE if walk.slide.state is State.ASIDE else 0


def _section(lines: Iterable[str]) -> None:
    _say("")
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    print(line, flush=True)
