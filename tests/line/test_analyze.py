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

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.faults import with_corrupt_frame
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.temporary import run_command
from inference.model import bundle
from inference.model.manifest import digest_of
from tests.line.appliance_site import wait_for

CANARY = "ZANZIBAR"


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slide")
    write_slide(folder, SlidePlan.tiny(), SlideIdentity.canary(CANARY))
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings with keys, so that pseudonyms stay, and with pinned models."""
    folder = tmp_path_factory.mktemp("settings")
    run_command(["keys", "init", "--folder", str(folder / "keys")])
    models = "".join(
        f'[[inference.models]]\nfolder = "bundled:{one.name}"\ndigest = "sha256:{digest_of(one)}"\n'
        for one in bundle.bundled_models()
    )
    text = f'[storage]\nroot = "{folder}"\n[keys]\nfolder = "{folder / "keys"}"\n{models}'
    (folder / "coverslip.toml").write_text(text)
    return folder / "coverslip.toml"


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path: sockets lie in it."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def source(slide: Path, tmp_path: Path) -> Path:
    """One good slide, one with a damaged frame, and a file that is no slide."""
    shutil.copytree(slide, tmp_path / "source" / "good")
    damaged = tmp_path / "source" / "torn"
    write_slide(damaged, SlidePlan.tiny(seed=5), SlideIdentity.invented(seed=5))
    image = damaged / "volume-1.dcm"
    with_corrupt_frame(image, image, int(pydicom.dcmread(image).NumberOfFrames) // 2)
    (tmp_path / "source" / "readme.txt").write_text("no slide")
    return tmp_path / "source"


def start(*words: str, settings: Path, scratch: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "appliance", "--settings", str(settings), "analyze", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


def analyze(
    source: Path, target: Path, *words: str, settings: Path, scratch: Path
) -> tuple[int, dict[str, Any]]:
    process = start(str(source), str(target), "--json", *words, settings=settings, scratch=scratch)
    said, _ = process.communicate()
    return process.returncode, json.loads(said)


def by_status(told: dict[str, Any], status: str) -> dict[str, Any]:
    (one,) = (slide for slide in told["slides"] if slide["status"] == status)
    return dict(one)


def test_a_batch_sets_aside_what_is_bad_and_goes_on_where_it_was(
    source: Path, tmp_path: Path, settings: Path, scratch: Path
) -> None:
    target = tmp_path / "out"
    code, told = analyze(source, target, settings=settings, scratch=scratch)
    assert (code, told["totals"]) == (2, {"done": 1, "there": 0, "refused": 1})
    refused = by_status(told, "refused")["error"]
    assert (refused["code"], refused["sentence"][-1]) == ("invalid-instance", ".")
    folder = target / by_status(told, "done")["slide"]
    names = {path.name for path in folder.iterdir()}
    assert {"sr.dcm", "seg.dcm", "slide_picture.png", "summary.json", "findings.json"} <= names
    for path in target.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
    assert sorted(path.name for path in target.iterdir()) == [".analyze", folder.name]
    assert list(scratch.glob("*coverslip-line-*")) == []

    shutil.rmtree(source / "torn")
    stamp = (folder / "sr.dcm").stat().st_mtime_ns
    code, told = analyze(source, target, settings=settings, scratch=scratch)
    assert (code, told["totals"]) == (0, {"done": 0, "there": 1, "refused": 0})
    assert (folder / "sr.dcm").stat().st_mtime_ns == stamp


def test_the_true_identity_is_put_back_only_when_asked(
    slide: Path, tmp_path: Path, scratch: Path
) -> None:
    code, told = analyze(slide, tmp_path / "out", "--restore", settings=settings, scratch=scratch)
    assert code == 0
    folder = tmp_path / "out" / by_status(told, "done")["slide"]
    original = pydicom.dcmread(slide / "volume-0.dcm", stop_before_pixels=True)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))
    objects = sorted(folder.glob("*.dcm"))
    assert [path.name for path in objects] == ["seg.dcm", "sr.dcm"]
    for path in objects:
        made = pydicom.dcmread(path)
        assert (made.PatientID, made.PatientName) == (original.PatientID, original.PatientName)
        assert made.StudyInstanceUID == original.StudyInstanceUID


def test_a_run_that_ends_takes_its_daemons_and_originals_with_it(
    slide: Path, tmp_path: Path, scratch: Path
) -> None:
    """One that is killed cannot: its daemons end by themselves, the next run removes its folder."""
    target, sockets = tmp_path / "out", set[Path]()

    def daemon_answers() -> bool:
        return not sockets.issuperset(scratch.glob("coverslip-line-*/line/run/*.sock"))

    for signals, code in (((signal.SIGKILL,), -9), ((signal.SIGHUP, signal.SIGINT), 130)):
        sockets.update(scratch.glob("coverslip-line-*/line/run/*.sock"))
        process = start(str(slide), str(target), settings=scratch / "none.toml", scratch=scratch)
        wait_for(daemon_answers, "a daemon answers")
        for number in signals:
            process.send_signal(number)
        process.communicate()
        assert process.returncode == code
        wait_for(lambda: str(scratch) not in running(), "the daemons have ended")
    assert list(scratch.glob("*coverslip-line-*")) == []
    assert [path.name for path in target.iterdir()] == [".analyze"]


def running() -> str:
    """Command lines of all processes."""
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
