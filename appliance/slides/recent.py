"""The tiles that were decoded last: neighbouring regions share those at their rims."""

import threading
from collections import OrderedDict

from appliance.slides.grey import Pixels


class RecentTiles:
    """Decoded tiles by level, frame number and shrink, up to a limit. Thread-safe.

    Parameters
    ----------
    limit_bytes
        Memory of all tiles that are kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._tiles: OrderedDict[tuple[int, int, int], Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> Pixels | None:
        """Give a tile, not to be written to; None when it is not kept."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def keep(self, key: tuple[int, int, int], tile: Pixels) -> None:
        """Keep a tile, and let go of those that nobody asked for the longest."""
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._left_bytes -= tile.nbytes
            while self._left_bytes < 0:
                self._left_bytes += self._tiles.popitem(last=False)[1].nbytes
