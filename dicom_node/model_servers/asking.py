"""Asking about one parcel: its batches over all endpoints of the recipient, several in flight.

Every batch is settled once. An endpoint that fails over one is left out for the rest of the
parcel, and the batch goes to another; when none is left, the parcel is for a later try.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from appliance.errors import ApplianceError, DeliveryRefused, PeerUnavailable
from dicom_node.model_servers.endpoint import Endpoint
from dicom_node.model_servers.words import Client, Pixels, Values
from dicom_node.status import PeerBusy, PeerFailed

_LOOK_EVERY_S: Final = 0.5
_PATIENCE: Final = 1.5
"""A client that has not come back after so many times its time limit is given up."""

Decode = Callable[[int], Pixels]
Settle = Callable[[int, Values], None]


class Round:
    """The batches of one parcel on their way.

    Parameters
    ----------
    endpoints
        Of one recipient.
    batches
        Numbers of the batches to ask about.
    decode
        Gives the tiles of a batch; called by many threads.
    settle
        Takes the answer to a batch; called by one thread at a time, once a batch.
    timeout_s
        Time limit of a request.

    Attributes
    ----------
    answered
        How many batches each endpoint answered, by its name.
    faults
        Why an endpoint was left out, by its name.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        batches: Sequence[int],
        *,
        decode: Decode,
        settle: Settle,
        timeout_s: float,
    ) -> None:
        self._endpoints = endpoints
        self._decode = decode
        self._settle = settle
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._waiting = deque(batches)
        self._under_way: dict[int, tuple[str, float]] = {}
        self._opening: dict[str, float] = {}
        self._n_left = len(batches)
        self._clients: list[Client] = []
        self._stopped: BaseException | None = None
        self._over = False
        self.answered: Counter[str] = Counter()
        self.faults: dict[str, ApplianceError] = {}

    def run(self) -> None:
        """Ask until every batch is settled.

        Raises
        ------
        PeerUnavailable
            No endpoint is left that may answer.
        DeliveryRefused
            None fits the settings, or a tile cannot be decoded.
        ConfigError
            A token or a file of TLS cannot be read.
        """
        for endpoint in self._endpoints:
            self._opening[endpoint.name] = time.monotonic()
            self._start(self._open, endpoint)
        with self._changed:
            while self._n_left and self._stopped is None and self._hopes():
                self._changed.wait(_LOOK_EVERY_S)
                self._give_up_overdue()
            self._over = True
            self._changed.notify_all()
        for client in self._clients:
            client.close()
        if self._stopped is not None:
            raise self._stopped
        if self._n_left:
            raise none_left(self.faults)

    def _hopes(self) -> bool:
        return len(self.faults) < len(self._endpoints) or bool(self._under_way)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        """Start a thread that does not keep the daemon from ending."""

        def guarded() -> None:
            try:
                work(*given)
            except BaseException as error:  # noqa: BLE001  raised again by whoever called run
                with self._changed:
                    self._stopped = error
                    self._changed.notify_all()

        threading.Thread(target=guarded, daemon=True, name="model-server").start()

    def _open(self, endpoint: Endpoint) -> None:
        try:
            client = endpoint.connect()
        except (PeerUnavailable, DeliveryRefused) as error:
            with self._changed:
                self._leave_out(endpoint, error)
            return
        with self._changed:
            if self._is_out(endpoint):
                client.close()
                return
            del self._opening[endpoint.name]
            self._clients.append(client)
            n_workers = min(endpoint.n_slots, self._n_left)
        for _ in range(n_workers):
            self._start(self._work, endpoint, client)

    def _work(self, endpoint: Endpoint, client: Client) -> None:
        while self._awaits_batch(endpoint):
            with endpoint.slots:
                batch = self._take(endpoint)
                if batch is not None:
                    self._ask(endpoint, client, batch)

    def _awaits_batch(self, endpoint: Endpoint) -> bool:
        """Wait for a batch that nobody has; False when this endpoint is asked nothing more."""
        with self._changed:
            while not self._is_out(endpoint):
                if self._waiting:
                    return True
                self._changed.wait()
        return False

    def _is_out(self, endpoint: Endpoint) -> bool:
        over = self._over or not self._n_left or self._stopped is not None
        return over or endpoint.name in self.faults

    def _take(self, endpoint: Endpoint) -> int | None:
        with self._changed:
            if self._is_out(endpoint) or not self._waiting:
                return None
            batch = self._waiting.popleft()
            self._under_way[batch] = (endpoint.name, time.monotonic())
            return batch

    def _ask(self, endpoint: Endpoint, client: Client, batch: int) -> None:
        tiles = self._decode(batch)
        try:
            values = endpoint.ask(client, tiles)
        except (PeerUnavailable, DeliveryRefused) as error:
            with self._changed:
                self._give_back(endpoint, batch, error)
            return
        with self._changed:
            if self._holds(endpoint, batch) and not self._over:
                self._settle(batch, values)
                del self._under_way[batch]
                self._n_left -= 1
                self.answered[endpoint.name] += 1
                self._changed.notify_all()

    def _holds(self, endpoint: Endpoint, batch: int) -> bool:
        """Whether a batch is still this endpoint's: one that took too long lost it."""
        return self._under_way.get(batch, ("", 0.0))[0] == endpoint.name

    def _give_back(self, endpoint: Endpoint, batch: int, error: ApplianceError) -> None:
        if self._holds(endpoint, batch) and not self._over:
            del self._under_way[batch]
            self._waiting.append(batch)
            self._leave_out(endpoint, error)

    def _leave_out(self, endpoint: Endpoint, error: ApplianceError) -> None:
        if not self._over:  # then it is we who hung up
            endpoint.rest(error)
            self._opening.pop(endpoint.name, None)
            self.faults.setdefault(endpoint.name, error)
            self._changed.notify_all()

    def _give_up_overdue(self) -> None:
        now, by_name = time.monotonic(), {one.name: one for one in self._endpoints}
        for name, began in tuple(self._opening.items()):
            if now - began > _PATIENCE * self._timeout_s:
                self._leave_out(by_name[name], by_name[name].faults.slow())
        for batch, (name, began) in tuple(self._under_way.items()):
            if now - began > _PATIENCE * self._timeout_s:
                self._give_back(by_name[name], batch, by_name[name].faults.slow())


def none_left(faults: Mapping[str, ApplianceError]) -> ApplianceError:
    """Say why no endpoint is left: for a person, for some more tries, or for a later one."""
    words = " ".join(str(fault) for fault in faults.values())
    if all(isinstance(fault, DeliveryRefused) for fault in faults.values()):
        return DeliveryRefused(words)
    busy = [fault.after_s for fault in faults.values() if isinstance(fault, PeerBusy)]
    if any(isinstance(fault, PeerFailed) for fault in faults.values()):
        return PeerFailed(words)
    return PeerBusy(words, after_s=min(busy)) if busy else PeerUnavailable(words)
