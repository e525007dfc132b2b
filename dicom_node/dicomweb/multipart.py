"""The one door to python-multipart: the parts of a multipart/related body, as it streams in.

The library's messages quote what it met, so none of them gets past this module.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

MULTIPART: Final = "multipart/related"

_MAXIMUM_BOUNDARY: Final = 200
"""RFC 2046 5.1.1 allows 70; Orthanc sends 73."""
_MAXIMUM_HEADERS: Final = 16
_MAXIMUM_HEADER_BYTES: Final = 2048
_MAXIMUM_EPILOGUE_BYTES: Final = 65_536


class MalformedBody(Exception):
    """The body is no multipart body, ends in the middle of one, or has no end."""


class Parts(Protocol):
    """Takes the parts, one after the other."""

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part; names of headers are in lower case."""

    def data(self, fragment: memoryview) -> None:
        """Take the next bytes of the part; they are valid during the call only."""

    def end(self) -> None:
        """End the part: it came whole."""


def media_type(value: str) -> tuple[str, dict[str, str]]:
    """Read a Content-Type: the type in lower case, and its parameters."""
    kind, parameters = parse_options_header(value.encode("latin-1", errors="replace"))
    return (
        kind.decode("latin-1").lower(),
        {name.decode("latin-1").lower(): one.decode("latin-1") for name, one in parameters.items()},
    )


class MultipartReader:
    """Reads a body in fragments of any length and hands its parts on.

    Parameters
    ----------
    boundary
        Of the Content-Type.
    parts
        Takes the parts.

    Raises
    ------
    MalformedBody
        The boundary is none.
    """

    def __init__(self, boundary: str, parts: Parts) -> None:
        if not 0 < len(boundary) <= _MAXIMUM_BOUNDARY or not boundary.isascii():
            raise MalformedBody
        self._parts = parts
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._epilogue_bytes = 0
        self._parser = MultipartParser(
            boundary.encode("ascii"),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._parts.end,
            },
            max_header_count=_MAXIMUM_HEADERS,
            max_header_size=_MAXIMUM_HEADER_BYTES,
        )

    def feed(self, fragment: bytes) -> None:
        """Take the next bytes of the body.

        Raises
        ------
        MalformedBody
            They make no sense here.
        """
        if self._has_ended:
            self._epilogue_bytes += len(fragment)
            if self._epilogue_bytes > _MAXIMUM_EPILOGUE_BYTES:
                raise MalformedBody
            return
        try:
            self._parser.write(fragment)
        except FormParserError as error:
            raise MalformedBody from error

    def finish(self) -> None:
        """Say that the body is at its end.

        Raises
        ------
        MalformedBody
            The closing boundary never came: nobody knows whether the last part is whole.
        """
        if not self._has_ended:
            raise MalformedBody

    @property
    def _has_ended(self) -> bool:
        return self._parser.state == MultipartState.END

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1").strip()
        self._name, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        self._parts.begin(self._headers)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._parts.data(memoryview(data)[start:end])
