"""The two stages of inference: `infer` finds, `report` writes.

They are two so that a report that fails does not cost the models' time again.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from appliance.errors import RejectedError
from appliance.line import Outcome, Stage
from appliance.settings import VerdictRules
from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import CLASS_MAP_PNG, FINDINGS_JSON, Findings, read_findings
from appliance.slides.reader import SlideReader, open_slide
from appliance.storage import storage_errors
from appliance.worker import Handler, Work
from inference.judging import polygons, quality
from inference.reports.naming import Naming, settings_digest
from inference.reports.outside_sr import outside_sr
from inference.reports.picture import slide_picture
from inference.reports.seg import segmentation
from inference.reports.source_header import completed
from inference.reports.sr import report
from inference.running.predict import Predictor, Progress

SR_DCM, SEG_DCM, OUTSIDE_SR_DCM = "sr.dcm", "seg.dcm", "outside_sr.dcm"
PICTURE_PNG, SUMMARY_JSON, SPEED_JSON = "slide_picture.png", "summary.json", "speed.json"

Clock = Callable[[], float]


def infer_handler(
    predictor: Predictor, rules: VerdictRules, *, clock: Clock = time.monotonic
) -> Handler:
    """Give the handler of the infer stage: `deid/` in, `findings/` out."""

    def infer(work: Work) -> Outcome:
        with open_slide(slide_files(work.folder(Stage.DEIDENTIFY))) as reader:
            findings = find(
                reader,
                predictor,
                rules,
                output=work.output,
                slide_id=work.claim.slide_id,
                revision=work.claim.revision,
                progress=work.progress,
                clock=clock,
            )
        return Outcome(
            verdict=findings.verdict,
            reason=findings.reason,
            note=f"Verdict {findings.verdict.value}: {findings.reason}",
        )

    return infer


def report_handler(rules: VerdictRules, *, clock: Clock = time.monotonic) -> Handler:
    """Give the handler of the report stage: `findings/` and `deid/` in, `report/` out."""

    def make(work: Work) -> Outcome:
        findings_folder = work.folder(Stage.INFER)
        with open_slide(slide_files(work.folder(Stage.DEIDENTIFY))) as reader:
            write_report(
                reader,
                findings_folder,
                rules,
                output=work.output,
                progress=work.progress,
                clock=clock,
            )
        return Outcome(note="Report, segmentation and picture were written.")

    return make


def slide_files(folder: Path) -> list[Path]:
    """Give the DICOM files of a de-identified slide, finest level first."""
    return sorted(folder.glob("*.dcm"))


def find(
    reader: SlideReader,
    predictor: Predictor,
    rules: VerdictRules,
    *,
    output: Path,
    slide_id: str,
    revision: int,
    progress: Progress,
    clock: Clock = time.monotonic,
) -> Findings:
    """Judge one slide and write `findings.json` and `class_map.png`.

    Raises
    ------
    UnsuitableSlide
        A frame is damaged; nothing is written.
    ModelError, DeviceUnavailable
        See `Session.run`.
    """
    started = clock()
    prediction = predictor.predict(reader, progress)
    um_px, base = prediction.um_px, reader.levels[0]
    class_map = quality.cleaned(prediction.class_map, prediction.tissue, um_px=um_px)
    everywhere = quality.all_tissue(class_map, prediction.tissue, um_px=um_px)
    areas = quality.artifact_areas(class_map, everywhere, um_px=um_px)
    tissue_mm2 = quality.area_mm2(everywhere, um_px=um_px)
    judgement = quality.judge(areas, tissue_mm2, rules)
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
    )
    with storage_errors():
        (output / CLASS_MAP_PNG).write_bytes(_encoded(class_map))
        (output / FINDINGS_JSON).write_text(findings.to_json(), encoding="utf-8")
        speed = {"infer_s": round(clock() - started, 3), "tiles": prediction.tiles}
        (output / SPEED_JSON).write_text(json.dumps(speed) + "\n", encoding="utf-8")
    progress(1.0, f"verdict: {findings.verdict.value}")
    return findings


def write_report(
    reader: SlideReader,
    findings_folder: Path,
    rules: VerdictRules,
    *,
    output: Path,
    progress: Progress,
    clock: Clock = time.monotonic,
) -> Findings:
    """Write the SR, the SEG, the outside SR, the slide picture and the summary of one slide.

    Raises
    ------
    RejectedError
        The findings are damaged.
    UnsuitableSlide
        A frame is damaged, or a UID that the objects need is missing.
    """
    started = clock()
    findings = read_findings(findings_folder)
    class_map = read_class_map(findings_folder, findings)
    headers = completed(reader.headers)
    naming = Naming(
        slide_id=findings.slide_id,
        revision=findings.revision,
        model_digests=tuple(model.digest for model in findings.models),
        settings_digest=settings_digest(json.dumps(rules.model_dump(), sort_keys=True)),
    )
    progress(0.1, "writing the segmentation")
    segmented = segmentation(class_map, findings, headers, naming)
    progress(0.4, "writing the report")
    inside = report(
        findings, headers, naming, segmentation=segmented.dataset if segmented else None
    )
    progress(0.6, "drawing the slide")
    picture = slide_picture(reader, class_map, findings)
    with storage_errors():
        if segmented is not None:
            (output / SEG_DCM).write_bytes(segmented.content)
        (output / SR_DCM).write_bytes(inside)
        (output / OUTSIDE_SR_DCM).write_bytes(outside_sr(findings, naming))
        (output / PICTURE_PNG).write_bytes(picture)
        speed = _speed(findings_folder) | {"report_s": round(clock() - started, 3)}
        summary = _summary(findings) | {"seconds": speed}
        (output / SUMMARY_JSON).write_text(
            json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return findings


def read_class_map(folder: Path, findings: Findings) -> ClassMap:
    """Read the class map that belongs to some findings.

    Returns
    -------
    numpy.ndarray
        `(rows, columns)` uint8 of `SlideClass`.

    Raises
    ------
    RejectedError
        It is missing or does not fit the findings.
    """
    try:
        stored = np.frombuffer((folder / CLASS_MAP_PNG).read_bytes(), np.uint8)
        class_map = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise RejectedError("The class map of this slide cannot be read.") from error
    expected = (findings.rows, findings.columns)
    if class_map is None or class_map.shape != expected or class_map.max() > max(SlideClass):
        raise RejectedError("The class map of this slide does not fit its findings.")
    return cast("ClassMap", class_map)


def _encoded(class_map: ClassMap) -> bytes:
    return bytes(cv2.imencode(".png", class_map)[1])


def _speed(findings_folder: Path) -> dict[str, float]:
    path = findings_folder / SPEED_JSON
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _summary(findings: Findings) -> dict[str, object]:
    """Give what a person or a script wants first; `findings.json` has all of it."""
    return {
        "slide_id": findings.slide_id,
        "revision": findings.revision,
        "verdict": findings.verdict.value,
        "reason": findings.reason,
        "tissue_area_mm2": findings.tissue_area_mm2,
        "artifacts": {
            area.name: {"area_mm2": area.area_mm2, "share_of_tissue": area.share_of_tissue}
            for area in findings.artifacts
        },
        "models": [f"{model.name} {model.version} on {model.device}" for model in findings.models],
        "warnings": list(findings.warnings),
    }
