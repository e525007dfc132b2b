"""The process that takes STOW-RS requests, a child of the node as the further listeners are."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.daemon import describe, open_journal
from appliance.errors import ApplianceError
from appliance.pausing import NODE, Pausing
from appliance.settings import Dicomweb, Settings
from appliance.storage import Root, free_bytes, write_durably
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipts
from dicom_node.dicomweb.connections import WebServer
from dicom_node.dicomweb.endpoint import Endpoint
from dicom_node.dicomweb.pace import STANDARD, Limits
from dicom_node.dicomweb.request import Gate
from dicom_node.dicomweb.taking import Taking
from dicom_node.dicomweb.tokens import read_senders
from dicom_node.listeners import Child, become_child
from dicom_node.quiet import silence_libraries
from dicom_node.receive.admission import Doors
from dicom_node.receive.listening import listen
from dicom_node.receive.notices import Notices
from dicom_node.receive.places import open_spool, receipts_url
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.server_tls import server_context
from dicom_node.receive.spool import FreeBytes, Spool

log = logging.getLogger(__name__)

PORT_FILE: Final = "dicomweb.port"
"""In `run/`: the port that STOW-RS is bound to, for a settings file that asks for port 0."""

_STOP_LIMIT_S: Final = 4.0
_TALKATIVE: Final = ("uvicorn", "asyncio", "python_multipart", "python_multipart.multipart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A running server, and the spool that it receives into."""

    server: WebServer
    spool: Spool
    thread: threading.Thread

    def stop(self) -> None:
        """Drop what is open, and remove what was half received."""
        self.server.should_exit = True
        self.thread.join(_STOP_LIMIT_S)
        self.spool.leave()


def open_web(settings: Settings) -> Child | None:
    """Check what STOW-RS needs and bind its port; None when the settings do not ask for it.

    Raises
    ------
    ConfigError
        A token file, a file of TLS or the address cannot be used.
    """
    dicomweb = settings.dicomweb
    if dicomweb is None:
        return None
    read_senders(settings.scanners)
    _tls(dicomweb)
    listening = listen(dicomweb.host, dicomweb.port)
    return Child(name="STOW-RS endpoint", run=run_web, listening=listening)


def publish_port(root: Root, web: Child) -> None:
    """Write the bound port down in `run/`."""
    write_durably(root.zone("run") / PORT_FILE, f"{web.port}\n".encode(), mode=0o644)


def run_web(settings: Settings, listening: socket.socket) -> None:
    """Take requests until told to stop, or until the node is gone."""
    stop = become_child(settings)
    listening.settimeout(0)
    try:
        web = start_web(settings, open_journal(settings), listening, ended=stop.set)
    except ApplianceError as error:
        log.critical("STOW-RS cannot begin: %s", error)
        raise SystemExit(1) from error
    stop.wait()
    web.stop()


def start_web(
    settings: Settings,
    journal: Journal,
    listening: socket.socket,
    *,
    free: FreeBytes = free_bytes,
    clock: Callable[[], float] = time.time,
    limits: Limits = STANDARD,
    ended: Callable[[], None] = lambda: None,
) -> Web:
    """Begin to take requests, in a thread with an event loop.

    Parameters
    ----------
    settings
        Checked settings, with a `dicomweb` table.
    journal
        For what the technician should read.
    listening
        From `dicom_node.receive.listening.listen`.
    free
        Tells how many bytes are free on the file system of a folder.
    clock
        Seconds since the epoch.
    limits
        Limits of time.
    ended
        Called when the server ended, also by a failure.

    Raises
    ------
    ConfigError
        A token file or a file of TLS cannot be used.
    """
    dicomweb = settings.dicomweb
    assert dicomweb is not None  # noqa: S101  callers looked
    silence_libraries()
    tls = _tls(dicomweb)
    refused = Notices(journal).refused
    spool = open_spool(settings, free=free)
    engine = open_engine(receipts_url(Root(settings.storage.root)), store="receipts")
    receiver = Receiver(spool=spool, receipts=Receipts(engine, clock), refused=refused, clock=clock)
    endpoint = Endpoint(
        gate=Gate(
            senders=read_senders(settings.scanners),
            asks_certificates=tls is not None and tls.verify_mode is ssl.CERT_REQUIRED,
        ),
        taking=Taking(
            spool=spool,
            store=receiver.store,
            refused=refused,
            maximum_associations=settings.node.maximum_associations,
            is_drained=Pausing(journal, NODE, look_every_s=0.0),
        ),
        maximum_requests=dicomweb.maximum_requests,
        limits=limits,
    )
    doors = Doors(connections_per_address=settings.node.connections_per_address)
    server = WebServer(endpoint, listening, tls=tls, refused=refused, doors=doors, limits=limits)
    spool.join()
    thread = threading.Thread(target=_serve, args=(server, ended), name="stow", daemon=True)
    thread.start()
    return Web(server=server, spool=spool, thread=thread)


def _serve(server: WebServer, ended: Callable[[], None]) -> None:
    for name in _TALKATIVE:  # they log what they met, and that may name a patient or a UID
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        server.run()
    except Exception as error:  # noqa: BLE001  said without its text; the node starts us again
        log.critical("STOW-RS ended: %s", describe(error))
    finally:
        ended()


def _tls(dicomweb: Dicomweb) -> ssl.SSLContext | None:
    return None if dicomweb.tls is None else server_context(dicomweb.tls, key="dicomweb.tls")
