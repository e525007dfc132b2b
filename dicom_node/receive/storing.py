"""The messages of one association: C-STORE is served here as it comes, the rest by the library.

A data set goes from the buffer of the socket to its file without a copy, a queue or another thread,
and its answer follows in the same breath. Nothing here knows the library.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from dicom_node.receive.admission import Pace
from dicom_node.receive.pdata import (
    COMMAND,
    LAST,
    Command,
    MalformedPdu,
    StoreRequest,
    read_command,
    store_response,
    values,
)
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.status import CANNOT_UNDERSTAND

INVALID_INSTANCE: Final = 0x0117
NO_SUCH_CLASS: Final = 0x0122
"""General failures of DIMSE (PS3.7 C.5)."""

_COMMAND_LIMIT_BYTES: Final = 65_536
_AT_ONCE_BYTES: Final = 1 << 20
"""The header of an object is in its file at once, for those who want to know what is coming."""
_DATA_SET_LIMIT_BYTES: Final = 16 << 20
"""Of a message other than C-STORE: a request for storage commitment of 100,000 objects fits."""


class Intake(Protocol):
    """What the wire needs of the spool."""

    def open(self, *, association: str, scanner: str) -> Transfer:
        """Begin a transfer."""

    def close(self, transfer: Transfer) -> None:
        """End a transfer and remove what was not published."""


Store = Callable[[Announced, Transfer], int]
"""Keeps an object that came whole, and gives the DIMSE status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What was decided about an association."""

    name: str
    """Opaque."""
    scanner: str
    """Calling AE title."""
    pace: Pace
    ends_at: float
    """Monotonic; it is aborted when it lasts longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What associations are served with.

    `admitted` tells what was decided about one, None where it was rejected; `ended` is told once
    that it is over.
    """

    intake: Intake
    store: Store
    admitted: Callable[[Any], Admitted | None]
    ended: Callable[[Any], None]
    refused: Callable[[str], None]
    """Told in one sentence about an object that was refused by its command alone."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(slots=True, kw_only=True)
class Storing:
    """Takes the P-DATA of one association.

    Attributes
    ----------
    association, scanner
        Opaque name of the association, and the calling AE title.
    contexts
        The accepted presentation contexts by their id.
    intake, store
        Where data sets go, and who keeps them.
    refused
        Told in one sentence about an object that was refused by its command alone.
    answer
        Sends a command set in a presentation context.
    pass_on
        Gives a fragment of any other message to the library: context id, message control header,
        and content.
    """

    association: str
    scanner: str
    contexts: dict[int, Context]
    intake: Intake
    store: Store
    refused: Callable[[str], None]
    answer: Callable[[int, bytes], None]
    pass_on: Callable[[int, int, bytes], None]
    _context_id: int = 0
    _command: bytearray = field(default_factory=bytearray)
    _request: StoreRequest | None = None
    _announced: Announced | None = None
    _transfer: Transfer | None = None
    _refusal: int | None = None
    """Status of a request whose data set is read and thrown away."""
    _other_bytes: int = -1
    """Data set so far of a message that the library takes; -1 outside of one."""

    def take(self, pdu: memoryview) -> None:
        """Take a P-DATA-TF PDU.

        Raises
        ------
        MalformedPdu
            It makes no sense here; the association has to be aborted.
        """
        for context_id, control, fragment in values(pdu):
            if control & COMMAND:
                self._take_command(context_id, control, fragment)
            elif context_id != self._context_id:
                raise MalformedPdu("a data set came in another context than its command")
            else:
                self._take_data_set(control, fragment)

    def flush(self) -> None:
        """Write what was gathered; its memory is used again."""
        if self._transfer is not None:
            self._transfer.flush()

    def drop(self) -> None:
        """Remove what is half received; called when the association ended."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            self.intake.close(transfer)

    def _take_command(self, context_id: int, control: int, fragment: memoryview) -> None:
        if self._request is not None or self._other_bytes >= 0:
            raise MalformedPdu("a command came inside a data set")
        if self._command and context_id != self._context_id:
            raise MalformedPdu("a command changed its context")
        self._context_id = context_id
        self._command += fragment
        if len(self._command) > _COMMAND_LIMIT_BYTES:
            raise MalformedPdu("a command set is too long")
        if control & LAST:
            command, self._command = bytes(self._command), bytearray()
            self._begin(command)

    def _begin(self, command: bytes) -> None:
        context = self.contexts.get(self._context_id)
        read = read_command(command)
        if context is None or read is None:
            raise MalformedPdu("a command cannot be read, or came in no accepted context")
        if read.store is None:
            self._other_bytes = 0 if read.has_data_set else -1
            self.pass_on(self._context_id, COMMAND | LAST, command)
            return
        self._request = read.store
        self._refusal = _refusal(read, read.store, context)
        if self._refusal is not None:
            words = _WORDS[self._refusal]
            self.refused(f"An object from {self.scanner} was refused: {words}.")
        if not read.has_data_set:
            self._finish()
        elif self._refusal is None:
            self._transfer = self.intake.open(association=self.association, scanner=self.scanner)
            self._announced = Announced(
                sop_class_uid=read.store.sop_class_uid.decode("ascii"),
                sop_instance_uid=read.store.sop_instance_uid.decode("ascii"),
                transfer_syntax_uid=context.transfer_syntax,
            )
            self._transfer.begin(
                sop_class_uid=self._announced.sop_class_uid,
                sop_instance_uid=self._announced.sop_instance_uid,
                transfer_syntax_uid=self._announced.transfer_syntax_uid,
            )

    def _take_data_set(self, control: int, fragment: memoryview) -> None:
        if self._other_bytes >= 0:
            self._pass_data_set_on(control, fragment)
            return
        if self._request is None:
            raise MalformedPdu("a data set came without a command")
        if self._transfer is not None:
            if self._transfer.size_bytes < _AT_ONCE_BYTES:
                self._transfer.write(fragment)
            else:
                self._transfer.gather(fragment)
        if control & LAST:
            self._finish()

    def _pass_data_set_on(self, control: int, fragment: memoryview) -> None:
        self._other_bytes += len(fragment)
        if self._other_bytes > _DATA_SET_LIMIT_BYTES:
            raise MalformedPdu("the data set of a message is too long")
        if control & LAST:
            self._other_bytes = -1
        self.pass_on(self._context_id, control, bytes(fragment))

    def _finish(self) -> None:
        """Keep the object and answer; a bug that it meets ends its association."""
        assert self._request is not None  # noqa: S101  there is nothing to finish otherwise
        status = self._refusal
        try:
            self.flush()
            if status is None and self._transfer is not None and self._announced is not None:
                status = self.store(self._announced, self._transfer)
        finally:
            self.drop()
        request, self._request, self._refusal = self._request, None, None
        assert status is not None  # noqa: S101  refused or stored
        self.answer(self._context_id, store_response(request, status))


def _refusal(command: Command, request: StoreRequest, context: Context) -> int | None:
    if not command.has_data_set:
        return CANNOT_UNDERSTAND
    if not request.has_valid_uids:
        return INVALID_INSTANCE
    if request.sop_class_uid != context.abstract_syntax.encode():
        return NO_SUCH_CLASS
    return None


_WORDS: Final = {
    CANNOT_UNDERSTAND: "it came without a data set",
    INVALID_INSTANCE: "its SOP Instance UID breaks the rules of DICOM",
    NO_SUCH_CLASS: "its SOP Class is another than was negotiated for it",
}
