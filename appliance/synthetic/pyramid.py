"""A slide's levels, made and compressed in one pass from top to bottom.

Blocks of the base level are painted and compressed by several threads; each level keeps only one
row of tiles, from which the next one is averaged. Memory grows with the slide's width alone.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from appliance.synthetic.encapsulation import commented
from appliance.synthetic.fields import Window
from appliance.synthetic.picture import block
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.staining import GLASS
from appliance.synthetic.tissue import Rgb, bare_glass

Sink = Callable[[bytes], None]
"""Takes the next frame of a level, in the order of TILED_FULL."""

_TILES_A_BLOCK = 4
_THUMBNAIL_PX = 1024
_LARGEST_KEPT_BYTES = 32 * 1024 * 1024 - 8192


def jpeg(rgb: Rgb, quality: int, comment: str = "") -> bytes:
    """Return a baseline JPEG, YCbCr 4:2:2, optionally with a COM segment."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    ]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return commented(cv2.imencode(".jpg", bgr, options)[1].tobytes(), comment)


@lru_cache(maxsize=8)
def _glass(tile_px: int) -> Rgb:
    return bare_glass(tile_px, tile_px)


@lru_cache(maxsize=8)
def _bare_tile(tile_px: int, quality: int, comment: str) -> bytes:
    return jpeg(_glass(tile_px), quality, comment)


def _tile(rgb: Rgb, quality: int, comment: str) -> bytes:
    if np.array_equal(rgb, _glass(rgb.shape[0])):
        return _bare_tile(rgb.shape[0], quality, comment)
    return jpeg(rgb, quality, comment)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Compressed tiles of a block of the base level, and the block at the next level's sampling."""

    tiles: list[list[bytes]]
    reduced: Rgb


class _Level:
    """Collects rows of one level, and passes on each full row of tiles."""

    def __init__(self, plan: SlidePlan, index: int, sink: Sink, then: "_Level | Thumbnail") -> None:
        self._plan = plan
        self._then = then
        self._sink = sink
        factor = plan.factors[index]
        self._step = plan.factors[index + 1] // factor if index + 1 < len(plan.factors) else 1
        self._columns = -(-plan.columns // factor)
        tiles = -(-self._columns // plan.tile_px)
        self._strip = bare_glass(plan.tile_px, tiles * plan.tile_px)
        self._filled = 0
        self._rows_left = -(-plan.rows // factor)

    def add(self, rows: Rgb, comment: str) -> None:
        """Take the next rows, as wide as they come; beyond the matrix is glass."""
        for start in range(0, rows.shape[0], self._plan.tile_px):
            part = rows[start : start + self._plan.tile_px, : self._strip.shape[1]]
            self._strip[self._filled : self._filled + part.shape[0], : part.shape[1]] = part
            self._filled += part.shape[0]
            if self._filled == self._plan.tile_px:
                self._pass_on(comment)

    def finish(self, comment: str) -> None:
        """Write what is left, then let the next level do so."""
        if self._filled:
            self._pass_on(comment)
        self._then.finish(comment)

    def _pass_on(self, comment: str) -> None:
        side = self._plan.tile_px
        if self._rows_left > 0:
            for left in range(0, self._strip.shape[1], side):
                tile = np.ascontiguousarray(self._strip[:, left : left + side])
                self._sink(_tile(tile, self._plan.jpeg_quality, comment))
        self._then.add(_reduced(self._strip, self._step), comment)
        self._rows_left -= side
        self._strip[...] = GLASS
        self._filled = 0


class Thumbnail:
    """Keeps the last level, averaged down until neither side is over `_THUMBNAIL_PX`."""

    def __init__(self, plan: SlidePlan) -> None:
        last = plan.factors[-1]
        self._step = 1
        while max(plan.rows, plan.columns) / last / self._step > _THUMBNAIL_PX:
            self._step *= 2
        self.factor = last * self._step
        self._shape = (-(-plan.rows // self.factor), -(-plan.columns // self.factor))
        self._parts: list[Rgb] = []

    def add(self, rows: Rgb, comment: str) -> None:
        """Take the next rows of the last level."""
        del comment
        self._parts.append(_reduced(rows, self._step))

    def finish(self, comment: str) -> None:
        """Nothing is kept back."""

    @property
    def picture(self) -> Rgb:
        """The thumbnail, RGB (rows, columns, 3) uint8, after the pyramid has been written."""
        whole = np.concatenate(self._parts)
        return np.ascontiguousarray(whole[: self._shape[0], : self._shape[1]])


def _reduced(rgb: Rgb, step: int) -> Rgb:
    if step == 1:
        return rgb.copy()
    size = (rgb.shape[1] // step, rgb.shape[0] // step)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _keep_freed_memory() -> None:
    """Have the C library keep what large arrays give back, which saves a quarter of the time.

    glibc hands freed memory to the system above a threshold that grows to the largest mapped block
    that was freed; page faults on the next array are then paid anew.
    """
    block = np.empty(_LARGEST_KEPT_BYTES, np.uint8)
    del block


def write_levels(plan: SlidePlan, sinks: list[Sink], comment: str, workers: int) -> Thumbnail:
    """Give every level's frames to its sink, in order, and return the thumbnail."""
    _keep_freed_memory()
    thumbnail = Thumbnail(plan)
    then: _Level | Thumbnail = thumbnail
    for index in range(len(plan.factors) - 1, 0, -1):
        then = _Level(plan, index, sinks[index], then)
    for band in _bands(plan, comment, workers):
        for row in range(_TILES_A_BLOCK):
            for each in band:
                for tile in each.tiles[row] if row < len(each.tiles) else ():
                    sinks[0](tile)
        then.add(np.concatenate([each.reduced for each in band], axis=1), comment)
    then.finish(comment)
    return thumbnail


def _bands(plan: SlidePlan, comment: str, workers: int) -> Iterator[list[_Block]]:
    """Yield the blocks of the base level, one row of blocks at a time, painted ahead."""
    side = _TILES_A_BLOCK * plan.tile_px
    across = -(-plan.columns // side)
    corners = iter((y, x) for y in range(0, plan.rows, side) for x in range(0, plan.columns, side))
    ahead: deque[Future[_Block]] = deque()
    band: list[_Block] = []
    with ThreadPoolExecutor(workers) as pool:
        for corner in corners:
            ahead.append(pool.submit(_block, plan, *corner, comment))
            if len(ahead) > 2 * workers:
                band.append(ahead.popleft().result())
            if len(band) == across:
                yield band
                band = []
        while ahead:
            band.append(ahead.popleft().result())
            if len(band) == across:
                yield band
                band = []


def _block(plan: SlidePlan, row: int, column: int, comment: str) -> _Block:
    side, tile = _TILES_A_BLOCK * plan.tile_px, plan.tile_px
    um_px = plan.um_px
    window = Window(y_um=row * um_px, x_um=column * um_px, rows=side, columns=side, um_px=um_px)
    rgb = block(plan, window)
    step = plan.factors[1] if len(plan.factors) > 1 else 1
    tops = range(0, min(side, plan.rows - row), tile)
    lefts = range(0, min(side, plan.columns - column), tile)
    if rgb is None:
        bare = _bare_tile(tile, plan.jpeg_quality, comment)
        return _Block(
            tiles=[[bare for _ in lefts] for _ in tops],
            reduced=bare_glass(side // step, side // step),
        )
    tiles = [
        [_tile(rgb[y : y + tile, x : x + tile], plan.jpeg_quality, comment) for x in lefts]
        for y in tops
    ]
    return _Block(tiles=tiles, reduced=_reduced(rgb, step))
