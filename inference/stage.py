"""The two stages of inference: `infer` finds, `report` writes.

They are two so that a report that fails does not cost the models' time again.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from appliance.errors import RejectedError, UnfitScan
from appliance.line import Outcome, Stage
from appliance.settings import Report, VerdictRules
from appliance.slides.findings import FINDINGS_JSON, Findings, read_findings
from appliance.slides.reader import SlideReader, open_slide
from appliance.storage import storage_errors
from appliance.worker import Handler, Work
from inference.judging.judged import judged
from inference.judging.stored import check_fit, read_class_map, rules_of
from inference.remote.models import RemoteModel
from inference.remote.rejoin import rejoined, taken_over
from inference.reports.objects import SR_DCM, written
from inference.reports.summary import summary
from inference.running.predict import Predictor, Progress

SUMMARY_JSON, SPEED_JSON = "summary.json", "speed.json"
AS_SHIPPED = Report()
NOWHERE: Final[Mapping[str, RemoteModel]] = MappingProxyType({})
"""No route leads to model servers."""

Clock = Callable[[], float]


def infer_handler(
    predictor: Predictor,
    rules: VerdictRules,
    *,
    remotes: Mapping[str, RemoteModel] = NOWHERE,
    clock: Clock = time.monotonic,
) -> Handler:
    """Give the handler of the infer stage: `deid/` in, `findings/` out.

    A slide that comes back with answers of model servers keeps its findings and its verdict; its
    models run again only when the earlier findings are gone.

    Parameters
    ----------
    predictor
        The models that run here.
    rules
        Limits of the verdict.
    remotes
        The models behind the routes, by route.
    clock
        Seconds.
    """

    def infer(work: Work) -> Outcome:
        placed = work.placed()
        with open_slide(slide_files(work.folder(Stage.DEIDENTIFY))) as reader:
            earlier = placed and taken_over(work.earlier_findings(), work.output)
            findings = earlier or find(
                reader,
                predictor,
                rules,
                output=work.output,
                slide_id=work.claim.slide_id,
                revision=work.claim.revision,
                progress=work.progress,
                clock=clock,
            )
            if placed:
                findings = join(
                    reader,
                    findings,
                    placed=placed,
                    remotes=remotes,
                    output=work.output,
                    revision=work.claim.revision,
                )
        if earlier:
            return Outcome(note="Results of remote models were joined; the verdict stays.")
        return Outcome(
            verdict=findings.verdict,
            reason=findings.reason,
            note=f"Verdict {findings.verdict.value}: {findings.reason}",
        )

    return infer


def report_handler(settings: Report = AS_SHIPPED, *, clock: Clock = time.monotonic) -> Handler:
    """Give the handler of the report stage: `findings/` and `deid/` in, `report/` out."""

    def make(work: Work) -> Outcome:
        findings_folder = work.folder(Stage.INFER)
        findings = read_findings(findings_folder)
        if (findings.slide_id, findings.revision) != (work.claim.slide_id, work.claim.revision):
            raise RejectedError("The findings are another slide's; let inference run again.")
        with open_slide(slide_files(work.folder(Stage.DEIDENTIFY))) as reader:
            write_report(
                reader,
                findings_folder,
                output=work.output,
                progress=work.progress,
                settings=settings,
                predecessors=superseded(work.superseded_report()),
                clock=clock,
            )
        return Outcome(note="Report, segmentation and picture were written.")

    return make


def slide_files(folder: Path) -> list[Path]:
    """Give the DICOM files of a de-identified slide, finest level first."""
    return sorted(folder.glob("*.dcm"))


def superseded(report_folder: Path | None) -> tuple[Dataset, ...]:
    """Read the header of the report that a new one supersedes.

    Raises
    ------
    RejectedError
        It is damaged.
    """
    if report_folder is None:
        return ()
    try:
        return (dcmread(report_folder / SR_DCM),)
    except (OSError, EOFError, ValueError, AttributeError, InvalidDicomError) as error:
        raise RejectedError("The report that this one supersedes cannot be read.") from error


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
    """Judge one slide and write `findings.json` and the maps that it names.

    Raises
    ------
    UnsuitableSlide
        A frame is damaged, or the scan has no colours; nothing is written.
    ModelError, DeviceUnavailable
        See `Session.run`.
    """
    if not reader.is_colour:
        raise UnfitScan(
            "The slide is a grey or fluorescence scan, and the models judge only colour scans."
        )
    started = clock()
    prediction = predictor.predict(reader, progress)
    made = judged(
        prediction,
        rules,
        base=reader.levels[0],
        likeness=predictor.likeness,
        slide_id=slide_id,
        revision=revision,
    )
    findings = made.findings
    _write(findings, made.maps, output)
    with storage_errors():
        speed = {"infer_s": round(clock() - started, 3), "tiles": prediction.tiles}
        (output / SPEED_JSON).write_text(json.dumps(speed) + "\n", encoding="utf-8")
    progress(1.0, f"verdict: {findings.verdict.value}")
    return findings


def join(
    reader: SlideReader,
    findings: Findings,
    *,
    placed: Path,
    remotes: Mapping[str, RemoteModel],
    output: Path,
    revision: int,
) -> Findings:
    """Add what remote models said to findings whose maps lie in `output`, and write them there.

    Raises
    ------
    RejectedError
        The findings do not fit the slide.
    """
    check_fit(findings, reader)
    made = rejoined(
        findings,
        read_class_map(output, findings),
        placed=placed,
        remotes=remotes,
        header=reader.header,
        revision=revision,
    )
    _write(made.findings, made.maps, output)
    return made.findings


def _write(findings: Findings, maps: Mapping[str, npt.NDArray[np.uint8]], output: Path) -> None:
    with storage_errors():
        for name, pixels in maps.items():
            (output / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        (output / FINDINGS_JSON).write_text(findings.to_json(), encoding="utf-8")


def write_report(
    reader: SlideReader,
    findings_folder: Path,
    *,
    output: Path,
    progress: Progress,
    settings: Report = AS_SHIPPED,
    predecessors: Sequence[Dataset] = (),
    clock: Clock = time.monotonic,
) -> Findings:
    """Write the objects that the settings ask for, the slide picture and the summary of one slide.

    Raises
    ------
    RejectedError
        The findings are damaged.
    UnsuitableSlide
        A frame is damaged, or a UID that the objects need is missing.
    """
    started = clock()
    findings = read_findings(findings_folder)
    check_fit(findings, reader)
    class_map = read_class_map(findings_folder, findings)
    files = written(
        findings,
        class_map,
        reader=reader,
        folder=findings_folder,
        rules=rules_of(findings),
        settings=settings,
        predecessors=predecessors,
        progress=progress,
    )
    with storage_errors():
        for name, content in files.items():
            (output / name).write_bytes(content)
        speed = _speed(findings_folder) | {"report_s": round(clock() - started, 3)}
        said = summary(findings) | {"seconds": speed}
        (output / SUMMARY_JSON).write_text(
            json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return findings


def _speed(findings_folder: Path) -> dict[str, float]:
    path = findings_folder / SPEED_JSON
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
