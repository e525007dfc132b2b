"""WSI-MIDI: the ten check types of the MIDI-B challenge for whole-slide images, and twelve more.

A check looks at one thing of one slide and passes or fails. What was left out passes every check of
removal and fails every one of retention, so that neither a tool that keeps all nor one that drops
all looks good. Check types by name as in MIDI-B (arXiv 2507.23608); written anew.
"""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import jpeg_ls
import numpy as np
import pydicom
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from benchmarks.deid_planting import Canary, at
from benchmarks.deid_tools import Outputs
from benchmarks.research import REQUIRED, RESEARCH, values_at

REMOVAL = (
    "text_removed",
    "date_shifted",
    "uid_changed",
    "pixels_hidden",
    "codestream_clean",
    "preamble_replaced",
    "filemeta_replaced",
    "icc_clean",
    "private_removed",
    "unknown_removed",
    "identifier_sweep",
    "label_dropped",
)
RETENTION = (
    "tag_retained",
    "text_notnull",
    "text_retained",
    "uid_consistent",
    "patid_consistent",
    "pixels_retained",
    "types_conformant",
    "markers_written",
    "stable_across_runs",
    "stable_across_instances",
)
_UIDS = (
    ("StudyInstanceUID",),
    ("SeriesInstanceUID",),
    ("SOPInstanceUID",),
    ("FrameOfReferenceUID",),
    ("SpecimenDescriptionSequence", "SpecimenUID"),
    ("DimensionOrganizationSequence", "DimensionOrganizationUID"),
)
_SAME = (
    ("StudyInstanceUID",),
    ("FrameOfReferenceUID",),
    ("PatientID",),
    ("ContainerIdentifier",),
)
_STABLE = (("SOPInstanceUID",), ("StudyInstanceUID",), ("PatientID",))
_STRANGERS = (0x50, 0x60, 0xFF)
"""First bytes of curves, overlays and padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A slide with a planted identity: its tissue images, its pictures, and what to look for."""

    name: str
    patient: int
    volumes: tuple[Path, ...]
    pictures: tuple[Path, ...]
    """Label, overview and thumbnail."""
    canaries: tuple[Canary, ...]


@dataclass(slots=True)
class Score:
    """How many checks passed and failed, by type."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, passed: bool, what: str = "") -> None:  # noqa: FBT001  the verdict
        """Count one check."""
        (self.passed if passed else self.failed)[kind] += 1
        if not passed:
            self.examples.setdefault(kind, what)

    def share(self, kinds: Iterable[str]) -> float:
        """Share of the checks of these types that passed."""
        passed = sum(self.passed[kind] for kind in kinds)
        total = passed + sum(self.failed[kind] for kind in kinds)
        return passed / total if total else 1.0


def check_case(score: Score, case: Case, outputs: Outputs, again: Outputs) -> str:
    """Do every check on one slide, and give the new Patient ID; "" when there is none.

    Parameters
    ----------
    score
        Where checks are counted.
    case
        The slide.
    outputs, again
        What two runs of the tool gave.
    """
    made = {file: _read(path) for file, path in outputs.items() if path is not None}
    _check_canaries(score, case, outputs, made)
    _check_pictures(score, case, outputs)
    for file in case.volumes:
        _check_places(score, outputs.get(file), made.get(file))
        _check_retention(score, pydicom.dcmread(file), made.get(file), file.name)
        _check_conformance(score, file, outputs.get(file))
    _check_uids(score, case, made)
    _check_stability(score, case, made, again)
    ids = {str(at(one, ("PatientID",)) or "") for one in made.values()}
    return ids.pop() if len(ids) == 1 else ""


def check_patients(score: Score, ids: Sequence[tuple[Case, str]]) -> None:
    """See that slides of one patient have one new Patient ID, and those of others other ones."""
    for number, (case, name) in enumerate(ids):
        for other, other_name in ids[number + 1 :]:
            alike = bool(name) and bool(other_name) and (name == other_name)
            differ = bool(name) and bool(other_name) and (name != other_name)
            same = case.patient == other.patient
            score.note("patid_consistent", alike if same else differ, case.name)


def _read(path: Path) -> pydicom.FileDataset:
    return pydicom.dcmread(path, force=True)


def _check_canaries(
    score: Score, case: Case, outputs: Outputs, made: Mapping[Path, pydicom.FileDataset]
) -> None:
    bodies = [path.read_bytes().upper() for path in outputs.values() if path is not None]
    for canary in case.canaries:
        spellings = [canary.value.upper().encode(name) for name in ("ascii", "utf-16-le")]
        gone = not any(one in body for body in bodies for one in spellings)
        score.note("identifier_sweep", gone, canary.place)
        kind = {"date": "date_shifted", "UID": "uid_changed"}.get(canary.place.split()[-1])
        special = {"codestream": "codestream_clean", "ICC": "icc_clean"}.get(canary.place)
        if special is not None:
            score.note(special, gone, canary.place)
        elif canary.path:
            for file in outputs:
                values = map(str, values_at(made.get(file, Dataset()), canary.path))
                clean = not any(_has(value, canary.value) for value in values)
                score.note(kind or "text_removed", clean, "/".join(canary.path))


def _has(value: str, canary: str) -> bool:
    """Whether a value still holds a token of a canary."""
    return any(token.lower() in value.lower() for token in re.findall(r"[\w.]+", canary))


def _check_pictures(score: Score, case: Case, outputs: Outputs) -> None:
    for file in case.pictures:
        path = outputs.get(file)
        score.note("label_dropped", path is None, file.name)
        hidden = path is None or not _same_pixels(file, path)
        score.note("pixels_hidden", hidden, file.name)


def _check_places(score: Score, path: Path | None, data_set: pydicom.FileDataset | None) -> None:
    """See that nothing of the source's software, and nothing unknown, came along."""
    preamble = path.read_bytes()[:128] if path else b""
    score.note("preamble_replaced", not preamble.strip(b"\0"), "preamble")
    meta = getattr(data_set, "file_meta", Dataset()) if data_set is not None else Dataset()
    titles = [
        name
        for name in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle",
                     "ReceivingApplicationEntityTitle", "PrivateInformation")
        if meta.get(name)
    ]  # fmt: skip
    score.note("filemeta_replaced", not titles, ", ".join(titles))
    tags = [element.tag for element in _walk(data_set)] if data_set is not None else []
    score.note("private_removed", not any(tag.is_private for tag in tags), "a private attribute")
    strange = [tag for tag in tags if not tag.is_private and not _known(int(tag))]
    score.note("unknown_removed", not strange, str(strange[:1]))


def _known(tag: int) -> bool:
    return dictionary_has_tag(tag) and tag >> 24 not in _STRANGERS


def _walk(data_set: Dataset) -> Iterator[Any]:
    for element in data_set:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item)


def _check_retention(
    score: Score, source: pydicom.FileDataset, made: pydicom.FileDataset | None, name: str
) -> None:
    for path in RESEARCH:
        values = values_at(source, path)
        if values:
            kept = values_at(made, path) if made is not None else []
            score.note("tag_retained", bool(kept), "/".join(path))
            score.note("text_retained", _equal(values, kept), "/".join(path))
    for path in REQUIRED:
        if values_at(source, path):
            score.note("text_notnull", made is not None and any(values_at(made, path)), str(path))
    same = made is not None and _same_frames(source, made)
    score.note("pixels_retained", same, name)
    marked = made is not None and (
        made.get("PatientIdentityRemoved") == "YES"
        and bool(
            made.get("DeidentificationMethodCodeSequence") or made.get("DeidentificationMethod")
        )
        and bool(made.get("LongitudinalTemporalInformationModified"))
    )
    score.note("markers_written", marked, name)


def _equal(values: Sequence[Any], kept: Sequence[Any]) -> bool:
    """Whether every value of the source is kept; numbers are compared as numbers."""
    return [_plain(value) for value in values] == [_plain(value) for value in kept]


def _plain(value: Any) -> Any:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        try:
            return float(value)
        except (TypeError, ValueError):
            return str(value).strip().lower()
    return [_plain(one) for one in value]


def _check_conformance(score: Score, source: Path, made: Path | None) -> None:
    if shutil.which("dciodvfy"):
        fine = made is not None and _errors(made) <= _errors(source)
        score.note("types_conformant", fine, source.name)


def _errors(path: Path) -> set[str]:
    """Errors of dciodvfy, without the values in them."""
    result = subprocess.run(
        ["dciodvfy", path], capture_output=True, check=False, text=True, errors="replace"
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    return {re.sub(r"[<\[].*?[>\]]", "", line) for line in lines}


def _check_uids(score: Score, case: Case, made: Mapping[Path, Dataset]) -> None:
    for path in _UIDS:
        new: dict[str, set[str]] = {}
        for file in case.volumes:
            data_set = made.get(file)
            value = at(data_set, path) if data_set is not None else None
            new.setdefault(str(at(pydicom.dcmread(file), path)), set()).add(str(value or ""))
        values = [next(iter(found)) for found in new.values()]
        one_each = all(len(found) == 1 and "" not in found for found in new.values())
        score.note("uid_consistent", one_each and len(set(values)) == len(values), "/".join(path))


def _check_stability(
    score: Score, case: Case, made: Mapping[Path, Dataset], again: Outputs
) -> None:
    for path in _SAME:
        values = {str(at(made[file], path) or "") if file in made else "" for file in case.volumes}
        score.note("stable_across_instances", len(values) == 1 and "" not in values, str(path))
    for file in case.volumes:
        second = again.get(file)
        other = _read(second) if second is not None else None
        for path in _STABLE:
            first = at(made[file], path) if file in made else None
            same = first is not None and other is not None and first == at(other, path)
            score.note("stable_across_runs", same, "/".join(path))


def _same_pixels(first: Path, second: Path) -> bool:
    return _same_frames(pydicom.dcmread(first), _read(second))


def _same_frames(first: pydicom.FileDataset, second: pydicom.FileDataset) -> bool:
    try:
        ours, theirs = _frames(first), _frames(second)
        return len(ours) == len(theirs) > 0 and all(map(_same_picture, ours, theirs))
    except (ValueError, RuntimeError):  # frames that nobody can take apart or decode
        return False


def _frames(data_set: pydicom.FileDataset) -> list[bytes]:
    if "PixelData" not in data_set:
        return []
    if not data_set.file_meta.get("TransferSyntaxUID", pydicom.uid.UID("")).is_encapsulated:
        return [data_set.PixelData]
    count = int(data_set.get("NumberOfFrames") or 1)
    return list(generate_frames(data_set.PixelData, number_of_frames=count))


def _same_picture(first: bytes, second: bytes) -> bool:
    if first.rstrip(b"\0") == second.rstrip(b"\0"):
        return True
    return np.array_equal(_decoded(first), _decoded(second))


def _decoded(frame: bytes) -> Any:
    picture = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:  # JPEG-LS, or nothing that anyone can show
        picture = np.frombuffer(jpeg_ls.decode_pixel_data(frame)[0], np.uint8)
    return picture
