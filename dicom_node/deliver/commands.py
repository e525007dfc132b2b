"""Commands about deliveries: what has not arrived yet and why, and trying it again."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from appliance.errors import ConfigError
from appliance.line import State

if TYPE_CHECKING:  # every command of ours registers this one: what it needs is imported as it runs
    from appliance.settings import Settings
    from appliance.stores.deposits import DepositStatus
    from appliance.stores.parcels import PendingParcel

_STATES: Final = {
    State.WAITING: "waiting",
    State.RUNNING: "on its way",
    State.ASIDE: "set aside",
    State.HELD: "held",
}
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def register(commands: Any) -> None:
    """Add the command `deliveries` and its sub-command `retry`."""
    words = "show what has not arrived yet, and why"
    parser: argparse.ArgumentParser = commands.add_parser(
        "deliveries", help=words, description=words
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=run_deliveries)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    again = "try now what waits or was set aside"
    retry = actions.add_parser("retry", help=again, description=again)
    retry.add_argument("what", metavar="ROUTE|PARCEL", help="a route, or one parcel")
    retry.set_defaults(run=run_retry)


def run_deliveries(arguments: argparse.Namespace) -> int:
    """Print what has not arrived yet, by route."""
    from appliance.daemon import open_journal
    from appliance.settings import load

    settings = load(arguments.settings)
    parcels = open_journal(settings).parcels.pending()
    originals = _originals(settings)
    if arguments.json:
        tables = {
            "parcels": [asdict(one) for one in parcels],
            "originals": [asdict(one) for one in originals],
        }
        print(json.dumps(tables, indent=1))
        return 0
    now = time.time()
    for line in [*parcel_lines(parcels, now=now), *original_lines(originals, now=now)]:
        print(line)
    if not parcels and not originals:
        print("Everything has arrived.")
    return 0


def run_retry(arguments: argparse.Namespace) -> int:
    """Ask the deliver daemon of a route to try again."""
    from appliance.control import call
    from appliance.settings import load
    from appliance.storage import Root

    settings = load(arguments.settings)
    route, parcel_id = _route_of(settings, arguments.what)
    socket = Root(settings.storage.root).socket(f"deliver@{route}")
    if settings.route(route).is_archive:
        answer = call(socket, "retry_deposits")
        print(f"Put back in the queue of route {route}: objects {answer['objects']}.")
    else:
        answer = call(socket, "retry_parcel", parcel_id=parcel_id)
        print(f"Put back in the queue of route {route}: parcels {answer['parcels']}.")
    return 0


def parcel_lines(pending: "Sequence[PendingParcel]", *, now: float) -> list[str]:
    """Describe parcels that have not arrived: a line a route, and some a parcel."""
    told: list[str] = []
    ordered = sorted(pending, key=lambda one: (one.route, one.created_at))
    for route, parcels in groupby(ordered, key=lambda one: one.route):
        listed = list(parcels)
        n_aside = sum(one.state is State.ASIDE for one in listed)
        told.append(f"{route}: {len(listed)} not arrived, {n_aside} of them set aside")
        for one in listed:
            told += _parcel(one, now)
    return told


def original_lines(pending: "Sequence[DepositStatus]", *, now: float) -> list[str]:
    """Describe originals that are not in their archive: by route, and by what holds them up."""
    from appliance.stores.deposits import DepositState

    told: list[str] = []
    for route in sorted({one.route for one in pending}):
        listed = [one for one in pending if one.route == route]
        n_aside = sum(one.state is DepositState.ASIDE for one in listed)
        gb = sum(one.size_bytes for one in listed) / 1e9
        told.append(
            f"{route}: {len(listed)} originals ({gb:.1f} GB) not arrived, "
            f"{n_aside} of them set aside"
        )
        why = Counter((one.state, one.error, one.next_step) for one in listed if one.error)
        for (state, error, next_step), n_objects in why.most_common():
            told.append(f"  {n_objects} {state}: {error}")
            if next_step and state is DepositState.ASIDE:
                told.append(f"      {next_step}")
        oldest = min(one.updated_at for one in listed)
        told.append(f"  The one without news for longest: {age(now - oldest)}.")
    return told


def _parcel(one: "PendingParcel", now: float) -> list[str]:
    slide = f"  slide {one.slide_id}" if one.slide_id else ""
    head = f"  {one.parcel_id}  {one.kind}  {_STATES[one.state]} for {age(now - one.created_at)}"
    told = [head + slide]
    if one.error:
        told.append(f"      {one.error}")
    if one.state is State.WAITING and one.next_try_at is not None and one.next_try_at > now:
        told.append(f"      Tried {one.retries} times; again in {age(one.next_try_at - now)}.")
    elif one.next_step and one.state is State.ASIDE:
        told.append(f"      {one.next_step}")
    return told


def age(seconds: float) -> str:
    """Say a time in its largest unit."""
    for unit_s, name in _UNITS:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def _route_of(settings: "Settings", what: str) -> tuple[str, str]:
    """Tell a route from a parcel; gives the route, and the parcel when it is one."""
    from appliance.daemon import open_journal

    if any(route.name == what for route in settings.routes):
        return what, ""
    for one in open_journal(settings).parcels.pending():
        if one.parcel_id == what:
            return one.route, what
    settings.route(what)  # raises, with the nearest name
    raise ConfigError(f"There is no route and no parcel {what}.")


def _originals(settings: "Settings") -> "tuple[DepositStatus, ...]":
    if not any(route.is_archive for route in settings.routes):
        return ()
    from dicom_node.deliver import archive

    try:
        return archive.pending(settings)
    except (ConfigError, OSError):  # a technician may see parcels, and not what the node received
        print("Originals are not shown: only the node's own user may see them.", file=sys.stderr)
        return ()
