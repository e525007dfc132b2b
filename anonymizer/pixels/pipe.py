"""Reading into a few buffers in turn while a thread writes what was read before.

Reading, looking and writing thereby overlap, and memory stays small whatever the file is.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

from appliance.errors import InvalidInstance

BLOCK_BYTES = 1 << 19
_BUFFERS = 3
_STARTED_BYTES = 16 << 20
_LARGEST_BYTES = 128 << 20

Piece = bytes | memoryview


class Pipe:
    """From one open file to another."""

    def __init__(self, source: int, target: BinaryIO, writer: ThreadPoolExecutor) -> None:
        self._source = source
        self._target = target
        self._writer = writer
        self._free = deque(bytearray(BLOCK_BYTES) for _ in range(_BUFFERS))
        self._pending: deque[tuple[Future[None], bytearray]] = deque()
        self._started = target.tell()

    def read(self, offset: int, length: int) -> bytearray:
        """Read bytes of the source; they stay until as many further reads as there are buffers.

        Raises
        ------
        InvalidInstance
            The file ends before, or they are more than one frame of a slide ever has.
        """
        if length > _LARGEST_BYTES:
            raise InvalidInstance("A frame of the object is larger than those of any slide.")
        buffer = self._free_buffer() if length <= BLOCK_BYTES else bytearray(length)
        if os.preadv(self._source, [memoryview(buffer)[:length]], offset) != length:
            raise InvalidInstance("The file ends before its pixel data do.")
        return buffer

    def write(self, pieces: Iterable[Piece], buffer: bytearray) -> None:
        """Append pieces to the target, some of them of a buffer that was read."""
        while len(self._pending) >= _BUFFERS:
            self._wait()
        self._pending.append((self._writer.submit(self._append, pieces), buffer))

    def finish(self) -> None:
        """Wait until all is written."""
        while self._pending:
            self._wait()

    def _append(self, pieces: Iterable[Piece]) -> None:
        self._target.writelines(pieces)
        written = self._target.tell()
        if written - self._started >= _STARTED_BYTES:
            # Linux thereby starts to write what is dirty; else all of it waits for the fsync.
            start, self._started = self._started, written
            os.posix_fadvise(self._target.fileno(), start, written - start, os.POSIX_FADV_DONTNEED)

    def _free_buffer(self) -> bytearray:
        while not self._free:
            self._wait()
        return self._free.popleft()

    def _wait(self) -> None:
        written, buffer = self._pending.popleft()
        written.result()
        if len(buffer) == BLOCK_BYTES:
            self._free.append(buffer)


@contextmanager
def pipe(source: int, target: BinaryIO) -> Iterator[Pipe]:
    """Open a pipe; at the end everything is written."""
    with ThreadPoolExecutor(1, "write") as writer:
        opened = Pipe(source, target, writer)
        yield opened
        opened.finish()
