"""One slide judged: what the models saw becomes findings, and the maps that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.settings import VerdictRules
from appliance.slides.findings import CLASS_MAP_PNG, FOCUS_MAP_PNG, Findings
from appliance.slides.reader import Level
from inference.judging import focus, polygons, quality, tiles, unlike
from inference.model.manifest import Likeness
from inference.running.predict import Prediction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Findings, and the maps that they name."""

    findings: Findings
    maps: Mapping[str, npt.NDArray[np.uint8]]
    """`(rows, columns)` uint8 by the file name of their PNG."""


def judged(
    prediction: Prediction,
    rules: VerdictRules,
    *,
    base: Level,
    likeness: Likeness | None,
    slide_id: str,
    revision: int,
) -> Judged:
    """Clean, measure, outline and decide.

    Parameters
    ----------
    prediction
        What the models saw.
    rules
        Limits of the verdict.
    base
        The finest level of the slide.
    likeness
        How the artifact model's training data looked.
    slide_id, revision
        Whose findings these are.
    """
    um_px = prediction.um_px
    class_map = quality.cleaned(prediction.class_map, prediction.tissue, um_px=um_px)
    everywhere = quality.all_tissue(class_map, prediction.tissue, um_px=um_px)
    areas = quality.artifact_areas(class_map, everywhere, um_px=um_px)
    tissue_mm2 = quality.area_mm2(everywhere, um_px=um_px)
    unlikeness = unlike.unlikeness(prediction.look, likeness)
    judgement = quality.judge(areas, tissue_mm2, rules, unlikeness=unlikeness)
    findings = Findings(
        slide_id=slide_id,
        revision=revision,
        verdict=judgement.verdict,
        reason=judgement.reason,
        class_map_um_px=um_px,
        rows=class_map.shape[0],
        columns=class_map.shape[1],
        base_um_px=base.um_px,
        base_rows=base.rows,
        base_columns=base.columns,
        tissue_area_mm2=tissue_mm2,
        artifacts=areas,
        regions=polygons.outlines(class_map, um_px=um_px),
        models=prediction.models,
        warnings=prediction.warnings,
        tile_results=tiles.tile_results(prediction.tile_maps, everywhere, um_px=um_px),
        focus_um_px=prediction.focus_um_px,
        unlikeness=unlikeness,
        rules=rules.model_dump(mode="json"),
    )
    maps = {CLASS_MAP_PNG: class_map, FOCUS_MAP_PNG: focus.focus_map(prediction.focus)}
    for number, one in enumerate(prediction.tile_maps, start=1):
        maps[tiles.map_file(number)] = tiles.encoded(one.probability)
    return Judged(findings=findings, maps=maps)
