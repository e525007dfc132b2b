"""A peer's connection: whole PDUs out of a socket, in large reads, within limits.

Nothing here waits without a limit, and nothing is polled: a wait ends when the socket has something
to say, when another thread rings the bell, or at its deadline. Clocks are monotonic, so that a step
of the clock ends nobody's association.
"""

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

from dicom_node.pdata import HEADER_BYTES, MalformedPdu

_MILLISECONDS: Final = 1000
_LONGEST_WAIT_S: Final = 3600.0
_SCRAP_BYTES: Final = 65_536
_GREEDY_BYTES: Final = 2048
_FIRST_BYTES: Final = 16_384
"""Read at first: a buffer for objects is made once an association is established."""

Clock = Callable[[], float]


class PeerGone(OSError):
    """The peer closed the connection."""


class TooSlow(OSError):
    """The peer did not send, or did not take, within the limit."""


class Bell:
    """Wakes a connection's thread out of a wait."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()  # a descriptor that was given back may be another's file

    def ring(self) -> None:
        """Wake the thread; does nothing once the bell was taken down."""
        with self._lock:
            if self.descriptor >= 0:
                os.eventfd_write(self.descriptor, 1)

    def is_ringing(self) -> bool:
        """Whether it rang; it is quiet again then."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return False
        return True

    def take_down(self) -> None:
        """Give its descriptor back."""
        with self._lock:
            descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Connection:
    """Gives one PDU after the other.

    Parameters
    ----------
    peer
        A connected socket; it is made one that does not block.
    clock
        Monotonic seconds.
    """

    def __init__(self, peer: socket.socket, clock: Clock = time.monotonic) -> None:
        peer.settimeout(0)
        self.peer = peer
        self.clock = clock
        self.woken: Callable[[], None] = lambda: None
        """Called in the connection's thread when the bell rang during a wait."""
        self._bell: Bell | None = None
        self._poll = select.poll()
        self._descriptor = peer.fileno()
        self._poll.register(self._descriptor, select.POLLIN)
        self._buffer = bytearray(_FIRST_BYTES)
        self._view = memoryview(self._buffer)
        self._n_read = 0
        self._n_given = 0

    def listen_to(self, bell: Bell) -> None:
        """Let others wake this connection."""
        self._bell = bell
        self._poll.register(bell.descriptor, select.POLLIN)

    def make_room(self, n_bytes: int) -> None:
        """Make the buffer large enough for PDUs of this length, so that they are read whole."""
        self._grow(n_bytes + 2 * HEADER_BYTES)

    def read_pdu(
        self, *, limit_bytes: int, idle_until: float, pdu_limit_s: float, until: float
    ) -> memoryview:
        """Read a whole PDU; it is valid until the next call.

        One read takes the rest of a PDU and the header of the next, so that most PDUs of an object
        cost one; when nothing is known of what comes, a read takes a few more bytes, so that a
        command costs one too.

        Parameters
        ----------
        limit_bytes
            No PDU may be longer, header apart; a longer one is refused unread.
        idle_until
            Latest moment for its first byte.
        pdu_limit_s
            A PDU that began must be whole within this time.
        until
            Latest moment for all of it.

        Raises
        ------
        PeerGone, TooSlow, OSError
            The connection is of no use any more.
        MalformedPdu
            The peer announced a PDU above the limit.
        """
        left_over = self._n_read - self._n_given
        if left_over:
            self._view[:left_over] = self._view[self._n_given : self._n_read]
        self._n_read, self._n_given = left_over, 0
        if not left_over:
            self._fill(_GREEDY_BYTES, 1, min(idle_until, until))
        deadline = min(self.clock() + pdu_limit_s, until)
        self._fill(_GREEDY_BYTES, HEADER_BYTES, deadline)
        length = int.from_bytes(self._view[2:HEADER_BYTES], "big")
        if length > limit_bytes:
            raise MalformedPdu("the peer announced a PDU above the limit")
        whole = HEADER_BYTES + length
        self._grow(whole + HEADER_BYTES)
        self._fill(whole + HEADER_BYTES, whole, deadline)
        self._n_given = whole
        return self._view[:whole]

    def send(self, content: bytes, *, limit_s: float) -> None:
        """Send all of it.

        Raises
        ------
        TooSlow, OSError
            The peer does not take it, or is gone.
        """
        deadline = self.clock() + limit_s
        view = memoryview(content)
        while view:
            try:
                view = view[self.peer.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait_to_send(deadline)
            except ssl.SSLWantReadError:
                self._wait_to_read(deadline)

    def rest(self, until: float) -> None:
        """Read nothing for a while: the peer is held back by its own window."""
        while self.clock() < until:
            if self._bell is None:
                time.sleep(max(0.0, until - self.clock()))
                continue
            waiting = select.poll()
            waiting.register(self._bell.descriptor, select.POLLIN)
            if waiting.poll(self._milliseconds(until)) and self._bell.is_ringing():
                self.woken()

    def linger(self, limit_s: float) -> None:
        """Throw away what still comes until the peer closes, so that it reads our last words."""
        deadline = self.clock() + limit_s
        scrap = bytearray(_SCRAP_BYTES)
        with contextlib.suppress(OSError, ValueError):
            if not isinstance(self.peer, ssl.SSLSocket):  # it would end reading, too
                self.peer.shutdown(socket.SHUT_WR)
            while self.clock() < deadline and self._read(memoryview(scrap), deadline):
                pass

    def close(self) -> None:
        """Close the socket, even when the peer is gone."""
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.peer.close()

    def _grow(self, n_bytes: int) -> None:
        if n_bytes > len(self._buffer):
            grown = bytearray(n_bytes)
            grown[: self._n_read] = self._view[: self._n_read]
            self._buffer, self._view = grown, memoryview(grown)

    def _fill(self, at_most: int, at_least: int, deadline: float) -> None:
        """Read into the buffer until it holds at least so much, and not more than `at_most`."""
        while self._n_read < at_least:
            n_new = self._read(self._view[self._n_read : at_most], deadline)
            if not n_new:
                raise PeerGone("the peer closed the connection")
            self._n_read += n_new

    def _read(self, view: memoryview, deadline: float) -> int:
        while True:
            try:
                return self.peer.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_to_read(deadline)
            except ssl.SSLWantWriteError:
                self._wait_to_send(deadline)

    def _wait_to_read(self, deadline: float) -> None:
        while True:
            ready = self._poll.poll(self._milliseconds(deadline))
            if not ready and self.clock() >= deadline:
                raise TooSlow("the peer was too slow")
            for descriptor, _ in ready:
                if descriptor == self._descriptor:
                    return
                if self._bell is not None and self._bell.is_ringing():
                    self.woken()

    def _wait_to_send(self, deadline: float) -> None:
        """Wait until the socket takes more; the bell has to wait, or PDUs would mingle."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        if not waiting.poll(self._milliseconds(deadline)):
            raise TooSlow("the peer did not take what we sent")

    def _milliseconds(self, deadline: float) -> int:
        left_s = min(deadline - self.clock(), _LONGEST_WAIT_S)
        return max(0, int(left_s * _MILLISECONDS) + 1)
