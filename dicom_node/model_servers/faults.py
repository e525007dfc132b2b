"""What goes wrong at a model server, in our words; the two clients translate into these."""

from dataclasses import dataclass

from appliance.errors import PeerUnavailable
from dicom_node.model_servers.words import ServerLied, ServerUnfit
from dicom_node.status import PeerBusy, PeerFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults of one server.

    Attributes
    ----------
    name
        Of the server, for people: its host and port.
    """

    name: str

    def away(self) -> PeerUnavailable:
        """Say that nobody answers, or that the connection broke off."""
        return PeerUnavailable(f"The model server {self.name} is not there or went away.")

    def slow(self) -> PeerUnavailable:
        """Say that no answer came within model.timeout_s."""
        return PeerUnavailable(f"The model server {self.name} did not answer in time.")

    def busy(self, *, after_s: float = 0.0) -> PeerBusy:
        """Say that it asks for a later try."""
        return PeerBusy(
            f"The model server {self.name} takes no more for now, or not so many tiles at once.",
            after_s=after_s,
        )

    def stumbled(self) -> PeerFailed:
        """Say that it failed over what it was asked."""
        return PeerFailed(f"The model server {self.name} failed over a request.")

    def without_model(self) -> PeerFailed:
        """Say that it lacks the model, which it may still be loading."""
        return PeerFailed(f"The model server {self.name} has no model of the name model.name.")

    def unwanted(self) -> ServerUnfit:
        """Say that it wants a token, or another one."""
        return ServerUnfit(f"The model server {self.name} does not accept who we are.")

    def refused(self) -> ServerUnfit:
        """Say that it does not take requests as the settings make them."""
        return ServerUnfit(
            f"The model server {self.name} refuses our requests: model.input, model.output or "
            "model.batch is not what it takes."
        )

    def foreign(self) -> ServerUnfit:
        """Say that something else listens there."""
        return ServerUnfit(
            f"The model server {self.name} does not speak the Open Inference Protocol there."
        )

    def untrusted(self) -> ServerUnfit:
        """Say that its certificate is not vouched for or another host's, or ours not taken."""
        return ServerUnfit(
            f"The model server {self.name} and we do not accept each other's TLS certificates."
        )

    def mismatched(self, why: str) -> ServerUnfit:
        """Say that its metadata does not fit the settings."""
        return ServerUnfit(f"The model server {self.name} does not fit the settings: {why}.")

    def too_long(self) -> ServerLied:
        """Say that its answer is longer than any that makes sense."""
        return self.lied("its answer is longer than any that makes sense")

    def lied(self, why: str) -> ServerLied:
        """Say that its answer cannot be the answer."""
        return ServerLied(f"The model server {self.name} lied: {why}.")
