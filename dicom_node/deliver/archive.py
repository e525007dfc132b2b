"""The deliver daemon of an archive route, and what an operator can see and ask of it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from appliance.control import Command, Operator
from appliance.daemon import Daemon, open_journal
from appliance.errors import ConfigError
from appliance.line import Role
from appliance.pausing import DELIVER, Pausing
from appliance.settings import Route, Settings
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.deposits import Deposits, DepositState, DepositStatus
from dicom_node.deliver.archiving import Archiver, Note, Send
from dicom_node.deliver.daemon import confirming
from dicom_node.deliver.pace import Pace
from dicom_node.deliver.probing import Probing
from dicom_node.deliver.telling import route_facts
from dicom_node.receive.places import open_spool, receipts_url
from dicom_node.routes import stow
from dicom_node.send.association import Endpoint
from dicom_node.send.sender import send


def open_deposits(settings: Settings, clock: Callable[[], float] = time.time) -> Deposits:
    """Open the store of deposits."""
    engine = open_engine(receipts_url(Root(settings.storage.root)), store="receipts")
    return Deposits(engine, clock, lease_s=settings.journal.lease_s)


def pending(settings: Settings) -> tuple[DepositStatus, ...]:
    """List what the archives do not have yet, or have not confirmed as they should.

    Oldest first; rows name slides by their opaque id.
    """
    archives = {one.name: one for one in settings.routes if one.is_archive}
    return tuple(
        row
        for row in open_deposits(settings).rows()
        if row.route in archives and not _is_done(row.state, archives[row.route])
    )


def _is_done(state: DepositState, route: Route) -> bool:
    if route.confirmation is None and state is DepositState.SENT:
        return True
    return state is DepositState.CONFIRMED


def send_of(route: Route) -> Send:
    """Give what sends to the peer of a route."""
    if route.kind == "stow" and route.web is not None:
        web = route.web
        stow.check_settings(web)
        return lambda files: stow.store(files, web)
    if route.peer is None:
        raise ConfigError(f"The route {route.name} says neither peer nor web.")
    endpoint = Endpoint.of(route.peer)
    return lambda files: send(files, endpoint)


def actions(deposits: Deposits, route: str, note: Note) -> dict[str, Command]:
    """Give what an operator can ask of the daemon beside the usual actions."""

    def retry(operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        n_objects = deposits.retry(route)
        words = f"{operator.name} lets route {route} try again objects: {n_objects}."
        note("archiving-retry", words, None)
        told = f"Route {route} tries again what was given up: originals {n_objects}."
        return {"done": "retry_deposits", "objects": n_objects, "words": told}

    return {"retry_deposits": Command(role=Role.TECHNICIAN, run=retry)}


def run(settings: Settings, route: Route) -> int:
    """Run the daemon of an archive route; give the exit code."""
    journal = open_journal(settings)
    deposits = open_deposits(settings)
    name = f"{DELIVER}{route.name}"
    probing = Probing(route, journal.note)

    def note(kind: str, text: str, slide_id: str | None) -> None:
        journal.note(name, kind, text, slide_id=slide_id)

    with confirming(route) as confirmer:
        archiver = Archiver(
            deposits=deposits,
            route=route.name,
            path_of=open_spool(settings).path,
            send=send_of(route),
            confirmer=confirmer,
            note=note,
            pace=Pace(route.limits.mb_s),
            is_paused=Pausing(journal, name),
        )
        return Daemon(
            name=name,
            settings=settings,
            journal=journal,
            steps=[archiver.forward, archiver.confirm],
            commands=actions(deposits, route.name, note) | probing.commands(),
            facts=route_facts(lambda: deposits.queue(route.name), lambda: probing.last),
            words=f"archive, {route.kind} route to {route.recipient}",
        ).run()
