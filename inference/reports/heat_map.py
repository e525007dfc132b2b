"""What tile classifiers saw, tile by tile: Parametric Map or FRACTIONAL Segmentation, by setting.

One channel a class of a classifier. Classifiers with tiles of different sizes share the raster of
the smallest ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from appliance.errors import RejectedError
from appliance.slides.findings import Findings, TileResult
from inference.reports import codes
from inference.reports.equipment import HEAT_MAP_SERIES, MAKER
from inference.reports.geometry import Grid, level_seen
from inference.reports.models_used import classifier, identification, title_of
from inference.reports.naming import Naming
from inference.reports.normalised import normalised

MAXIMUM_TILE_PX = 512
NOT_JUDGED = -1.0
"""Value of a Parametric Map where no tile was judged (its Float Pixel Padding Value)."""

TileMap = npt.NDArray[np.uint8]
"""`(rows, columns)`: 1 to 255 for a probability of 0 to 1, 0 where no tile was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """The file, and what a report needs to refer to it."""

    content: bytes
    dataset: Dataset


def heat_map(
    findings: Findings,
    headers: Sequence[FileDataset],
    naming: Naming,
    *,
    folder: Path,
    encoding: Literal["parametric", "fractional"],
) -> HeatMap | None:
    """Build the heat map; None when no tile classifier ran.

    Parameters
    ----------
    findings
        With the names of the maps.
    headers
        Completed headers of the VOLUME instances, finest first.
    naming
        For the UIDs.
    folder
        Where the maps lie.
    encoding
        Parametric: float, -1 where no tile was judged. Fractional: 0 to 255, and 0 there.

    Raises
    ------
    RejectedError
        A map is missing or damaged.
    """
    results = findings.tile_results
    if not results:
        return None
    um_px = min(result.map_um_px for result in results)
    maps = on_one_raster([_read(folder / one.map_file) for one in results], results, um_px)
    build = _parametric if encoding == "parametric" else _fractional
    made = build(maps, findings, headers, naming, um_px)
    content = normalised(made, header=headers[0], dimension_uid=naming.uid("heat/dimensions"))
    return HeatMap(content=content, dataset=made)


def _read(path: Path) -> TileMap:
    try:
        stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise RejectedError("A tile map of this slide cannot be read.") from error
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint8:  # noqa: PLR2004
        raise RejectedError("A tile map of this slide is no picture of one channel.")
    return np.asarray(stored)


def on_one_raster(
    maps: Sequence[TileMap], results: Sequence[TileResult], um_px: float
) -> npt.NDArray[np.uint8]:
    """Give `(rows, columns, maps)`: each pixel takes the tile that its centre lies in.

    Parameters
    ----------
    maps
        One a result, all with their corner at that of the base matrix.
    results
        For the spacing of each.
    um_px
        Of the raster: the finest of them.
    """
    rows = max(round(m.shape[0] * r.map_um_px / um_px) for m, r in zip(maps, results, strict=True))
    columns = max(
        round(m.shape[1] * r.map_um_px / um_px) for m, r in zip(maps, results, strict=True)
    )
    stacked = np.zeros((rows, columns, len(maps)), np.uint8)
    for number, (tiles, result) in enumerate(zip(maps, results, strict=True)):
        row = ((np.arange(rows) + 0.5) * um_px / result.map_um_px).astype(int)
        column = ((np.arange(columns) + 0.5) * um_px / result.map_um_px).astype(int)
        inside = np.ix_(row < tiles.shape[0], column < tiles.shape[1])
        taken = tiles[np.ix_(row[row < tiles.shape[0]], column[column < tiles.shape[1]])]
        stacked[(*inside, number)] = taken
    return stacked


def _probability(maps: npt.NDArray[np.uint8], elsewhere: float) -> npt.NDArray[np.float32]:
    return np.where(maps > 0, (maps.astype(np.float32) - 1) / 254, elsewhere).astype(np.float32)


def _parametric(
    maps: npt.NDArray[np.uint8],
    findings: Findings,
    headers: Sequence[FileDataset],
    naming: Naming,
    um_px: float,
) -> Dataset:
    made = hd.pm.ParametricMap(
        source_images=[_source(findings, headers)],
        pixel_array=_probability(maps, NOT_JUDGED)[np.newaxis],
        series_instance_uid=naming.uid("heat/series"),
        series_number=HEAT_MAP_SERIES,
        sop_instance_uid=naming.uid("heat"),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            [_mapping(result, findings)] for result in findings.tile_results
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="TILE_CLASSES",
        content_description="Probability of each class, tile by tile",
        series_description="Slide quality: heat map",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **MAKER,
        **_grid(maps, findings, headers, um_px).placed(),
    )
    made.FloatPixelPaddingValue = made.FloatPixelPaddingRangeLimit = NOT_JUDGED
    return made


def _mapping(result: TileResult, findings: Findings) -> hd.pm.RealWorldValueMapping:
    return hd.pm.RealWorldValueMapping(
        lut_label=result.name[:16],
        lut_explanation=title_of(result, findings),
        unit=codes.NO_UNITS,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.CLASS_ACTIVATION,
    )


def _fractional(
    maps: npt.NDArray[np.uint8],
    findings: Findings,
    headers: Sequence[FileDataset],
    naming: Naming,
    um_px: float,
) -> Dataset:
    return hd.seg.Segmentation(
        source_images=[_source(findings, headers)],
        pixel_array=_probability(maps, 0.0)[np.newaxis],
        segmentation_type=hd.seg.SegmentationTypeValues.FRACTIONAL,
        fractional_type=hd.seg.SegmentationFractionalTypeValues.PROBABILITY,
        segment_descriptions=[
            _description(number, result, findings, naming)
            for number, result in enumerate(findings.tile_results, start=1)
        ],
        series_instance_uid=naming.uid("heat/series"),
        series_number=HEAT_MAP_SERIES,
        sop_instance_uid=naming.uid("heat"),
        instance_number=1,
        content_label="TILE_CLASSES",
        content_description="Probability of each class, tile by tile",
        series_description="Slide quality: heat map",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
        **MAKER,
        **_grid(maps, findings, headers, um_px).placed(),
    )


def _description(
    number: int, result: TileResult, findings: Findings, naming: Naming
) -> hd.seg.SegmentDescription:
    title = title_of(result, findings)
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=title,
        segmented_property_category=codes.MORPHOLOGY,
        segmented_property_type=Code(*result.code),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identification(classifier(result, findings)),
        tracking_uid=naming.uid(f"tracking/{title}"),
        tracking_id=title,
    )


def _grid(
    maps: npt.NDArray[np.uint8],
    findings: Findings,
    headers: Sequence[FileDataset],
    um_px: float,
) -> Grid:
    tile_px = min(MAXIMUM_TILE_PX, max(maps.shape[:2]))
    return Grid.over(headers[0], findings, um_px=um_px, tile_px=tile_px)


def _source(findings: Findings, headers: Sequence[FileDataset]) -> FileDataset:
    model = classifier(findings.tile_results[0], findings)
    return level_seen(headers, findings, model.um_px)
