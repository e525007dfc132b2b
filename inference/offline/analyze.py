"""Judge one slide offline: the same two steps as the line, from a folder into a folder."""

import hashlib
from pathlib import Path

from appliance.errors import UnsuitableSlide
from appliance.settings import VerdictRules
from appliance.slides.findings import Findings
from appliance.slides.reader import open_slide
from inference.model import bundle
from inference.running import engine
from inference.running.predict import Predictor, Progress
from inference.stage import find, write_report


def analyze(
    source: Path, target: Path, *, device: str, workers: int, progress: Progress
) -> Findings:
    """Judge the slide in a folder of DICOM files and write everything into another.

    The SR and SEG take patient and study from the images as they are: files that were not
    de-identified give reports that are not.

    Raises
    ------
    UnsuitableSlide
        There is no slide, or it cannot be judged.
    """
    files = sorted(source.rglob("*.dcm")) if source.is_dir() else [source]
    if not files:
        raise UnsuitableSlide("The folder holds no DICOM file (*.dcm).")
    engine.require_device(device)
    predictor = Predictor(bundle.bundled(), device=device, workers=engine.worker_count(workers))
    target.mkdir(parents=True, exist_ok=True)
    rules = VerdictRules()
    try:
        with open_slide(files) as reader:
            find(
                reader,
                predictor,
                rules,
                output=target,
                slide_id=_offline_id(str(reader.header.get("SOPInstanceUID", ""))),
                revision=1,
                progress=progress,
            )
            return write_report(reader, target, rules, output=target, progress=progress)
    finally:
        predictor.close()


def _offline_id(sop_instance_uid: str) -> str:
    """Name an offline slide so that the same images get the same report."""
    return f"offline-{hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:18]}"
