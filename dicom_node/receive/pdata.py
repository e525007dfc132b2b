"""P-DATA-TF PDUs and the command sets of C-STORE, decoded and encoded without the library.

What every object on the wire is made of is short and fixed (PS3.8 9.3.5, PS3.7 6.3 and 9.3.1), and
read here without a copy. Everything else that a peer may say is left to the library.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAXIMUM_PDU_BYTES: Final = 131_072
"""What we announce as the longest P-DATA-TF that we take (PS3.8 D.1)."""
P_DATA_TF: Final = 0x04
COMMAND: Final = 0x01
LAST: Final = 0x02
"""Bits of a message control header (PS3.8 E.2)."""

HEADER_BYTES: Final = 6
_PDV_HEADER: Final = struct.Struct(">IBB")
_PDV_HEADER_BYTES: Final = 6
_LEAST_PDV: Final = 2
_ELEMENT: Final = struct.Struct("<HHI")
_ELEMENT_BYTES: Final = 8

_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
_NO_DATA_SET: Final = 0x0101
_MAXIMUM_UID_BYTES: Final = 64
_UID: Final = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")


class MalformedPdu(ValueError):
    """A PDU or command that no state of an association allows; the association is aborted."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ (PS3.7 9.3.1.1). The UIDs are as the peer encoded them, without padding."""

    message_id: int
    sop_class_uid: bytes
    sop_instance_uid: bytes

    @property
    def has_valid_uids(self) -> bool:
        """Whether both are built by the rules of PS3.5 9.1."""
        return all(
            len(one) <= _MAXIMUM_UID_BYTES and _UID.fullmatch(one)
            for one in (self.sop_class_uid, self.sop_instance_uid)
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A command set, as far as it matters before the library sees it."""

    store: StoreRequest | None
    """None: it is no C-STORE-RQ."""
    has_data_set: bool


def values(pdu: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Walk the presentation data values of a whole P-DATA-TF PDU, header included.

    Yields
    ------
    context_id, control, fragment
        The presentation context, the message control header, and the fragment itself, which is a
        part of `pdu` and no longer than that.

    Raises
    ------
    MalformedPdu
        The lengths inside do not fit.
    """
    at, end = HEADER_BYTES, len(pdu)
    while at < end:
        if end - at < _PDV_HEADER_BYTES:
            raise MalformedPdu("a presentation data value is cut off")
        length, context_id, control = _PDV_HEADER.unpack_from(pdu, at)
        following = at + 4 + length
        if length < _LEAST_PDV or following > end:
            raise MalformedPdu("a presentation data value has an impossible length")
        yield context_id, control, pdu[at + _PDV_HEADER_BYTES : following]
        at = following


def read_command(command: bytes) -> Command | None:
    """Read a command set (PS3.7 6.3.1); None when it is damaged."""
    elements: dict[int, bytes] = {}
    at, end = 0, len(command)
    while at + _ELEMENT_BYTES <= end:
        group, number, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT_BYTES
        if group or at + length > end:
            return None
        elements[number] = command[at : at + length]
        at += length
    field, data_set_type = _number(elements.get(0x0100)), _number(elements.get(0x0800))
    if at != end or field is None or data_set_type is None:
        return None
    store = None
    if field == _C_STORE_RQ:
        message_id = _number(elements.get(0x0110))
        if message_id is None:
            return None
        store = StoreRequest(
            message_id=message_id,
            sop_class_uid=_text(elements.get(0x0002)),
            sop_instance_uid=_text(elements.get(0x1000)),
        )
    return Command(store=store, has_data_set=data_set_type != _NO_DATA_SET)


def store_response(request: StoreRequest, status: int) -> bytes:
    """Encode the command set of the C-STORE-RSP (PS3.7 9.3.1.2)."""
    content = (
        _element(0x0002, _even(request.sop_class_uid))
        + _element(0x0100, _short(_C_STORE_RSP))
        + _element(0x0120, _short(request.message_id))
        + _element(0x0800, _short(_NO_DATA_SET))
        + _element(0x0900, _short(status))
        + _element(0x1000, _even(request.sop_instance_uid))
    )
    return _element(0x0000, struct.pack("<I", len(content))) + content


def command_pdus(context_id: int, command: bytes, *, maximum_bytes: int) -> bytes:
    """Wrap a command set into P-DATA-TF PDUs that are no longer than the peer takes.

    Parameters
    ----------
    context_id
        The presentation context.
    command
        Encoded command set.
    maximum_bytes
        Maximum length that the peer announced (PS3.8 D.1); 0 means no limit.
    """
    room = max(1, maximum_bytes - _PDV_HEADER_BYTES) if maximum_bytes else len(command)
    pieces = [command[at : at + room] for at in range(0, len(command), room)]
    last = len(pieces) - 1
    return b"".join(
        struct.pack(">BxI", P_DATA_TF, len(piece) + _PDV_HEADER_BYTES)
        + _PDV_HEADER.pack(
            len(piece) + _LEAST_PDV, context_id, COMMAND | (LAST if number == last else 0)
        )
        + piece
        for number, piece in enumerate(pieces)
    )


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None  # noqa: PLR2004  US


def _text(value: bytes | None) -> bytes:
    return (value or b"").strip(b" \0")


def _even(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value
