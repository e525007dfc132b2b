"""Where we replace parts of an association of pynetdicom 3.0.4 that we asked for.

All private names of the library that an association of ours relies on are used here; a contract
test (`tests/dicom_node/test_confirmation.py`) checks that they mean what we think.

The library answers an N-EVENT-REPORT in a thread of its own, which at its end sets a flag of the
association's thread: whoever wants to send or release just then would wait for ever. And a peer
that takes no more bytes would hold us for ever.
"""

import threading
from typing import Any, Final

from pynetdicom.association import Association

STALL_S: Final = 120.0
"""So long a peer may leave bytes untaken, or a message that it began unfinished."""
_REST_LIMIT_S: Final = 10.0


class Checkpoint:
    """Where the association's thread is held while we use the association; it tells when it is.

    The library says so in a flag before the thread waits. One that finds the way open just then
    goes on, and may take away the answer that we wait for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self.holds = False
        """Whether the thread is held, and stays so until `set`."""

    def is_set(self) -> bool:
        """Whether the way is open."""
        return self._open

    def set(self) -> None:
        """Open the way."""
        with self._changed:
            self._open, self.holds = True, False
            self._changed.notify_all()

    def clear(self) -> None:
        """Hold the thread as soon as it comes by."""
        with self._changed:
            self._open = False

    def wait(self) -> None:
        """Come by; called by the association's thread."""
        with self._changed:
            while not self._open:
                self.holds = True
                self._changed.wait()


class Requestor(Association):
    """An association on which the peer may ask us something too."""

    _answering: threading.Condition
    _n_answering = 0
    _reactor_checkpoint: "Checkpoint"  # type: ignore[assignment]

    @property
    def _is_paused(self) -> bool:
        """Whether the association's thread waits for us, or asks itself."""
        own = threading.current_thread() is self
        return self._kill or own or self._reactor_checkpoint.holds

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        """Take no notice: the thread says so before it waits, and may go on all the same."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        with self._answering:
            self._n_answering += 1
        try:
            super()._serve_request(msg, context_id)
        finally:
            with self._answering:
                self._n_answering -= 1
                self._answering.notify_all()

    def rest(self) -> None:
        """Wait until our answers to what the peer asked are on their way."""
        with self._answering:
            self._answering.wait_for(lambda: not self._n_answering, _REST_LIMIT_S)


def prepare(association: Association) -> None:
    """Make an association one of ours, before its thread starts.

    Later the thread may be waiting already, by the library's own means.
    """
    association._answering = threading.Condition()  # type: ignore[attr-defined]  # noqa: SLF001
    association._reactor_checkpoint = Checkpoint()  # type: ignore[assignment]  # noqa: SLF001
    association.__class__ = Requestor


def adopt(association: Association) -> Requestor:
    """Give an association that was prepared and is established now."""
    assert isinstance(association, Requestor)  # noqa: S101  for the type checker
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(STALL_S)
    return association
