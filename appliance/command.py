"""The `coverslip` command, composed of what each package registers as an entry point.

An entry point in the group `coverslip.commands` names a function `register(subparsers)`, which adds
sub-commands and sets `run`, a function from the parsed arguments to an exit code.
"""

import argparse
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

from appliance import __version__
from appliance.errors import EXIT_CONFIG, ApplianceError, ConfigError

GROUP = "coverslip.commands"
DEFAULT_SETTINGS = Path("/etc/coverslip/coverslip.toml")
EXIT_REFUSED = 2


def parser() -> argparse.ArgumentParser:
    """Make the parser with every package's sub-commands."""
    top = argparse.ArgumentParser(
        prog="coverslip",
        description="Receives slides by DICOM, checks their quality, lets no patient leave.",
    )
    top.add_argument("--version", action="version", version=f"coverslip {__version__}")
    top.add_argument(
        "--settings",
        type=Path,
        default=DEFAULT_SETTINGS,
        help=f"the settings file (default {DEFAULT_SETTINGS})",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        point.load()(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error of ours is one sentence and its next step on standard error."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except ApplianceError as error:
        print(f"coverslip: {error}\n           {error.told()['next_step']}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
