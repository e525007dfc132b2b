"""The command `coverslip import`: slides on the line from files, or from a PACS."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.errors import ForbiddenAction, PeerUnavailable

if TYPE_CHECKING:
    from appliance.settings import Settings
    from dicom_node.fetch.importing import Imported
    from dicom_node.fetch.query import Series
    from dicom_node.fetch.retrieve import SubOperations

_DESCRIPTION: Final = (
    "Put slides on the line: DICOM files, folders of them, and vendor slides (SVS, NDPI, ...), or "
    "slides that a PACS holds. They go through the socket of our own node, which must be running."
)


class UnclearImport(ForbiddenAction):
    """The command line does not say what to import."""

    code = "unclear-import"


class ImportInterrupted(PeerUnavailable):
    """A peer refused for now, or went away."""

    code = "import-interrupted"


def register(commands: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import", help="put slides on the line, from files or from a PACS", description=_DESCRIPTION
    )
    parser.set_defaults(run=run_import)
    parser.add_argument("sources", type=Path, nargs="*", metavar="SRC", help="files and folders")
    parser.add_argument(
        "--as", dest="scanner", metavar="AE", help="AE title of the scanner as which to send"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what is there")
    parser.add_argument("--json", action="store_true", help="for scripts")
    vendor = parser.add_argument_group("vendor slides, which do not say whose they are")
    vendor.add_argument("--patient-id", default="", metavar="ID")
    vendor.add_argument("--patient-name", default="", metavar="NAME")
    vendor.add_argument("--container", default="", metavar="ID", help="default: the file's name")
    pacs = parser.add_argument_group("from a PACS")
    pacs.add_argument("--from", dest="route", metavar="ROUTE", help="an inside route with a peer")
    pacs.add_argument("--accession", default="", metavar="NUMBER")
    pacs.add_argument("--study", default="", metavar="UID")
    pacs.add_argument("--patient", default="", metavar="ID")
    pacs.add_argument("--series", default="", metavar="UID", help="only this one of the study")
    pacs.add_argument(
        "--via",
        choices=("move", "get"),
        default="move",
        help="move: the PACS sends to our node, which must know it as a scanner (default); "
        "get: over our own association, then to our node as --as says",
    )


def run_import(arguments: argparse.Namespace) -> int:
    """Import what the command line names."""
    from appliance.settings import load

    settings = load(arguments.settings)
    asked = [arguments.accession, arguments.study, arguments.patient, arguments.series]
    if bool(arguments.sources) == (arguments.route is not None):
        raise UnclearImport("Give either files and folders, or --from and what to fetch.")
    if arguments.route is None and any(asked):
        raise UnclearImport("A PACS is asked by --from and the name of its route.")
    if arguments.route is not None and arguments.via == "move" and arguments.scanner:
        raise UnclearImport("By --via move the PACS sends as itself; --as is for --via get.")
    if arguments.route is None:
        return _from_files(settings, arguments)
    return _from_pacs(settings, arguments)


def _from_files(settings: "Settings", arguments: argparse.Namespace) -> int:
    from appliance.conversion import StandInIdentity
    from appliance.storage import Root
    from dicom_node.fetch.importing import find_sources, import_files
    from dicom_node.fetch.own_node import own_node

    sources = find_sources(arguments.sources)
    if sources.vendor and not arguments.patient_id:
        raise UnclearImport("A vendor's slide does not say whose it is: give --patient-id.")
    if len(sources.vendor) > 1 and arguments.container:
        raise UnclearImport("One --container cannot be that of several slides.")
    node = own_node(settings, as_scanner=arguments.scanner)
    if arguments.dry_run:
        found = {"objects": len(sources.dicom), "vendor_slides": len(sources.vendor)}
        words = f"{len(sources.dicom)} DICOM objects, {len(sources.vendor)} vendor slides."
        return _say(words, found, arguments)

    def identity(slide: Path) -> StandInIdentity:
        return StandInIdentity(
            patient_id=arguments.patient_id,
            patient_name=arguments.patient_name,
            container_identifier=arguments.container or slide.stem,
        )

    started = time.monotonic()
    with _progress() as show:
        imported = import_files(
            sources,
            node,
            identity,
            root=Root(settings.storage.root),
            progress=lambda n, n_bytes: show(_sent_words(n, n_bytes)),
            say=lambda words: print(words, file=sys.stderr, flush=True),
        )
    return _report(imported, started, arguments)


def _from_pacs(settings: "Settings", arguments: argparse.Namespace) -> int:
    from dicom_node.fetch.importing import import_by_get, import_by_move, pacs_of
    from dicom_node.fetch.own_node import NodeUnavailable, own_node
    from dicom_node.fetch.query import Question, find_slides

    question = Question(
        accession_number=arguments.accession,
        study_instance_uid=arguments.study,
        patient_id=arguments.patient,
        series_instance_uid=arguments.series,
    )
    pacs = pacs_of(settings, arguments.route)
    node = own_node(settings, as_scanner=arguments.scanner) if arguments.via == "get" else None
    started = time.monotonic()
    try:
        series = find_slides(pacs, question)
        if arguments.dry_run:
            return _list(series, arguments)
        with _progress() as show:
            if node is None:
                imported = import_by_move(
                    settings, pacs, series, moving=lambda done: show(_counts_words(done))
                )
            else:
                imported = import_by_get(
                    settings,
                    pacs,
                    series,
                    node,
                    fetching=lambda done: show(_counts_words(done)),
                    sending=lambda n, n_bytes: show(_sent_words(n, n_bytes)),
                )
    except NodeUnavailable:
        raise
    except PeerUnavailable as error:
        raise ImportInterrupted(str(error)) from error
    return _report(imported, started, arguments)


def _list(series: Sequence["Series"], arguments: argparse.Namespace) -> int:
    """Say how much there is, and nothing of whom."""
    studies = list(dict.fromkeys(one.study_instance_uid for one in series))
    listed = [
        {
            "study": studies.index(one.study_instance_uid) + 1,
            "series": number,
            "modality": one.modality,
            "objects": one.n_instances,
        }
        for number, one in enumerate(series, start=1)
    ]
    words = "\n".join(
        f"study {one['study']}  series {one['series']}  {one['modality']}  {one['objects']} objects"
        for one in listed
    )
    n_objects = sum(one.n_instances for one in series)
    in_studies = "1 study" if len(studies) == 1 else f"{len(studies)} studies"
    words += f"\n{len(series)} series of slides in {in_studies}, {n_objects} objects."
    return _say(words, {"series": listed, "objects": n_objects}, arguments)


def _report(imported: "Imported", started: float, arguments: argparse.Namespace) -> int:
    seconds = time.monotonic() - started
    size = "" if imported.n_bytes is None else f", {imported.n_bytes / 1e6:.1f} MB"
    words = f"{imported.n_objects} objects{size}, on the line in {seconds:.1f} s."
    return _say(words, {**asdict(imported), "seconds": round(seconds, 3)}, arguments)


def _say(words: str, values: dict[str, Any], arguments: argparse.Namespace) -> int:
    print(json.dumps(values) if arguments.json else words)
    return 0


def _sent_words(n_objects: int, n_bytes: int) -> str:
    return f"{n_objects} objects, {n_bytes / 1e6:.1f} MB sent to our node"


def _counts_words(done: "SubOperations") -> str:
    words = f"{done.arrived} objects came, {done.remaining} to come"
    words += f", {done.failed} failed" if done.failed else ""
    return words + (f", {done.warning} with a warning" if done.warning else "")


@contextmanager
def _progress() -> Iterator[Any]:
    """Show one line that changes, at a terminal."""
    shown = ""

    def show(words: str) -> None:
        nonlocal shown
        if sys.stderr.isatty():
            print(f"\r{words:<{len(shown)}}", end="", file=sys.stderr, flush=True)
            shown = words

    try:
        yield show
    finally:
        if shown:
            print(file=sys.stderr)
