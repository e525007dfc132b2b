"""The commands `coverslip deidentify` (files by hand) and `coverslip anonymize` (the daemon)."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import ConfigError
from appliance.progress import SlidesProgress

if TYPE_CHECKING:
    from anonymizer.deidentify.method import Method

EXIT_REFUSED = 2


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `coverslip deidentify` and `coverslip anonymize`."""
    anonymize = subparsers.add_parser("anonymize", help="run the daemon that takes identity off")
    anonymize.set_defaults(run=_anonymize)
    _register_deidentify(subparsers)


def _register_deidentify(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = subparsers.add_parser(
        "deidentify",
        help="de-identify files or folders; one folder a slide comes out",
        description="De-identifies slides by PS3.15 Annex E. What is in DST already is left as it"
        " is, so that a run which was stopped can be run again. Exit code: 0 every slide is"
        " there, 2 some were refused, 78 settings, keys or options do not fit.",
    )
    command.add_argument("source", type=Path, metavar="SRC", help="a DICOM file, or a folder")
    command.add_argument("target", type=Path, metavar="DST", help="folder for the slides")
    command.add_argument(
        "--profile",
        action="append",
        metavar="OPTION[,OPTION]",
        help="options of PS3.15 beyond the default (default: deidentify.options of settings)",
    )
    command.add_argument("--site-rules", type=Path, metavar="FILE", help="rules of the hospital")
    command.add_argument("--code-list", type=Path, metavar="FILE", help="pseudonyms of a study")
    command.add_argument(
        "--report",
        type=Path,
        metavar="DIR|FILE",
        help="write what was done: FILE.json, FILE.html, or a folder with both for every slide",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="only tell what would be done; DST is not touched"
    )
    command.add_argument(
        "--jobs", type=int, metavar="N", help="slides at a time (default: one for each core)"
    )
    command.add_argument("--json", action="store_true", help="print the summary as JSON")
    command.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="folder of the keys, and read no settings (default: keys.folder of settings)",
    )
    command.set_defaults(run=_deidentify)


def _anonymize(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.daemon import run

    return run(arguments.settings)


def _deidentify(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.many import deidentify_folder, rehearse_folder
    from anonymizer.deidentify.report import write_reports
    from anonymizer.deidentify.summary import json_of, lines_of

    if not arguments.source.exists():
        raise ConfigError(f"{arguments.source} does not exist.")
    method, jobs = _method(arguments), _jobs(arguments)
    progress = SlidesProgress()
    try:
        if arguments.dry_run:
            results = rehearse_folder(arguments.source, method, progress, jobs)
        else:
            results = deidentify_folder(arguments.source, arguments.target, method, progress, jobs)
    finally:
        progress.end()
    reports = {one.name: one.report for one in results if one.report is not None}
    if arguments.report and reports:
        write_reports(arguments.report, reports)
    print(json.dumps(json_of(results), indent=1) if arguments.json else lines_of(results))
    refused = [result for result in results if result.error is not None]
    return EXIT_REFUSED if refused or not results else 0


def _method(arguments: argparse.Namespace) -> "Method":
    """Make the method of the command line, and of the settings where it says nothing.

    With --keys the settings are not read: the command then works on a machine that has none.
    """
    from anonymizer.deidentify.method import method_of
    from appliance.settings import Deidentify, load

    if arguments.keys is None:
        settings = load(arguments.settings)
        section, keys = settings.deidentify, settings.keys.folder
    else:
        section, keys = Deidentify(), Path(arguments.keys)
    options = tuple(one for words in arguments.profile or () for one in words.split(",") if one)
    named = {
        "options": options,
        "site_rules": arguments.site_rules,
        "code_list": arguments.code_list,
    }
    section = section.model_copy(update={name: value for name, value in named.items() if value})
    return method_of(section, keys)


def _jobs(arguments: argparse.Namespace) -> int:
    if arguments.jobs is None:
        return len(os.sched_getaffinity(0))
    if arguments.jobs < 1:
        raise ConfigError("--jobs must be at least 1.")
    return int(arguments.jobs)
