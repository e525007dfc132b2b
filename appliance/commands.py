"""The kernel's own commands: demo, analyze, up, check-config."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from appliance.command import DEFAULT_SETTINGS
from appliance.demo import command as demo
from appliance.errors import EXIT_CONFIG
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
    check = _add(commands, "check-config", "check the settings file", run_check_config)
    check.description = f"Check the settings file (default {DEFAULT_SETTINGS})."


def _add(
    commands: Any, name: str, words: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words)
    parser.set_defaults(run=run)
    return parser


def run_check_config(arguments: argparse.Namespace) -> int:
    """Name every mistake in the settings; check certificates where this user may read the keys."""
    from appliance.certificate import check_certified
    from appliance.control import check_length
    from appliance.settings import check, read
    from appliance.supervisor import daemon_commands
    from appliance.trust import read_sign_publics

    checked = check(read(arguments.settings))
    for mistake in checked.mistakes:
        print(mistake.told(arguments.settings.name), file=sys.stderr)
    settings = checked.settings
    if settings is None:
        return EXIT_CONFIG
    for daemon in daemon_commands(settings):
        check_length(settings.storage.root / "run" / f"{daemon}.sock")
    sign_pub = settings.keys.folder / "sign.pub"
    if settings.tile_plans and os.access(sign_pub, os.R_OK):
        public_keys = read_sign_publics(sign_pub, now=time.time())
        check_certified(settings.tile_plans, settings.keys.folder, public_keys)
    counts = {
        "scanner": len(settings.scanners),
        "model": len(settings.inference.models),
        "route": len(settings.routes),
    }
    words = ", ".join(f"{number} {word}{'s' * (number != 1)}" for word, number in counts.items())
    print(f"{arguments.settings.name} is sound: {words}.")
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
