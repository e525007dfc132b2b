"""A peer that speaks DICOM by hand: it can say anything, stop anywhere, and remembers the answers.

Nothing of the product and nothing of pynetdicom is used, so that a mistake they share is seen.
"""

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

VL_WSI: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
VERIFICATION: Final = "1.2.840.10008.1.1"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"

ASSOCIATE_AC: Final = 2
ASSOCIATE_RJ: Final = 3
P_DATA: Final = 4
RELEASE_RP: Final = 6
ABORT: Final = 7

COMMAND: Final = 1
LAST: Final = 2
NO_DATA_SET: Final = 0x0101


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A presentation context that is proposed (PS3.8 9.3.2.2)."""

    number: int = 1
    abstract: str = VL_WSI
    syntaxes: Sequence[str] = (JPEG_BASELINE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for an association request: the PDU's type and body."""

    kind: int
    body: bytes

    @property
    def accepted(self) -> dict[int, str]:
        """Transfer syntax by context number, of the contexts that were accepted."""
        found = {}
        for kind, item in _items(self.body[68:]):
            if kind == 0x21 and item[2] == 0:
                found[item[0]] = dict(_items(item[4:]))[0x40].decode()
        return found

    @property
    def rejection(self) -> tuple[int, int, int]:
        """Result, source and diagnostic of a rejection (PS3.8 9.3.4)."""
        assert self.kind == ASSOCIATE_RJ, f"PDU type {self.kind} came"
        return self.body[1], self.body[2], self.body[3]


class Speaker:
    """One connection to a node."""

    def __init__(self, port: int, *, timeout_s: float = 20.0) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.maximum_bytes = 16_384
        self._message = 0

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def say(self, content: bytes) -> None:
        """Send bytes as they are."""
        self.wire.sendall(content)

    def associate(
        self,
        contexts: Sequence[Context] = (Context(),),
        *,
        calling: str = "SCANNER",
        called: str = "COVERSLIP",
        more: bytes = b"",
    ) -> Answer:
        """Ask for an association, and give the answer."""
        self.say(association_request(contexts, calling=calling, called=called, more=more))
        answer = Answer(**dict(zip(("kind", "body"), self.hear(), strict=True)))
        if answer.kind == ASSOCIATE_AC:
            for kind, item in _items(answer.body[68:]):
                if kind == 0x50:
                    (limit,) = struct.unpack(">I", dict(_items(item))[0x51])
                    self.maximum_bytes = limit or 131_072
        return answer

    def accepted(self, *contexts: Context) -> "Speaker":
        """Associate, and insist that it was accepted."""
        answer = self.associate(contexts or (Context(),))
        assert answer.kind == ASSOCIATE_AC, f"PDU type {answer.kind} came"
        return self

    def hear(self) -> tuple[int, bytes]:
        """Read one PDU: type and body; type 0 when the connection was closed."""
        try:
            head = self._exactly(6)
            if len(head) < 6:
                return 0, b""
            kind, _, length = struct.unpack(">BBI", head)
            return kind, self._exactly(length)
        except ConnectionError:
            return 0, b""

    def answer(self) -> dict[int, bytes]:
        """Read one DIMSE response: values by element number of group 0000; empty at an end."""
        command = b""
        while True:
            kind, body = self.hear()
            if kind != P_DATA:
                return {}
            for control, value in pdvs_of(body):
                command += value
                if control & LAST:
                    return dict(_elements(command))

    def status(self) -> int | None:
        """Read the status of one response; None when the association ended instead."""
        found = self.answer()
        return struct.unpack("<H", found[0x0900])[0] if 0x0900 in found else None

    def store(
        self, uid: str, data_set: bytes, *, sop_class: str = VL_WSI, context: int = 1
    ) -> int | None:
        """Store one object and give the status; None when the association ended."""
        try:
            self.start_store(uid, sop_class=sop_class, context=context)
            self.say_data(data_set, context=context)
        except OSError:
            return None
        return self.status()

    def start_store(self, uid: str, *, sop_class: str = VL_WSI, context: int = 1) -> None:
        """Send a C-STORE request without its data set."""
        self._message = self._message % 65_535 + 1
        request = store_request(uid, sop_class=sop_class, message=self._message)
        self.say(p_data((context, COMMAND | LAST, request)))

    def say_data(self, content: bytes, *, context: int = 1, last: bool = True) -> None:
        """Send (a part of) a data set in PDUs of the size that the node asked for."""
        piece = self.maximum_bytes - 6
        view = memoryview(content)
        for at in range(0, max(1, len(view)), piece):
            ends = last and at + piece >= len(view)
            self.say(p_data((context, LAST if ends else 0, bytes(view[at : at + piece]))))

    def echo(self, context: int = 1) -> int | None:
        """Ask whether the node is alive; give the status."""
        self.say(p_data((context, COMMAND | LAST, echo_request())))
        return self.status()

    def release(self) -> bool:
        """Release the association; whether the node agreed."""
        self.say(struct.pack(">BBII", 5, 0, 4, 0))
        return self.hear()[0] == RELEASE_RP

    def abort(self) -> None:
        """Abort the association."""
        self.say(struct.pack(">BBIHH", 7, 0, 4, 0, 0))

    def ends(self) -> bool:
        """Read on until the node closes the connection; whether it aborted in words."""
        aborted = False
        while True:
            kind, _ = self.hear()
            if not kind:
                return aborted
            aborted = aborted or kind == ABORT

    def _exactly(self, n_bytes: int) -> bytes:
        content = bytearray()
        while len(content) < n_bytes:
            piece = self.wire.recv(n_bytes - len(content))
            if not piece:
                break
            content += piece
        return bytes(content)


def association_request(
    contexts: Sequence[Context], *, calling: str, called: str, more: bytes = b""
) -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2); `more` goes into the user information."""
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + calling.encode().ljust(16)
    body += bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")
    for one in contexts:
        syntaxes = b"".join(item(0x40, name.encode()) for name in one.syntaxes)
        body += item(
            0x20, bytes([one.number, 0, 0, 0]) + item(0x30, one.abstract.encode()) + syntaxes
        )
    user = item(0x51, struct.pack(">I", 16_384)) + item(0x52, b"1.2.3.4") + more
    return pdu(1, body + item(0x50, user))


def p_data(*pdvs: tuple[int, int, bytes]) -> bytes:
    """Encode a P-DATA-TF of (context, control, content) values (PS3.8 9.3.5)."""
    return pdu(
        P_DATA,
        b"".join(
            struct.pack(">IBB", len(content) + 2, context, control) + content
            for context, control, content in pdvs
        ),
    )


def pdvs_of(body: bytes) -> Iterable[tuple[int, bytes]]:
    """Control byte and content of every value of a P-DATA-TF."""
    at = 0
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        yield body[at + 5], body[at + 6 : at + 4 + length]
        at += 4 + length


def pdu(kind: int, body: bytes) -> bytes:
    """Encode a PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, content: bytes) -> bytes:
    """Encode an item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(content)) + content


def store_request(uid: str, *, sop_class: str = VL_WSI, message: int = 1) -> bytes:
    """Encode a C-STORE-RQ (PS3.7 9.3.1)."""
    return command(
        {
            0x0002: text(sop_class),
            0x0100: us(0x0001),
            0x0110: us(message),
            0x0700: us(0),
            0x0800: us(0),
            0x1000: text(uid),
        }
    )


def echo_request(*, data_set_type: int = NO_DATA_SET) -> bytes:
    """Encode a C-ECHO-RQ (PS3.7 9.3.5)."""
    return command(
        {0x0002: text(VERIFICATION), 0x0100: us(0x30), 0x0110: us(7), 0x0800: us(data_set_type)}
    )


def command(elements: Mapping[int, bytes]) -> bytes:
    """Encode a command set in Implicit VR Little Endian, with its group length."""
    content = b"".join(_element(number, elements[number]) for number in sorted(elements))
    return _element(0x0000, struct.pack("<I", len(content))) + content


def text(value: str) -> bytes:
    """Encode a UID."""
    return value.encode() + b"\0" * (len(value) % 2)


def us(value: int) -> bytes:
    """Encode an unsigned short."""
    return struct.pack("<H", value)


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _elements(content: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        _, number, length = struct.unpack_from("<HHI", content, at)
        yield number, content[at + 8 : at + 8 + length]
        at += 8 + length


def _items(content: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(content):
        kind, _, length = struct.unpack_from(">BBH", content, at)
        yield kind, content[at + 4 : at + 4 + length]
        at += 4 + length
