"""Tile classifiers over the tissue of a slide: one answer a tile, laid out as a map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.slides.reader import SlideReader
from appliance.slides.sampling import Sampler
from inference.model.manifest import Model
from inference.running.engine import Runner
from inference.running.squares import Square, squares
from inference.running.tiles import TileGrid
from inference.running.tissue import TissueView

LEAST_TISSUE = 0.5
"""Part of a tile that must be tissue before it is judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileMap:
    """What one tile classifier says of one of its classes, tile by tile."""

    model: Model
    class_index: int
    name: str
    """The class, as the manifest names it."""
    um_px: float
    """Side of a tile, which is a pixel of the map."""
    probability: npt.NDArray[np.float32]
    """`(rows, columns)`, 0 to 1; NaN where no tile was judged."""


class TileClassification:
    """One tile classifier on one slide.

    Parameters
    ----------
    model
        A model of the task `tiles`.
    reader
        Open slide.
    view
        Where tissue is; a tile that holds too little of it is not judged.
    """

    def __init__(self, model: Model, reader: SlideReader, view: TissueView) -> None:
        self.model = model
        self.sampler = Sampler(reader, model.um_px)
        self._grid = TileGrid(
            rows=self.sampler.rows,
            columns=self.sampler.columns,
            tile_px=model.tile_px,
            margin_px=0,
        )
        self._wanted = view.share(self._grid, um_px=self.sampler.um_px) >= LEAST_TISSUE
        shape = (*self._wanted.shape, len(model.classes))
        self._probability = np.full(shape, np.nan, np.float32)

    def squares(self, workers: int) -> Sequence[Square]:
        """Give the squares of tiles to judge, largest first."""
        return squares(self._grid, self._wanted, ratio=self.sampler.ratio, workers=workers)

    def judge(self, square: Square, runner: Runner, batch: int) -> None:
        """Read one square and judge its tiles; any thread may, each square once."""
        pixels = square.read(self.sampler)
        for tiles, images in square.images(pixels, batch):
            for tile, answer in zip(tiles, runner.run(images), strict=True):
                row, column = tile.row // self._grid.step_px, tile.column // self._grid.step_px
                self._probability[row, column] = answer

    def maps(self) -> tuple[TileMap, ...]:
        """Give a map for each class that the model reports."""
        return tuple(
            TileMap(
                model=self.model,
                class_index=item.index,
                name=item.name,
                um_px=self._grid.step_px * self.sampler.um_px,
                probability=self._probability[..., item.index],
            )
            for item in self.model.reported
        )
