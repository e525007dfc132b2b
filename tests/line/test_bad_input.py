"""Bad input: one clear sentence, the right status or exit code, and nothing lost."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.line import Stage, State, Verdict
from appliance.synthetic.faults import (
    ct_image,
    slide_with_corrupt_frame,
    slide_without_pixel_spacing,
    slide_without_tissue,
    truncated,
)
from appliance.synthetic.identity import SlideIdentity
from tests.line.appliance_site import ApplianceSite, content, data_set
from tests.line.conftest import tiny_slide

SUCCESS = "0x0000"


def dcmtk_send(tool: str, site: ApplianceSite, files: list[Path], called: str = "COVERSLIP") -> str:
    """Send files with DCMTK's storescu; give what it says."""
    words = [tool, "-v", "-R", "-xy", "-aec", called, "-aet", "SCANNER", "127.0.0.1"]
    done = subprocess.run(
        [*words, str(site.site.node_port), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def largest(folder: Path) -> Path:
    return max(folder.glob("*.dcm"), key=lambda path: path.stat().st_size)


def assert_one_sentence(text: str | None) -> None:
    assert text
    assert text.endswith(".")
    assert "Traceback" not in text
    assert "Error" not in text


def test_a_truncated_object_is_not_acknowledged_and_leaves_no_trace(
    running: ApplianceSite, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    scan = tiny_slide(tmp_path / "scan", seed=21)
    spooled = content(running.root.zone("spool"))
    cut = truncated(largest(scan), tmp_path / "cut.dcm")
    said = dcmtk_send(require_tool("storescu"), running, [cut])
    assert "Status: Success" not in said
    assert content(running.root.zone("spool")) == spooled


def test_a_ct_is_refused_and_starts_nothing(
    running: ApplianceSite, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    slides = set(running.slides())
    image = ct_image(tmp_path / "ct.dcm", SlideIdentity.invented(22))
    said = dcmtk_send(require_tool("storescu"), running, [image])
    assert "Status: Success" not in said
    assert set(running.slides()) == slides


def test_a_wrong_called_ae_title_is_rejected_at_association(
    running: ApplianceSite, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    scan = tiny_slide(tmp_path / "scan", seed=23)
    said = dcmtk_send(require_tool("storescu"), running, [largest(scan)], called="OTHER")
    assert "Called AE Title Not Recognized" in said


def test_an_unknown_scanner_is_rejected_and_the_sender_says_so(
    running: ApplianceSite, tmp_path: Path
) -> None:
    slides = set(running.slides())
    assert running.send(tiny_slide(tmp_path / "scan", seed=24), calling="STRANGER") == 2
    assert set(running.slides()) == slides


def test_a_slide_without_tissue_asks_for_a_rescan_and_is_still_reported(
    running: ApplianceSite, tmp_path: Path
) -> None:
    slide_without_tissue(tmp_path / "scan", SlideIdentity.invented(25), seed=25)
    slide = running.walk(tmp_path / "scan")
    assert (slide.state, slide.verdict) == (State.DONE, Verdict.RESCAN)
    assert slide.reason
    assert "tissue" in slide.reason


@pytest.mark.parametrize("fault", ["corrupt frame", "no pixel spacing"])
def test_a_slide_that_cannot_be_judged_is_set_aside_whole(
    running: ApplianceSite, tmp_path: Path, fault: str
) -> None:
    source = tiny_slide(tmp_path / "good", seed=26 if fault == "corrupt frame" else 27)
    scan = tmp_path / "scan"
    if fault == "corrupt frame":
        slide_with_corrupt_frame(source, scan, frame=3)
    else:
        slide_without_pixel_spacing(source, scan)
    before = content(running.site.pacs)
    slide = running.walk(scan)
    assert slide.state is State.ASIDE
    assert_one_sentence(slide.error)
    assert slide.next_step
    assert content(running.site.pacs) == before
    originals = running.product(slide.slide_id, Stage.ASSEMBLE).glob("*.dcm")
    assert {data_set(path) for path in scan.glob("*.dcm")} == {data_set(path) for path in originals}


def refused(settings: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "appliance", "--settings", str(settings), *command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("old", "new", "command", "words"),
    [
        ("quiet_s", "quite_s", ["node"], "did you mean quiet_s?"),
        ("sha256:", "sha256:0", ["check-config"], "digest"),
        ('"bundled:tissue"', '"bundled:tisue"', ["infer"], "tisue"),
        ('"127.0.0.0/8"]\npeer', '"10.0.0.0/8"]\npeer', ["release"], "inside addresses"),
    ],
)
def test_settings_that_do_not_fit_stop_a_daemon_with_one_sentence(
    running: ApplianceSite, tmp_path: Path, old: str, new: str, command: list[str], words: str
) -> None:
    text = running.site.settings_file.read_text()
    assert old in text
    settings = tmp_path / "coverslip.toml"
    settings.write_text(text.replace(old, new))
    done = refused(settings, command)
    assert done.returncode == 78
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_with_a_wrong_digest_stops_inference_with_one_sentence(
    running: ApplianceSite, tmp_path: Path
) -> None:
    text = running.site.settings_file.read_text()
    start = text.index("sha256:") + len("sha256:")
    wrong = text[:start] + "0" * 64 + text[start + 64 :]
    settings = tmp_path / "coverslip.toml"
    settings.write_text(wrong)
    done = refused(settings, ["infer"])
    assert done.returncode == 78
    assert "digest" in done.stderr
    assert "Traceback" not in done.stderr
