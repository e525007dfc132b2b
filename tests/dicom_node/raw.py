"""A scanner that speaks the upper layer protocol by hand, and so can stop or lie anywhere."""

import socket
import struct
from pathlib import Path

from dicom_node.send.sender import outgoing
from tests.dicom_node.objects import data_set_offset

PDU_BYTES = 16_384


class RawScanner:
    """A connection to a node, with an association request still to be sent."""

    def __init__(self, port: int) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=10)

    def close(self) -> None:
        self.wire.close()

    def associate(self, sop_class: str, syntax: str) -> None:
        """Negotiate one presentation context (PS3.8 9.3.2)."""
        context = struct.pack(">BBBB", 1, 0, 0, 0)
        context += _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
        user = _item(0x51, struct.pack(">I", PDU_BYTES)) + _item(0x52, b"1.2.3.4")
        body = struct.pack(">HH", 1, 0) + b"COVERSLIP".ljust(16) + b"SCANNER".ljust(16) + bytes(32)
        body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
        self.wire.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
        kind = self.wire.recv(65_536)[0]
        assert kind == 2, "the association was not accepted"

    def start_store(self, path: Path, *, share: float, uid: str | None = None) -> None:
        """Send this share of a C-STORE request and its data set."""
        file = outgoing(path)
        self.associate(file.sop_class_uid, file.transfer_syntax_uid)
        instance = uid or path.name.rpartition("-")[0]
        self.wire.sendall(_pdu(_command(file.sop_class_uid, instance), command=True, last=True))
        content = path.read_bytes()[data_set_offset(path) :]
        content = content[: int(len(content) * share)]
        pieces = [content[i : i + 16_000] for i in range(0, len(content), 16_000)]
        for number, piece in enumerate(pieces, start=1):
            last = share >= 1 and number == len(pieces)
            self.wire.sendall(_pdu(piece, command=False, last=last))

    def status(self) -> int:
        """Read an answer, and give the status in it (PS3.7 E.1)."""
        answer = self.wire.recv(65_536)
        at = answer.index(struct.pack("<HHI", 0, 0x0900, 2))
        return int.from_bytes(answer[at + 8 : at + 10], "little")


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _pdu(content: bytes, *, command: bool, last: bool) -> bytes:
    value = struct.pack(">IBB", len(content) + 2, 1, command | last << 1) + content
    return struct.pack(">BBI", 4, 0, len(value)) + value


def _command(sop_class: str, instance: str) -> bytes:
    """C-STORE-RQ in Implicit VR Little Endian (PS3.7 9.3.1)."""
    elements = (
        _element(0x0002, _even(sop_class)) + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", 1)) + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 0)) + _element(0x1000, _even(instance))
    )  # fmt: skip
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)
