"""What a synthetic slide is to be: its size, its tissue and the artifacts planted in it."""

from dataclasses import dataclass, replace
from typing import Literal, Self

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic.artifacts import Artifact, Bubble, DarkSpot, Fold, OutOfFocus, Pen
from appliance.synthetic.fields import Window
from appliance.synthetic.outline import pieces_for
from appliance.synthetic.tissue import Tissue

PlantedKind = Literal["out_of_focus", "fold", "pen", "bubble", "dark_spot"]

ALL_KINDS: tuple[PlantedKind, ...] = ("out_of_focus", "fold", "pen", "bubble", "dark_spot")

_LOOK_UM = 16.0
_CLEAR_UM = 60.0
_DIRECTION = {"fold": (0.998, 0.06), "pen": (0.06, 0.998)}
_TINY = (1500, 2000)
_SMALL = (4200, 5600)
_DEMO = (12600, 16500)
_FINE_QUALITY = 95
_BYTES_PER_PIXEL = 0.145


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePlan:
    """Everything that decides the pixels of a slide.

    `rows` and `columns` are those of the base level's total pixel matrix. `factors` are the
    downsampling of each level, finest first; each must be a multiple of the one before by 2 or 4.
    """

    seed: int
    rows: int
    columns: int
    tissue: Tissue
    artifacts: tuple[Artifact, ...] = ()
    um_px: float = 0.5
    tile_px: int = 256
    factors: tuple[int, ...] = (1, 4, 16)
    jpeg_quality: int = 80

    def __post_init__(self) -> None:
        steps = [b / a for a, b in zip(self.factors, self.factors[1:], strict=False)]
        if self.factors[:1] != (1,) or any(step not in (2, 4) for step in steps):
            raise ValueError("levels start at 1 and grow by factors of 2 or 4")

    @property
    def width_mm(self) -> float:
        """Width of the scanned area, along the columns' index."""
        return self.columns * self.um_px / 1000

    @property
    def height_mm(self) -> float:
        """Height of the scanned area, along the rows' index."""
        return self.rows * self.um_px / 1000

    @classmethod
    def of_size(
        cls,
        rows: int,
        columns: int,
        *,
        seed: int,
        um_px: float = 0.5,
        factors: tuple[int, ...] = (1, 4, 16),
        kinds: tuple[PlantedKind, ...] = ALL_KINDS,
        tile_px: int = 256,
    ) -> Self:
        """Plan a slide of any size with one artifact of each of `kinds` on its tissue."""
        pieces = pieces_for(rows * um_px, columns * um_px, seed)
        tissue = Tissue(seed=seed, pieces=pieces)
        return cls(
            seed=seed,
            rows=rows,
            columns=columns,
            tissue=tissue,
            artifacts=planted(tissue, rows * um_px, columns * um_px, kinds, seed),
            um_px=um_px,
            tile_px=tile_px,
            factors=factors,
        )

    @classmethod
    def tiny(cls, seed: int = 1, kinds: tuple[PlantedKind, ...] = ALL_KINDS) -> Self:
        """Plan 1.0 x 0.75 mm at 0.5, 2 and 8 um/px: well under a second, for tests."""
        return cls.of_size(*_TINY, seed=seed, kinds=kinds)

    @classmethod
    def small(cls, seed: int = 1, kinds: tuple[PlantedKind, ...] = ALL_KINDS) -> Self:
        """Plan 2.8 x 2.1 mm: about a second, for tests that need several tiles of tissue."""
        return cls.of_size(*_SMALL, seed=seed, kinds=kinds)

    @classmethod
    def demo(cls, seed: int = 7) -> Self:
        """Plan the bundled slide, 8.3 x 6.3 mm with every kind of artifact."""
        return cls.of_size(*_DEMO, seed=seed)

    @classmethod
    def of_bytes(cls, size_bytes: float, *, seed: int = 1, um_px: float = 0.25) -> Self:
        """Plan a slide of about `size_bytes`, for benchmarks; it is streamed to the disk."""
        pixels = size_bytes / _BYTES_PER_PIXEL
        rows = int(np.sqrt(pixels * 0.75))
        plan = cls.of_size(rows, int(pixels / rows), seed=seed, um_px=um_px, factors=(1, 4, 16, 64))
        return replace(plan, jpeg_quality=_FINE_QUALITY)

    @classmethod
    def bare(cls, seed: int = 1) -> Self:
        """Plan a slide with nothing on it."""
        return cls(seed=seed, rows=1000, columns=1400, tissue=Tissue(seed=seed, pieces=()))


def planted(
    tissue: Tissue,
    height_um: float,
    width_um: float,
    kinds: tuple[PlantedKind, ...],
    seed: int,
) -> tuple[Artifact, ...]:
    """Place one artifact of each kind on tissue, apart from each other where there is room."""
    draw = np.random.default_rng([seed, 9])
    window = Window(
        y_um=0.0,
        x_um=0.0,
        rows=int(height_um / _LOOK_UM),
        columns=int(width_um / _LOOK_UM),
        um_px=_LOOK_UM,
    )
    free = np.pad((tissue.depth_um(window) > 0).astype(np.uint8), 1)
    side_um = float(np.clip(min(height_um, width_um) * 0.085, 55, 340))
    laid: list[Artifact] = []
    for kind in kinds:
        room = cv2.distanceTransform(free, cv2.DIST_L2, 5)[1:-1, 1:-1] * _LOOK_UM
        if room.max() <= 0:
            break
        good = np.argwhere(room >= min(side_um * 1.5 + _CLEAR_UM, room.max() * 0.8))
        row, column = good[draw.integers(len(good))]
        at_um = (float(row + 0.5) * _LOOK_UM, float(column + 0.5) * _LOOK_UM)
        laid.append(_artifact(kind, at_um, side_um, draw))
        taken_px = int((2.2 * side_um + _CLEAR_UM) / _LOOK_UM)
        cv2.circle(free, (int(column) + 1, int(row) + 1), taken_px, 0, -1)
    return tuple(laid)


def _artifact(
    kind: PlantedKind, at_um: tuple[float, float], side_um: float, draw: np.random.Generator
) -> Artifact:
    seed = int(draw.integers(1 << 30))
    along = np.array(_DIRECTION.get(kind, (0.0, 1.0))) * 1.6 * side_um * draw.choice((-1, 1))
    match kind:
        case "out_of_focus":
            radius = (side_um, 1.35 * side_um)
            return OutOfFocus(centre_um=at_um, radius_um=radius, sigma_um=4.0, seed=seed)
        case "fold":
            width_um = float(np.clip(side_um * 0.28, 30, 90))
            start, end = (tuple((np.array(at_um) + way * along).tolist()) for way in (-1, 1))
            return Fold(
                start_um=start,
                end_um=end,
                width_um=width_um,
                seed=seed,
                wobble_um=min(40.0, side_um * 0.2),
            )
        case "pen":
            width_um = float(np.clip(side_um * 0.45, 40, 150))
            return Pen(
                points_um=_stroke(at_um, along), width_um=width_um, colour="green", seed=seed
            )
        case "bubble":
            radius = (0.75 * side_um, 0.8 * side_um)
            rim_um = float(np.clip(side_um * 0.12, 8, 18))
            return Bubble(centre_um=at_um, radius_um=radius, seed=seed, rim_um=rim_um)
        case "dark_spot":
            return DarkSpot(centre_um=at_um, radius_um=0.32 * side_um, seed=seed)


def _stroke(
    at_um: tuple[float, float], along: npt.NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """Return a curved stroke through a place, as a hand draws it."""
    across = np.array([along[1], -along[0]])
    steps = np.linspace(-1.15, 1.15, 9)
    points = [np.array(at_um) + t * along + 0.32 * (1 - t * t) * across for t in steps]
    return tuple((float(y), float(x)) for y, x in points)
