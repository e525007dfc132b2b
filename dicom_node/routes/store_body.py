"""The body of a Store request: open files, streamed between the boundaries of multipart/related."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from appliance.errors import PeerUnavailable

_CHUNK_BYTES: Final = 1 << 20
_LINE_END: Final = b"\r\n"


class StoreBody:
    """A multipart/related body (PS3.18 8.6.1.2.2) out of open files, with its exact length."""

    def __init__(self, files: Sequence[IO[bytes]], boundary: str) -> None:
        self._files = [(file, os.fstat(file.fileno()).st_size) for file in files]
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"--{boundary}--\r\n".encode()
        parts = sum(len(self._head) + size + len(_LINE_END) for _, size in self._files)
        self.length = parts + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for file, size in self._files:
            yield self._head
            remaining = size
            while remaining:
                chunk = file.read(min(_CHUNK_BYTES, remaining))
                if not chunk:
                    raise PeerUnavailable("A file became shorter while it was sent.")
                remaining -= len(chunk)
                yield chunk
            yield _LINE_END
        yield self._tail


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that is to be sent; raises PeerUnavailable when it cannot be read now."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise PeerUnavailable("A file could not be read while it was sent.") from error
    with file:
        yield file
