"""The deliver daemon of one route: sends what release signed for that route, and nothing else."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from appliance.daemon import Daemon, open_journal
from appliance.errors import (
    ConfigError,
    DeliveryRefused,
    LeaseLost,
    RejectedError,
    RepeatedFailure,
    TransientError,
)
from appliance.line import ParcelClaim
from appliance.manifest import VerifiedParcel, open_verified, read_sign_public
from appliance.settings import Route, Settings
from appliance.storage import Root
from appliance.stores.journal import MAX_ATTEMPTS, Journal
from appliance.worker import renewing, retry_after_s
from dicom_node.routes.dimse import DimseRoute
from dicom_node.routes.folder import FolderRoute
from dicom_node.sender import Endpoint

log = logging.getLogger(__name__)


class Carrier(Protocol):
    """A way to a recipient."""

    def deliver(self, parcel: VerifiedParcel) -> str:
        """Send a parcel; give one sentence on what was done."""


class OpenParcel(Protocol):
    """`appliance.manifest.open_verified` for one route and key."""

    def __call__(self, folder: Path, *, now: float) -> AbstractContextManager[VerifiedParcel]:
        """Check a parcel; raises DeliveryRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Claims the parcels of one route, checks each, and hands it to the carrier.

    Attributes
    ----------
    route
        From the settings, which only root may write; the journal's word is not believed.
    outbox
        `outbox/<route>/`.
    open_parcel
        Checks a parcel against the route and release's signature, and hands over what was checked.
    """

    journal: Journal
    route: Route
    outbox: Path
    open_parcel: OpenParcel
    carrier: Carrier
    clock: Callable[[], float] = time.time

    def step(self) -> bool:
        """Deliver one parcel; False when none waits."""
        claim = self.journal.parcels.claim(self.route.name)
        if claim is None:
            return False
        try:
            with renewing(self.journal.parcels.renew, claim, self.journal.parcels.lease_s):
                words = self._deliver(claim)
            self.journal.parcels.delivered(claim, words=words)
        except LeaseLost:
            log.warning("the lease of a parcel was lost; another deliverer has it")
        except TransientError as error:
            wait_s = retry_after_s(self.journal.parcels.retries(claim))
            self.journal.parcels.put_back(claim, error, after_s=wait_s)
            log.warning("%s Tried again in %.0f s.", error, wait_s)
        except RejectedError as error:
            self.journal.parcels.set_aside(claim, error)
            log.warning("a parcel was set aside: %s", error)
        else:
            log.info("%s", words)
        return True

    def _deliver(self, claim: ParcelClaim) -> str:
        if claim.attempts > MAX_ATTEMPTS:
            raise RepeatedFailure(f"Delivery stopped {MAX_ATTEMPTS} times over this parcel.")
        name = claim.parcel.folder
        if Path(name).name != name:
            raise DeliveryRefused("The journal names a parcel outside the outbox of this route.")
        with self.open_parcel(self.outbox / name, now=self.clock()) as parcel:
            if parcel.manifest.parcel_id != claim.parcel.parcel_id:
                raise DeliveryRefused("The folder holds another parcel than the journal says.")
            return self.carrier.deliver(parcel)


def carrier_of(route: Route) -> Carrier:
    """Give the carrier that a route's settings ask for."""
    if route.kind == "folder" and route.folder is not None:
        return FolderRoute(folder=route.folder)
    if route.kind == "dimse" and route.peer is not None:
        return DimseRoute(
            endpoint=Endpoint(
                host=route.peer.host,
                port=route.peer.port,
                called_ae_title=route.peer.ae_title,
                calling_ae_title=route.peer.calling_ae_title,
            )
        )
    raise ConfigError(f"The route {route.name} says neither peer nor folder.")


def run(settings: Settings, route_name: str) -> int:
    """Run the deliver daemon of a route; give the exit code."""
    route = settings.route(route_name)
    journal = open_journal(settings)
    deliverer = Deliverer(
        journal=journal,
        route=route,
        outbox=Root(settings.storage.root).outbox(route.name),
        open_parcel=partial(
            open_verified,
            route=route,
            public_key=read_sign_public(settings.keys.folder / "sign.pub"),
        ),
        carrier=carrier_of(route),
    )
    return Daemon(
        name=f"deliver@{route.name}",
        settings=settings,
        journal=journal,
        steps=[deliverer.step],
        words=f"{route.kind} route to {route.recipient}",
    ).run()
