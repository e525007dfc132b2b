"""What a deliver daemon tells of its route: how much waits, when it is tried, what a probe said."""

from collections.abc import Callable

from appliance.facts import ArchiveQueue, Facts, Probe, RouteQueue


def route_facts(
    queue: Callable[[], RouteQueue | ArchiveQueue], probed: Callable[[], Probe | None]
) -> Callable[[], Facts]:
    """Give what tells of a route.

    Parameters
    ----------
    queue
        Counts what has not arrived.
    probed
        Gives the newest answer to whether the peer is there; None while nobody asked.
    """

    def facts() -> Facts:
        found = queue()
        if isinstance(found, ArchiveQueue):
            return Facts(archive=found, probe=probed())
        return Facts(route=found, probe=probed())

    return facts
