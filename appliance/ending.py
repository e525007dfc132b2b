"""End in order when we are asked to by a signal."""

import _thread
import signal
import threading


def ends_on(*signals: signal.Signals, event: threading.Event) -> None:
    """Let signals set an event.

    A handler runs in the main thread, between any two steps of it: also while it waits for that
    very event and holds its lock, where setting it would wait for ever. So another thread sets it.
    """

    def handle(*_: object) -> None:
        _thread.start_new_thread(event.set, ())

    for number in signals:
        signal.signal(number, handle)
