"""Delivery to a DICOM peer by C-STORE, or by STOW-RS, with its commitment where that is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.manifest import VerifiedParcel
from dicom_node.routes.delivery import Delivery
from dicom_node.routes.parcel_files import outgoing_files
from dicom_node.send.confirmation import Confirmer
from dicom_node.send.confirmed_sending import send_until_confirmed
from dicom_node.send.sender import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomRoute:
    """Sends the files of a parcel as they are.

    Sending again is harmless, since the same parcel always holds the same bytes under the same
    UIDs: a peer that has an object already answers with success, or says that it knows it.

    Attributes
    ----------
    name
        Of the peer, for people.
    send
        Sends files, all that the peer takes.
    confirmer
        None counts as delivered what the peer took.
    """

    name: str
    send: Callable[[Sequence[Outgoing]], None]
    confirmer: Confirmer | None = None

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:
        """Send a parcel.

        Raises
        ------
        PeerUnavailable
            It may work later.
        DeliveryRefused
            The peer does not take it.
        """
        files = outgoing_files(parcel)
        if self.confirmer is None:
            self.send(files)
            return Delivery(words=f"Stored at {self.name}: objects {len(files)}.")
        send_until_confirmed(files, self.confirmer, self.send, again=again)
        words = f"Stored at {self.name} and confirmed by it: objects {len(files)}."
        return Delivery(words=words)
