"""The commands `coverslip deidentify` (files by hand) and `coverslip anonymize` (the daemon)."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from appliance.errors import ApplianceError, ConfigError

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
        "deidentify", help="de-identify files or folders; one folder a slide comes out"
    )
    command.add_argument("source", type=Path, metavar="SRC", help="a DICOM file, or a folder")
    command.add_argument("target", type=Path, metavar="DST", help="folder for the slides")
    command.add_argument("--report", type=Path, help="write what was done as JSON")
    command.add_argument(
        "--keys", type=Path, help="folder of the keys (default: keys.folder of settings)"
    )
    command.set_defaults(run=_deidentify)


def _anonymize(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.method import Method
    from anonymizer.deidentify.stage import handler
    from anonymizer.keys.files import read_pseudonyms
    from anonymizer.profile.decide import profile_of
    from appliance.daemon import Daemon, open_journal
    from appliance.line import Stage
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.worker import Worker

    settings = load(arguments.settings)
    method = Method(
        profile=profile_of(settings.deidentify.options),
        pseudonyms=read_pseudonyms(settings.keys.folder),
    )
    journal = open_journal(settings)
    worker = Worker(
        journal=journal,
        root=Root(settings.storage.root),
        stage=Stage.DEIDENTIFY,
        handle=handler(method),
    )
    return Daemon(
        name="anonymize",
        settings=settings,
        journal=journal,
        steps=[worker.step],
        words=f"pseudonym key {method.pseudonyms.key_id}",
    ).run()


def _deidentify(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.many import deidentify_folder
    from anonymizer.deidentify.method import Method
    from anonymizer.deidentify.report import write_report
    from anonymizer.keys.commands import keys_folder
    from anonymizer.keys.files import read_pseudonyms

    if not arguments.source.exists():
        raise ConfigError(f"{arguments.source} does not exist.")
    method = Method(pseudonyms=read_pseudonyms(keys_folder(arguments)))
    results = deidentify_folder(arguments.source, arguments.target, method, _show_progress)
    _end_progress()
    reports = [result.report for result in results if result.report is not None]
    for result in results:
        print(result.sentence)
    if arguments.report and reports:
        write_report(arguments.report, reports)
    _print_next_steps(result.error for result in results if result.error is not None)
    return 0 if results and len(reports) == len(results) else EXIT_REFUSED


def _print_next_steps(errors: Iterable[ApplianceError]) -> None:
    for step in dict.fromkeys(error.next_step for error in errors):
        print(step, file=sys.stderr)


def _show_progress(slide: int, slides: int, share: float) -> None:
    if sys.stderr.isatty():
        done = "#" * round(30 * share)
        print(f"\rslide {slide} of {slides} [{done:30}] {share:4.0%}", end="", file=sys.stderr)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
