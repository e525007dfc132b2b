"""Random artifacts for training scenes: how large, how strong, what colour."""

from typing import Literal

import numpy as np

from appliance.synthetic import artifacts
from appliance.synthetic.artifact_geometry import Point
from appliance.synthetic.artifacts import Artifact, Fold, OutOfFocus

Draw = np.random.Generator
Colour = Literal["black", "blue", "green", "red"]

_COLOURS: tuple[Colour, ...] = ("black", "blue", "green", "red", "red")


def chance(draw: Draw, probability: float) -> bool:
    """Say yes with a probability."""
    return bool(draw.random() < probability)


def random_artifact(draw: Draw, odds: tuple[float, ...], *, extent_um: float) -> Artifact:
    """Draw an artifact, its kind by `odds`, that touches a square of `extent_um` at the origin."""
    seed = int(draw.integers(2**31))
    centre = (float(draw.uniform(0, extent_um)), float(draw.uniform(0, extent_um)))
    makers = (_fold, _dark_spot, _pen, _bubble, _out_of_focus, _blood, _coverslip_edge)
    return makers[int(draw.choice(len(makers), p=odds))](draw, centre, seed)


def random_pen(draw: Draw, *, extent_um: float) -> artifacts.Pen:
    """Draw a stroke of ink that touches a square of `extent_um` at the origin."""
    centre = (float(draw.uniform(0, extent_um)), float(draw.uniform(0, extent_um)))
    return _pen(draw, centre, int(draw.integers(2**31)))


def random_fold(draw: Draw, *, extent_um: float) -> Fold:
    """Draw a fold that touches a square of `extent_um` at the origin."""
    centre = (float(draw.uniform(0, extent_um)), float(draw.uniform(0, extent_um)))
    return _fold(draw, centre, int(draw.integers(2**31)))


def _dark_spot(draw: Draw, centre: Point, seed: int) -> Artifact:
    red, green, blue = draw.uniform(0.03, 0.25) * draw.uniform(0.7, 1.3, 3)
    return artifacts.DarkSpot(
        centre_um=centre,
        radius_um=_between(draw, 12, 80),
        seed=seed,
        opacity=float(draw.uniform(0.75, 1.0)),
        colour=(float(red), float(green), float(blue)),
        specks=int(draw.integers(0, 7)),
    )


def _bubble(draw: Draw, centre: Point, seed: int) -> Artifact:
    return artifacts.Bubble(
        centre_um=centre,
        radius_um=(_between(draw, 50, 260), _between(draw, 50, 260)),
        seed=seed,
        rim_um=_between(draw, 8, 36),
        darkness=float(draw.uniform(0.3, 0.85)),
    )


def _out_of_focus(draw: Draw, centre: Point, seed: int) -> Artifact:
    whole = chance(draw, 0.3)
    return OutOfFocus(
        centre_um=centre,
        radius_um=(1e5, 1e5) if whole else (_between(draw, 90, 600), _between(draw, 90, 600)),
        sigma_um=_between(draw, 3.2, 22),
        seed=seed,
        psf="disc" if chance(draw, 0.5) else "gaussian",
        squareness=float(draw.choice((2.0, 3.0, 8.0))),
        edge_um=_between(draw, 4, 120),
    )


def _between(draw: Draw, low: float, high: float) -> float:
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def _fold(draw: Draw, centre: Point, seed: int) -> Fold:
    angle, half = draw.uniform(0, np.pi), _between(draw, 90, 900)
    dy, dx = half * np.sin(angle), half * np.cos(angle)
    return Fold(
        start_um=(centre[0] - dy, centre[1] - dx),
        end_um=(centre[0] + dy, centre[1] + dx),
        width_um=_between(draw, 30, 400) if chance(draw, 0.6) else float(draw.uniform(100, 400)),
        seed=seed,
        layers=float(draw.uniform(0.7, 2.0)),
        wobble_um=float(draw.uniform(0, 0.12)) * half,
        bow_um=float(draw.normal(0, 0.12)) * half,
        shadow=float(draw.uniform(0, 0.3)),
        soft_um=float(draw.uniform(0, 2.0)),
    )


def _blood(draw: Draw, centre: Point, seed: int) -> Artifact:
    smear = chance(draw, 0.25)
    red, green, blue = np.array((0.12, 0.72, 0.50)) * draw.uniform(0.6, 1.4)
    return artifacts.Blood(
        centre_um=centre,
        radius_um=(_between(draw, 60, 400), _between(draw, 60, 400)),
        seed=seed,
        density=float(draw.uniform(0.6, 0.8) if smear else draw.uniform(0.8, 1.0)),
        opacity=float(draw.uniform(0.75, 1.0)),
        edge_um=_between(draw, 6, 50),
        colour=(
            float(red * draw.uniform(0.5, 2.2)),
            float(green * draw.uniform(0.85, 1.15)),
            float(blue * draw.uniform(0.7, 1.2)),
        ),
    )


def _coverslip_edge(draw: Draw, centre: Point, seed: int) -> Artifact:
    angle, half = draw.uniform(0, 2 * np.pi), _between(draw, 150, 3000)
    dy, dx = half * np.sin(angle), half * np.cos(angle)
    return artifacts.CoverslipEdge(
        start_um=(centre[0] - dy, centre[1] - dx),
        end_um=(centre[0] + dy, centre[1] + dx),
        width_um=_between(draw, 8, 50),  # wider would be a stroke of black ink
        seed=seed,
        darkness=float(draw.uniform(0.3, 0.85)),
        beyond=float(draw.uniform(0.0, 0.15)),
    )


def _pen(draw: Draw, centre: Point, seed: int) -> artifacts.Pen:
    points = [centre]
    heading = draw.uniform(0, 2 * np.pi)
    for _ in range(int(draw.integers(1, 5))):
        heading += draw.normal(0, 0.6)
        step = _between(draw, 80, 500)
        last = points[-1]
        points.append((last[0] + step * np.sin(heading), last[1] + step * np.cos(heading)))
    red, green, blue = draw.uniform(0.4, 1.5, 3)
    width_um = _between(draw, 30, 900)
    return artifacts.Pen(
        points_um=tuple(points),
        width_um=width_um,
        colour=_COLOURS[int(draw.integers(len(_COLOURS)))],
        seed=seed,
        thickness=_between(draw, 0.3, 2.4),
        edge_um=min(_between(draw, 5, 140), 0.5 * width_um),
        tint=(float(red), float(green), float(blue)),
        gaps=float(draw.uniform(0.2, 0.6)) if chance(draw, 0.3) else 0.0,
    )
