"""All that the report stage writes of one slide, as bytes by file name."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset

from appliance.errors import RejectedError
from appliance.settings import Report, VerdictRules
from appliance.slides.classes import ClassMap
from appliance.slides.findings import FOCUS_MAP_PNG, Findings
from appliance.slides.reader import SlideReader
from inference.reports.ann import Annotated, annotations
from inference.reports.encapsulated import encapsulated
from inference.reports.focus import read_focus
from inference.reports.heat_map import HeatMap, heat_map
from inference.reports.models_used import segmenting
from inference.reports.naming import Naming
from inference.reports.one_pager import TITLE, one_pager
from inference.reports.outside_sr import outside_sr
from inference.reports.picture import as_jpeg, framed, overlaid, view
from inference.reports.seg import Segmented, segmentation
from inference.reports.source_header import completed
from inference.reports.sr import report
from inference.reports.sr_groups import Groups

SR_DCM, SEG_DCM, ANN_DCM = "sr.dcm", "seg.dcm", "ann.dcm"
HEAT_MAP_DCM, ONE_PAGER_DCM = "heat_map.dcm", "one_pager.dcm"
OUTSIDE_SR_DCM, PICTURE_PNG = "outside_sr.dcm", "slide_picture.png"
PLAIN_JPG = "slide_plain.jpg"
"""The slide of the picture without what is drawn over it, for a look below."""


def written(
    findings: Findings,
    class_map: ClassMap,
    *,
    reader: SlideReader,
    folder: Path,
    rules: VerdictRules,
    settings: Report,
    predecessors: Sequence[Dataset] = (),
    progress: Callable[[float, str], None],
) -> dict[str, bytes]:
    """Make every object of one slide, the same bytes for the same arguments.

    Parameters
    ----------
    findings, class_map
        What was found.
    reader
        The de-identified slide, open.
    folder
        Where the maps lie that the findings name.
    rules
        The limits that the verdict followed.
    settings
        Which objects are wanted beside the SR.
    predecessors
        Headers of the reports that this one supersedes.

    Raises
    ------
    RejectedError
        A map is missing or damaged.
    UnsuitableSlide
        A frame is damaged, or a UID that the objects need is missing.
    """
    headers = completed(reader.headers)
    focus = read_focus(folder, findings)
    contents = (
        findings.to_json().encode(),
        class_map.tobytes(),
        rules.model_dump_json().encode(),
        settings.model_dump_json().encode(),
        *_maps(findings, settings, folder),
    )
    naming = _naming(findings, contents, predecessors)
    progress(0.1, "writing the segmentation")
    shown = _shown(findings, class_map, headers, naming, folder=folder, settings=settings)
    progress(0.4, "writing the report")
    groups = Groups(findings=findings, headers=headers, naming=naming, rules=rules, focus=focus)
    evidence = [one.dataset for one in shown.values()]
    files = {name: one.content for name, one in shown.items()}
    files[SR_DCM] = report(groups, evidence=evidence, predecessors=predecessors)
    files[OUTSIDE_SR_DCM] = outside_sr(findings, outside_naming(findings))
    progress(0.6, "drawing the slide")
    plain = view(reader)
    tissue = overlaid(plain, class_map)
    files[PICTURE_PNG], files[PLAIN_JPG] = framed(tissue, findings), as_jpeg(plain)
    if settings.one_pager:
        pdf = one_pager(findings, rules, tissue, focus)
        title = f"{TITLE}: {findings.verdict.value}"
        files[ONE_PAGER_DCM] = encapsulated(pdf, headers, naming, title=title)
    return files


def _shown(
    findings: Findings,
    class_map: ClassMap,
    headers: Sequence[FileDataset],
    naming: Naming,
    *,
    folder: Path,
    settings: Report,
) -> dict[str, Segmented | Annotated | HeatMap]:
    """Make the objects that lie over the slide, those that the settings want, by file name."""
    made = {
        SEG_DCM: segmentation(class_map, findings, headers, naming, encoding=settings.segmentation),
        ANN_DCM: annotations(findings, headers, naming) if settings.annotations else None,
        HEAT_MAP_DCM: heat_map(findings, headers, naming, folder=folder, encoding=settings.heat_map)
        if settings.heat_map != "none"
        else None,
    }
    return {name: one for name, one in made.items() if one is not None}


def outside_naming(findings: Findings) -> Naming:
    """Name the report for outside after what it says, and nothing else.

    What remote models say later makes a new revision; a recipient who is told nothing of that gets
    the same object once more, byte by byte.
    """
    said = (
        findings.verdict,
        findings.tissue_area_mm2,
        [asdict(area) for area in findings.artifacts],
        [asdict(model) for model in segmenting(findings)],
    )
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return Naming(slide_id=findings.slide_id, revision=0, sources=(digest,))


def _naming(
    findings: Findings, contents: Sequence[bytes], predecessors: Sequence[Dataset]
) -> Naming:
    """Name the objects after all that their bytes depend on.

    A slide that is inferred again, on another device, may be found a little different; a report
    may be written again when its predecessor is gone.
    """
    return Naming(
        slide_id=findings.slide_id,
        revision=findings.revision,
        sources=(
            *(hashlib.sha256(content).hexdigest() for content in contents),
            *(str(one.SOPInstanceUID) for one in predecessors),
        ),
    )


def _maps(findings: Findings, settings: Report, folder: Path) -> list[bytes]:
    """Read the files of the maps that the objects show."""
    names = [FOCUS_MAP_PNG] if findings.focus_um_px is not None else []
    if settings.heat_map != "none":
        names += [one.map_file for one in findings.tile_results]
    try:
        return [(folder / name).read_bytes() for name in names]
    except OSError as error:
        raise RejectedError(
            "A map of this slide cannot be read; let inference run again."
        ) from error
