"""Calls as they crossed the wire by gRPC over HTTP/2 (RFC 9113), every byte accounted for."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_NUMBERS_ONLY = frozenset({_RESET, _SETTINGS, _PING, _WINDOW})
"""Frames that hold nothing but numbers of the protocol."""
_END_HEADERS, _PADDED, _PRIORITY = 0x04, 0x08, 0x20


@dataclass(slots=True)
class Call:
    """One call of a method."""

    texts: list[str]
    """Every text in its headers that is not of HTTP's own table."""
    data: bytearray = field(default_factory=bytearray)

    @property
    def messages(self) -> list[bytes]:
        """The messages that were sent, none of them compressed."""
        found, at = [], 0
        while at < len(self.data):
            compressed, length = struct.unpack_from("!BI", self.data, at)
            assert compressed == 0
            found.append(bytes(self.data[at + 5 : at + 5 + length]))
            assert len(found[-1]) == length
            at += 5 + length
        return found


def read_calls(said: bytes) -> tuple[list[Call], list[bytes]]:
    """Take apart what was said on a connection: the calls, and the words of a farewell."""
    assert said.startswith(_PREFACE)
    calls: dict[int, Call] = {}
    farewells = []
    for kind, flags, number, payload in _frames(said[len(_PREFACE) :]):
        assert not flags & _PADDED or kind in _NUMBERS_ONLY, "padding may hold anything"
        if kind == _HEADERS:
            assert flags & _END_HEADERS
            block = payload[5:] if flags & _PRIORITY else payload
            calls[number] = Call(list(_texts(block)))
        elif kind == _DATA:
            calls[number].data += payload
        elif kind == _GOAWAY:
            farewells.append(payload[8:])
        else:
            assert kind in _NUMBERS_ONLY, f"a frame of kind {kind}"
    return list(calls.values()), farewells


def _frames(content: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at < len(content):
        high, low, kind, flags, number = struct.unpack_from("!BHBBI", content, at)
        length = high << 16 | low
        payload = content[at + 9 : at + 9 + length]
        assert len(payload) == length, "the stream ends within a frame"
        yield kind, flags, number, payload
        at += 9 + length


def _texts(block: bytes) -> Iterator[str]:
    """Texts of a header block (RFC 7541 6) that stand in it as they are."""
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80 or first & 0xE0 == 0x20:  # from a table; the size of ours
            _, at = _integer(block, at, 7 if first & 0x80 else 5)
            continue
        index, at = _integer(block, at, 6 if first & 0x40 else 4)
        for _ in range(1 if index else 2):
            assert not block[at] & 0x80, "a text in Huffman's code"
            length, at = _integer(block, at, 7)
            yield block[at : at + length].decode()
            at += length


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer of so many bits (RFC 7541 5.1), and where it ends."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        value += (block[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not block[at - 1] & 0x80:
            return value, at
