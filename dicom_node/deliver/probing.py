"""Whether the other side of a route is there now: asked without sending it anything of a slide.

A C-ECHO of a DICOM peer, a search for a study that nobody has of a DICOMweb service, an object that
nobody has of a store, the metadata of a model at each model server, the rights on a folder.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from appliance.control import Command, Operator
from appliance.errors import ApplianceError, DeliveryRefused, PeerUnavailable
from appliance.facts import Probe
from appliance.line import Role
from appliance.settings import Route
from dicom_node.routes import stow
from dicom_node.send.association import Endpoint, echo

PROBE_LIMIT_S: Final = 15.0
"""Less than a control socket is waited for."""
ANSWER_S: Final = 8.0
GIB: Final = 2**30

Note = Callable[[str, str, str], None]
"""Puts into the journal who, a kind and a sentence."""


def asker(route: Route) -> Callable[[], str]:
    """Give what asks the other side of a route; it says in a sentence what it found.

    It raises what a delivery would: PeerUnavailable, DeliveryRefused or ConfigError.
    """
    if route.kind == "dimse" and route.peer is not None:
        endpoint = Endpoint.of(route.peer)
        return lambda: _echo(endpoint)
    if route.kind == "stow" and route.web is not None:
        web = route.web
        return lambda: stow.probe(web, timeout_s=ANSWER_S)
    if route.kind == "object_store" and route.store is not None:
        store = route.store
        return lambda: _object_store(store)
    if route.kind == "model_servers":
        return lambda: _model_servers(route)
    return lambda: _folder(route)


def _echo(endpoint: Endpoint) -> str:
    echo(endpoint, answer_timeout_s=ANSWER_S)
    return f"{endpoint.called_ae_title} answers C-ECHO"


def _object_store(store: Any) -> str:
    from dicom_node.routes.bucket import open_bucket

    open_bucket(store, timeout_s=ANSWER_S).probe()
    return "The store answers"


def _folder(route: Route) -> str:
    folder = route.folder
    if folder is None or not folder.is_dir():
        raise PeerUnavailable("The folder of the route is not there now.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DeliveryRefused("The folder of the route may not be written by this daemon.")
    free_gib = shutil.disk_usage(folder).free / GIB
    return f"The folder can be written, {free_gib:,.0f} GiB are free"


def _model_servers(route: Route) -> str:
    from dicom_node.model_servers.checking import Terms
    from dicom_node.model_servers.endpoint import Endpoint as Server

    terms = Terms.of(route)
    servers = [Server(one, terms, clock=time.monotonic) for one in route.servers]
    asked = [(server.name, _started(partial(_look_at, server))) for server in servers]
    faults = []
    for name, answer in asked:
        try:
            answer.result(timeout=ANSWER_S)
        except TimeoutError:
            faults.append(f"The model server {name} did not answer in time.")
        except ApplianceError as error:
            faults.append(str(error))
    n_well = len(servers) - len(faults)
    words = f"Model servers that answer and fit: {n_well} of {len(servers)}"
    if not n_well:
        raise PeerUnavailable(" ".join(faults))
    return f"{words}. {' '.join(faults)}".rstrip(". ") if faults else words


def _look_at(server: Any) -> None:
    server.connect().close()


class Probing:
    """Asks when an operator wants it, and keeps the newest answer for the screen.

    Parameters
    ----------
    route
        Whose other side is asked.
    note
        For the event list.
    clock
        Seconds since the epoch.
    """

    def __init__(self, route: Route, note: Note, *, clock: Callable[[], float] = time.time) -> None:
        self._route = route
        self._note = note
        self._clock = clock
        self.last: Probe | None = None

    def run(self, operator: str) -> Probe:
        """Ask now, and write down who asked and what came of it; never raises for a bad answer."""
        at, began = self._clock(), time.monotonic()
        well, words = _asked(asker(self._route))
        took_s = time.monotonic() - began
        self.last = Probe(at=at, well=well, words=words, took_s=took_s)
        told = f"{words} ({1000 * took_s:.0f} ms)." if well else words
        self._note(operator, "probe", f"Route {self._route.name}: {told}")
        return self.last

    def commands(self) -> dict[str, Command]:
        """Give what an operator can ask for."""

        def probe(operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
            found = self.run(operator.name)
            took_ms = round(1000 * found.took_s)
            if not found.well:
                raise PeerUnavailable(f"Route {self._route.name}: {found.words}")
            words = f"Route {self._route.name}: {found.words}, in {took_ms} ms."
            return {"done": "probe", "words": words, "took_ms": took_ms}

        return {"probe": Command(role=Role.TECHNICIAN, run=probe)}


def _asked(ask: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, _started(ask).result(timeout=PROBE_LIMIT_S)
    except TimeoutError:
        return False, f"The other side did not answer within {PROBE_LIMIT_S:.0f} s."
    except ApplianceError as error:
        return False, str(error)


def _started(work: Callable[[], Any]) -> "Future[Any]":
    """Start work in a thread that keeps nobody from ending."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised again by who waits for the result
            future.set_exception(error)

    threading.Thread(target=run, name="probe", daemon=True).start()
    return future
