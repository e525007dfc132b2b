"""`coverslip analyze` walks a folder of slides down a real line of its own, and leaves nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.line.appliance_site import wait_for

CANARY = "ZANZIBAR"


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slide")
    write_slide(folder, SlidePlan.tiny(), SlideIdentity.canary(CANARY))
    return folder


@pytest.fixture
def source(slide: Path, tmp_path: Path) -> Path:
    """One good slide, one with a damaged frame, and a file that is no slide."""
    shutil.copytree(slide, tmp_path / "source" / "good")
    damaged = tmp_path / "source" / "torn"
    shutil.copytree(slide, damaged, ignore=shutil.ignore_patterns("label.dcm"))
    series, frame = generate_uid(), generate_uid()
    for file in damaged.glob("*.dcm"):
        header = pydicom.dcmread(file)
        header.ContainerIdentifier, header.SOPInstanceUID = "ANOTHER", generate_uid()
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.SeriesInstanceUID, header.FrameOfReferenceUID = series, frame
        header.save_as(file)
    content = bytearray((damaged / "volume-1.dcm").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9000] = bytes(9000)
    (damaged / "volume-1.dcm").write_bytes(content)
    (tmp_path / "source" / "readme.txt").write_text("no slide")
    return tmp_path / "source"


def start(*words: str, scratch: Path) -> subprocess.Popen[str]:
    scratch.mkdir(exist_ok=True)
    settings = ["--settings", str(scratch / "none.toml")]
    return subprocess.Popen(
        [sys.executable, "-m", "appliance", *settings, "analyze", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


def analyze(source: Path, target: Path, *words: str, scratch: Path) -> tuple[int, dict[str, Any]]:
    process = start(str(source), str(target), "--json", *words, scratch=scratch)
    said, _ = process.communicate()
    return process.returncode, json.loads(said)


def by_status(told: dict[str, Any], status: str) -> dict[str, Any]:
    (one,) = (slide for slide in told["slides"] if slide["status"] == status)
    return dict(one)


def test_a_batch_sets_aside_what_is_bad_and_goes_on_where_it_was(
    source: Path, tmp_path: Path
) -> None:
    scratch, target = tmp_path / "scratch", tmp_path / "out"
    code, told = analyze(source, target, scratch=scratch)
    assert (code, told["totals"]) == (2, {"done": 1, "there": 0, "refused": 1})
    refused = by_status(told, "refused")["error"]
    assert (refused["code"], CANARY in refused["sentence"]) == ("damaged-image", False)
    folder = target / by_status(told, "done")["slide"]
    names = {path.name for path in folder.iterdir()}
    assert {"sr.dcm", "seg.dcm", "slide_picture.png", "summary.json", "findings.json"} <= names
    for path in target.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
    assert sorted(path.name for path in target.iterdir()) == [".analyze", folder.name]
    assert list(scratch.iterdir()) == []

    shutil.rmtree(source / "torn")
    stamp = (folder / "sr.dcm").stat().st_mtime_ns
    code, told = analyze(source, target, scratch=scratch)
    assert (code, told["totals"]) == (0, {"done": 0, "there": 1, "refused": 0})
    assert (folder / "sr.dcm").stat().st_mtime_ns == stamp


def test_the_true_identity_is_put_back_only_when_asked(slide: Path, tmp_path: Path) -> None:
    code, told = analyze(slide, tmp_path / "out", "--restore", scratch=tmp_path / "scratch")
    assert code == 0
    folder = tmp_path / "out" / by_status(told, "done")["slide"]
    original = pydicom.dcmread(slide / "volume-0.dcm", stop_before_pixels=True)
    objects = sorted(folder.glob("*.dcm"))
    assert [path.name for path in objects] == ["seg.dcm", "sr.dcm"]
    for path in objects:
        made = pydicom.dcmread(path)
        assert (made.PatientID, made.PatientName) == (original.PatientID, original.PatientName)
        assert made.StudyInstanceUID == original.StudyInstanceUID


def test_a_run_that_is_ended_takes_its_daemons_and_originals_with_it(
    slide: Path, tmp_path: Path
) -> None:
    scratch, target = tmp_path / "scratch", tmp_path / "out"
    process = start(str(slide), str(target), scratch=scratch)
    wait_for(lambda: any(scratch.glob("coverslip-*/line/log/node.log")), "the node has started")
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
    assert list(scratch.iterdir()) == []
    assert [path.name for path in target.iterdir()] == [".analyze"]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(scratch) not in running.stdout
