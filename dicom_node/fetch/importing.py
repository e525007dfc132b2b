"""Putting slides on the line that no scanner pushes: from files, or from a PACS.

All of them reach the line through the socket of our own node, as one of its scanners: so they get
the checks, receipts and answers that a scanner's slides get. What is fetched or converted on the
way lies in a private folder in the spool, which goes with the import.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.conversion import VENDOR_SUFFIXES, StandInIdentity, dicom_folder, is_dicom
from appliance.errors import ConfigError, InvalidInstance, UnsuitableSlide
from appliance.settings import Settings
from appliance.storage import Root, free_bytes
from appliance.stores.database import open_engine
from appliance.stores.receipts import Receipts
from dicom_node.fetch import retrieve
from dicom_node.fetch.own_node import send_to_node
from dicom_node.fetch.private_folder import private_folder
from dicom_node.fetch.query import Series
from dicom_node.fetch.retrieve import MoveRefused
from dicom_node.receive.places import receipts_url
from dicom_node.receive.spool import Spool
from dicom_node.send.association import Endpoint
from dicom_node.send.sender import Outgoing, Progress, dicom_files

_GIB: Final = 1 << 30

Say = Callable[[str], None]


class NeverArrived(MoveRefused):
    """A PACS says that it sent, and our node received nothing."""

    code = "never-arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was found in files and folders."""

    dicom: tuple[Outgoing, ...]
    vendor: tuple[Path, ...]
    """Slides that a converter has to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import put on the line."""

    n_objects: int
    n_bytes: int | None = None
    """None where a PACS sent them, which does not say."""


def find_sources(paths: Sequence[Path]) -> Sources:
    """Look what files and folders hold.

    Raises
    ------
    UnsuitableSlide
        One of them does not exist, or holds no slide.
    """
    dicom: list[Outgoing] = []
    vendor: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UnsuitableSlide(f"There is no slide at {path}.")
        if path.is_file() and not is_dicom(path):
            vendor.append(path)
            continue
        slides = [one for one in sorted(path.rglob("*")) if one.suffix.lower() in VENDOR_SUFFIXES]
        try:
            dicom += dicom_files(path)
        except InvalidInstance as error:
            if not slides:
                raise UnsuitableSlide(f"There is no slide in {path}.") from error
        vendor += [one for one in slides if one.is_file() and not is_dicom(one)]
    return Sources(dicom=tuple(dicom), vendor=tuple(vendor))


def import_files(
    sources: Sources,
    node: Endpoint,
    identity: Callable[[Path], StandInIdentity],
    *,
    root: Root,
    progress: Progress,
    say: Say,
) -> Imported:
    """Send DICOM files, then vendor slides, each converted when its turn comes.

    Parameters
    ----------
    sources
        What to send.
    node
        Our own node.
    identity
        Whose slide a vendor's file is, which it does not say.
    root
        Where converted slides lie meanwhile.
    progress
        Told objects and bytes that were sent.
    say
        Told what takes long.
    """
    sent = _Sent(progress)
    if sources.dicom:
        send_to_node(sources.dicom, node, sent.so_far)
        sent.add(sources.dicom)
    for number, slide in enumerate(sources.vendor):
        with private_folder(root) as folder:
            target = dicom_folder(slide, folder / str(number), identity(slide), say=say)
            files = dicom_files(target)
            send_to_node(files, node, sent.so_far)
            sent.add(files)
    return Imported(n_objects=sent.n_objects, n_bytes=sent.n_bytes)


def import_by_get(
    settings: Settings,
    pacs: Endpoint,
    series: Sequence[Series],
    node: Endpoint,
    *,
    fetching: retrieve.Progress,
    sending: Progress,
) -> Imported:
    """Fetch series from a PACS into a private folder, then send them to our own node."""
    with private_folder(Root(settings.storage.root)) as folder:
        spool = Spool(
            folder,
            soft_free_bytes=settings.storage.soft_free_gib * _GIB,
            hard_free_bytes=settings.storage.hard_free_gib * _GIB,
            free_bytes=free_bytes,
        )
        spool.join()
        try:
            paths = retrieve.get(pacs, series, spool=spool, progress=fetching)
            files = [one for path in paths for one in dicom_files(path)]
            send_to_node(files, node, sending)
        finally:
            spool.leave()
    return Imported(n_objects=len(files), n_bytes=sum(one.size_bytes for one in files))


def import_by_move(
    settings: Settings, pacs: Endpoint, series: Sequence[Series], *, moving: retrieve.Progress
) -> Imported:
    """Have a PACS send series to our node, and look whether they came.

    Raises
    ------
    NeverArrived
        The PACS has another address for our AE title.
    """
    done = retrieve.move(pacs, series, destination=settings.node.ae_title, progress=moving)
    if done.arrived and not _n_received(Root(settings.storage.root), series):
        raise NeverArrived(
            f"The PACS says that it sent {done.arrived} objects, and none came: it has another "
            f"address for {settings.node.ae_title}."
        )
    return Imported(n_objects=done.arrived)


def pacs_of(settings: Settings, route_name: str) -> Endpoint:
    """Give the PACS of a route.

    Raises
    ------
    ConfigError
        There is no such route, or it is not one to a DICOM peer inside.
    """
    route = settings.route(route_name)
    if route.place != "inside" or route.peer is None:
        raise ConfigError(
            f"Slides are imported from an inside route with a DICOM peer; {route.name} is none."
        )
    return Endpoint.of(route.peer)


class _Sent:
    """Adds up what several associations sent."""

    def __init__(self, progress: Progress) -> None:
        self.n_objects = 0
        self.n_bytes = 0
        self._progress = progress

    def so_far(self, n_objects: int, n_bytes: int) -> None:
        self._progress(self.n_objects + n_objects, self.n_bytes + n_bytes)

    def add(self, files: Sequence[Outgoing]) -> None:
        self.n_objects += len(files)
        self.n_bytes += sum(one.size_bytes for one in files)


def _n_received(root: Root, series: Sequence[Series]) -> int:
    """Count the objects of series that our node has answered for, now or earlier."""
    engine = open_engine(receipts_url(root), store="receipts")
    try:
        receipts = Receipts(engine)
        by_series = Counter(
            (one.receipt.study_instance_uid, one.receipt.series_instance_uid)
            for study in {one.study_instance_uid for one in series}
            for one in receipts.of_study(study)
        )
    finally:
        engine.dispose()
    return sum(by_series[one.study_instance_uid, one.series_instance_uid] for one in series)
