"""One queue a model that all workers and slides feed: full batches for a GPU.

A worker that has decoded some tiles gives them here and waits; a thread of the model's own fills
a batch of fixed size from whatever waits, runs it, and hands out the answers. Small biopsies of
several slides so fill one batch together. Each worker waits for its own tiles, which bounds the
queue.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from appliance.errors import ApplianceError, DeviceUnavailable
from inference.running.engine import DeviceMemoryFull, Images, Probabilities

FLUSH_AFTER_S = 0.004
"""How long a batch that is not full waits for more."""
_CLOSED = "The models were closed."


class Bound(Protocol):
    """A model for batches of one size; see `BoundSession`."""

    device: str

    def put(self, first: int, images: Images) -> None:
        """Lay images into the batch."""

    def run(self, n: int) -> Probabilities:
        """Run the model on the batch."""


Bind = Callable[[int], Bound]
"""Makes a model for batches of a size."""


class _Request:
    """Images of one worker, and the answers as they come."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.error: Exception | None = None
        self.ended = threading.Event()
        self.taken = 0
        self._parts: list[Probabilities] = []

    def answer(self, found: Probabilities) -> None:
        """Keep the answers to the next images; those of padding around them are left out."""
        _, rows, columns, _ = self.images.shape
        is_map = found.ndim > 2  # noqa: PLR2004  else one answer a tile
        self._parts.append(found[:, :rows, :columns] if is_map else found)
        if sum(map(len, self._parts)) == len(self.images):
            self.ended.set()

    @property
    def answers(self) -> Probabilities:
        """All answers, in order."""
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)

    def fail(self, error: Exception) -> None:
        """End without answers."""
        self.error = error
        self.ended.set()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some images of a request that go into one batch."""

    request: _Request
    start: int
    stop: int

    @property
    def n(self) -> int:
        return self.stop - self.start


class Batcher:
    """Collects tiles of all workers into batches. Thread-safe; one thread of its own.

    Parameters
    ----------
    bind
        Makes the model for a batch size; called in the batcher's own thread, which alone uses it.
    batch
        Images of a run. Halved, once, when the device's memory is full.
    check
        Refuses answers that are none; called in the threads of the workers.
    flush_after_s
        How long a batch that is not full waits for more.

    Raises
    ------
    ModelError, DeviceUnavailable
        What `bind` raises.
    """

    def __init__(
        self,
        bind: Bind,
        *,
        batch: int,
        check: Callable[[Probabilities], None],
        flush_after_s: float = FLUSH_AFTER_S,
    ) -> None:
        self._bind = bind
        self._check = check
        self._flush_after_s = flush_after_s
        self.batch = batch
        """Images of a run, as it is now."""
        self._halved = False
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._unfinished: _Request | None = None
        self._bound: Bound | None = None
        self._failure: Exception | None = None
        self._ready = threading.Event()
        self._door = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._keep, name="batcher", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def device(self) -> str:
        """`cpu` or `gpu`: where the model really runs."""
        return self._bound.device if self._bound is not None else ""

    def run(self, images: Images) -> Probabilities:
        """Run the model, together with what others ask for; see `Session.run`."""
        request = _Request(images)
        with self._door:
            if self._closed:
                raise DeviceUnavailable(_CLOSED)
            self._queue.put(request)
        request.ended.wait()
        if request.error is not None:
            raise _again(request.error) from request.error
        answers = request.answers
        self._check(answers)
        return answers

    def close(self) -> None:
        """Judge what waits, then end the thread."""
        with self._door:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _keep(self) -> None:
        try:
            self._open()
        except Exception as error:  # noqa: BLE001  raised where the batcher is made
            self._failure = error
        self._ready.set()
        while self._failure is None and (pieces := self._gathered()):
            try:
                self._judge(pieces)
            except Exception as error:  # noqa: BLE001  raised in the workers that wait
                self._unfinished = None
                for piece in pieces:
                    piece.request.fail(error)
        self._bound = None

    def _open(self) -> None:
        with suppress(DeviceMemoryFull):
            self._bound = self._bind(self.batch)
            return
        self._halve()

    def _gathered(self) -> list[_Piece]:
        """Wait for a batch: until it is full, or until nothing more came for a moment."""
        request = self._unfinished or self._queue.get()
        self._unfinished = None
        until = time.monotonic() + self._flush_after_s
        pieces: list[_Piece] = []
        room = self.batch
        while request is not None:
            start = request.taken
            request.taken = min(len(request.images), start + room)
            pieces.append(_Piece(request, start, request.taken))
            room -= pieces[-1].n
            if request.taken < len(request.images):
                self._unfinished = request
            if room == 0:
                return pieces
            try:
                request = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return pieces
        self._queue.put(None)  # closing: judge what is here, then meet this again
        return pieces

    def _judge(self, pieces: Sequence[_Piece]) -> None:
        """Run one batch; in halves, when the memory of the device is not enough for all."""
        with suppress(DeviceMemoryFull):
            self._run(pieces)
            return
        self._halve()
        for some in _split(pieces, self.batch):
            self._run(some)

    def _halve(self) -> None:
        """Make the model for half the batch, once.

        Never called while an error is handled: its traceback would keep what is given back here.

        Raises
        ------
        DeviceMemoryFull
            It was halved before, or there is nothing to halve.
        """
        if self._halved or self.batch == 1:
            raise DeviceMemoryFull("The memory of the GPU is full, with half a batch, too.")
        self._halved = True
        self.batch //= 2
        self._bound = None  # gives its memory back first
        self._bound = self._bind(self.batch)

    def _run(self, pieces: Sequence[_Piece]) -> None:
        bound = self._bound
        if bound is None:
            raise DeviceUnavailable("The GPU was lost or refused the work.")
        first = 0
        for piece in pieces:
            bound.put(first, piece.request.images[piece.start : piece.stop])
            first += piece.n
        found = bound.run(first)
        first = 0
        for piece in pieces:
            piece.request.answer(found[first : first + piece.n])
            first += piece.n


def _split(pieces: Sequence[_Piece], batch: int) -> Iterator[list[_Piece]]:
    """Cut the pieces of one batch into smaller batches."""
    some: list[_Piece] = []
    room = batch
    for piece in pieces:
        start = piece.start
        while start < piece.stop:
            stop = min(piece.stop, start + room)
            some.append(_Piece(piece.request, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield some
                some, room = [], batch
    if some:
        yield some


def _again(error: Exception) -> Exception:
    """Give an error of ours once more: several workers raise it, each with its own traceback."""
    return type(error)(str(error)) if isinstance(error, ApplianceError) else error
