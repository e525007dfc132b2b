"""Commands of the anonymizer: its daemons, the keys, and de-identification of files by hand."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from appliance.errors import ApplianceError, ConfigError

EXIT_REFUSED = 2


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands."""
    anonymize = subparsers.add_parser("anonymize", help="run the daemon that takes identity off")
    anonymize.set_defaults(run=_anonymize)
    _register_keys(subparsers)
    _register_deidentify(subparsers)
    # The `release` daemon and what belongs to it are the release package's own.
    from anonymizer.release.commands import register as register_release

    register_release(subparsers)


def _register_keys(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    keys = subparsers.add_parser("keys", help="make or name the keys of this appliance")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, words in (
        ("init", _init_keys, "make every key; existing ones are never overwritten"),
        ("show-id", _show_key_id, "print the public name of the pseudonym key"),
    ):
        action = actions.add_parser(name, help=words)
        _add_keys_folder(action, "--folder")
        action.set_defaults(run=run)


def _register_deidentify(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = subparsers.add_parser(
        "deidentify", help="de-identify files or folders; one folder a slide comes out"
    )
    command.add_argument("source", type=Path, metavar="SRC", help="a DICOM file, or a folder")
    command.add_argument("target", type=Path, metavar="DST", help="folder for the slides")
    command.add_argument("--report", type=Path, help="write what was done as JSON")
    _add_keys_folder(command, "--keys")
    command.set_defaults(run=_deidentify)


def _add_keys_folder(parser: argparse.ArgumentParser, option: str) -> None:
    parser.add_argument(
        option, dest="keys", type=Path, help="folder of the keys (default: keys.folder of settings)"
    )


def _anonymize(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.profile import check_options
    from anonymizer.deidentify.stage import handler
    from anonymizer.keys import read_pseudonyms
    from appliance.daemon import Daemon, open_journal
    from appliance.line import Stage
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.worker import Worker

    settings = load(arguments.settings)
    check_options(settings.deidentify.options)
    pseudonyms = read_pseudonyms(settings.keys.folder)
    journal = open_journal(settings)
    worker = Worker(
        journal=journal,
        root=Root(settings.storage.root),
        stage=Stage.DEIDENTIFY,
        handle=handler(pseudonyms),
    )
    return Daemon(
        name="anonymize",
        settings=settings,
        journal=journal,
        steps=[worker.step],
        words=f"pseudonym key {pseudonyms.key_id}",
    ).run()


def _init_keys(arguments: argparse.Namespace) -> int:
    from anonymizer.keys import init_keys

    for path in init_keys(_keys_folder(arguments)):
        print(path)
    return 0


def _show_key_id(arguments: argparse.Namespace) -> int:
    from anonymizer.keys import read_pseudonyms

    print(read_pseudonyms(_keys_folder(arguments)).key_id)
    return 0


def _deidentify(arguments: argparse.Namespace) -> int:
    from anonymizer.deidentify.many import deidentify_folder
    from anonymizer.deidentify.report import write_report
    from anonymizer.keys import read_pseudonyms

    if not arguments.source.exists():
        raise ConfigError(f"{arguments.source} does not exist.")
    pseudonyms = read_pseudonyms(_keys_folder(arguments))
    results = deidentify_folder(arguments.source, arguments.target, pseudonyms, _show_progress)
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


def _keys_folder(arguments: argparse.Namespace) -> Path:
    if arguments.keys is not None:
        return Path(arguments.keys)
    from appliance.settings import load

    return load(arguments.settings).keys.folder
