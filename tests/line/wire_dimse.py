"""One association as it crossed the wire (PS3.8 9.3), every byte of it accounted for."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread

_ASSOCIATE, _DATA, _RELEASE = 0x01, 0x04, 0x05
_CONTEXT, _USER = 0x20, 0x50
_TITLES_AT, _ITEMS_AT = 4, 68


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A DIMSE request."""

    command: Dataset
    data_set: bytes
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """What the side that asked for an association said in it."""

    titles: tuple[str, str]
    """Called and calling AE title."""
    items: tuple[tuple[int, bytes], ...]
    """Items of the request but presentation contexts: type and value."""
    contexts: dict[int, tuple[str, tuple[str, ...]]]
    """Presentation contexts: abstract syntax, proposed transfer syntaxes."""
    messages: tuple[Message, ...]


def read_association(asked: bytes, answered: bytes) -> Association:
    """Take apart what was said; raises AssertionError about any byte that is no part of it."""
    pdus = list(_pdus(asked))
    assert pdus[0][0] == _ASSOCIATE
    assert [kind for kind, _ in pdus[1:] if kind != _DATA] == [_RELEASE]
    accepted = next(body for kind, body in _pdus(answered) if kind == _ASSOCIATE + 1)
    chosen = {
        value[0]: next(_items(value[4:]))[1].decode()
        for kind, value in _items(accepted[_ITEMS_AT:])
        if kind == _CONTEXT + 1 and value[2] == 0
    }
    request = pdus[0][1]
    assert request[_TITLES_AT + 32 : _ITEMS_AT] == bytes(32), "reserved bytes say something"
    contexts, items = {}, []
    for kind, value in _items(request[_ITEMS_AT:]):
        if kind == _CONTEXT:
            abstract, *transfers = (text.decode() for _, text in _items(value[4:]))
            contexts[value[0]] = abstract, tuple(transfers)
        else:
            items += list(_items(value)) if kind == _USER else [(kind, value)]
    called, calling = (request[_TITLES_AT + at :][:16].decode().strip() for at in (0, 16))
    values = (value for kind, body in pdus if kind == _DATA for value in _data_values(body))
    return Association(
        titles=(called, calling),
        items=tuple(items),
        contexts=contexts,
        messages=tuple(_messages(values, chosen)),
    )


def _pdus(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        kind, reserved, length = struct.unpack_from("!BBI", content, at)
        body = content[at + 6 : at + 6 + length]
        assert (reserved, len(body)) == (0, length), "the stream ends within a PDU"
        yield kind, body
        at += 6 + length


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        kind, reserved, length = struct.unpack_from("!BBH", content, at)
        assert reserved == 0
        yield kind, content[at + 4 : at + 4 + length]
        at += 4 + length
    assert at == len(content)


def _data_values(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context id, message control header (bit 0 command, bit 1 last) and value of each PDV."""
    at = 0
    while at < len(body):
        length, context, control = struct.unpack_from("!IBB", body, at)
        yield context, control, body[at + 6 : at + 4 + length]
        at += 4 + length
    assert at == len(body)


def _messages(
    values: Iterator[tuple[int, int, bytes]], chosen: dict[int, str]
) -> Iterator[Message]:
    command, parts = Dataset(), dict.fromkeys((0, 1), b"")
    for context, control, value in values:
        parts[control & 1] += value
        if not control & 2:
            continue
        if control & 1:
            command = dcmread(BytesIO(parts[1]), force=True)
            if command.CommandDataSetType != 0x0101:
                continue
        yield Message(command=command, data_set=parts[0], transfer_syntax=chosen[context])
        parts = dict.fromkeys((0, 1), b"")
    assert parts == dict.fromkeys((0, 1), b""), "a message has no end"
