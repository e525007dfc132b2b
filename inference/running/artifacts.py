"""The artifact model over a slide: its verdict on each pixel, and how its tiles look."""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.reader import SlideReader
from appliance.slides.sampling import Sampler
from appliance.slides.sources import Pixels
from inference.model.manifest import Model
from inference.running.engine import Probabilities, Runner
from inference.running.look import CELL_PX, Look, Sharpness, look_at, nothing
from inference.running.squares import Square, squares
from inference.running.tiles import Tile, TileGrid
from inference.running.tissue import TissueView

MARGIN_PX = 16
"""Rim of an artifact tile that is thrown away: a network sees too little there."""
MAXIMUM_CLASS_MAP_PX = 25_000_000
_COARSENINGS = (1, 2, 4, 8, 16)
_Map = TypeVar("_Map", ClassMap, Sharpness)


class ArtifactScan:
    """The artifact model on one slide. Its results grow as squares are judged.

    Parameters
    ----------
    model
        A model of the task `artifact`.
    reader
        Open slide.
    view
        Where tissue is, and what else is no plain glass.
    """

    def __init__(self, model: Model, reader: SlideReader, view: TissueView) -> None:
        self.model = model
        self.sampler = Sampler(reader, model.um_px)
        rows, columns = self.sampler.rows, self.sampler.columns
        self._grid = TileGrid(
            rows=rows, columns=columns, tile_px=model.tile_px, margin_px=MARGIN_PX
        )
        self._wanted = view.worth_a_look(self._grid, um_px=self.sampler.um_px)
        self._coarsening = coarsening_of(self.sampler)
        self._classifier = Classifier(model, self._coarsening)
        self._looks: list[Look] = []
        self.tiles = int(np.count_nonzero(self._wanted))
        """How many tiles are judged."""
        self.um_px = self.sampler.um_px * self._coarsening
        """Spacing of the class map."""
        shape = (-(-rows // self._coarsening), -(-columns // self._coarsening))
        self.class_map: ClassMap = np.full(shape, SlideClass.BACKGROUND, np.uint8)
        """`(rows, columns)` uint8 of `SlideClass`."""
        cells = (-(-rows // CELL_PX), -(-columns // CELL_PX))
        self.focus: Sharpness = np.full(cells, np.nan, np.float32)
        """`(rows, columns)` sharpness of the cells, NaN without tissue."""

    @property
    def look(self) -> Look:
        """Colour and texture of all that was judged."""
        return sum(self._looks, start=nothing())

    def squares(self, workers: int) -> Sequence[Square]:
        """Give the squares of tiles to judge, largest first."""
        return squares(self._grid, self._wanted, ratio=self.sampler.ratio, workers=workers)

    def judge(self, square: Square, runner: Runner, batch: int) -> None:
        """Read one square and judge its tiles; any thread may, each square once."""
        pixels = square.read(self.sampler)
        kept = slice(self._grid.margin_px, self._grid.tile_px - self._grid.margin_px)
        looks = nothing()
        for tiles, images in square.images(pixels, batch):
            answers = runner.run(images)
            for tile, image, answer in zip(tiles, images, answers, strict=True):
                classes = self._classifier.classes(answer[kept, kept])
                _put(self.class_map, classes, tile, self._coarsening)
                looks += self._look(tile, image[kept, kept], classes)
        self._looks.append(looks)

    def _look(self, tile: Tile, pixels: Pixels, classes: ClassMap) -> Look:
        ink = classes == SlideClass.PEN
        if self._coarsening > 1:
            ink = ink.repeat(self._coarsening, axis=0).repeat(self._coarsening, axis=1)
        sharpness, look = look_at(pixels, ink)
        _put(self.focus, sharpness, tile, CELL_PX)
        return look


def coarsening_of(sampler: Sampler) -> int:
    """Give the factor from the working grid to the class map that keeps the map bounded."""
    for factor in _COARSENINGS:
        if (sampler.rows // factor) * (sampler.columns // factor) <= MAXIMUM_CLASS_MAP_PX:
            return factor
    return _COARSENINGS[-1]


class Classifier:
    """Makes classes out of what the artifact model says of a tile.

    Parameters
    ----------
    model
        Its thresholds: a class below its own cannot win.
    coarsening
        Side of the square that becomes one pixel of the class map.
    """

    def __init__(self, model: Model, coarsening: int) -> None:
        self._coarsening = coarsening
        names = [item.name for item in model.classes]
        self._least = np.array([model.thresholds.get(name, 0.0) for name in names], np.float32)
        self._table = np.zeros(256, np.uint8)
        self._table[: len(names)] = [SlideClass[name.upper()] for name in names]

    def classes(self, probability: Probabilities) -> ClassMap:
        """Average probabilities down to the class map, then take the likeliest class.

        Parameters
        ----------
        probability
            `(side, side, classes)`.

        Returns
        -------
        numpy.ndarray
            `(side // coarsening, side // coarsening)` uint8 of `SlideClass`.
        """
        if self._coarsening > 1:
            small = probability.shape[0] // self._coarsening
            mean = cv2.resize(probability, (small, small), interpolation=cv2.INTER_AREA)
            probability = np.asarray(mean, np.float32)
        probability = np.ascontiguousarray(probability)
        planes = _planes(probability)
        winners = _likeliest(planes)
        weak = np.zeros(winners.shape, bool)
        for number in np.flatnonzero(self._least).tolist():
            weak |= (winners == number) & (planes[number] < self._least[number])
        if weak.any():
            doubtful = probability[weak]
            strong = np.where(doubtful >= self._least, doubtful, 0)
            winners[weak] = strong.argmax(axis=-1)
        return np.asarray(cv2.LUT(winners, self._table), np.uint8)


def _planes(probability: Probabilities) -> Probabilities:
    """Give `(classes, rows, columns)`; OpenCV turns a long, thin matrix four times as fast."""
    rows, columns, n_classes = probability.shape
    turned = np.asarray(cv2.transpose(probability.reshape(-1, n_classes)), np.float32)
    return turned.reshape(n_classes, rows, columns)


def _likeliest(planes: Probabilities) -> ClassMap:
    """Give the first plane that is highest, pixel by pixel; argmax takes three times as long."""
    highest = planes[0].copy()
    winners: ClassMap = np.zeros(highest.shape, np.uint8)
    for number, plane in enumerate(planes[1:], start=1):
        higher = (plane > highest).view(np.uint8)
        np.maximum(winners, higher * np.uint8(number), out=winners)
        np.maximum(highest, plane, out=highest)
    return winners


def _put(whole: _Map, part: _Map, tile: Tile, scale: int) -> None:
    """Lay what was found on one tile into a map of the slide that is so much coarser."""
    row, column = tile.row // scale, tile.column // scale
    target = whole[row : row + part.shape[0], column : column + part.shape[1]]
    target[...] = part[: target.shape[0], : target.shape[1]]
