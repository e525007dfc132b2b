"""The tiles of a shard (WebDataset, a tar of `<tile id>.jpg` or `.png`), decoded when wanted."""

import tarfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final

import cv2
import numpy as np

from appliance.errors import DeliveryRefused
from dicom_node.model_servers.words import Pixels

_PICTURES: Final = frozenset({"jpg", "png"})
_HOW: Final = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_UNREADABLE: Final = "A tile of the parcel cannot be decoded, or is not of the size of the plan."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    tile_id: str
    offset: int
    size_bytes: int


class Shard:
    """The tiles of one verified shard, in their order.

    Parameters
    ----------
    file
        The private copy that was verified; it has to stay open.
    side_px
        Side of every tile.

    Raises
    ------
    DeliveryRefused
        It is no shard, or holds no tile, or one twice.
    """

    def __init__(self, file: IO[bytes], *, side_px: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._side_px = side_px
        self._places = _places(file)
        self.tile_ids = tuple(place.tile_id for place in self._places)

    def decode(self, tiles: Sequence[int]) -> Pixels:
        """Decode some tiles, by their number in the shard.

        Returns
        -------
        numpy.ndarray
            `(n, side, side, 3)` uint8 RGB.
        """
        side = self._side_px
        pixels = np.empty((len(tiles), side, side, 3), np.uint8)
        for row, number in enumerate(tiles):
            tile = cv2.imdecode(np.frombuffer(self._read(number), np.uint8), _HOW)
            if tile is None or tile.shape != pixels.shape[1:]:
                raise DeliveryRefused(_UNREADABLE)
            pixels[row] = tile
        return pixels

    def _read(self, number: int) -> bytes:
        place = self._places[number]
        with self._lock:
            self._file.seek(place.offset)
            return self._file.read(place.size_bytes)


def _places(file: IO[bytes]) -> tuple[_Place, ...]:
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            places = tuple(
                _Place(tile_id=tile_id, offset=one.offset_data, size_bytes=one.size)
                for one in tar
                for tile_id, _, kind in [one.name.rpartition(".")]
                if one.isreg() and kind in _PICTURES
            )
    except tarfile.TarError as error:
        raise DeliveryRefused("The parcel does not hold a shard of tiles.") from error
    if not places or len({place.tile_id for place in places}) != len(places):
        raise DeliveryRefused("The shard of the parcel holds no tile, or one twice.")
    return places
