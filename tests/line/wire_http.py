"""Requests as they crossed the wire by HTTP/1.1 (RFC 9112), every byte of them accounted for."""

from collections.abc import Iterator
from dataclasses import dataclass

import h11

_MOST_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


def read_requests(said: bytes) -> Iterator[Request]:
    """Take apart what one side said on a connection; raises when it is anything but requests."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEADER_BYTES)
    if said:  # nothing at all would mean the end of the connection to the library
        server.receive_data(said)
    while (event := server.next_event()) is not h11.NEED_DATA:
        assert isinstance(event, h11.Request), "something else than a request was said"
        headers = {name.decode(): value.decode() for name, value in event.headers}
        assert len(headers) == len(event.headers), "a header came twice"
        body = b""
        while not isinstance(part := server.next_event(), h11.EndOfMessage):
            assert isinstance(part, h11.Data), "the stream ends within a request"
            body += part.data
        assert not part.headers
        yield Request(
            method=event.method.decode(), target=event.target.decode(), headers=headers, body=body
        )
        server.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        server.send(h11.EndOfMessage())
        if server.our_state is h11.MUST_CLOSE:
            assert not server.trailing_data[0]
            return
        server.start_next_cycle()
    assert not server.trailing_data[0]
