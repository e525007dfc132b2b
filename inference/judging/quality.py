"""From pixels to a verdict: clean the class map, measure areas, say in words what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from appliance.line import Verdict
from appliance.settings import VerdictRules
from appliance.slides.classes import ARTIFACTS, ClassMap, Mask, SlideClass
from appliance.slides.findings import ArtifactArea
from inference.judging import unlike

SMALLEST_REGION_UM2: Mapping[SlideClass, float] = {
    SlideClass.FOLD: 2_500.0,
    SlideClass.DARK_SPOT: 400.0,
    SlideClass.PEN: 2_500.0,
    SlideClass.BUBBLE: 10_000.0,
    SlideClass.OUT_OF_FOCUS: 10_000.0,
    SlideClass.BLOOD: 10_000.0,
}
"""Smaller regions of an artifact are noise of the model: about 50 to 100 µm across, dust less."""

ON_TISSUE_ONLY = (SlideClass.FOLD, SlideClass.OUT_OF_FOCUS)
"""Glass can be neither folded nor out of focus."""

OPAQUE = (SlideClass.DARK_SPOT, SlideClass.PEN, SlideClass.BUBBLE)
"""What lies on the cover glass and hides from the models whether tissue is below."""

BRIDGED_UM = 400.0
"""Ink this far from tissue on both sides of it is taken to lie on tissue."""

_BRIDGE_UM_PX = 20.0
UM2_PER_MM2 = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict and why."""

    verdict: Verdict
    reason: str
    """One sentence for a technician."""


def cleaned(class_map: ClassMap, tissue: Mask, *, um_px: float) -> ClassMap:
    """Make the class map that is published: artifacts large enough, where they can be.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8 of `SlideClass` from the artifact model.
    tissue
        `(rows, columns)` bool from the tissue model.
    um_px
        Spacing of both.

    Returns
    -------
    numpy.ndarray
        `(rows, columns)` uint8: background off the tissue, clean tissue on it, and the artifacts.
    """
    clean = np.where(tissue, SlideClass.TISSUE, SlideClass.BACKGROUND).astype(np.uint8)
    clean[tissue & (class_map == SlideClass.BACKGROUND)] = SlideClass.BACKGROUND
    for kind in ARTIFACTS:
        found = class_map == kind
        if kind in ON_TISSUE_ONLY:
            found &= tissue
        clean[_large(found, SMALLEST_REGION_UM2[kind] / um_px**2)] = kind
    return clean


def all_tissue(clean: ClassMap, tissue: Mask, *, um_px: float) -> Mask:
    """Find all tissue, covered by artifacts or not.

    Holes that the finer model sees are no tissue. Below ink, dirt and bubbles tissue cannot be
    seen; where they bridge tissue (no wider than twice `BRIDGED_UM`) it is taken to go on below.

    Parameters
    ----------
    clean
        `(rows, columns)` uint8 from `cleaned`.
    tissue
        `(rows, columns)` bool from the tissue model.
    um_px
        Spacing of both.
    """
    seen = tissue & (clean != SlideClass.BACKGROUND)
    opaque = np.isin(clean, OPAQUE)
    if not opaque.any():
        return cast("Mask", seen)
    return cast("Mask", seen | (opaque & _bridged(seen, um_px)))


def area_mm2(mask: Mask, *, um_px: float) -> float:
    """Measure a mask."""
    return round(int(np.count_nonzero(mask)) * um_px**2 / UM2_PER_MM2, 6)


def artifact_areas(clean: ClassMap, everywhere: Mask, *, um_px: float) -> tuple[ArtifactArea, ...]:
    """Measure each artifact, in the order of `ARTIFACTS`, zero or not.

    Parameters
    ----------
    clean
        `(rows, columns)` uint8 from `cleaned`.
    everywhere
        `(rows, columns)` bool from `all_tissue`.
    um_px
        Spacing of both.
    """
    total = int(np.count_nonzero(everywhere))
    areas = []
    for kind in ARTIFACTS:
        found = clean == kind
        on_tissue = int(np.count_nonzero(found & everywhere))
        areas.append(
            ArtifactArea(
                name=kind.key,
                area_mm2=area_mm2(found, um_px=um_px),
                share_of_tissue=round(on_tissue / total, 6) if total else 0.0,
            )
        )
    return tuple(areas)


def judge(
    areas: tuple[ArtifactArea, ...],
    tissue_mm2: float,
    rules: VerdictRules,
    *,
    unlikeness: float | None = None,
) -> Judgement:
    """Say what a technician should do with the glass slide.

    The gravest rule wins; the reason names each artifact that reaches it, worst first. A slide
    that looks unlike the training data is never accepted, and the reason says so beside whatever
    else was found.

    Parameters
    ----------
    areas
        Of each artifact.
    tissue_mm2
        Area of all tissue.
    rules
        The limits.
    unlikeness
        See `inference.judging.unlike`; None when it was not measured.
    """
    judgement = _by_areas(areas, tissue_mm2, rules)
    doubt = unlike.warning(unlikeness, limit=rules.unlikeness)
    if doubt is None:
        return judgement
    if judgement.verdict is Verdict.ACCEPT:
        return Judgement(verdict=Verdict.REVIEW, reason=doubt)
    return Judgement(verdict=judgement.verdict, reason=f"{judgement.reason} {doubt}")


def _by_areas(areas: tuple[ArtifactArea, ...], tissue_mm2: float, rules: VerdictRules) -> Judgement:
    if tissue_mm2 < rules.minimum_tissue_mm2:
        return Judgement(verdict=Verdict.RESCAN, reason="No tissue was found on the slide.")
    for verdict, limits in ((Verdict.RESCAN, rules.rescan), (Verdict.REVIEW, rules.review)):
        over = _over(areas, limits)
        if over:
            return Judgement(verdict=verdict, reason=_reason(over, limits))
    return Judgement(
        verdict=Verdict.ACCEPT, reason="Tissue was found and no artifact reaches a limit."
    )


def _over(areas: tuple[ArtifactArea, ...], limits: Mapping[str, float]) -> list[ArtifactArea]:
    over = [
        area
        for area in areas
        if area.name in limits
        and area.share_of_tissue > 0
        and area.share_of_tissue >= limits[area.name]
    ]
    return sorted(over, key=lambda area: -area.share_of_tissue)


def _reason(over: list[ArtifactArea], limits: Mapping[str, float]) -> str:
    parts = [
        f"{_percent(area.share_of_tissue)} of the tissue {_PHRASES[SlideClass[area.name.upper()]]} "
        f"(limit {_percent(limits[area.name])})"
        for area in over
    ]
    return "; ".join(parts) + "."


_PHRASES: Mapping[SlideClass, str] = {
    SlideClass.FOLD: "is folded",
    SlideClass.DARK_SPOT: "is covered by dark spots",
    SlideClass.PEN: "is covered by pen marks",
    SlideClass.BUBBLE: "lies under air bubbles",
    SlideClass.OUT_OF_FOCUS: "is out of focus",
    SlideClass.BLOOD: "is covered by blood",
}


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 or percent == int(percent) else f"{percent:.1f} %"  # noqa: PLR2004


def _bridged(tissue: Mask, um_px: float) -> Mask:
    """Close gaps in the tissue, on a coarse grid because the gaps are wide."""
    rows, columns = tissue.shape
    factor = max(1.0, _BRIDGE_UM_PX / um_px)
    size = (max(1, round(columns / factor)), max(1, round(rows / factor)))
    coarse = cv2.resize(tissue.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    radius = max(1, round(BRIDGED_UM / (um_px * factor)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    framed = cv2.copyMakeBorder(coarse, *(radius,) * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel)[radius:-radius, radius:-radius]
    fine = cv2.resize(closed, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return cast("Mask", fine.astype(bool))


def _large(mask: Mask, least_px: float) -> Mask:
    """Keep the connected parts of a mask that have at least so many pixels."""
    if least_px <= 1 or not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return cast("Mask", keep[labels])
