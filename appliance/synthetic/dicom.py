"""Writes a planned slide as a scanner would: a pyramid, a label, an overview and a thumbnail."""

import os
from contextlib import ExitStack
from pathlib import Path

from appliance.synthetic.encapsulation import FrameFile
from appliance.synthetic.headers import (
    SLIDE_HEIGHT_MM,
    SLIDE_WIDTH_MM,
    ImageShape,
    instance_header,
    scanned_origin_mm,
)
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.labels import (
    LABEL_UM_PX,
    OVERVIEW_UM_PX,
    label_picture,
    overview_picture,
)
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.pyramid import Sink, jpeg, write_levels
from appliance.synthetic.tissue import Rgb
from appliance.synthetic.truth import PlantedTruth, planted_truth

_PICTURE_QUALITY = 90


def write_slide(
    folder: Path,
    plan: SlidePlan,
    identity: SlideIdentity,
    *,
    truth_folder: Path | None = None,
    workers: int | None = None,
) -> PlantedTruth:
    """Write one slide as VL Whole Slide Microscopy instances; the same arguments, the same bytes.

    Parameters
    ----------
    folder
        Made when missing. Gets volume-0.dcm (base) to volume-N.dcm, label.dcm, overview.dcm and
        thumbnail.dcm.
    plan
        What the slide shows.
    identity
        Whose slide it says it is.
    truth_folder
        Where truth.json and truth.png go, if anywhere.
    workers
        Threads that paint; as many as there are processors when None.

    Returns
    -------
    PlantedTruth
        What was planted, from the geometry, not from the pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shapes = _levels(plan)
    paths = [folder / f"volume-{index}.dcm" for index in range(len(shapes))]
    with ExitStack() as stack:
        files = [
            stack.enter_context(_open(path, shape, plan, identity))
            for path, shape in zip(paths, shapes, strict=True)
        ]
        sinks: list[Sink] = [file.append for file in files]
        threads = workers or min(8, os.cpu_count() or 1)
        thumbnail = write_levels(plan, sinks, identity.jpeg_comment, threads)
    paths += _write_pictures(folder, plan, identity, thumbnail.picture, thumbnail.factor)
    truth = planted_truth(plan, tuple(paths))
    if truth_folder is not None:
        truth.save(truth_folder)
    return truth


def _open(path: Path, shape: ImageShape, plan: SlidePlan, identity: SlideIdentity) -> FrameFile:
    header = instance_header(shape, plan, identity)
    return FrameFile(path, header, extended=shape.needs_extended_offsets)


def _levels(plan: SlidePlan) -> list[ImageShape]:
    return [
        ImageShape(
            flavour="VOLUME",
            derived=factor > 1,
            rows=-(-plan.rows // factor),
            columns=-(-plan.columns // factor),
            tile_rows=plan.tile_px,
            tile_columns=plan.tile_px,
            um_px=plan.um_px * factor,
            origin_mm=scanned_origin_mm(plan),
            instance_number=index + 1,
        )
        for index, factor in enumerate(plan.factors)
    ]


def _write_pictures(
    folder: Path, plan: SlidePlan, identity: SlideIdentity, thumbnail: Rgb, factor: int
) -> list[Path]:
    """Write the three single-frame images, and return their paths."""
    scanned = scanned_origin_mm(plan)
    corner = (SLIDE_HEIGHT_MM, SLIDE_WIDTH_MM)
    label = label_picture(identity)
    overview = overview_picture(
        label, thumbnail, origin_mm=scanned, size_mm=(plan.height_mm, plan.width_mm)
    )
    number = len(plan.factors) + 1
    written = []
    for flavour, picture, um_px, origin_mm in (
        ("LABEL", label, LABEL_UM_PX, corner),
        ("OVERVIEW", overview, OVERVIEW_UM_PX, corner),
        ("THUMBNAIL", thumbnail, plan.um_px * factor, scanned),
    ):
        shape = ImageShape(
            flavour=flavour,
            derived=flavour == "THUMBNAIL",
            rows=picture.shape[0],
            columns=picture.shape[1],
            tile_rows=picture.shape[0],
            tile_columns=picture.shape[1],
            um_px=um_px,
            origin_mm=origin_mm,
            instance_number=number,
        )
        path = folder / f"{flavour.lower()}.dcm"
        with _open(path, shape, plan, identity) as file:
            file.append(jpeg(picture, _PICTURE_QUALITY, identity.jpeg_comment))
        written.append(path)
        number += 1
    return written
