"""The body of a request, for the thread that keeps it.

The thread asks for the next fragment when it is done with the last one. Until then the server stops
reading the socket, so that memory stays bounded however large the body, and however slow the disk.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from dicom_node.dicomweb.pace import TooSlow, Wait

Receive = Callable[[], Awaitable[Any]]
"""Gives the next event of ASGI."""
Send = Callable[[Any], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection in the middle of its request."""


class Body:
    """Fragments of a body, in order.

    Parameters
    ----------
    receive
        Of ASGI; called in the event loop.
    loop
        That event loop.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self.wait = Wait()
        """How long the client is waited for."""
        self.has_ended = False
        """Whether nothing more will come."""

    def fragments(self) -> Iterator[bytes]:
        """Give the fragments; called in a thread.

        Raises
        ------
        ClientGone, TooSlow
            There will be no more.
        """
        while not self.has_ended:
            fragment = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if fragment:
                yield fragment

    async def drain(self, limit_s: float) -> None:
        """Read what still comes, for so long at most, and throw it away."""
        with contextlib.suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(limit_s):
                while not self.has_ended:
                    await self._take()

    async def _next(self) -> bytes:
        began_at = self.wait.clock()
        try:
            fragment = await asyncio.wait_for(self._take(), self.wait.limit_s())
        except TimeoutError as error:
            raise TooSlow from error
        self.wait.note(self.wait.clock() - began_at, len(fragment))
        return fragment

    async def _take(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.has_ended = True
            raise ClientGone
        self.has_ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))
