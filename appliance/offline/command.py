"""The command `coverslip analyze`."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Final

from appliance.command import EXIT_REFUSED
from appliance.progress import SlidesProgress

_DESCRIPTION: Final = (
    "Judges slides by the same stages as the line, on a temporary line of its own: one folder a "
    "slide comes out, with SR, SEG, slide picture and JSON. Results are pseudonymous; what is in "
    "DST already, made in the same way, is left as it is, so that a run which was stopped can be "
    "run again. Exit code: 0 every slide is there, 2 some were refused, 78 settings, keys or "
    "models do not fit."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command may be told."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "source", type=Path, metavar="SRC", help="a folder of DICOM or vendor slides, or one file"
    )
    parser.add_argument("target", type=Path, metavar="DST", help="folder for the results")
    parser.add_argument(
        "--restore", action="store_true", help="put the true identity into the results"
    )
    parser.add_argument("--again", action="store_true", help="judge also what is there already")
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="folder of the keys (default: keys.folder of the settings; without settings, keys "
        "for this run only)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), help="default: of settings")
    parser.add_argument("--workers", type=int, metavar="N", help="0 means one a core")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Judge the slides that the command line names and print what became of them."""
    from appliance.offline.batch import analyze_folder
    from appliance.offline.method import method_of
    from appliance.offline.private_folder import interruptible
    from appliance.offline.results import json_of, lines_of
    from appliance.supervisor import NO_ZONES

    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its words quote values
    interruptible()
    method = method_of(
        arguments.settings,
        keys=arguments.keys,
        device=arguments.device,
        workers=arguments.workers,
        restore=arguments.restore,
    )
    print(NO_ZONES, file=sys.stderr)
    if not arguments.settings.exists():
        print("There is no settings file: the defaults and bundled models hold.", file=sys.stderr)
    if method.keys is None and not method.restore:
        print("Pseudonyms hold for this run only (--keys keeps them).", file=sys.stderr)
    progress = SlidesProgress()
    try:
        results = analyze_folder(
            arguments.source, arguments.target, method, progress, again=arguments.again
        )
    finally:
        progress.end()
    if arguments.json:
        print(json.dumps(json_of(results), indent=1))
    else:
        print(lines_of(results, arguments.target))
    refused = [one for one in results if one.error is not None]
    return EXIT_REFUSED if refused or not results else 0
