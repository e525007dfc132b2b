"""What is truly on a written slide, for tests and for the numbers of the demo."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from appliance.synthetic.picture import CLASS_MAP_UM_PX, CLASSES, ClassMap, class_map, tissue_map
from appliance.synthetic.plan import SlidePlan

_TO_MM2 = (CLASS_MAP_UM_PX / 1000) ** 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlantedTruth:
    """A written slide and what was planted in it.

    `area_mm2` counts the pixels of `class_map` by class name, so every place counts once.
    `tissue_area_mm2` is all tissue, artifacts on it included; `on_tissue_mm2` is the part of each
    class that lies on it. `class_map` is (rows, columns) uint8 at `class_map_um_px`.
    """

    files: tuple[Path, ...]
    tissue_area_mm2: float
    area_mm2: Mapping[str, float]
    on_tissue_mm2: Mapping[str, float]
    class_map: ClassMap
    class_map_um_px: float
    base_um_px: float
    base_rows: int
    base_columns: int

    @property
    def share_of_tissue(self) -> Mapping[str, float]:
        """Part of the tissue that each class covers."""
        whole = max(self.tissue_area_mm2, 1e-12)
        return {name: area / whole for name, area in self.on_tissue_mm2.items()}

    def save(self, folder: Path) -> None:
        """Write truth.json and truth.png; never into the folder of the DICOM files."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "tissue_area_mm2": self.tissue_area_mm2,
            "area_mm2": dict(self.area_mm2),
            "on_tissue_mm2": dict(self.on_tissue_mm2),
            "class_map_um_px": self.class_map_um_px,
            "base_um_px": self.base_um_px,
            "base_rows": self.base_rows,
            "base_columns": self.base_columns,
            "classes": list(CLASSES),
            "files": [path.name for path in self.files],
        }
        (folder / "truth.json").write_text(json.dumps(facts, indent=1) + "\n")
        (folder / "truth.png").write_bytes(cv2.imencode(".png", self.class_map)[1].tobytes())


def planted_truth(plan: SlidePlan, files: tuple[Path, ...]) -> PlantedTruth:
    """Work out what `plan` puts where, from its geometry."""
    classes, tissue = class_map(plan), tissue_map(plan)
    counts = np.bincount(classes.ravel(), minlength=len(CLASSES))
    on_tissue = np.bincount(classes[tissue], minlength=len(CLASSES))
    return PlantedTruth(
        files=files,
        tissue_area_mm2=float(tissue.sum() * _TO_MM2),
        area_mm2=dict(zip(CLASSES, (counts * _TO_MM2).tolist(), strict=True)),
        on_tissue_mm2=dict(zip(CLASSES, (on_tissue * _TO_MM2).tolist(), strict=True)),
        class_map=classes,
        class_map_um_px=CLASS_MAP_UM_PX,
        base_um_px=plan.um_px,
        base_rows=plan.rows,
        base_columns=plan.columns,
    )
