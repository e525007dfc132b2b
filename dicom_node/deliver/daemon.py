"""The deliver daemon of one route: sends what release signed for that route, and nothing else."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from appliance.daemon import Daemon, Step, open_journal
from appliance.errors import (
    ConfigError,
    DeliveryRefused,
    LeaseLost,
    RejectedError,
    RepeatedFailure,
    TransientError,
)
from appliance.line import ParcelClaim
from appliance.manifest import VerifiedParcel, open_verified
from appliance.pausing import DELIVER, Pausing
from appliance.settings import Keys, Route, Settings
from appliance.storage import Root
from appliance.stores.journal import MAX_ATTEMPTS, Journal
from appliance.trust import read_retired, read_sign_publics
from appliance.worker import LONGEST_RETRY_S, renewing, retry_after_s
from dicom_node.deliver.actions import delivery_actions
from dicom_node.deliver.pace import Pace
from dicom_node.deliver.probing import Probing
from dicom_node.deliver.returned import Returned, sweeping
from dicom_node.deliver.telling import route_facts
from dicom_node.routes import stow
from dicom_node.routes.delivery import Delivery
from dicom_node.routes.dicom import DicomRoute
from dicom_node.routes.folder import FolderRoute
from dicom_node.routes.object_store import object_store_route
from dicom_node.send.association import Endpoint
from dicom_node.send.client_tls import client_context
from dicom_node.send.confirmation import Confirmer
from dicom_node.send.sender import send
from dicom_node.status import PeerBusy, PeerFailed

log = logging.getLogger(__name__)

MAXIMUM_STUMBLES: Final = 12
"""Tries over which a peer may fail (not be away, or busy) before a parcel is set aside."""


class Carrier(Protocol):
    """A way to a recipient."""

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:
        """Send a parcel; say what was done, and what came back.

        `again` says that it may have been sent before, by this process or by another.
        """


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
    returned
        Where what came back is published; None on a route that nothing comes back on.
    pace
        How fast the route may send.
    is_paused
        Whether an operator lets the route send nothing.
    wait_s
        How long to wait after so many tries.
    """

    journal: Journal
    route: Route
    outbox: Path
    open_parcel: OpenParcel
    carrier: Carrier
    returned: Returned | None = None
    pace: Pace = field(default_factory=Pace)
    is_paused: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    wait_s: Callable[[int], float] = retry_after_s

    def step(self) -> bool:
        """Deliver one parcel; False when none waits, or none may be sent yet."""
        may_send = self.pace.is_free() and not self.is_paused()
        claim = self.journal.parcels.claim(self.route.name) if may_send else None
        if claim is None:
            return False
        try:
            with renewing(self.journal.parcels.renew, claim, self.journal.parcels.lease_s):
                delivery = self._deliver(claim)
                answers = self._publish(claim, delivery)
            self.journal.parcels.delivered(claim, words=delivery.words, answers=answers)
        except LeaseLost:
            log.warning("the lease of a parcel was lost; another deliverer has it")
        except ConfigError as error:  # stops the daemon, and is not held against the parcel
            self.journal.parcels.put_back(claim, error, after_s=0.0)
            raise
        except TransientError as error:
            self._put_back(claim, error)
        except RejectedError as error:
            self._set_aside(claim, error)
        else:
            log.info("%s", delivery.words)
            if self.returned is not None:
                self.returned.forget(claim.parcel.parcel_id)
        return True

    def _publish(self, claim: ParcelClaim, delivery: Delivery) -> str | None:
        if self.returned is None or delivery.answers is None:
            return None
        return self.returned.publish(claim, delivery.answers)

    def _put_back(self, claim: ParcelClaim, error: TransientError) -> None:
        retries = self.journal.parcels.retries(claim)
        if isinstance(error, PeerFailed) and retries + 1 >= MAXIMUM_STUMBLES:
            self._set_aside(claim, DeliveryRefused(f"{error} It was tried {retries + 1} times."))
            return
        asked_s = error.after_s if isinstance(error, PeerBusy) else 0.0
        wait_s = max(self.wait_s(retries), min(asked_s, LONGEST_RETRY_S))
        self.journal.parcels.put_back(claim, error, after_s=wait_s)
        log.warning("%s Tried again in %.0f s.", error, wait_s)

    def _set_aside(self, claim: ParcelClaim, error: RejectedError) -> None:
        self.journal.parcels.set_aside(claim, error)
        log.warning("a parcel was set aside: %s", error)

    def _deliver(self, claim: ParcelClaim) -> Delivery:
        if claim.attempts > MAX_ATTEMPTS:
            raise RepeatedFailure(f"Delivery stopped {MAX_ATTEMPTS} times over this parcel.")
        name = claim.parcel.folder
        if Path(name).name != name:
            raise DeliveryRefused("The journal names a parcel outside the outbox of this route.")
        with self.open_parcel(self.outbox / name, now=self.clock()) as parcel:
            if parcel.manifest.parcel_id != claim.parcel.parcel_id:
                raise DeliveryRefused("The folder holds another parcel than the journal says.")
            again = claim.attempts > 1 or self.journal.parcels.retries(claim) > 0
            delivery = self.carrier.deliver(parcel, again=again)
            stored_bytes = sum(file.size_bytes for file in parcel.manifest.files)
            self.pace.spend(delivery.sent_bytes or stored_bytes)
            return delivery


def carrier_of(
    route: Route, confirmer: Confirmer | None = None, returned: Returned | None = None
) -> Carrier:
    """Give the carrier that a route's settings ask for.

    Parameters
    ----------
    route
        From the settings.
    confirmer
        Asks the PACS for its commitment.
    returned
        Where model servers' answers go; such a route needs it.

    Raises
    ------
    ConfigError
        The route says no way, or a file that it names cannot be read.
    """
    if route.kind == "folder" and route.folder is not None:
        return FolderRoute(folder=route.folder)
    if route.kind == "object_store" and route.store is not None:
        return object_store_route(route.store)
    if route.kind == "dimse" and route.peer is not None:
        endpoint = Endpoint.of(route.peer)
        if endpoint.tls is not None:
            client_context(endpoint.tls)
        return DicomRoute(
            name=endpoint.called_ae_title,
            send=lambda files: send(files, endpoint),
            confirmer=confirmer,
        )
    if route.kind == "stow" and route.web is not None:
        web = route.web
        stow.check_settings(web)
        return DicomRoute(
            name=web.host, send=lambda files: stow.store(files, web), confirmer=confirmer
        )
    if route.kind == "model_servers" and returned is not None:
        from dicom_node.routes.model_servers import ModelServersRoute

        return ModelServersRoute(route, folder=returned.folder)
    raise ConfigError(f"The route {route.name} says no way to its recipient.")


@contextmanager
def confirming(route: Route) -> Iterator[Confirmer | None]:
    """Give what asks the PACS of a route for its commitment; None when the route does not ask."""
    if route.confirmation is None or route.peer is None:
        yield None
        return
    confirmer = Confirmer(endpoint=Endpoint.of(route.peer), terms=route.confirmation)
    with confirmer.listening():
        yield confirmer


def opener(route: Route, keys: Keys) -> OpenParcel:
    """Check parcels of a route with the keys as they are when each is opened.

    So a rotated signing key or a retired recipient needs no restart, unless systemd handed the
    files over when the daemon started.

    Raises
    ------
    ConfigError
        `sign.pub` is missing or damaged, now or later.
    """

    @contextmanager
    def open_parcel(folder: Path, *, now: float) -> Iterator[VerifiedParcel]:
        if route.recipient in read_retired(keys.file("retired")):
            raise DeliveryRefused("The recipient of this route is retired; nothing is sent to it.")
        present, *earlier = read_sign_publics(keys.file("sign.pub"), now=now)
        with open_verified(
            folder, route=route, public_key=present, earlier=earlier, now=now
        ) as parcel:
            yield parcel

    read_sign_publics(keys.file("sign.pub"), now=time.time())
    return open_parcel


def run(settings: Settings, route: Route) -> int:
    """Run the deliver daemon of a route for signed parcels; give the exit code."""
    journal, root = open_journal(settings), Root(settings.storage.root)
    name = f"{DELIVER}{route.name}"
    probing = Probing(route, journal.note)
    returned = Returned(folder=root.answers(route.name)) if route.servers else None
    with confirming(route) as confirmer:
        deliverer = Deliverer(
            journal=journal,
            route=route,
            outbox=root.outbox(route.name),
            open_parcel=opener(route, settings.keys),
            carrier=carrier_of(route, confirmer, returned),
            returned=returned,
            pace=Pace(route.limits.mb_s),
            is_paused=Pausing(journal, name),
        )
        steps: list[Step] = [deliverer.step] * parcels_at_once(route)
        if returned is not None:
            steps.append(sweeping(returned, journal, route.name))
        return Daemon(
            name=name,
            settings=settings,
            journal=journal,
            steps=steps,
            commands=delivery_actions(journal, route.name) | probing.commands(),
            facts=route_facts(lambda: journal.parcels.queue(route.name), lambda: probing.last),
            words=f"{route.kind} route to {route.recipient}",
        ).run()


def parcels_at_once(route: Route) -> int:
    """How many parcels are under way: one a model server, and one more while one comes to its end.

    A parcel has fewer batches than all servers together take.
    """
    return 1 + len(route.servers)
