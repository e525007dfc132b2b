"""Artifacts of glass and scanner, painted on RGB pixels.

The geometry of every artifact is a function of micrometres on the slide and of its own seed, never
of pixels: an artifact painted on two pyramid levels, or on two overlapping tiles, lands on the
same place. What an artifact samples beyond its own outline (defocus, the doubled layer of a fold)
comes from the array it is given, mirrored at the border; paint tiles with a margin of `REACH_UM`.

Axis order is (row, column) everywhere: an origin or a centre is (y, x) in micrometres from the
top-left corner of the slide's total pixel matrix, and pixel (r, c) covers [r, r + 1) x [c, c + 1)
times `um_px`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from appliance.synthetic import artifact_geometry as geometry
from appliance.synthetic.artifact_air import Bubble, CoverslipEdge, bubble, coverslip_edge
from appliance.synthetic.artifact_blood import Blood, blood
from appliance.synthetic.artifact_fold import Fold, fold
from appliance.synthetic.artifact_geometry import HALF, Mask, Point, Rgb

__all__ = [
    "CLASS_INDEX",
    "INK",
    "PAINTED_FIRST_TO_LAST",
    "REACH_UM",
    "Artifact",
    "Blood",
    "Bubble",
    "ClassMap",
    "CoverslipEdge",
    "DarkSpot",
    "Fold",
    "OutOfFocus",
    "Pen",
    "paint",
]

ClassMap = npt.NDArray[np.uint8]

REACH_UM = 200.0
"""How far beyond its outline an artifact may sample, in micrometres."""

INK = {
    "black": (0.16, 0.16, 0.18),
    "blue": (0.16, 0.26, 0.74),
    "green": (0.16, 0.52, 0.30),
    "red": (0.84, 0.17, 0.20),
}
"""Share of light that one full layer of ink lets through, in R, G, B."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFocus:
    """A patch that the scanner's focus missed.

    `sigma_um` is the spread of the point spread function (a disc has the radius of twice that).
    `squareness` 2 is an ellipse, 8 nearly the rectangle of a missed scan stripe.
    """

    centre_um: Point
    radius_um: Point
    sigma_um: float
    seed: int
    psf: Literal["gaussian", "disc"] = "gaussian"
    squareness: float = 2.0
    edge_um: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """A stroke of translucent ink on the coverslip along `points_um`.

    `tint` scales how strongly the ink takes red, green and blue away; `gaps` 0 to 1 is how much of
    the stroke a drying pen leaves out (the mask leaves it out too).
    """

    points_um: tuple[Point, ...]
    width_um: float
    colour: Literal["black", "blue", "green", "red"]
    seed: int
    thickness: float = 1.2
    edge_um: float = 12.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gaps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkSpot:
    """Dirt or a foreign body: one irregular dark fleck with smaller ones beside it."""

    centre_um: Point
    radius_um: float
    seed: int
    opacity: float = 0.9
    colour: tuple[float, float, float] = (0.13, 0.10, 0.09)
    specks: int = 4


Artifact = OutOfFocus | Fold | Pen | Bubble | CoverslipEdge | DarkSpot | Blood

CLASS_INDEX: dict[type[Artifact], int] = {
    Fold: 2,
    DarkSpot: 3,
    Pen: 4,
    Bubble: 5,
    CoverslipEdge: 5,
    OutOfFocus: 6,
    Blood: 7,
}
"""Class map index of each artifact (0 is background, 1 clean tissue)."""

PAINTED_FIRST_TO_LAST: tuple[type[Artifact], ...] = (
    Blood,
    Fold,
    OutOfFocus,
    Bubble,
    CoverslipEdge,
    DarkSpot,
    Pen,
)


def blur(rgb: Rgb, spec: OutOfFocus, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Defocus a patch; see `paint` for the arguments."""
    reach = max(spec.radius_um) * 1.4 + spec.edge_um
    window = geometry.window_around(rgb, [spec.centre_um], reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    radius = geometry.outline(
        window, spec.centre_um, spec.radius_um, seed=spec.seed, power=spec.squareness
    )
    inside = (1.0 - radius) * np.float32(min(spec.radius_um))
    depth = geometry.ramp(inside / np.float32(spec.edge_um) + np.float32(0.5))
    out = rgb.copy()
    margin = int(np.ceil(4 * spec.sigma_um / um_px)) + 1
    source, inner = geometry.with_margin(rgb, window, margin)
    sharp = rgb[window.rows, window.columns].astype(np.float32)
    half = geometry.defocus(source, spec.sigma_um / 2 / um_px, spec.psf)[inner].astype(np.float32)
    full = geometry.defocus(source, spec.sigma_um / um_px, spec.psf)[inner].astype(np.float32)
    near = np.clip(depth * 2, 0, 1)[..., None]
    far = np.clip(depth * 2 - 1, 0, 1)[..., None]
    soft = sharp + (half - sharp) * near
    out[window.rows, window.columns] = geometry.to_rgb(soft + (full - soft) * far)
    return out, geometry.placed(rgb, window, depth > HALF)


def pen(rgb: Rgb, spec: Pen, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Draw one stroke of ink, multiplied into the light (Beer-Lambert)."""
    reach = spec.width_um + 3 * spec.edge_um
    window = geometry.window_around(rgb, spec.points_um, reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    distance = geometry.distance_to_path(window, spec.points_um)
    distance += geometry.noise(window, 120.0, spec.seed) * np.float32(0.08 * spec.width_um)
    edge_um = np.float32(max(spec.edge_um, um_px))
    cover = geometry.ramp((np.float32(spec.width_um / 2) - distance) / edge_um + np.float32(HALF))
    if spec.gaps > 0:
        dry = geometry.noise(window, 90.0, spec.seed + 3) + geometry.noise(
            window, 25.0, spec.seed + 4
        )
        cover *= geometry.ramp((dry + np.float32(1.2 - 2.4 * spec.gaps)) * 3 + np.float32(HALF))
    rim = np.exp(-(((distance - np.float32(spec.width_um * 0.42)) / (2 * edge_um)) ** 2))
    streaks = (
        1
        + 0.30 * geometry.noise(window, 150.0, spec.seed + 1)
        + 0.12 * geometry.noise(window, 30.0, spec.seed + 2)
    )
    amount = (
        cover * np.float32(spec.thickness) * streaks * (np.float32(0.9) + np.float32(0.3) * rim)
    )
    ink = np.power(np.array(INK[spec.colour], np.float32), np.array(spec.tint, np.float32))
    light = np.power(ink, amount[..., None])
    out = rgb.copy()
    here = rgb[window.rows, window.columns].astype(np.float32)
    out[window.rows, window.columns] = geometry.to_rgb(here * light)
    return out, geometry.placed(rgb, window, cover > HALF)


def dark_spot(rgb: Rgb, spec: DarkSpot, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Drop dirt on the slide."""
    reach = spec.radius_um * 3.0
    window = geometry.window_around(rgb, [spec.centre_um], reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    draw = np.random.default_rng(spec.seed)
    edge_um = np.float32(max(3.0, um_px))
    cover = np.zeros((window.y_um.size, window.x_um.size), np.float32)
    for fleck in range(1 + spec.specks):
        size = spec.radius_um * (1.0 if fleck == 0 else draw.uniform(0.12, 0.4))
        stretch = draw.uniform(0.6, 1.0)
        offset = draw.uniform(-1.6, 1.6, 2) * spec.radius_um * (fleck > 0)
        centre = (spec.centre_um[0] + offset[0], spec.centre_um[1] + offset[1])
        shape = (size * stretch, size) if draw.random() < HALF else (size, size * stretch)
        seed = spec.seed * 31 + fleck
        radius = geometry.outline(window, centre, shape, seed=seed, power=2.0, rough=0.35)
        cover = np.maximum(
            cover, geometry.ramp((1 - radius) * np.float32(size) / edge_um + np.float32(0.5))
        )
    grain = 1 + 0.15 * geometry.noise(window, max(12.0, spec.radius_um / 4), spec.seed + 7)
    share = np.clip(cover * spec.opacity * grain, 0, 1)[..., None].astype(np.float32)
    here = rgb[window.rows, window.columns].astype(np.float32)
    tint = np.array(spec.colour, np.float32) * 255
    out = rgb.copy()
    out[window.rows, window.columns] = geometry.to_rgb(
        here + (np.minimum(tint, here) - here) * share
    )
    return out, geometry.placed(rgb, window, cover > HALF)


def paint(
    rgb: Rgb, artifacts: Sequence[Artifact], *, um_px: float, origin_um: Point = (0.0, 0.0)
) -> tuple[Rgb, ClassMap]:
    """Paint artifacts in the order in which light meets glass: blood first, ink last.

    Parameters
    ----------
    rgb : uint8 (rows, columns, 3)
        Left unchanged.
    artifacts : sequence of artifact values
        Geometry in micrometres.
    um_px : float
        Micrometres a pixel of `rgb`.
    origin_um : (y, x)
        Where the corner of pixel (0, 0) lies on the slide.

    Returns
    -------
    (uint8 (rows, columns, 3), uint8 (rows, columns))
        The picture, and the class map index of the last artifact painted over each pixel, 0 where
        none is. A fold's index also lies where its band crosses bare glass.
    """
    out = rgb
    classes = np.zeros(rgb.shape[:2], np.uint8)
    for artifact in sorted(artifacts, key=lambda each: PAINTED_FIRST_TO_LAST.index(type(each))):
        out, mask = _paint_one(out, artifact, um_px=um_px, origin_um=origin_um)
        classes[mask] = CLASS_INDEX[type(artifact)]
    return out, classes


def _paint_one(  # noqa: PLR0911 - one return a kind
    rgb: Rgb, artifact: Artifact, *, um_px: float, origin_um: Point
) -> tuple[Rgb, Mask]:
    match artifact:
        case Blood():
            return blood(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case CoverslipEdge():
            return coverslip_edge(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case OutOfFocus():
            return blur(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case Fold():
            return fold(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case Pen():
            return pen(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case Bubble():
            return bubble(rgb, artifact, um_px=um_px, origin_um=origin_um)
        case DarkSpot():
            return dark_spot(rgb, artifact, um_px=um_px, origin_um=origin_um)
