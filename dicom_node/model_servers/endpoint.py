"""One model server of a recipient: how to reach it, and how long it is left out after a fault."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from appliance.errors import ApplianceError, DeliveryRefused
from appliance.settings import Server
from dicom_node.model_servers.by_grpc import GrpcClient
from dicom_node.model_servers.by_http import HttpClient
from dicom_node.model_servers.checking import Terms
from dicom_node.model_servers.faults import Faults
from dicom_node.model_servers.words import Client, Pixels, Question, ServerLied, Values
from dicom_node.send.bearer import bearer
from dicom_node.status import PeerBusy

FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 60.0
LIAR_RESTS_S: Final = 600.0
_MOST_DOUBLED: Final = 7


def connected(server: Server, terms: Terms, faults: Faults) -> Client:
    """Make a client of the kind that the server's URL asks for; raises ConfigError."""
    kind = GrpcClient if server.url.scheme in ("grpc", "grpcs") else HttpClient
    return kind(server, terms.model, faults, most_bytes=terms.most_answer_bytes)


class Endpoint:
    """A server with its state, which outlives the parcels.

    Parameters
    ----------
    server
        Where it is.
    terms
        What it has to fit.
    clock
        Seconds that only ever grow.

    Attributes
    ----------
    n_slots, slots
        As many requests are under way at one time, over all parcels.
    """

    def __init__(self, server: Server, terms: Terms, *, clock: Callable[[], float]) -> None:
        self.name = f"{server.url.host}:{server.url.port}"
        self.faults = Faults(name=self.name)
        self.n_slots = terms.model.in_flight
        self.slots = threading.BoundedSemaphore(self.n_slots)
        self._server = server
        self._terms = terms
        self._clock = clock
        self._lock = threading.Lock()
        self._rests_until = float("-inf")
        self._n_faults = 0

    def check_settings(self) -> None:
        """Check that the token and the files of TLS can be read; raises ConfigError."""
        if self._server.token_file is not None:
            bearer(self._server.token_file, setting="servers.token_file")
        connected(self._server, self._terms, self.faults).close()

    def connect(self) -> Client:
        """Connect and see that the server fits the settings; raises as `Client.metadata`."""
        client = connected(self._server, self._terms, self.faults)
        try:
            with self._blamed():
                self._terms.check_metadata(client.metadata(), self.faults)
        except BaseException:
            client.close()
            raise
        return client

    def ask(self, client: Client, tiles: Pixels) -> Values:
        """Ask about tiles once, under an id that says nothing; raises as `Client.ask`."""
        question = Question(request_id=secrets.token_hex(16), tiles=tiles)
        with self._blamed():
            values = self._terms.checked(client.ask(question), question, self.faults)
        with self._lock:
            self._n_faults = 0
        return values

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Whatever else an answer sets off here is its server's fault: others are still asked."""
        try:
            yield
        except ApplianceError:
            raise
        except Exception as error:
            raise self.faults.stumbled() from error

    def rests_for_s(self) -> float:
        """How long it is still left out; 0 when it may be asked."""
        return max(0.0, self._rests_until - self._clock())

    def rest(self, fault: ApplianceError) -> None:
        """Leave it out for a while: a liar for long, others for longer from fault to fault."""
        with self._lock:
            now = self._clock()
            if now >= self._rests_until:  # not one more for each request that was under way
                self._n_faults = min(self._n_faults + 1, _MOST_DOUBLED)
            rest_s = min(FIRST_REST_S * 2 ** (max(0, self._n_faults - 1)), LONGEST_REST_S)
            if isinstance(fault, PeerBusy):
                rest_s = max(rest_s, min(fault.after_s, LONGEST_REST_S))
            if isinstance(fault, DeliveryRefused):
                rest_s = LONGEST_REST_S
            if isinstance(fault, ServerLied):
                rest_s = LIAR_RESTS_S
            self._rests_until = max(self._rests_until, now + rest_s)
