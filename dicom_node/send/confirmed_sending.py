"""Sending until a PACS has committed to everything: what is sent again, and what is given up."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from appliance.errors import DeliveryRefused, PeerUnavailable
from dicom_node.send.confirmation import Confirmer, Referenced
from dicom_node.status import PeerFailed

CLASS_INSTANCE_CONFLICT: Final = 0x0119
CLASS_NOT_SUPPORTED: Final = 0x0122
RESOURCE_LIMITATION: Final = 0x0213

R = TypeVar("R", bound=Referenced)


class NotConfirmed(PeerUnavailable):
    """The PACS took the objects, and has not said yet whether it keeps them."""

    code = "not-confirmed"


def send_until_confirmed(
    files: Sequence[R], confirmer: Confirmer, send: Callable[[Sequence[R]], None], *, again: bool
) -> None:
    """Send files, and return once the PACS has committed to all of them.

    Parameters
    ----------
    files
        What has to be there.
    confirmer
        Asks, and knows what was answered before.
    send
        Sends some of them; raises when the PACS does not take all.
    again
        Whether they may have been sent before, by this process or another: then the PACS is asked
        first, and gets only what it has not committed to.

    Raises
    ------
    NotConfirmed
        The PACS has not answered yet; nothing needs to be sent again for that.
    PeerFailed
        The PACS took the objects and says that it does not have them.
    PeerUnavailable, DeliveryRefused
        As `send` and `Confirmer.ask`; or the PACS will never commit to one of them.
    """
    try:
        _send_until_confirmed(files, confirmer, send, again=again)
    except DeliveryRefused:  # once a person has seen to it, the answer may be another
        confirmer.forget(files)
        raise
    confirmer.forget(files)


def _send_until_confirmed(
    files: Sequence[R], confirmer: Confirmer, send: Callable[[Sequence[R]], None], *, again: bool
) -> None:
    waiting = confirmer.open(files)
    if again and waiting:
        confirmer.ask(waiting)
        waiting = confirmer.open(files)
    _check_final(waiting, confirmer)
    missing = [one for one in waiting if _is_missing(one, confirmer)]
    if missing:
        send(missing)
        confirmer.accepted(missing)
    if missing or (waiting and not again):
        confirmer.ask(waiting)
    _check(files, confirmer)


def _is_missing(one: Referenced, confirmer: Confirmer) -> bool:
    """Whether it is to be sent: denied by the PACS, or not known to have been taken."""
    reason = confirmer.answers([one]).get(one.sop_instance_uid)
    if reason is None:
        return not confirmer.was_accepted(one)
    return reason != RESOURCE_LIMITATION


def _check(files: Sequence[Referenced], confirmer: Confirmer) -> None:
    waiting = confirmer.open(files)
    _check_final(waiting, confirmer)
    answers = confirmer.answers(waiting)
    denied = [reason for reason in answers.values() if reason != RESOURCE_LIMITATION]
    if denied:
        raise PeerFailed(
            f"The PACS took the objects but does not confirm that it has them "
            f"(reason 0x{denied[0]:04X})."
        )
    if waiting:
        raise NotConfirmed("The PACS has not confirmed yet that it keeps the objects.")


def _check_final(files: Sequence[Referenced], confirmer: Confirmer) -> None:
    """Raise for what the PACS will never commit to."""
    for reason in confirmer.answers(files).values():
        if reason in _FINAL:
            raise DeliveryRefused(f"The PACS does not keep the objects: {_FINAL[reason]}.")


_FINAL: Final = {
    CLASS_INSTANCE_CONFLICT: "it has one of another kind under the same identifier",
    CLASS_NOT_SUPPORTED: "it commits to no objects of this kind",
}
