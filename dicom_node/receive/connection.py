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

from dicom_node.receive.pdata import HEADER_BYTES, P_DATA_TF, MalformedPdu

_MILLISECONDS: Final = 1000
_LONGEST_WAIT_S: Final = 3600.0
_SCRAP_BYTES: Final = 65_536
_GREEDY_BYTES: Final = 2048
_LONG_PDU_BYTES: Final = 8192
_STREAM_BYTES: Final = 4 << 20
_GATHERED_BYTES: Final = 512 << 10
_GATHERING_MS: Final = 2
_PAUSE_MS: Final = 20
_LENGTH_AT: Final = 2
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
        self._is_tcp = peer.family in (socket.AF_INET, socket.AF_INET6)
        self._bell: Bell | None = None
        self._poll = select.poll()
        self._descriptor = peer.fileno()
        self._poll.register(self._descriptor, select.POLLIN)
        self._buffer = bytearray(_FIRST_BYTES)
        self._view = memoryview(self._buffer)
        self._begin = 0
        """Where the next PDU begins in the buffer."""
        self._end = 0
        """How far it is filled."""
        self._reserve = _FIRST_BYTES
        """Room that a PDU needs at least, so that it is not moved."""
        self._streamed_bytes = 0
        """Of long PDUs that came one after the other."""
        self._gathers = False
        self._lent = False
        """Whether data was given that `reusing` was not called for yet."""
        self.reusing: Callable[[], None] = lambda: None
        """Called before memory of PDUs that were given is used again, and when the peer pauses."""

    def listen_to(self, bell: Bell) -> None:
        """Let others wake this connection."""
        self._bell = bell
        self._poll.register(bell.descriptor, select.POLLIN)

    def make_room(self, pdu_bytes: int, *, n_pdus: int) -> None:
        """Make the buffer large enough for some PDUs of this length.

        Parameters
        ----------
        pdu_bytes
            Longest PDU, without its header.
        n_pdus
            So many of them stay valid; `reusing` is called before they go.
        """
        self._reserve = pdu_bytes + 2 * HEADER_BYTES
        self._start_over(_GREEDY_BYTES + n_pdus * self._reserve)

    def read_pdu(
        self, *, limit_bytes: int, idle_until: float, pdu_limit_s: float, until: float
    ) -> memoryview:
        """Read a whole PDU; it is valid until `reusing` is called.

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
        PeerGone, TooSlow
            The connection is of no use any more.
        MalformedPdu
            The peer announced a PDU above the limit.
        """
        if len(self._buffer) - self._begin < self._reserve:
            self._start_over(len(self._buffer))
        if self._begin == self._end:
            self._fill(_GREEDY_BYTES, 1, min(idle_until, until))
        deadline = min(self.clock() + pdu_limit_s, until)
        self._fill(_GREEDY_BYTES, HEADER_BYTES, deadline)
        length_at = self._begin + _LENGTH_AT
        length = int.from_bytes(self._view[length_at : self._begin + HEADER_BYTES], "big")
        if length > limit_bytes:
            raise MalformedPdu("the peer announced a PDU above the limit")
        whole = HEADER_BYTES + length
        if self._begin + whole + HEADER_BYTES > len(self._buffer):
            self._start_over(whole + HEADER_BYTES)
        self._fill(whole + HEADER_BYTES, whole, deadline)
        given = self._view[self._begin : self._begin + whole]
        self._begin += whole
        self._lent = given[0] == P_DATA_TF
        self._streamed_bytes = self._streamed_bytes + whole if whole >= _LONG_PDU_BYTES else 0
        if self._gathers != (self._streamed_bytes >= _STREAM_BYTES):
            self._gather(gathers=not self._gathers)
        return given

    def send(self, content: bytes, *, limit_s: float) -> None:
        """Send all of it.

        Raises
        ------
        TooSlow, PeerGone
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
            except OSError as error:
                raise PeerGone("the connection broke off") from error

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

    def _start_over(self, n_bytes: int) -> None:
        """Begin at the front of the buffer again, or of a larger one, with what is read already."""
        self.reusing()
        left_over = self._view[self._begin : self._end]
        if n_bytes > len(self._buffer):
            self._buffer = bytearray(n_bytes)
            self._view = memoryview(self._buffer)
        self._view[: len(left_over)] = left_over
        self._begin, self._end = 0, len(left_over)

    def _fill(self, at_most: int, at_least: int, deadline: float) -> None:
        """Read until the buffer holds at least so much of the PDU, and not more than `at_most`."""
        enough, most = self._begin + at_least, self._begin + at_most
        while self._end < enough:
            n_new = self._read(self._view[self._end : most], deadline)
            if not n_new:
                raise PeerGone("the peer closed the connection")
            self._end += n_new

    def _read(self, view: memoryview, deadline: float) -> int:
        while True:
            try:
                return self.peer.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_to_read(deadline)
            except ssl.SSLWantWriteError:
                self._wait_to_send(deadline)
            except OSError as error:
                raise PeerGone("the connection broke off") from error

    def _gather(self, *, gathers: bool) -> None:
        """Say whether to be woken only when much has come, or by the first byte.

        In the midst of a large object a thread that is woken for every PDU spends more on being
        woken than on reading, and so does the kernel of a sender on the same machine.
        """
        self._gathers = gathers
        with contextlib.suppress(OSError):  # it only helps
            mark = _GATHERED_BYTES if gathers else 1
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark)

    def _hurry_sender(self) -> None:
        """Acknowledge what came: a sender with Nagle's algorithm holds the rest back till then.

        Otherwise an object's last bytes, or the next command, may come 40 ms later.
        """
        if self._is_tcp:
            with contextlib.suppress(OSError):  # it only helps
                self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _wait_to_read(self, deadline: float) -> None:
        if not self._gathers:
            self._hurry_sender()
        while True:
            if self._gathers and not self._poll.poll(_GATHERING_MS):
                self._streamed_bytes = 0  # a slower network, or the end of the object
                self._gather(gathers=False)
                return
            ready = self._poll_patiently(deadline)
            if not ready and self.clock() >= deadline:
                raise TooSlow("the peer was too slow")
            for descriptor, _ in ready:
                if descriptor == self._descriptor:
                    return
                if self._bell is not None and self._bell.is_ringing():
                    self.woken()

    def _poll_patiently(self, deadline: float) -> list[tuple[int, int]]:
        """Wait; when the peer pauses in an object, what came so far goes where others look."""
        if self._lent:
            ready = self._poll.poll(min(_PAUSE_MS, self._milliseconds(deadline)))
            if ready:
                return ready
            self._lent = False
            self.reusing()
        return self._poll.poll(self._milliseconds(deadline))

    def _wait_to_send(self, deadline: float) -> None:
        """Wait until the socket takes more; the bell has to wait, or PDUs would mingle."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        if not waiting.poll(self._milliseconds(deadline)):
            raise TooSlow("the peer did not take what we sent")

    def _milliseconds(self, deadline: float) -> int:
        left_s = min(deadline - self.clock(), _LONGEST_WAIT_S)
        return max(0, int(left_s * _MILLISECONDS) + 1)
