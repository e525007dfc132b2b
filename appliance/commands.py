"""The kernel's own commands: demo, analyze, up, status, check-config."""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from appliance.command import DEFAULT_SETTINGS
from appliance.demo import command as demo
from appliance.line import SlideStatus
from appliance.offline import command as offline

TEND_EVERY_S = 0.2


def register(commands: Any) -> None:
    """Add the kernel's commands."""
    demo.add_arguments(
        commands.add_parser("demo", help="one slide down the whole line, over real sockets")
    )
    offline.add_arguments(
        commands.add_parser("analyze", help="judge a folder of slides offline, one folder a slide")
    )
    _add(commands, "up", "run all daemons in the foreground, as one user", run_up)
    status = _add(commands, "status", "show the slides on the line", run_status)
    status.add_argument("--json", action="store_true", help="for scripts")
    check = _add(commands, "check-config", "check the settings file", run_check_config)
    check.description = f"Check the settings file (default {DEFAULT_SETTINGS})."


def _add(
    commands: Any, name: str, words: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words)
    parser.set_defaults(run=run)
    return parser


def run_check_config(arguments: argparse.Namespace) -> int:
    """Check the settings, and the certificates where this user may read the folder of keys."""
    from appliance.certificate import check_certified
    from appliance.settings import load
    from appliance.trust import read_sign_publics

    settings = load(arguments.settings)
    sign_pub = settings.keys.folder / "sign.pub"
    if settings.tile_plans and os.access(sign_pub, os.R_OK):
        public_keys = read_sign_publics(sign_pub, now=time.time())
        check_certified(settings.tile_plans, settings.keys.folder, public_keys)
    print(f"{arguments.settings.name} is sound: {len(settings.scanners)} scanners, "
          f"{len(settings.inference.models)} models, {len(settings.routes)} routes.")  # fmt: skip
    return 0


def run_up(arguments: argparse.Namespace) -> int:
    """Run all daemons until interrupted, starting again whatever dies."""
    from appliance.settings import load
    from appliance.supervisor import NO_ZONES, Supervisor, daemon_commands

    settings = load(arguments.settings)
    print(NO_ZONES)
    print(f"Starting {', '.join(daemon_commands(settings))}. Ctrl-C stops them.")
    supervisor = Supervisor(settings_file=arguments.settings)
    supervisor.start_all(settings)
    try:
        while True:
            supervisor.tend()
            time.sleep(TEND_EVERY_S)
    except KeyboardInterrupt:
        return 0
    finally:
        supervisor.stop()


def run_status(arguments: argparse.Namespace) -> int:
    """Print the slides on the line, newest first."""
    from appliance.daemon import open_journal
    from appliance.settings import load

    board = open_journal(load(arguments.settings)).board
    slides = board.snapshot()
    if arguments.json:
        print(json.dumps([asdict(slide) for slide in slides], indent=1))
        return 0
    for slide in slides:
        print(status_line(slide))
    if not slides:
        print("No slide is on the line.")
    return 0


def status_line(slide: SlideStatus) -> str:
    """Give one slide in one line."""
    verdict = f"  {slide.verdict}: {slide.reason}" if slide.verdict else ""
    error = f"  {slide.error}" if slide.error else ""
    return f"{slide.slide_id}  {slide.stage:<10} {slide.state:<9}{verdict}{error}"
