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


class Requestor(Association):
    """An association on which the peer may ask us something too."""

    _answering: threading.Condition
    _n_answering = 0
    _pausing = False

    @property
    def _is_paused(self) -> bool:
        """Whether the association's thread waits for us; it alone can say so."""
        return self._kill or self._pausing

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        if threading.current_thread() is self:
            self._pausing = value

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


def adopt(association: Association) -> Requestor:
    """Make an association that was just established one of ours."""
    association._answering = threading.Condition()  # type: ignore[attr-defined]  # noqa: SLF001
    association.__class__ = Requestor
    assert isinstance(association, Requestor)  # noqa: S101  for the type checker
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(STALL_S)
    return association
