"""What a failure means in DIMSE, and what a DIMSE answer means for a delivery."""

from collections.abc import Sequence
from typing import Final

from appliance.errors import (
    ApplianceError,
    DeliveryRefused,
    InvalidInstance,
    PeerUnavailable,
    TransientError,
)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111

_WARNINGS: Final = frozenset({0x0001, 0xB000, 0xB006, 0xB007})
_TRY_LATER: Final = frozenset({0x0213})
"""Resource limitation (PS3.7 C)."""
_OUT_OF_RESOURCES_CLASS: Final = range(0xA700, 0xA800)
_REJECTED_TRANSIENT: Final = 2


class MismatchedInstance(InvalidInstance):
    """The object is not the one that its C-STORE command announced."""


class PeerBusy(PeerUnavailable):
    """The peer says that it will take more later, and perhaps when."""

    def __init__(self, sentence: str, *, after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class PeerFailed(PeerUnavailable):
    """The peer stumbled over what we sent: worth some more tries, but not for ever.

    A full database and a bug that one object meets look alike from here.
    """

    code = "peer-failed"


class AlreadyThere(DeliveryRefused):
    """The peer says that it holds an object of this UID; whether it is ours is to be checked."""


def store_status(error: ApplianceError) -> int:
    """Give the C-STORE status of a failure (PS3.4 B.2.3)."""
    if isinstance(error, MismatchedInstance):
        return DOES_NOT_MATCH
    if isinstance(error, TransientError):
        return OUT_OF_RESOURCES
    return CANNOT_UNDERSTAND


def check_answer(status: int | None) -> None:
    """Check a peer's answer to a C-STORE, or the reason that it gives in a list of failures.

    The classes are those of PS3.4 B.2.3 and PS3.7 C: success and warnings, refused for want of
    resources (later), a processing failure (some more tries), anything else (never).

    Parameters
    ----------
    status
        None when there was no answer.

    Raises
    ------
    PeerUnavailable
        It may work later. `PeerFailed`: perhaps.
    DeliveryRefused
        The peer does not want the object. `AlreadyThere`: because it has one of this UID.
    """
    if status is None:
        raise PeerUnavailable("The peer ended the association before it answered.")
    if status == SUCCESS or status in _WARNINGS:
        return
    if status in _OUT_OF_RESOURCES_CLASS or status in _TRY_LATER:
        raise PeerUnavailable(f"The peer is out of resources (status 0x{status:04X}).")
    if status == PROCESSING_FAILURE:
        raise PeerFailed(f"The peer could not process the object (status 0x{status:04X}).")
    if status == DUPLICATE_INSTANCE:
        raise AlreadyThere("The peer has another object of the same identifier already.")
    raise DeliveryRefused(f"The peer refused the object (status 0x{status:04X}).")


def rejection(result: int, source: int, diagnostic: int) -> ApplianceError:
    """Give the error of a rejected association (PS3.8 9.3.4)."""
    words = _DIAGNOSTICS.get((source, diagnostic), "without a reason")
    if result == _REJECTED_TRANSIENT:
        return PeerUnavailable(f"The peer rejected the association for now: {words}.")
    return DeliveryRefused(f"The peer rejected the association: {words}.")


def refusal_of(refusals: Sequence[DeliveryRefused], *, n_objects: int) -> DeliveryRefused:
    """Give one sentence for the objects that a peer refused while it took the others."""
    if n_objects == 1:
        return refusals[0]
    return DeliveryRefused(f"{refusals[0]} Objects refused: {len(refusals)} of {n_objects}.")


_DIAGNOSTICS: Final = {
    (1, 2): "it does not know the application context",
    (1, 3): "it does not know our AE title",
    (1, 7): "it has another AE title than the settings say",
    (2, 2): "it speaks another version of the protocol",
    (3, 1): "it is busy",
    (3, 2): "its limit is reached",
}
